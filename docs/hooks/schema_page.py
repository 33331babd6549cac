"""The page of all names in runs, from ``tracking/schema.py`` and the names of scores."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from docstrings import plain

from mer_mlflow.crossval.metrics import SCORES
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.metric_names import fold_metric, parent_metric
from mer_mlflow.tuning.trials import OBJECTIVE, REUSED, SPENT

TAG, PARAMETER, ARTIFACT, VALUE = "Tags", "Parameters", "Artifacts", "Values"
FILES = (".csv", ".txt", ".parquet", ".json", ".yaml")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Names that are declared together.

    Attributes
    ----------
    names : the names as in runs
    text : their description, empty if there is none
    """

    names: tuple[str, ...]
    text: str

    @property
    def kind(self) -> str:
        """Heading under which they are listed."""
        first = self.names[0]
        if first.startswith(schema.TAGS):
            return TAG
        if first.endswith(FILES):
            return ARTIFACT
        parameters = (schema.HP, schema.NESTED, schema.CV, schema.DATA)
        return PARAMETER if first.startswith(parameters) else VALUE


def entries() -> Iterator[Entry]:
    """Yield the declarations of the module, in order."""
    body = ast.parse(inspect.getsource(schema)).body
    for at, node in enumerate(body):
        if isinstance(node, ast.Assign):
            following = body[at + 1] if at + 1 < len(body) else None
            yield Entry(names=_values(node), text=_text(following))


def page() -> str:
    """Return the page's Markdown."""
    found = list(entries())
    parts = [_table(kind, found) for kind in (TAG, PARAMETER, ARTIFACT, VALUE)]
    return "\n\n".join(["# Names in runs", INTRODUCTION, *parts, _scores()])


INTRODUCTION = """\
A cross-validation is a *parent* run, and each of its folds is a nested run. This page lists every
name that the project writes to runs, from `mer_mlflow/tracking/schema.py`, which is the only module
that spells them. [Content of a run](runs.md) says how to read them."""

METRICS = (
    ("`cost/n_epochs`", "fold", "epochs that were trained"),
    ("`cost/n_parameters`", "fold", "trained weights of a network"),
    ("`cost/fit_seconds`, `cost/predict_seconds`", "fold", "time to train and to predict [s]"),
    ("`cost/peak_memory_mib`", "fold", "largest memory of the process [MiB]"),
    (
        "`train_loss`, `train_accuracy`",
        "fold",
        "curves; `NAME/` before it for one of several networks",
    ),
    ("`test_loss`, `test_accuracy`", "fold", "the same of test clips, with `test_curve`"),
    ("`changed/TRANSFORM`", "fold", "share of test clips whose copy changes quadrant (`probe`)"),
    ("`notes/NAME`", "fold", "further numbers of a method, such as errors of an autoencoder"),
    (f"`{schema.FOLDS_DONE}`", "parent", "folds with a result"),
    ("`cost/fit_seconds`", "parent", "sum over folds [s]"),
    ("`cost/n_epochs`", "parent", "mean over folds; missing without epochs"),
    ("`cost/peak_memory_mib`", "parent", "maximum over folds [MiB]"),
    ("`n_trials`, `n_incomplete`, `n_pruned`", "search", "trials: all, incomplete, pruned"),
    (f"`best_{OBJECTIVE}`", "search", "macro F1 of the best trial"),
    (f"`{SPENT}`, `{REUSED}`", "search", "folds that were run, and read from earlier runs"),
    ("`folds_saved`", "search", "folds that pruning saved"),
    (
        "`calibration/ece`, `calibration/brier`, `calibration/temperature`",
        "model",
        "calibration, out of folds",
    ),
)
"""Metrics other than scores: names, run, meaning."""


def _parent(score: str) -> str:
    """Return the names of a score's metrics in the run of a parent."""
    statistics = ("mean", "std", "low", "high")
    return ", ".join(f"`{parent_metric(f'{score}_{each}')}`" for each in statistics)


def _values(node: ast.Assign) -> tuple[str, ...]:
    value = ast.literal_eval(node.value)
    return (value,) if isinstance(value, str) else tuple(value)


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return plain(" ".join(str(node.value.value).split()))
    return ""


def _table(kind: str, found: list[Entry]) -> str:
    rows = [
        f"| {'<br>'.join(f'`{name}`' for name in entry.names)} | {entry.text} |"
        for entry in found
        if entry.kind == kind
    ]
    return "\n".join([f"## {kind}", "", "| name | meaning |", "|---|---|", *rows])


def _scores() -> str:
    names = "\n".join(f"| `{name}` | `{fold_metric(name)}` | {_parent(name)} |" for name in SCORES)
    rows = "\n".join(f"| {' | '.join(row)} |" for row in METRICS)
    return f"""\
## Metrics

Scores are 0 to 1. MLflow's pages show a section for each prefix before a slash. A parent has the
mean over its folds, the standard deviation, and the ends of the corrected 95 % interval
([Statistics](../statistics.md)) within 0 to 1. Runs of earlier versions have the names of tables,
for a parent with `_mean`, `_std`, `_low` and `_high`.

| score in tables | fold | parent |
|---|---|---|
{names}

| metric | run | meaning |
|---|---|---|
{rows}

A search also has the parameters `search.strategy` and `space.NAME`, the values of a hyperparameter
that it tries. Parents and searches also have a folder `figures`."""
