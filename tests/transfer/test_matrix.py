"""Scores of a transfer, and their intervals."""

import numpy as np
import pytest

from mer_mlflow.crossval.metrics import score
from mer_mlflow.datasets import Clips
from mer_mlflow.transfer.heat_map import heat_map
from mer_mlflow.transfer.matrix import SCORES, Cell, artist_counts, bootstrap, matrix_table

N_CLIPS, N_FOLDS = 60, 3


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return Clips(
        name="deam",
        ids=tuple(f"{i:02d}" for i in range(N_CLIPS)),
        quadrants=rng.integers(4, size=N_CLIPS),
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=tuple(None if i < 20 else f"artist {i // 4}" for i in range(N_CLIPS)),
    )


def predicted(clips, *, n_right, seed=1):
    """Labels of which the first ones are right."""
    wrong = (clips.quadrants + np.random.default_rng(seed).integers(1, 4, size=N_CLIPS)) % 4
    return np.where(np.arange(N_CLIPS) < n_right, clips.quadrants, wrong)


def cell(counts, *, test="deam", test_share=0.25):
    return Cell(
        method="svm",
        train="pmemo",
        test=test,
        n_train=100,
        n_test=N_CLIPS,
        left_out_train=0,
        left_out_test=3,
        counts=counts,
        test_share=test_share,
    )


def counts_of(clips, labels):
    return artist_counts(clips, [np.arange(N_CLIPS)] * len(labels), labels)


def test_counts_are_by_artist_or_clip(clips):
    labels = [predicted(clips, n_right=n) for n in (60, 30)]
    counts = counts_of(clips, labels)
    assert counts.shape == (20 + 10, 2, 4, 4)
    assert set(counts.sum(axis=(2, 3)).ravel()) == {1, 4}
    for fold, own in enumerate(labels):
        total = np.zeros((4, 4), dtype=int)
        np.add.at(total, (clips.quadrants, own), 1)
        np.testing.assert_array_equal(counts[:, fold].sum(axis=0), total)


def test_mean_is_that_of_the_folds_scores(clips):
    labels = [predicted(clips, n_right=n) for n in (50, 40, 30)]
    table = matrix_table([cell(counts_of(clips, labels))]).set_index("score")
    scores = [score(clips.quadrants, own) for own in labels]
    for name in SCORES:
        values = [each[name] for each in scores]
        row = table.loc[name]
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["std"] == pytest.approx(np.std(values, ddof=1))
        assert row["folds_low"] < row["mean"] < row["folds_high"]
        assert row["songs_low"] < row["mean"] < row["songs_high"]
    assert set(table["n_test"]) == {N_CLIPS}


def test_right_predictions_have_no_width(clips):
    counts = counts_of(clips, [clips.quadrants] * N_FOLDS)
    assert set(bootstrap(counts, n_draws=50).values()) == {(1.0, 1.0)}


def test_interval_over_songs_is_wider_where_clips_of_an_artist_agree(clips):
    """Half of the artists are right for all of their clips."""
    rng = np.random.default_rng(0)
    artists = np.repeat(np.arange(12), 5)
    labels = np.where(artists % 2, clips.quadrants, (clips.quadrants + rng.integers(1, 4)) % 4)
    widths = []
    for names in (tuple(f"artist {i}" for i in artists), (None,) * N_CLIPS):
        grouped = Clips(
            name="deam",
            ids=clips.ids,
            quadrants=clips.quadrants,
            audio=clips.audio,
            audio_hashes=clips.audio_hashes,
            artists=names,
        )
        low, high = bootstrap(counts_of(grouped, [labels]))["f1_macro"]
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1]


def test_bootstrap_depends_on_the_seed_only(clips):
    counts = counts_of(clips, [predicted(clips, n_right=30)])
    first = bootstrap(counts, seed=3)
    assert bootstrap(counts, seed=3) == first
    assert bootstrap(counts, seed=4) != first


def test_folds_of_a_fixed_partition_have_no_interval(clips):
    labels = [predicted(clips, n_right=n) for n in (50, 40)]
    table = matrix_table([cell(counts_of(clips, labels), test_share=None)])
    assert table["folds_low"].isna().all()
    assert table["songs_low"].notna().all()
    text = " ".join(each.get_text() for axes in heat_map(table).axes for each in axes.texts)
    assert "songs" in text
    assert "folds" not in text


def test_heat_map_names_every_cell(clips):
    labels = [predicted(clips, n_right=n) for n in (50, 40, 30)]
    counts = counts_of(clips, labels)
    figure = heat_map(matrix_table([cell(counts), cell(counts, test="pmemo")]))
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        "macro F1, in per cent",
        "arousal, accuracy, in per cent",
        "valence, accuracy, in per cent",
    ]
    for axes in panels:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["deam", "pmemo"]
        assert len(axes.texts) == 2
        assert ["own folds" in text.get_text() for text in axes.texts] == [False, True]
