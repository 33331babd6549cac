"""Time-frequency masks: one band and one stretch, of the widths that were asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.augmentation import Synthesised, TimeFrequencyMask
from mer_mlflow.representations import Mel
from mer_mlflow.representations.audio import Audio


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(4, 128), st.integers(4, 200))
def test_one_band_and_one_stretch_take_the_mean(seed: int, n_mels: int, n_frames: int) -> None:
    values = np.random.default_rng(1).normal(size=(n_mels, n_frames))
    masked = TimeFrequencyMask().change(values, rng=np.random.default_rng(seed))
    changed = masked != values
    assert np.all(masked[changed] == values.mean())
    rows, columns = changed.all(axis=1), changed.all(axis=0)
    assert 1 <= rows.sum() <= max(1, round(0.25 * n_mels))
    assert 1 <= columns.sum() <= max(1, round(0.25 * n_frames))
    assert np.array_equal(changed, rows[:, np.newaxis] | columns[np.newaxis])
    for axis in (rows, columns):
        assert np.ptp(np.flatnonzero(axis)) == axis.sum() - 1


def test_each_chunk_has_masks_of_its_own() -> None:
    values = np.random.default_rng(1).normal(size=(3, 32, 40))
    before = values.copy()
    masked = TimeFrequencyMask().change(values, rng=np.random.default_rng(0))
    patterns = {chunk.tobytes() for chunk in masked != values}
    assert len(patterns) == 3
    assert np.array_equal(values, before)


def test_masked_copy_is_the_spectrogram_of_the_whole_clip() -> None:
    samples = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    audio = Audio(samples=samples, sr=16_000, n_channels=1)
    mel = Mel(duration=1.0)
    copy = Synthesised(of=mel, by=TimeFrequencyMask(), seed=0)
    values, masked = mel.compute(audio), copy.compute(audio)
    same = masked == values
    assert 0.5 < same.mean() < 1
    assert np.array_equal(masked, copy.compute(audio))
    other = Synthesised(of=mel, by=TimeFrequencyMask(), seed=1)
    assert not np.array_equal(masked, other.compute(audio))
