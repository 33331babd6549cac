"""A page for each dataset, from its declaration."""

from __future__ import annotations

import inspect

from docstrings import markdown

from mer_mlflow.datasets import Dataset, dataset_names, get_dataset
from mer_mlflow.methods import get_method, method_names


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by file name."""
    return {"index.md": _overview(), **{f"{name}.md": _page(name) for name in dataset_names()}}


def _overview() -> str:
    rows = [_overview_row(get_dataset(name)) for name in dataset_names()]
    return "\n".join(
        [
            "# Datasets",
            "",
            "Only the demo needs no files. [Data](../guides/data.md) describes the folders.",
            "",
            "| name | dataset | clips | licence |",
            "|---|---|---:|---|",
            *rows,
            "",
            "A new dataset is one file: see [Contributing](../contributing.md#add-a-dataset).",
        ]
    )


def _overview_row(dataset: Dataset) -> str:
    n_clips = sum((dataset.published_counts or {}).values()) or ""
    link = f"[{dataset.title}]({dataset.name}.md)"
    return f"| `{dataset.name}` | {link} | {n_clips} | {dataset.licence} |"


def _page(name: str) -> str:
    dataset = get_dataset(name)
    text = markdown(inspect.getdoc(inspect.getmodule(_reader(dataset))) or "")
    body, _, sources = text.partition("## References")
    parts = [
        f"# {dataset.title}",
        f"**`{name}`** — {dataset.summary}",
        body.strip(),
        _command(dataset),
        _facts(dataset),
        _scores(dataset),
        f"## References\n\n{sources.strip()}" if sources.strip() else "",
    ]
    return "\n\n".join(filter(None, parts))


def _reader(dataset: Dataset) -> object:
    return getattr(dataset.read, "func", dataset.read)


def _command(dataset: Dataset) -> str:
    root = " -P data_root=~/data" if dataset.needs_root else ""
    return f"## Check\n\n```sh\nmlflow run . -e prepare -P dataset={dataset.name}{root}\n```"


def _facts(dataset: Dataset) -> str:
    counts = dataset.published_counts or {}
    facts = {
        "clips of each quadrant": ", ".join(f"{name} {n}" for name, n in counts.items()),
        "clips": str(sum(counts.values()) or ""),
        "needs `data_root`": "yes" if dataset.needs_root else "no",
        "folder in the published archive": f"`{dataset.archive}`" if dataset.archive else "",
        "licence": dataset.licence,
        "please cite": dataset.citation,
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items() if value]
    return "\n".join(["## Facts", "", "| | |", "|---|---|", *rows])


def _scores(dataset: Dataset) -> str:
    scored = [
        (method.published[dataset.name].f1, method)
        for method in map(get_method, method_names())
        if dataset.name in method.published
    ]
    if not scored:
        return ""
    rows = [
        f"| [{method.title}](../methods/{method.name}.md) | {f1:.2f} |"
        for f1, method in sorted(scored, key=lambda pair: -pair[0])
    ]
    head = ["## Published scores", "", "Macro F1 in per cent.", "", "| method | F1 |", "|---|---:|"]
    return "\n".join([*head, *rows])
