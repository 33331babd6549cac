"""Details: confusion matrices, learning curves, and clips that are often misclassified."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mer_mlflow.crossval.results import CHANGED
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.reporting.descriptions import Description
from mer_mlflow.reporting.document import Block, Cell, Picture, Section, Text
from mer_mlflow.reporting.figures import confusions, hardest_clips, learning_curves
from mer_mlflow.reporting.sections._context import Context, columns, percent, table, text
from mer_mlflow.reporting.validations import Frame, Validation
from mer_mlflow.tracking.items import confusion_matrix

MOST_CONFUSIONS = 30
MOST_CURVES = 6
"""Maximum number of networks in a figure of one page."""
N_HARDEST = 20
NOT_DESCRIBED = (
    "the dataset is not at hand, so that its clips have no names here; give its folder by "
    "-P data_root= for artists, titles, genres and links to the audio."
)


def section(context: Context) -> Section:
    """Return the section: figures of predictions, and the hardest clips of each frame."""
    blocks: list[Block] = []
    shown = [item for item in context.selection.complete if not item.predictions.empty]
    if not shown:
        blocks.append(Text(content="No cross-validation is complete yet."))
    for start in range(0, len(shown), MOST_CONFUSIONS):
        blocks.append(_confusions(context, shown[start : start + MOST_CONFUSIONS], start))
    trained = [item for item in shown if not item.epochs.empty]
    for start in range(0, len(trained), MOST_CURVES):
        blocks.append(_curves(context, trained[start : start + MOST_CURVES], start))
    blocks += table(
        "changes-of-mind",
        "Test clips whose synthesised copy is predicted in another quadrant than the clip",
        columns(
            "methodology",
            "dataset",
            "transform",
            ("changed", "share of test clips in per cent, mean over folds"),
            "run",
        ),
        (row for item in shown for row in _changes(context, item)),
    )
    for i, (frame, items) in enumerate(context.selection.by_frame().items(), start=1):
        blocks += _hardest(context, i, frame, items)
    return Section(name="details", title="Details", blocks=tuple(blocks))


def clip_table(items: list[Validation]) -> pd.DataFrame:
    """Return a table of clips: error rates, and mean predicted positions on Russell's plane.

    Parameters
    ----------
    items : cross-validations of the same clips, which have equal weight

    Returns
    -------
    one row per clip, the hardest first: ``clip``, ``quadrant``, ``share_wrong`` of predictions,
    ``valence`` and ``arousal`` (-1 to 1), mean position by the predicted probabilities,
    ``taken_for``, the most frequent wrong quadrant, and ``description``, which is empty
    """
    means = pd.concat([_by_clip(item.predictions) for item in items]).groupby("clip").mean()
    all_predictions = pd.concat([item.predictions for item in items])
    wrong = all_predictions[all_predictions["quadrant"] != all_predictions["predicted"]]
    taken_for = wrong.groupby("clip")["predicted"].agg(lambda names: names.mode().iloc[0])
    quadrants = all_predictions.groupby("clip")["quadrant"].first()
    clips = means.join(quadrants).join(taken_for.rename("taken_for")).reset_index()
    clips = clips.assign(description="")
    return clips.sort_values(["share_wrong", "clip"], ascending=[False, True], ignore_index=True)


def _by_clip(predictions: pd.DataFrame) -> pd.DataFrame:
    p = {name: predictions[f"p_{name}"] for name in QUADRANTS}
    values = pd.DataFrame(
        {
            "clip": predictions["clip"],
            "share_wrong": (predictions["quadrant"] != predictions["predicted"]).astype(float),
            "valence": p["Q1"] + p["Q4"] - p["Q2"] - p["Q3"],
            "arousal": p["Q1"] + p["Q2"] - p["Q3"] - p["Q4"],
        }
    )
    return values.groupby("clip").mean()


def _confusions(context: Context, items: list[Validation], start: int) -> Picture:
    matrices = [
        (
            context.label(item),
            context.frame_titles[item.frame],
            confusion_matrix(item.predictions),
        )
        for item in items
    ]
    return Picture(
        name=f"confusions-{start // MOST_CONFUSIONS + 1}",
        title="Confusion matrices, in per cent of the true quadrant",
        description="True quadrants as rows, predicted ones as columns, for each methodology.",
        draw=lambda: confusions(matrices),
    )


def _curves(context: Context, items: list[Validation], start: int) -> Picture:
    epochs = pd.concat(
        [
            item.epochs.assign(label=f"{context.label(item)}, {context.frame_titles[item.frame]}")
            for item in items
        ],
        ignore_index=True,
    )
    return Picture(
        name=f"curves-{start // MOST_CURVES + 1}",
        title="Learning curves: median over folds, band from the 10th to the 90th percentile",
        description="Loss and accuracy over epochs for each network.",
        draw=lambda: learning_curves(epochs),
    )


def _changes(context: Context, item: Validation) -> Iterator[tuple[Cell, ...]]:
    for name in (name for name in item.folds.columns if name.startswith(CHANGED)):
        yield (
            text(context.label(item)),
            text(context.frame_titles[item.frame]),
            text(name.removeprefix(CHANGED)),
            percent(float(item.folds[name].mean())),
            context.link(item),
        )


def _hardest(context: Context, i: int, frame: Frame, items: list[Validation]) -> list[Block]:
    clips = clip_table(items)
    title = context.frame_titles[frame]
    described = [context.describe(items[0], str(clip)) for clip in clips["clip"]]
    clips["description"] = [_facts(each) for each in described]
    at_hand = any(each.has(items[0]) for each in context.descriptions)
    named = any(clips["description"])
    return [
        Picture(
            name=f"hardest-{i}",
            title=f"Mean predicted positions of the clips of {title} on Russell's plane; "
            "the hardest clips are labelled",
            description="Mean predicted valence and arousal of each clip, by true quadrant.",
            draw=lambda: hardest_clips(clips),
        ),
        *(Text(content=f"{title}: {NOT_DESCRIBED}"),) * (not at_hand),
        *table(
            f"hardest-{i}",
            f"The hardest clips of {title}, over {len(items)} cross-validations",
            columns(
                "clip",
                *("artist", "title", "genre") * named,
                "quadrant",
                ("wrong", "share of wrong predictions in per cent, mean over cross-validations"),
                "mostly predicted",
                ("valence", "mean prediction, -1 to 1"),
                ("arousal", "mean prediction, -1 to 1"),
            ),
            (
                _clip_row(clip, facts, named=named)
                for (_, clip), facts in zip(clips[:N_HARDEST].iterrows(), described, strict=False)
            ),
        ),
    ]


def _facts(described: Description) -> str:
    """Return artist, title and genre of a clip in one line, empty if none is known."""
    genre = f"({described.genre})" if described.genre else ""
    return " – ".join(filter(None, (described.artist, described.title, genre)))


def _clip_row(clip: pd.Series[float], described: Description, *, named: bool) -> tuple[Cell, ...]:
    known = (described.artist, described.title, described.genre) if named else ()
    facts = tuple(text(each or "–") for each in known)
    return (
        Cell(text=str(clip["clip"]), file=str(described.audio or "")),
        *facts,
        text(clip["quadrant"]),
        percent(clip["share_wrong"]),
        text("–" if pd.isna(clip["taken_for"]) else clip["taken_for"]),
        *(
            Cell(text=f"{clip[axis]:+.2f}".replace("-", "−"), value=clip[axis])
            for axis in ("valence", "arousal")
        ),
    )
