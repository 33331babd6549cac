"""Ranking of all cross-validations, with scores, intervals and costs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mer_mlflow.reporting.document import Block, Cell, Picture, Section, Text
from mer_mlflow.reporting.figures import fold_distributions, forest
from mer_mlflow.reporting.sections._context import (
    MISSING,
    Context,
    columns,
    interval,
    mark,
    number,
    percent,
    table,
    text,
)
from mer_mlflow.reporting.validations import Validation

HEADS = columns(
    "methodology",
    "tuning",
    ("F1", "macro F1 in per cent, mean ± standard deviation over folds"),
    ("95 % interval", "Nadeau and Bengio's corrected interval of the mean"),
    ("published", "macro F1 of the study"),
    ("P", "macro precision"),
    ("R", "macro recall"),
    ("folds", "number of folds"),
    "run",
)
DETAIL_HEADS = columns(
    "methodology",
    ("weighted F1", "F1 averaged by the quadrants' sizes"),
    ("accuracy", "share of clips with correct quadrant"),
    ("Q1", "F1 of quadrant Q1: high arousal, positive valence"),
    ("Q2", "F1 of quadrant Q2: high arousal, negative valence"),
    ("Q3", "F1 of quadrant Q3: low arousal, negative valence"),
    ("Q4", "F1 of quadrant Q4: low arousal, positive valence"),
    ("arousal", "share of clips with correct sign of arousal"),
    ("valence", "share of clips with correct sign of valence"),
    ("fit, s", "mean time to train one fold, in seconds"),
    ("memory, MiB", "maximum resident memory of a fold's process"),
    ("parameters", "number of trained weights"),
)
DETAILS = (
    "f1_weighted",
    "accuracy",
    "f1_q1",
    "f1_q2",
    "f1_q3",
    "f1_q4",
    "arousal_accuracy",
    "valence_accuracy",
)
SEE = "see Before you believe a score"


def section(context: Context) -> Section:
    """Return the section: a table for each frame, forest plot and distributions over folds."""
    frames = context.selection.by_frame()
    blocks: list[Block] = [
        Text(
            content="Methodologies by mean macro F1; a label lists what differs from the study's "
            "setting. Intervals are corrected for the overlap of folds (Nadeau and Bengio 2003); "
            "uncorrected standard errors are several times too small."
        )
    ]
    for i, (frame, items) in enumerate(frames.items(), start=1):
        title = context.frame_titles[frame]
        ranked = sorted(items, key=lambda item: -item.summary().mean)
        best = next((item for item in ranked if not item.allowed_columns), None)
        notes: list[str] = []
        rows = [_row(context, item, notes, is_best=item is best) for item in ranked]
        blocks += table(f"ranking-{i}", f"Ranking on {title}", HEADS, rows, notes=tuple(notes))
        blocks += table(
            f"quadrants-{i}",
            f"Quadrants, axes and cost on {title}; scores in per cent",
            DETAIL_HEADS,
            (_details(context, item) for item in ranked),
        )
    partial = [item for item in context.selection.validations if not item.is_complete]
    blocks += table(
        "partial",
        "Cross-validations with missing folds, without scores",
        columns("methodology", "dataset", ("folds", "finished"), "run"),
        (
            (
                text(context.label(item)),
                text(context.frame_titles[item.frame]),
                Cell(text=f"partial {item.n_done}/{item.n_expected}", value=item.n_done),
                context.link(item),
            )
            for item in partial
        ),
    )
    if frames:
        blocks += _pictures(context)
    return Section(name="ranking", title="Ranking", blocks=tuple(blocks))


def score_table(context: Context) -> pd.DataFrame:
    """Return a table with a row for each complete cross-validation, for figures."""
    rows = []
    for item in context.selection.complete:
        f1 = item.summary()
        published = item.published_f1
        rows.append(
            {
                "label": _marked_label(context, item),
                "dataset": context.frame_titles[item.frame],
                "mean": f1.mean,
                "low": f1.low,
                "high": f1.high,
                "published": math.nan if published is None else published / 100,
            }
        )
    return pd.DataFrame(rows)


def _marked_label(context: Context, item: Validation) -> str:
    """Return the label of a cross-validation for figures, which have no column of remarks."""
    return context.label(item) + ", columns allowed" * bool(item.allowed_columns)


def _notes(context: Context, item: Validation) -> list[str]:
    """Return warnings about a score, and the smaller cross-validations that are part of it."""
    parts = [
        f"contains a finished cross-validation of {part.n_repeats} x {part.n_splits} folds "
        f"(run {part.run_id[:8]}, F1 {100 * part.summary().mean:.2f}), which is no separate row"
        for part, larger in context.selection.parts
        if larger is item and part.is_complete
    ]
    return [f"{remark}; {SEE}" for remark in item.remarks] + parts


def _row(
    context: Context, item: Validation, notes: list[str], *, is_best: bool
) -> tuple[Cell, ...]:
    f1, published = item.summary(), item.published_f1
    marks = tuple(mark(words, notes) for words in _notes(context, item))
    return (
        Cell(text=context.label(item), is_best=is_best, marks=marks),
        text(item.selection),
        percent(f1.mean, std=f1.std, is_best=is_best),
        interval(f1.low, f1.high),
        MISSING if published is None else Cell(text=f"{published:.2f}", value=published),
        percent(item.summary("precision_macro").mean),
        percent(item.summary("recall_macro").mean),
        Cell(text=f"{item.n_done}/{item.n_expected}", value=item.n_done),
        context.link(item),
    )


def _details(context: Context, item: Validation) -> tuple[Cell, ...]:
    folds = item.folds
    weights = folds["n_parameters"].mean() if "n_parameters" in folds else None
    return (
        text(context.label(item)),
        *(percent(float(folds[measure].mean())) for measure in DETAILS),
        number(float(folds["fit_seconds"].mean()), digits=2),
        number(float(folds["peak_memory_mib"].max()), digits=0),
        number(weights, digits=0),
    )


def _pictures(context: Context) -> list[Block]:
    scores = score_table(context)
    folds = pd.concat(
        [
            item.folds[["split", "f1_macro"]].assign(
                label=_marked_label(context, item), dataset=context.frame_titles[item.frame]
            )
            for item in context.selection.complete
        ],
        ignore_index=True,
    )
    best = scores.loc[np.argmax(scores["mean"])]
    return [
        Picture(
            name="forest",
            title="Macro F1 with corrected 95 % intervals; diamonds are the published figures",
            description=f"The highest mean is that of {best['label']} on {best['dataset']}, "
            f"{100 * best['mean']:.1f} per cent.",
            draw=lambda: forest(scores),
        ),
        Picture(
            name="folds",
            title="Macro F1 of every fold",
            description="Boxes and dots of the folds' macro F1 for each methodology.",
            draw=lambda: fold_distributions(folds),
        ),
    ]
