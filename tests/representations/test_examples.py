from dataclasses import replace

import numpy as np
import pytest

from mer_mlflow.datasets import FeatureTable
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.representations import (
    Chunks,
    Features,
    Handcrafted,
    Mel,
    Waveform,
    assemble,
    open_store,
    with_duration,
    with_features,
)
from mer_mlflow.representations.audio import decode

WAVEFORM = Waveform(sr=8000, duration=0.25)
TABLE = Features(table="top100")


@pytest.fixture
def clips(tmp_path, write_audio, clips_of):
    clips = clips_of(*(write_audio(tmp_path / f"{i}.wav", seconds=0.3, seed=i) for i in range(5)))
    values = np.arange(10.0).reshape(5, 2)
    return replace(clips, features={"top100": FeatureTable(names=("x", "y"), values=values)})


@pytest.fixture
def examples(clips, tmp_path):
    return assemble(clips, (WAVEFORM, TABLE), store=open_store(tmp_path / "store"))


def test_every_input_is_read_in_the_order_of_the_clips(clips, examples):
    waveforms = [WAVEFORM.compute(decode(path)) for path in clips.audio_files()]
    assert len(examples) == 5
    np.testing.assert_array_equal(examples.read(0), waveforms)
    np.testing.assert_array_equal(examples.read(1), clips.features["top100"].values)
    np.testing.assert_array_equal(examples.labels, clips.quadrants)
    assert examples.item_shape(0) == (2000,)
    assert examples.item_shape(1) == (2,)


def test_taking_keeps_inputs_and_labels_aligned(clips, examples):
    taken = examples.take(np.array([4, 1, 3])).take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.read(1), clips.features["top100"].values[[3, 4]])
    np.testing.assert_array_equal(taken.read(1, np.array([1])), [[8, 9]])
    np.testing.assert_array_equal(taken.read(0), examples.read(0)[[3, 4]])
    np.testing.assert_array_equal(taken.labels, clips.quadrants[[3, 4]])


def test_examples_to_be_predicted_have_no_labels(examples):
    hidden = examples.without_labels().take(np.array([0]))
    assert hidden.quadrants is None
    with pytest.raises(ValueError, match="have no labels"):
        _ = hidden.labels


def test_progress_counts_what_is_computed(clips, tmp_path):
    seen, store = [], open_store(tmp_path / "store")
    for _ in range(2):
        assemble(clips, (WAVEFORM,), store=store, on_progress=lambda *counts: seen.append(counts))
    assert seen == [(i, 5) for i in range(1, 6)]


def test_features_need_no_audio(clips, tmp_path):
    silent = replace(clips, audio=(None,) * 5, audio_hashes=(None,) * 5)
    store = open_store(tmp_path / "store")
    assert len(assemble(silent, (TABLE,), store=store)) == 5
    with pytest.raises(DatasetError, match="5 of 5 clips have no audio file"):
        assemble(silent, (WAVEFORM,), store=store)


def test_with_duration_leaves_features_alone():
    mel = Mel()
    assert with_duration((mel, TABLE, Chunks(of=mel, length=9)), 5.0) == (
        Mel(duration=5.0),
        TABLE,
        Chunks(of=Mel(duration=5.0), length=9),
    )


def test_parts_are_examples_of_their_own(clips, tmp_path):
    chunks = Chunks(of=WAVEFORM, length=600)
    examples = assemble(clips, (chunks, TABLE), store=open_store(tmp_path / "store"))
    parts = examples.take(np.array([3, 1])).by_part()
    assert len(parts) == 6
    assert parts.item_shape(0) == (600,)
    whole = examples.read(0)
    np.testing.assert_array_equal(parts.read(0), whole[[3, 1]].reshape(6, 600))
    np.testing.assert_array_equal(parts.read(0, np.array([4])), whole[[1], 1])
    np.testing.assert_array_equal(parts.labels, clips.quadrants[[3, 3, 3, 1, 1, 1]])
    assert examples.without_labels().by_part().quadrants is None


def test_recordings_are_the_examples_that_are_their_own_source(examples):
    assert examples.recordings() is examples
    copies = replace(examples, sources=np.array([0, 0, 2, 2, 4])).take(np.array([4, 3, 1, 0]))
    np.testing.assert_array_equal(copies.recordings().positions, [4, 0])


def test_one_input_may_be_left(examples):
    table = examples.only(1)
    np.testing.assert_array_equal(table.read(0), examples.read(1))
    assert len(table.inputs) == 1


def test_features_are_published_where_the_dataset_has_them_and_else_extracted(clips):
    everything = Features(table="all")
    assert with_features((TABLE, everything), clips) == (TABLE, Handcrafted())
    assert with_features((TABLE, WAVEFORM), clips, source="extracted") == (Handcrafted(), WAVEFORM)
    assert with_features((everything,), clips, source="published") == (everything,)
    silent = replace(clips, audio=(None,) * 5, audio_hashes=(None,) * 5)
    assert with_features((everything,), silent) == (everything,)
    partly = replace(clips, audio=(None, *clips.audio[1:]))
    assert with_features((everything,), partly) == (everything,)


def test_unknown_source_of_features_is_named(clips):
    with pytest.raises(ParameterError, match="features=essentia: unknown; features are published"):
        with_features((TABLE,), clips, source="essentia")


def test_source_of_features_is_refused_where_none_are_read(clips):
    with pytest.raises(ParameterError, match="reads no handcrafted features"):
        with_features((WAVEFORM,), clips, source="published")


def test_missing_table_is_named_before_anything_is_computed(clips, tmp_path):
    store = open_store(tmp_path / "store")
    with pytest.raises(DatasetError, match="no feature table 'all'"):
        assemble(clips, (WAVEFORM, Features(table="all")), store=store)
    assert not (tmp_path / "store").exists()


def test_examples_that_follow_are_read_after_the_own(examples):
    own = examples.only(0).take(np.array([3, 1]))
    made = np.full((3, 2000), 7.0, dtype=np.float32) * np.arange(1, 4)[:, np.newaxis]
    both = own.followed_by(made, np.array([2, 0, 1]))
    assert len(both) == 5
    assert both.item_shape(0) == (2000,)
    np.testing.assert_array_equal(both.read(0), np.concatenate([own.read(0), made]))
    np.testing.assert_array_equal(both.labels, [*own.labels, 2, 0, 1])
    np.testing.assert_array_equal(both.read(0, np.array([4, 0])), [made[2], own.read(0)[0]])
    np.testing.assert_array_equal(both.take(np.array([4, 3])).read(0), made[[2, 1]])
