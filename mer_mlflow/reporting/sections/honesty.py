"""What a reader must know before believing a score."""

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
    "The study's text gives 80.20 as the best F1 of the augmented hybrid, its table 80.24; the "
    "table's figure is used here.",
    "The study's text says of the CRNN 60.35 to 63.33, its table 64.63 to 64.09; the table's "
    "figures are used here.",
)


def section(context: Context) -> Section:
    """Gaps, flags and substitutions."""
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
            *(Text(words=words) for words in INCONSISTENCIES),
        ),
    )


def _protocol_gap(context: Context) -> Iterator[Block]:
    rows = [
        _gap(context, one, other)
        for one, other in _pairs(context, lambda one, other: _grouping(one, other))
    ]
    yield Text(
        words="Songs of one artist sound alike and often share a quadrant. The study's folds let "
        "an artist stand on both sides of a split; artist-grouped folds do not."
    )
    yield from table(
        "protocol-gap",
        "The study's folds against artist-grouped folds",
        columns(
            "methodology",
            "dataset",
            ("study's folds", "macro F1 in per cent"),
            ("grouped folds", "macro F1 in per cent"),
            ("difference", "in points"),
            ("95 % interval", "of the difference, as if the two were independent"),
        ),
        rows,
    ) or (Text(words="No methodology was validated with both yet (-P protocol=grouped)."),)


def _tuned(context: Context) -> Iterator[Block]:
    flagged = [item for item in context.selection.complete if item.selection == "tuned"]
    yield Text(
        words="Hyperparameters that were chosen by the folds on which they are scored make a score "
        "optimistic; a nested search lets each training set choose its own."
    )
    yield from table(
        "tuned",
        "Scores of hyperparameters that were tuned on the folds scored here",
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
    ) or (Text(words="No score here is of tuned hyperparameters."),)
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
        "Nested searches against tuned or default hyperparameters on the same splits",
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
            words="The published 100 most relevant features were ranked with the labels of the "
            "whole dataset, test clips included, so scores that rest on them are optimistic: "
            f"{', '.join(sorted(readers))}. Where features are extracted, they are chosen inside "
            "each training fold."
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
        "Features extracted here, and chosen inside the folds, against the published ones",
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
        words="Checks look for columns of feature tables that give the quadrant away or are no "
        "features. They stop a training, unless a column is allowed by name; scores of runs that "
        "read such columns may say nothing about the music."
    )
    yield from table(
        "checks",
        "What checks found in runs that went on",
        columns(
            "methodology",
            "dataset",
            ("F1", "macro F1 in per cent"),
            "check",
            "what is wrong",
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
        "Substitutions for what the study used",
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
            words="Kernels of other processors add in another order, and a network that is trained "
            "turns other last digits into other scores. A cross-validation whose folds were "
            "computed by different ones cannot be repeated on one computer; -P "
            "arithmetic=portable computes alike on all x86-64 processors with AVX2."
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
    return (text(one.title), text(context.frame_titles[one.frame]), *unpaired_cells(one, other))
