"""Findings: what the scores show, in one paragraph for each dataset and protocol."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.reporting.document import Section, Text
from mer_mlflow.reporting.sections._context import Context, number, signed
from mer_mlflow.reporting.sections.published import deviations
from mer_mlflow.reporting.statistics import MOST_REPEATS, UNDECIDED, deciding_size
from mer_mlflow.reporting.validations import Frame, Validation

MOST_NAMED = 4
"""Maximum number of methodologies that a sentence names."""
MOST_ADVICE = 2
"""Maximum number of undecided pairs of which a paragraph says what would decide them."""
ALLOWED = "columns that were allowed in spite of a check"
VERDICTS = {"worse": "better than", "equivalent": "equivalent to", "better": "worse than"}
"""Relation of the best methodology to another one, by the verdict on the other one."""


def section(context: Context) -> Section:
    """Return the section: a paragraph for each frame, or what is missing."""
    paragraphs = [
        " ".join(_sentences(context, frame, items))
        for frame, items in context.selection.by_frame().items()
    ]
    nothing = "No cross-validation is complete yet, so there are no findings."
    blocks = tuple(Text(content=words) for words in paragraphs or [nothing])
    return Section(name="findings", title="Findings", blocks=blocks)


def _sentences(context: Context, frame: Frame, items: Sequence[Validation]) -> Iterator[str]:
    valid = [item for item in items if not item.allowed_columns]
    n_left_out = _count(len(items) - len(valid), "cross-validation")
    left_out = f"not considered: {n_left_out} with {ALLOWED}"
    if not valid:
        yield f"{context.frame_titles[frame]}: {left_out}."
        return
    best = max(valid, key=lambda item: item.summary().mean)
    yield _best(context, best, n=len(valid))
    if len(valid) < len(items):
        yield f"{left_out.capitalize()}."
    if best.protocol == "paper":
        yield from _reproduced(context, valid)
    if frame in context.pairs and best.test_share is not None:
        yield from _decided(context, best, valid)
        yield from _advice(context, best, valid)


def _best(context: Context, best: Validation, *, n: int) -> str:
    f1 = best.summary()
    among = f"of {n} cross-validations, the best is that of" if n > 1 else "the only one is that of"
    interval = "" if math.isnan(f1.low) else f" [{100 * f1.low:.1f}, {100 * f1.high:.1f}]"
    return (
        f"{context.frame_titles[best.frame]}: {among} {context.label(best)}, with a macro F1 of "
        f"{100 * f1.mean:.1f} %{interval} over {best.n_repeats} x {best.n_splits} folds."
    )


def _reproduced(context: Context, items: Sequence[Validation]) -> Iterator[str]:
    """Yield sentences about published scores inside and outside of our intervals."""
    compared = [
        item
        for item in items
        if item.published_f1 is not None and not math.isnan(item.summary().low)
    ]
    same = [item for item in compared if _is_reproduction(item)]
    inside = [_score(context, item) for item in same if _is_inside(item)]
    outside = [_score(context, item) for item in same if not _is_inside(item)]
    if inside:
        yield f"Reproduced, because the published score is inside the interval: {_few(inside)}."
    if outside:
        yield f"Not reproduced, because it is outside: {_few(outside)}."
    others = [item for item in compared if item not in same]
    if others:
        n_inside = sum(map(_is_inside, others))
        yield (
            f"{_count(len(others), 'further row')} with a published score "
            f"{'differs' if len(others) == 1 else 'differ'} from the study's setting, and "
            f"{'is' if len(others) == 1 else 'are'} no reproduction; the published score is inside "
            f"the interval of {n_inside} of them."
        )


def _is_reproduction(item: Validation) -> bool:
    """Return whether a score was measured as in the study, without a choice by its test folds."""
    return not deviations(item) and item.selection != "tuned" and not item.is_mixed


def _is_inside(item: Validation) -> bool:
    f1 = item.summary()
    return f1.low <= (item.published_f1 or math.nan) / 100 <= f1.high


def _score(context: Context, item: Validation) -> str:
    return (
        f"{context.label(item)} ({100 * item.summary().mean:.1f} against {item.published_f1:.2f})"
    )


def _decided(context: Context, best: Validation, items: Sequence[Validation]) -> Iterator[str]:
    short = _names(context, items)
    pairs = context.pairs[best.frame]
    pairs = pairs[pairs[["first", "second"]].isin(list(short)).all(axis=1)]
    verdicts = _against(pairs, context.label(best))
    known = [
        f"{relation} {_few(names)}"
        for verdict, relation in VERDICTS.items()
        if (names := [short[name] for name, found in verdicts.items() if found == verdict])
    ]
    if known:
        yield f"With a probability of at least 95 %, it is {' and '.join(known)}."
    open_names = [short[name] for name, found in verdicts.items() if found == UNDECIDED]
    if open_names:
        yield f"Undecided is its difference from {_few(open_names)}."
    if len(pairs) > len(verdicts):
        n_decided = int((pairs["verdict"] != UNDECIDED).sum())
        yield f"Of all {len(pairs)} pairs, {n_decided} are decided."


def _against(pairs: pd.DataFrame, label: str) -> dict[str, str]:
    """Return the verdict on each other methodology, compared with this one."""
    reverse = {"better": "worse", "worse": "better"}
    after, before = (pairs[pairs[side] == label] for side in ("first", "second"))
    reversed_verdicts = before["verdict"].replace(reverse)
    return {
        **dict(zip(after["second"], after["verdict"], strict=True)),
        **dict(zip(before["first"], reversed_verdicts, strict=True)),
    }


def _advice(context: Context, best: Validation, items: Sequence[Validation]) -> Iterator[str]:
    """Yield what would decide the best methodology's undecided differences, closest rank first."""
    verdicts = _against(context.pairs[best.frame], context.label(best))
    undecided = sorted(
        (item for item in items if verdicts.get(context.label(item)) == UNDECIDED),
        key=lambda item: -item.summary().mean,
    )
    short = _names(context, items)
    for item in undecided[:MOST_ADVICE]:
        scores = context.paired_scores([best, item]).to_numpy(dtype=np.float64)
        yield _what_decides(short[context.label(item)], best, scores[:, 1] - scores[:, 0])


def _what_decides(name: str, best: Validation, differences: NDArray[np.float64]) -> str:
    size = deciding_size(differences, test_share=best.test_share, n_splits=best.n_splits)
    points = signed(float(differences.mean()))
    start = f"If the difference of {points} points from {name} stays as it is,"
    if math.isfinite(size.n_repeats):
        return f"{start} about {size.n_repeats:.0f} x {best.n_splits} folds would decide it."
    if math.isfinite(size.clips_factor):
        n_clips = float(f"{size.clips_factor * best.n_clips:.2g}")
        return (
            f"{start} {MOST_REPEATS} repetitions would not decide it; about "
            f"{number(n_clips, digits=0).text} clips instead of "
            f"{number(best.n_clips, digits=0).text} would."
        )
    return (
        f"{start} neither {MOST_REPEATS} repetitions nor many more clips would decide it: it is "
        "too close to one point."
    )


def _names(context: Context, items: Sequence[Validation]) -> dict[str, str]:
    """Return a short name by label: the method's title if it has only one row."""
    titles = [item.title for item in items]
    return {
        context.label(item): item.title if titles.count(item.title) == 1 else context.label(item)
        for item in items
    }


def _few(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown}; and {len(names) - MOST_NAMED} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
