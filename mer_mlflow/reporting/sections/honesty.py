"""Limitations of the scores: leakage, tuning, failed checks, substitutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mer_mlflow.checks import get_check
from mer_mlflow.reporting.document import Block, Cell, Section, Text
from mer_mlflow.reporting.sections._compared import HEADS, paired_rows, unpaired_cells
from mer_mlflow.reporting.sections._context import (
    Context,
    columns,
    percent,
    table,
    text,
)
from mer_mlflow.reporting.validations import Validation
from mer_mlflow.representations import Features
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.findings import read_findings

INCONSISTENCIES = (
    "The best F1 of the augmented hybrid is 80.20 in the study's text and 80.24 in its table; the "
    "value of the table is used here.",
    "The F1 of the CRNN is 60.35 to 63.33 in the study's text and 64.63 to 64.09 in its table; the "
    "values of the table are used here.",
)


def section(context: Context) -> Section:
    """Return the section on limitations of the scores."""
    return Section(
        name="honesty",
        title="Before you believe a score",
        blocks=(
            *_protocol_gap(context),
            *_tuned(context),
            *_leakage(context),
            *_checks(context),
            *_substitutions(context),
            *_mixed(context),
            *(Text(content=words) for words in INCONSISTENCIES),
        ),
    )


def _protocol_gap(context: Context) -> Iterator[Block]:
    rows = [
        _gap(context, one, other)
        for one, other in _pairs(context, lambda one, other: _grouping(one, other))
    ]
    yield Text(
        content="Songs of one artist are similar and often have the same quadrant. In the study's "
        "folds, training and test clips may be of the same artist; in artist-grouped folds they "
        "are not."
    )
    yield from table(
        "protocol-gap",
        "The study's folds compared with artist-grouped folds",
        columns(
            "methodology",
            "dataset",
            ("study's folds", "macro F1 in per cent"),
            ("grouped folds", "macro F1 in per cent"),
            ("difference", "in points"),
            ("95 % interval", "of the difference, assuming independence"),
        ),
        rows,
    ) or (Text(content="No methodology was cross-validated with both yet (-P protocol=grouped)."),)


def _tuned(context: Context) -> Iterator[Block]:
    flagged = [item for item in context.selection.complete if item.selection == "tuned"]
    yield Text(
        content="A score is optimistic if hyperparameters were chosen by the same test folds; in a "
        "nested search, they are chosen within each training set."
    )
    yield from table(
        "tuned",
        "Scores of hyperparameters that were tuned on the same test folds",
        columns("methodology", "dataset", ("F1", "macro F1 in per cent"), "study", "run"),
        (
            (
                text(context.label(item)),
                text(context.frame_titles[item.frame]),
                percent(item.summary().mean),
                text(item.tags[schema.TUNED_BY]),
                context.link(item),
            )
            for item in flagged
        ),
    ) or (Text(content="No score has tuned hyperparameters."),)
    nested = _pairs(
        context,
        lambda one, other: (
            one.selection in ("tuned", "default")
            and other.selection == "nested"
            and one.frame == other.frame
        ),
    )
    yield from table(
        "nested",
        "Nested searches compared with tuned or default hyperparameters on the same splits",
        HEADS,
        paired_rows(context, list(nested)),
    )


def _leakage(context: Context) -> Iterator[Block]:
    readers = {
        item.title
        for item in context.selection.complete
        if item.params.get(schema.FEATURES) == "published" and _reads_top_100(item)
    }
    if readers:
        yield Text(
            content="The published 100 most relevant features were ranked with the labels of the "
            "whole dataset, test clips included, so scores that depend on them are optimistic: "
            f"{', '.join(sorted(readers))}. Features extracted from audio are selected within "
            "each training set."
        )
    pairs = _pairs(
        context,
        lambda one, other: (
            one.frame == other.frame
            and one.changed == other.changed
            and (one.params.get(schema.FEATURES), other.params.get(schema.FEATURES))
            == ("published", "extracted")
        ),
    )
    yield from table(
        "features",
        "Features extracted from audio and selected in training sets, compared with published ones",
        HEADS,
        paired_rows(context, list(pairs)),
    )


def _checks(context: Context) -> Iterator[Block]:
    rows = [
        (
            text(context.label(item)),
            text(context.frame_titles[item.frame]),
            percent(item.summary().mean),
            text(code),
            text(_meaning(code)),
            text(names),
            context.link(item),
        )
        for item in context.selection.complete
        for code, names in read_findings(item.tags)
    ]
    if not rows:
        return
    yield Text(
        content="Checks find columns of feature tables that leak the quadrant or are no features. "
        "They stop a training, unless a column is allowed by name; scores of runs that read such "
        "columns may be meaningless."
    )
    yield from table(
        "checks",
        "Findings of checks in runs that were continued",
        columns(
            "methodology",
            "dataset",
            ("F1", "macro F1 in per cent"),
            "check",
            "finding",
            "columns",
            "run",
        ),
        rows,
    )


def _meaning(code: str) -> str:
    check = get_check(code)
    if check is None:
        return "a check of another version"
    return f"{check.sentence}: {'allowed' if check.stops else 'a warning'}"


def _substitutions(context: Context) -> Iterator[Block]:
    replaced = [
        item
        for item in context.selection.complete
        if item.params.get(schema.FEATURES) == "extracted"
    ]
    yield from table(
        "substitutions",
        "Substitutions for data of the study",
        columns("methodology", "dataset", "in the study", "here", "run"),
        (
            (
                text(context.label(item)),
                text(context.frame_titles[item.frame]),
                text("the dataset's own feature tables"),
                text("features extracted from the audio by this software"),
                context.link(item),
            )
            for item in replaced
        ),
    )


def _mixed(context: Context) -> Iterator[Block]:
    mixed = [item for item in context.selection.validations if item.is_mixed]
    if mixed:
        yield Text(
            content="Kernels for other processors add numbers in a different order, and in the "
            "training of a network these rounding differences change the scores. A "
            "cross-validation whose folds were computed by different kernels cannot be "
            "reproduced on one computer; -P arithmetic=portable gives equal results on all "
            "x86-64 processors with AVX2."
        )
    yield from table(
        "mixed",
        "Cross-validations whose folds were computed by different kernels",
        columns("methodology", "dataset", "arithmetic", "run"),
        (
            (
                text(context.label(item)),
                text(context.frame_titles[item.frame]),
                text(item.arithmetic),
                context.link(item),
            )
            for item in mixed
        ),
    )


def _reads_top_100(item: Validation) -> bool:
    return Features(table="top100").key in item.params.get(schema.INPUTS, "").split()


def _grouping(one: Validation, other: Validation) -> bool:
    return (one.protocol, other.protocol) == ("paper", "grouped") and (
        one.setting == other.setting and one.params[schema.DIGEST] == other.params[schema.DIGEST]
    )


def _pairs(
    context: Context, belong: Callable[[Validation, Validation], bool]
) -> Iterator[tuple[Validation, Validation]]:
    for one in context.selection.complete:
        for other in context.selection.complete:
            if one.method == other.method and belong(one, other):
                yield one, other


def _gap(context: Context, one: Validation, other: Validation) -> tuple[Cell, ...]:
    titles = (text(context.label(one)), text(context.frame_titles[one.frame]))
    return (*titles, *unpaired_cells(one, other))
