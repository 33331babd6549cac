"""Synthesised clips: computed once, from their source alone, and aligned with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mer_mlflow.augmentation import PowerShift, Synthesised, needed_for, with_synthesised
from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.jobs import Job, Task, run_jobs
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.datasets.quadrant_folders import content_hashes
from mer_mlflow.methods import get_method
from mer_mlflow.representations import (
    Chunks,
    Examples,
    Features,
    Store,
    Waveform,
    examples_of,
    open_store,
)
from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.training import OnEpoch, Prediction
from mer_mlflow.training.method import most_probable

SR = 8000
WAVEFORM = Waveform(sr=SR, duration=0.5)
INPUTS = (WAVEFORM, Features(table="all"))
N_CLIPS = 12
GAINS = (PowerShift(max_db=3.0), PowerShift(max_db=6.0))


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A power shift that counts its calls."""

    calls: list[int]
    draws: list[float] = field(default_factory=list)
    key: str = "counting"

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        self.calls.append(len(audio.samples))
        self.draws.append(rng.uniform())
        return PowerShift().apply(audio, duration=duration, rng=rng)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    rng = np.random.default_rng(0)
    files = tuple(tmp_path / f"{i:02d}.wav" for i in range(N_CLIPS))
    for file in files:
        soundfile.write(file, 0.1 * rng.normal(size=SR), SR)
    values = np.arange(2.0 * N_CLIPS).reshape(N_CLIPS, 2)
    return Clips(
        name="made",
        ids=tuple(file.stem for file in files),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=files,
        audio_hashes=content_hashes(files),
        artists=(None,) * N_CLIPS,
        features={"all": FeatureTable(names=("x", "y"), values=values)},
    )


def augmented(clips: Clips, store: Store, *, transforms: Any = GAINS, seed: int = 0) -> Examples:
    stored = store.fill_all(clips, needed_for(INPUTS, transforms, seed=seed))
    examples = examples_of(clips, INPUTS, stored)
    return with_synthesised(examples, INPUTS, transforms=transforms, seed=seed, stored=stored)


def test_copies_follow_the_recordings_and_know_their_source(clips: Clips, store: Store) -> None:
    examples = augmented(clips, store)
    assert len(examples) == 3 * N_CLIPS
    assert examples.sources is not None
    np.testing.assert_array_equal(examples.sources, np.tile(np.arange(N_CLIPS), 3))
    np.testing.assert_array_equal(examples.labels, clips.quadrants[examples.sources])
    recordings = examples.recordings()
    np.testing.assert_array_equal(recordings.positions, np.arange(N_CLIPS))
    samples, source = examples.read(0), examples.read(0)[examples.sources]
    gains = np.std(samples, axis=1) / np.std(source, axis=1)
    for row in range(len(examples)):
        np.testing.assert_allclose(samples[row], gains[row] * source[row], atol=1e-5)
    decibels = np.abs(20 * np.log10(gains.reshape(3, N_CLIPS)))
    assert np.all(decibels[0] == 0)
    assert np.all(decibels[1] <= 3)
    assert len(np.unique(gains[N_CLIPS:].round(4))) == 2 * N_CLIPS


def test_copies_have_the_handcrafted_features_of_their_source(clips: Clips, store: Store) -> None:
    examples = augmented(clips, store)
    assert examples.sources is not None
    table = clips.features["all"].values
    np.testing.assert_array_equal(examples.read(1), table[examples.sources])


def test_no_transform_leaves_the_examples_alone(clips: Clips, store: Store) -> None:
    stored = store.fill_all(clips, needed_for(INPUTS, (), seed=0))
    examples = examples_of(clips, INPUTS, stored)
    same = with_synthesised(examples, INPUTS, transforms=(), seed=0, stored={})
    assert same is examples


def test_each_copy_is_computed_once_for_a_seed(clips: Clips, store: Store) -> None:
    calls: list[int] = []
    transforms = (Counting(calls=calls),)
    first = augmented(clips, store, transforms=transforms)
    again = augmented(clips, store, transforms=transforms)
    assert len(calls) == N_CLIPS
    np.testing.assert_array_equal(first.read(0), again.read(0))
    other = augmented(clips, store, transforms=transforms, seed=1)
    assert len(calls) == 2 * N_CLIPS
    assert not np.array_equal(first.read(0)[N_CLIPS:], other.read(0)[N_CLIPS:])


def test_every_clip_and_every_transform_has_a_draw_of_its_own(clips: Clips, store: Store) -> None:
    draws: list[float] = []
    transforms = tuple(Counting(calls=[], draws=draws, key=f"counting-{i}") for i in range(3))
    augmented(clips, store, transforms=transforms)
    assert len(draws) == 3 * N_CLIPS
    assert len(set(draws)) == 3 * N_CLIPS
    assert abs(np.corrcoef(np.sort(draws), np.linspace(0, 1, len(draws)))[0, 1]) > 0.9


def test_long_recordings_are_changed_no_further_than_needed(tmp_path: Path) -> None:
    calls: list[int] = []
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(60 * SR), SR)
    Synthesised(of=WAVEFORM, by=Counting(calls=calls), seed=0).compute(decode(file))
    assert calls == [SR]


def test_chunks_of_a_copy_are_chunks_of_its_changed_audio() -> None:
    rng = np.random.default_rng(0)
    audio = Audio(samples=rng.normal(size=SR).astype(np.float32), sr=SR, n_channels=1)
    chunks = Synthesised(of=Chunks(of=WAVEFORM, length=1000), by=PowerShift(), seed=3)
    whole = Synthesised(of=WAVEFORM, by=PowerShift(), seed=3)
    assert chunks.shape == (4, 1000)
    np.testing.assert_array_equal(chunks.compute(audio).ravel(), whole.compute(audio))


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Says Q1 of a recording that it has seen, louder or softer, and Q2 of others."""

    seen: frozenset[bytes]
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        known = np.array([_shape_of(row) in self.seen for row in examples.read(0)])
        return most_probable(np.eye(4)[np.where(known, 0, 1)])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def _shape_of(samples: Any) -> bytes:
    """The same for all copies of a recording by a gain."""
    return bytes((samples > 0).tobytes())


def test_no_fold_trains_on_a_copy_of_a_clip_that_it_tests(clips: Clips, store: Store) -> None:
    n_seen: list[int] = []

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> Memory:
        n_seen.append(len(train))
        return Memory(seen=frozenset(_shape_of(row) for row in train.read(0)))

    method = replace(get_method("svm"), fit=fit)
    task = Task(method=method, examples=augmented(clips, store))
    for split in split_plan(clips, n_splits=3, n_repeats=2).splits:
        (result,) = run_jobs(task, (Job(split=split, hyperparameters=None),))
        assert set(result.prediction.quadrants) == {1}
        assert n_seen.pop() == 3 * len(split.train)
