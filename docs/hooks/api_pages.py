"""A page of the API for each public package."""

from __future__ import annotations

from importlib import import_module

PACKAGES = {
    "mer_mlflow": "what most programs need",
    "mer_mlflow.datasets": "clips and labels",
    "mer_mlflow.representations": "arrays computed from a clip",
    "mer_mlflow.augmentation": "synthesised training clips",
    "mer_mlflow.training": "declaration of methods and their hyperparameters",
    "mer_mlflow.methods": "registry of the methods",
    "mer_mlflow.checks": "checks for problems that invalidate scores",
    "mer_mlflow.crossval": "split plans, folds, scores",
    "mer_mlflow.crossval.executors": "processes that run folds",
    "mer_mlflow.crossval.metrics": "scores and their summary",
    "mer_mlflow.experiments": "requests, and their conversion to settings",
    "mer_mlflow.tracking": "runs in MLflow",
    "mer_mlflow.deployment": "models that predict songs",
    "mer_mlflow.reporting.statistics": "tests for repeated cross-validation",
    "mer_mlflow.archive": "export and import of runs",
    "mer_mlflow.errors": "errors that users can correct",
}


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by file name."""
    return {"index.md": _overview(), **{f"{name}.md": _page(name) for name in PACKAGES}}


def _overview() -> str:
    rows = [f"| [`{name}`]({name}.md) | {words} |" for name, words in PACKAGES.items()]
    head = [
        "# API",
        "",
        "Shapes are in brackets, units too.",
        "",
        "| module | content |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows])


def _page(name: str) -> str:
    exported = [
        each for each in getattr(import_module(name), "__all__", ()) if not each.startswith("_")
    ]
    members = "".join(f"        - {each}\n" for each in exported)
    options = f"    options:\n      members:\n{members}" if members else ""
    return f"# {name}\n\n::: {name}\n{options}"
