"""Figures show the frames' values, fit the page and stay small, whatever the frames hold."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import combinations
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.palette import BLUE, ORANGE, QUADRANT_COLOURS
from mer_mlflow.reporting.figures import (
    PALE,
    QUADRANT_MARKERS,
    confusions,
    dataset_slopes,
    fold_distributions,
    forest,
    hardest_clips,
    learning_curves,
    verdict_matrix,
)
from mer_mlflow.reporting.hints import find_hints

DATASETS = ("Original-4QAED", "New-4QAED C", "New-4QAED B")
TITLES = (
    "SVM",
    "ShortChunk CNN",
    "DNN, top 100",
    "Hybrid, augmented, 10 s, extracted features",
    "CNN",
    "CRNN",
    "CNN + GRU",
    "Sample CNN",
    "DNN, all features",
    "Hybrid, augmented",
)
NAN = math.nan
MAX_SVG = 300_000


def make_labels(n_labels: int) -> list[str]:
    variants = ("", ", 10 s, learning_rate=0.001", ", extracted features")
    return [title + variant for variant in variants for title in TITLES][:n_labels]


def make_scores(n_labels: int, datasets: Sequence[str] = DATASETS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([make_labels(n_labels), datasets])
    frame = pd.DataFrame(index.to_list(), columns=["label", "dataset"])
    frame["mean"] = rng.uniform(0.4, 0.8, len(frame))
    half = rng.uniform(0.01, 0.05, len(frame))
    frame["low"], frame["high"] = frame["mean"] - half, frame["mean"] + half
    frame["published"] = rng.uniform(0.4, 0.8, len(frame))
    frame.loc[3::5, ["low", "high"]] = NAN
    frame.loc[1::3, "published"] = NAN
    return frame.drop(index=range(4, len(frame), 7))


def make_folds(n_labels: int, datasets: Sequence[str] = DATASETS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    scores = make_scores(n_labels, datasets)
    folds = scores.loc[scores.index.repeat(100), ["label", "dataset", "mean"]]
    scores = rng.normal(folds["mean"], 0.05)
    return folds.assign(f1_macro=scores, split="r01-f01").drop(columns="mean")


def make_confusions(n_matrices: int) -> list[tuple[str, str, pd.DataFrame]]:
    rng = np.random.default_rng(0)
    labels = make_labels(math.ceil(n_matrices / len(DATASETS)))
    titles = [(label, dataset) for label in labels for dataset in DATASETS][:n_matrices]
    return [
        (*title, pd.DataFrame(rng.integers(1, 99, (4, 4)), index=QUADRANTS, columns=QUADRANTS))
        for title in titles
    ]


def make_epochs(n_networks: int, *, n_folds: int, n_epochs: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frames = []
    for number in range(n_networks):
        for fold in range(n_folds):
            epoch = np.arange(1, rng.integers(n_epochs // 3, n_epochs, endpoint=True) + 1)
            share = 1 - np.exp(-epoch / 20) * rng.uniform(0.5, 0.8, len(epoch))
            tested = NAN if number % 2 else 0.8
            frames.append(
                pd.DataFrame(
                    {
                        "label": make_labels(n_networks)[number],
                        "stage": "" if number % 3 else "features",
                        "split": f"r01-f{fold:02}",
                        "epoch": epoch,
                        "train_loss": 2 * (1 - share),
                        "train_accuracy": share,
                        "test_loss": 2 - tested * share,
                        "test_accuracy": tested * share,
                    }
                )
            )
    return pd.concat(frames)


def make_clips(n_clips: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "clip": [f"MT{number:010}" for number in rng.integers(10**9, size=n_clips)],
            "quadrant": rng.choice(QUADRANTS, n_clips),
            "share_wrong": rng.uniform(0, 1, n_clips),
            "valence": rng.uniform(-1, 1, n_clips),
            "arousal": rng.normal(0, 0.2, n_clips).clip(-1, 1),
            "description": "artist – title – (genre)",
        }
    )


def make_pairs(n_labels: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    pairs = list(combinations(make_labels(n_labels), 2))
    chances = rng.dirichlet([0.2, 0.2, 0.2], len(pairs))
    kinds = ["p_better", "p_equivalent", "p_worse"]
    return pd.DataFrame(pairs, columns=["first", "second"]).join(
        pd.DataFrame(chances, columns=kinds)
    )


def to_svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "salt"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def renderer(figure: Figure) -> Any:
    canvas: Any = FigureCanvasAgg(figure)
    return canvas.get_renderer()


def titled(figure: Figure) -> dict[str, Any]:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def line(axes: Axes, label: str) -> Any:
    return next(drawn for drawn in axes.lines if drawn.get_label() == label)


def by_label(axes: Axes, values: Iterable[float], heights: Iterable[float]) -> dict[str, float]:
    """Values that are drawn at the heights of the labels, NaN left out."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    ticks = figure.axes[0].get_yticks()
    names = [text.get_text().replace("\n", " ") for text in figure.axes[0].get_yticklabels()]
    names = [name.replace("\N{NO-BREAK SPACE}", " ") for name in names]
    nearest = [names[int(np.abs(ticks - height).argmin())] for height in heights]
    return {name: x for name, x in zip(nearest, values, strict=True) if not math.isnan(x)}


def legend_names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def percent(frame: pd.DataFrame, column: str, dataset: str) -> Any:
    rows = frame[frame["dataset"] == dataset].set_index("label")
    return pytest.approx((100 * rows[column].dropna()).to_dict())


@pytest.mark.parametrize(
    ("draw", "given"),
    [
        *((forest, make_scores(n)) for n in (1, 3, 24)),
        (forest, make_scores(3, DATASETS[:1])),
        (forest, make_scores(24, (*DATASETS, "MERGE complete", "MERGE balanced"))),
        (forest, make_scores(2).assign(mean=NAN, low=NAN, high=NAN)),
        *((fold_distributions, make_folds(n)) for n in (1, 3, 24)),
        (fold_distributions, make_folds(1).assign(f1_macro=NAN)),
        *((confusions, make_confusions(n)) for n in (1, 2, 6, 11, 30)),
        (learning_curves, make_epochs(1, n_folds=1, n_epochs=1)),
        (learning_curves, make_epochs(3, n_folds=4, n_epochs=30).assign(test_loss=None)),
        (learning_curves, make_epochs(13, n_folds=10, n_epochs=200)),
        *((lambda s: dataset_slopes(s, DATASETS), make_scores(n)) for n in (1, 3, 24)),
        (lambda s: dataset_slopes(s, DATASETS), make_scores(3, DATASETS[:1])),
        *((hardest_clips, make_clips(n)) for n in (0, 1, 30, 900)),
        (hardest_clips, make_clips(30).assign(clip="a $very$ long name of a clip.mp3")),
        *((verdict_matrix, make_pairs(n)) for n in (2, 6, 20)),
    ],
)
def test_figure_fits_the_page(draw: Callable[[Any], Figure], given: Any) -> None:
    before = deepcopy(given)
    figure = draw(given)
    width, height = figure.get_size_inches()
    bounds = figure.get_tightbbox(renderer(figure))
    assert width == 7
    assert bounds.x0 > -0.01
    assert bounds.y0 > -0.01
    assert bounds.x1 < width + 0.01
    assert bounds.y1 < height + 0.01
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        assert float(text.get_fontsize()) >= 8 or not text.get_text()
    assert len(to_svg(figure)) < MAX_SVG
    for left, right in zip(frames(given), frames(before), strict=True):
        pd.testing.assert_frame_equal(left, right)


def frames(given: Any) -> list[pd.DataFrame]:
    return [given] if isinstance(given, pd.DataFrame) else [matrix for *_, matrix in given]


@pytest.mark.parametrize(
    ("draw", "given"),
    [
        (forest, make_scores(3)),
        (confusions, make_confusions(5)),
        (hardest_clips, make_clips(30)),
        (verdict_matrix, make_pairs(4)),
    ],
)
def test_files_depend_on_the_values_alone(draw: Callable[[Any], Figure], given: Any) -> None:
    figure = draw(given)
    first = to_svg(figure)
    figure.savefig(io.BytesIO(), format="pdf")
    assert to_svg(figure) == first == to_svg(draw(given))


def test_forest_shows_means_intervals_and_published_scores() -> None:
    scores = make_scores(5)
    panels = titled(forest(scores))
    assert list(panels) == list(DATASETS)
    for dataset, axes in panels.items():
        for column in ("mean", "published"):
            marks = line(axes, column).get_xydata()
            assert by_label(axes, marks[:, 0], marks[:, 1]) == percent(scores, column, dataset)
        segments: Any = axes.collections[0]
        ends = np.array([ends for ends in segments.get_segments() if len(ends)])
        for side, column in enumerate(("low", "high")):
            shown = by_label(axes, ends[:, side, 0], ends[:, side, 1])
            assert shown == percent(scores, column, dataset)


def test_forest_is_sorted_by_the_mean_over_datasets() -> None:
    scores = pd.DataFrame(
        {
            "label": ["a", "a", "b", "c"],
            "dataset": ["x", "y", "y", "x"],
            "mean": [0.5, 0.7, 0.9, NAN],
            "low": NAN,
            "high": NAN,
            "published": [NAN, NAN, NAN, 0.4],
        }
    )
    figure = forest(scores)
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    heights = axes.transData.transform([(0, tick) for tick in axes.get_yticks()])[:, 1]
    assert names == ["b", "a", "c"]
    assert list(heights) == sorted(heights, reverse=True)
    assert legend_names(figure) == ["mean", "published", "chance, 25 %"]
    assert "published" not in legend_names(forest(scores.assign(published=NAN)))


def test_many_datasets_are_stacked() -> None:
    figure = forest(make_scores(2, ("1", "2", "3", "4")))
    left = {round(axes.get_position().x0, 2) for axes in figure.axes}
    assert len(figure.axes) == 4
    assert len(left) == 2


def test_every_fold_is_a_dot_and_the_median_is_marked() -> None:
    folds = make_folds(3)
    folds["f1_macro"] = folds["f1_macro"].where(np.arange(len(folds)) % 9 > 0)
    for dataset, axes in titled(fold_distributions(folds)).items():
        dots = next(drawn for drawn in axes.collections if drawn.get_label() == "fold")
        medians = next(drawn for drawn in axes.collections if drawn.get_label() == "median")
        rows = folds[folds["dataset"] == dataset].dropna()
        assert dots.get_rasterized()
        assert list(dots.get_offsets()[:, 0]) == pytest.approx(list(100 * rows["f1_macro"]))
        marks = np.array(medians.get_segments()).mean(axis=1)
        expected = 100 * rows.groupby("label")["f1_macro"].median()
        assert by_label(axes, marks[:, 0], marks[:, 1]) == pytest.approx(expected.to_dict())


def test_confusions_print_shares_of_rows() -> None:
    counts = pd.DataFrame(
        [[3, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0], [1, 1, 1, 5]], index=QUADRANTS, columns=QUADRANTS
    )
    figure = confusions([("a", "x", counts.iloc[::-1]), ("b", "y", counts)])
    assert list(titled(figure)) == ["a\nx", "b\ny"]
    assert len(figure.axes) == 3
    for axes in titled(figure).values():
        cells = [text.get_text() for text in axes.texts]
        assert " ".join(cells) == "75 25 0 0 0 100 0 0 – – – – 12 12 12 62"
        assert [text.get_color() for text in axes.texts][:2] == ["#010101", "#FEFEFE"]


def test_median_is_of_the_folds_that_still_train() -> None:
    epochs = pd.DataFrame(
        {
            "label": "a",
            "stage": "",
            "split": ["1", "1", "1", "2", "3", "3"],
            "epoch": [1, 2, 3, 1, 1, 2],
            "train_loss": [3.0, 2.0, 1.0, 5.0, 7.0, 4.0],
            "train_accuracy": [0.3, 0.5, 0.9, 0.4, 0.2, 0.7],
            "test_loss": NAN,
            "test_accuracy": [0.3, 0.5, NAN, 0.5, NAN, NAN],
        }
    )
    figure = learning_curves(epochs)
    loss, accuracy = figure.axes
    assert loss.get_title(loc="left") == "a"
    assert line(loss, "train").get_xydata().tolist() == [[1, 5], [2, 3], [3, 1]]
    assert line(accuracy, "train").get_ydata() == pytest.approx([30, 60, 90])
    assert line(accuracy, "test").get_ydata() == pytest.approx([40, 50, NAN], nan_ok=True)
    assert [drawn.get_label() for drawn in loss.lines] == ["train"]
    (shade,) = loss.patches
    assert shade.get_extents().transformed(loss.transData.inverted()).x0 == pytest.approx(2.5)
    assert "test, median" in legend_names(figure)
    untested = epochs.assign(test_accuracy=None)
    assert "test, median" not in legend_names(learning_curves(untested))


def test_network_that_tells_no_quadrants_has_a_loss_only() -> None:
    epochs = make_epochs(1, n_folds=2, n_epochs=5)
    encoder = epochs.assign(stage="autoencoder", train_accuracy=None)
    figure = learning_curves(pd.concat([encoder, epochs]))
    drawn = [axes.axison for axes in figure.axes]
    assert drawn.count(False) == 1
    assert len([axes for axes in figure.axes if axes.lines]) == len(drawn) - 1


def test_each_network_has_a_row() -> None:
    epochs = make_epochs(2, n_folds=2, n_epochs=5)
    both = pd.concat([epochs, epochs.assign(stage="audio")])
    figure = learning_curves(both)
    names = [axes.get_title(loc="left") for axes in figure.axes]
    assert names[::2] == ["SVM: features", "ShortChunk CNN", "SVM: audio", "ShortChunk CNN: audio"]
    assert len(figure.axes) == 8


def test_long_curves_keep_their_ends() -> None:
    epochs = make_epochs(1, n_folds=1, n_epochs=999).iloc[:600]
    for axes in learning_curves(epochs).axes:
        shown = line(axes, "train").get_xdata()
        assert (shown[0], shown[-1]) == (1, len(epochs))
        assert len(shown) < 200


def test_slopes_join_the_datasets_of_a_label() -> None:
    scores = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b", "b", "c", "d", "d"],
            "dataset": ["z", "x", "y", "x", "z", "x", "x", "other"],
            "mean": [0.7, 0.5, 0.6, 0.4, 0.3, 0.9, 0.8, 0.8],
            "low": NAN,
            "high": NAN,
        }
    )
    axes = dataset_slopes(scores, ["x", "y", "z"]).axes[0]
    assert [drawn.get_label() for drawn in axes.lines] == ["a", "b"]
    assert list(line(axes, "a").get_ydata()) == pytest.approx([50, 60, 70])
    assert [round(float(x)) for x in line(axes, "b").get_xdata()] == [0, 2]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["x", "y", "z"]


def test_ends_of_slopes_do_not_overlap_and_keep_their_order() -> None:
    scores = make_scores(24).assign(mean=lambda frame: 0.6 + frame["mean"] / 100)
    figure = dataset_slopes(scores, DATASETS)
    names = named(figure)
    assert len(names) == len(figure.axes[0].lines)
    assert_apart(figure, names)
    last = [name.xy[1] for name in names]
    places = [name.xyann[1] for name in names]
    assert list(np.argsort(last, kind="stable")) == list(np.argsort(places, kind="stable"))


def test_lone_slope_is_named_at_its_end() -> None:
    (name,) = named(dataset_slopes(make_scores(1), DATASETS))
    assert name.xyann[1] == pytest.approx(name.xy[1])


def test_hardest_clips_are_named_apart() -> None:
    clips = make_clips(900)
    clips.loc[clips["share_wrong"] > 0.9, "arousal"] = 0.5
    clips.loc[0, ["share_wrong", "valence"]] = [1.0, NAN]
    figure = hardest_clips(clips)
    names = named(figure)
    hardest = clips.dropna().nlargest(12, "share_wrong")
    assert {name.get_text() for name in names} == set(hardest["clip"])
    assert_apart(figure, names)
    rings = line(figure.axes[0], "named").get_xydata()
    assert rings.tolist() == hardest[["valence", "arousal"]].to_numpy().tolist()
    assert len(named(hardest_clips(clips, 3))) == 3


def test_clips_are_drawn_by_quadrant_and_share() -> None:
    clips = make_clips(40)
    marks: Any = hardest_clips(clips, 0).axes[0].collections
    for quadrant, colour in zip(QUADRANTS, QUADRANT_COLOURS, strict=True):
        rows = clips[clips["quadrant"] == quadrant].sort_values("share_wrong")
        (drawn,) = (m for m in marks if m.get_label() == quadrant and len(m.get_offsets()))
        expected = rows[["valence", "arousal"]].to_numpy().tolist()
        assert np.asarray(drawn.get_offsets()).tolist() == expected
        assert list(np.diff(drawn.get_sizes()) > 0) == [True] * (len(rows) - 1)
        assert to_hex(drawn.get_facecolor()[0]) == colour.lower()
        assert drawn.get_rasterized()
    assert len(set(QUADRANT_MARKERS)) == len(QUADRANTS)


def test_verdicts_are_shown_both_ways() -> None:
    pairs = pd.DataFrame(
        [
            ["a", "b", 0.97, 0.01, 0.02],
            ["a", "c", 0.05, 0.95, 0.0],
            ["c", "b", 0.9399, 0.0501, 0.01],
        ],
        columns=["first", "second", "p_better", "p_equivalent", "p_worse"],
    )
    axes: Any = verdict_matrix(pairs).axes[0]
    names = [text.get_text().split()[0] for text in axes.get_yticklabels()]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    colours = {
        (patch.get_x() + 0.5, patch.get_y() + 0.5): to_hex(patch.get_facecolor())
        for patch in axes.patches
    }
    assert names == ["b", "c", "a"]
    assert cells == {
        (1, 0): "▲ 93",
        (2, 0): "▲ 97",
        (0, 1): "▼ 93",
        (2, 1): "= 95",
        (0, 2): "▼ 97",
        (1, 2): "= 95",
    }
    assert colours == {
        (1, 0): "#ffffff",
        (2, 0): BLUE.lower(),
        (0, 1): "#ffffff",
        (2, 1): PALE.lower(),
        (0, 2): ORANGE.lower(),
        (1, 2): PALE.lower(),
    }


@pytest.mark.parametrize(
    ("figure", "n_hints", "words"),
    [
        (forest(make_scores(2)), 5 + 4, "published: "),
        (fold_distributions(make_folds(1)), len(make_folds(1)), "r01-f01: "),
        (confusions(make_confusions(1)), 16, "true Q1, predicted Q1: "),
        (dataset_slopes(make_scores(2), DATASETS), 5, "New-4QAED B: "),
        (hardest_clips(make_clips(20)), 20, " – artist – title – (genre): true Q"),
        (verdict_matrix(make_pairs(3)), 6, ": better "),
    ],
)
def test_every_point_has_a_hint(figure: Figure, n_hints: int, words: str) -> None:
    hints = list(find_hints(figure))
    assert len(hints) == n_hints
    assert any(words in hint.text for hint in hints)
    width, height = 72 * figure.get_size_inches()
    assert all(0 < hint.x < width and 0 < hint.y < height for hint in hints)


def test_pairs_without_a_comparison_stay_empty() -> None:
    pairs = make_pairs(3)
    pairs.loc[0, ["p_better", "p_equivalent", "p_worse"]] = NAN
    assert len(verdict_matrix(pairs).axes[0].texts) == 4
    assert len(verdict_matrix(pairs.iloc[1:]).axes[0].texts) == 4


def named(figure: Figure) -> list[Annotation]:
    return [text for text in figure.axes[0].texts if isinstance(text, Annotation)]


def assert_apart(figure: Figure, names: Sequence[Annotation]) -> None:
    boxes = [Text.get_window_extent(name, renderer(figure)) for name in names]
    assert not any(left.overlaps(right) for left, right in combinations(boxes, 2))
