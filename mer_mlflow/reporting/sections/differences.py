"""Differences between methodologies on the same splits."""

from __future__ import annotations

import pandas as pd

from mer_mlflow.reporting.document import Block, Cell, Picture, Section, Text
from mer_mlflow.reporting.figures import verdict_matrix
from mer_mlflow.reporting.sections._context import (
    Context,
    columns,
    interval,
    number,
    points,
    probability,
    table,
    text,
)
from mer_mlflow.reporting.statistics import ONE_POINT
from mer_mlflow.reporting.validations import Frame, Validation

HEADS = columns(
    "first",
    "second",
    ("splits", "number of splits that both have"),
    ("difference", "mean macro F1 of the second minus that of the first, in points"),
    ("95 % interval", "corrected interval of the difference, for each pair separately"),
    ("p", "Nadeau and Bengio's corrected resampled t-test, two-sided"),
    ("p, Holm", "p adjusted for all pairs of this table"),
    ("worse", "posterior probability that the second is worse by more than a point"),
    ("equivalent", "posterior probability that they are within a point of each other"),
    ("better", "posterior probability that the second is better by more than a point"),
    "verdict on the second",
)


def section(context: Context) -> Section:
    """Return the section: a table of pairs and a matrix of verdicts for each frame."""
    blocks: list[Block] = [
        Text(
            content="The folds of repeated cross-validation overlap, so their scores are not "
            "independent: for an uncorrected paired t-test over 100 folds, far too many "
            "differences are significant. p is Nadeau and Bengio's corrected resampled t-test, "
            "adjusted by Holm for all pairs of a table. The probabilities are those of the "
            f"Bayesian correlated t-test (Corani and Benavoli) with a region of practical "
            f"equivalence of {100 * ONE_POINT:.0f} point; a verdict needs 95 %."
        ),
        Text(
            content="There is no test across datasets: three datasets, two of which contain the "
            "same clips, are too few and too dependent. The section on size and balance "
            "describes them."
        ),
    ]
    for i, (frame, items) in enumerate(context.selection.by_frame().items(), start=1):
        if len(items) > 1:
            blocks += _compared(context, i, frame, items)
    if len(blocks) == 2:
        blocks.append(Text(content="No two complete cross-validations share their splits yet."))
    return Section(name="differences", title="Differences", blocks=tuple(blocks))


def _compared(context: Context, i: int, frame: Frame, items: list[Validation]) -> list[Block]:
    title, pairs = context.frame_titles[frame], context.pairs[frame]
    blocks: list[Block] = []
    rows = (_row(pair) for _, pair in pairs.iterrows())
    blocks += table(f"pairs-{i}", f"Pairs on {title}", HEADS, rows)
    if items[0].test_share is None:
        blocks.append(
            Text(content=f"{title}: all splits test the same clips, which allows no inference.")
        )
        return blocks
    blocks.append(
        Picture(
            name=f"verdicts-{i}",
            title=f"Each methodology (row) compared with each other one (column) on {title}",
            description="Matrix of verdicts: better, equivalent, worse or undecided.",
            draw=lambda: verdict_matrix(pairs),
        )
    )
    return blocks


def _row(pair: pd.Series[float]) -> tuple[Cell, ...]:
    return (
        text(pair["first"]),
        text(pair["second"]),
        number(pair["n_splits"], digits=0),
        points(pair["mean_difference"]),
        interval(pair["low"], pair["high"], is_difference=True),
        *(
            probability(pair[name])
            for name in ("p", "p_holm", "p_worse", "p_equivalent", "p_better")
        ),
        text(pair["verdict"]),
    )
