from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import DatasetError


def table(*rows):
    return FeatureTable(names=("loudness", "tempo"), values=np.array(rows, dtype=float))


@pytest.fixture
def clips():
    return Clips(
        name="three",
        ids=("a", "b", "c"),
        quadrants=np.array([0, 3, 3]),
        audio=(Path("a.wav"), None, Path("c.wav")),
        audio_hashes=("00", None, "11"),
        artists=("Ann", None, "Cy"),
        titles=("One", "Two", None),
        features={"top100": table((1, 2), (3, 4), (5, np.nan))},
        fixed_splits={"70_15_15": ("train", None, "test")},
    )


def test_counts_name_every_quadrant(clips):
    assert clips.counts == {"Q1": 1, "Q2": 0, "Q3": 0, "Q4": 2}


@pytest.mark.parametrize("ids", [("b", "a", "c"), ("a", "a", "b")])
def test_ids_must_be_unique_and_sorted(clips, ids):
    with pytest.raises(ValueError, match="unique and sorted"):
        replace(clips, ids=ids)


@pytest.mark.parametrize("column", ["audio", "audio_hashes", "artists", "titles", "quadrants"])
def test_columns_must_have_one_entry_a_clip(clips, column):
    with pytest.raises(ValueError, match="one entry a clip"):
        replace(clips, **{column: getattr(clips, column)[:2]})


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ("a", "b", "d")},
        {"quadrants": np.array([0, 3, 2])},
        {"audio_hashes": ("00", None, "12")},
        {"features": {}},
        {"features": {"all": table((1, 2), (3, 4), (5, np.nan))}},
        {"features": {"top100": table((1, 2), (3, 4), (5, 6))}},
        {"arousal": np.zeros(3), "valence": np.zeros(3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_digest_tells_contents_apart(clips, change):
    assert replace(clips, **change).digest != clips.digest


def test_digest_does_not_depend_on_paths_or_names(clips):
    moved = replace(clips, name="other", audio=(Path("/x/a.wav"), None, Path("/x/c.wav")))
    assert moved.digest == clips.digest


def test_digest_is_the_same_in_every_session(clips):
    assert clips.digest == "249e9ca31c0004b9"


def test_take_keeps_the_order_of_the_dataset(clips):
    taken = clips.take(np.array([2, 0, 2]))
    assert taken.ids == ("a", "c")
    assert taken.artists == ("Ann", "Cy")
    assert taken.titles == ("One", None)
    assert replace(clips, titles=()).take(np.array([0])).titles == ()
    assert taken.fixed_splits == {"70_15_15": ("train", "test")}
    np.testing.assert_array_equal(taken.features["top100"].values, [[1, 2], [5, np.nan]])


def test_values_are_taken_with_their_clips(clips):
    values = {"arousal": np.array([0.5, np.nan, -1]), "valence": np.array([1, np.nan, 0.25])}
    taken = replace(clips, **values).take(np.array([0, 2]))
    np.testing.assert_array_equal(taken.arousal, [0.5, -1])
    np.testing.assert_array_equal(taken.valence, [1, 0.25])
    with pytest.raises(ValueError, match="given together"):
        replace(clips, arousal=values["arousal"])


def test_missing_audio_is_named_when_asked_for(clips):
    with pytest.raises(DatasetError, match=r"1 of 3 clips have no audio file \(b\)"):
        clips.audio_files()
    assert clips.take(np.array([0, 2])).audio_files() == (Path("a.wav"), Path("c.wav"))


def test_incomplete_features_are_named_when_asked_for(clips):
    with pytest.raises(DatasetError, match=r"no complete row for 1 clips \(c\)"):
        clips.feature_values("top100")
    np.testing.assert_array_equal(
        clips.take(np.array([0, 1])).feature_values("top100"), [[1, 2], [3, 4]]
    )


def test_unknown_feature_table_is_answered_with_the_known_ones(clips):
    with pytest.raises(DatasetError, match=r"no feature table 'all' \(tables: top100\)"):
        clips.feature_values("all")
