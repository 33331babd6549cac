"""Effects of dataset size, of balance, and of augmentation."""

from __future__ import annotations

from collections.abc import Iterator

from mer_mlflow.methods import get_method, method_names
from mer_mlflow.reporting.document import Block, Cell, Picture, Section, Text
from mer_mlflow.reporting.figures import dataset_slopes
from mer_mlflow.reporting.sections._compared import HEADS, paired_rows, unpaired_cells
from mer_mlflow.reporting.sections._context import (
    Context,
    columns,
    table,
    text,
)
from mer_mlflow.reporting.sections.published import DATASETS
from mer_mlflow.reporting.sections.ranking import score_table
from mer_mlflow.reporting.validations import Validation, dataset_title
from mer_mlflow.tracking import schema

QUESTIONS = (
    ("size", "Dataset size", "original-4qaed", "new-4qaed-c"),
    ("balance", "Balance of the quadrants", "new-4qaed-c", "new-4qaed-b"),
)


def section(context: Context) -> Section:
    """Return the section: effects of size and balance, and of extensions of a baseline."""
    blocks: list[Block] = []
    for name, title, first, second in QUESTIONS:
        heads = columns(
            "methodology",
            (dataset_title(first), "macro F1 in per cent"),
            (dataset_title(second), "macro F1 in per cent"),
            ("difference", "in points"),
            ("95 % interval", "of the difference, with corrected standard errors"),
        )
        made = table(
            f"effect-{name}",
            f"{title}: from {dataset_title(first)} to {dataset_title(second)}",
            heads,
            (_unpaired(context, one, other) for one, other in _matched(context, first, second)),
        )
        missing = f"{title}: no methodology is complete on {dataset_title(first)} and "
        blocks += made or (Text(content=f"{missing}{dataset_title(second)} in one setting."),)
    blocks.append(
        Text(
            content="These differences are between datasets, one of which contains much of the "
            "other. The intervals treat them as independent: they are descriptive, and not a test."
        )
    )
    blocks += _slopes(context)
    added = table(
        "effect-added",
        "Methodologies compared with their baselines on the same splits",
        HEADS,
        paired_rows(context, list(_beside_baseline(context))),
    )
    blocks += added or (
        Text(content="No extended methodology and its baseline are both complete yet."),
    )
    return Section(name="questions", title="Size, balance, augmentation", blocks=tuple(blocks))


def _matched(context: Context, first: str, second: str) -> Iterator[tuple[Validation, Validation]]:
    for one in context.selection.complete:
        for other in context.selection.complete:
            same = (one.method, one.setting, one.protocol) == (
                other.method,
                other.setting,
                other.protocol,
            )
            if same and (one.dataset, other.dataset) == (first, second):
                yield one, other


def _unpaired(context: Context, one: Validation, other: Validation) -> tuple[Cell, ...]:
    return (text(context.label(one)), *unpaired_cells(one, other))


def _slopes(context: Context) -> list[Block]:
    titles = [dataset_title(name) for name in DATASETS]
    scores = score_table(context)
    if scores.empty:
        return []
    scores = scores[scores["dataset"].isin(titles)].drop_duplicates(["label", "dataset"])
    if not (scores.groupby("label").size() > 1).any():
        return []
    return [
        Picture(
            name="slopes",
            title="Macro F1 by dataset",
            description="A line for each methodology that is complete on at least two datasets.",
            draw=lambda: dataset_slopes(scores, titles),
        )
    ]


def _beside_baseline(context: Context) -> Iterator[tuple[Validation, Validation]]:
    for items in context.selection.by_frame().values():
        for other in items:
            baseline = get_method(other.method).baseline if other.method in method_names() else ""
            for one in items:
                seconds = [item.params.get(schema.SECONDS) for item in (one, other)]
                if one.method == baseline and seconds[0] == seconds[1]:
                    yield one, other
