"""The classical transforms: within their bounds, drawn for each clip, undisturbed by others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mer_mlflow.augmentation import (
    CLASSICAL,
    PitchShift,
    PowerShift,
    TimeShift,
    TimeStretch,
    Transform,
)
from mer_mlflow.representations.audio import Audio

SR = 16_000
DRAWS = range(12)


def tone(*, hertz: float = 440.0, seconds: float = 4.0) -> Audio:
    time = np.arange(round(seconds * SR)) / SR
    samples = 0.3 * np.sin(2 * np.pi * hertz * time)
    return Audio(samples=samples.astype(np.float32), sr=SR, n_channels=1)


def click(*, at: float, seconds: float = 12.0) -> Audio:
    samples = np.zeros(round(seconds * SR), dtype=np.float32)
    samples[round(at * SR)] = 1.0
    return Audio(samples=samples, sr=SR, n_channels=1)


def drawn(transform: Transform, audio: Audio) -> list[Audio]:
    return [changed(transform, audio, seed) for seed in DRAWS]


def changed(transform: Transform, audio: Audio, seed: int) -> Audio:
    return transform.apply(audio, duration=30.0, rng=np.random.default_rng(seed))


def hertz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples * np.hanning(len(audio.samples)), 1 << 18))
    return float(spectrum.argmax() * SR / (1 << 18))


def assert_spread(values: list[float], bound: float) -> None:
    assert max(values) <= bound + 0.02 * bound
    assert min(values) >= -bound - 0.02 * bound
    assert max(values) > bound / 3
    assert min(values) < -bound / 3


def test_time_shift_is_at_most_five_seconds_to_either_side() -> None:
    shifted = drawn(TimeShift(), click(at=6.0))
    seconds = [float(audio.samples.argmax()) / SR - 6.0 for audio in shifted]
    assert_spread(seconds, 5.0)
    assert all(len(audio.samples) == 12 * SR for audio in shifted)


def test_time_shift_leaves_half_of_a_short_clip() -> None:
    for audio in drawn(TimeShift(), tone(seconds=1.0)):
        assert np.mean(np.abs(audio.samples) > 0.01) > 0.4


def test_time_shift_leaves_half_of_a_short_excerpt_of_a_long_clip() -> None:
    for seed in DRAWS:
        rng = np.random.default_rng(seed)
        audio = TimeShift().apply(tone(seconds=20.0), duration=2.0, rng=rng)
        assert np.mean(np.abs(audio.samples[: 2 * SR]) > 0.01) > 0.4


def test_pitch_shift_is_at_most_two_semitones() -> None:
    shifted = drawn(PitchShift(), tone())
    assert_spread([12 * np.log2(hertz(audio) / 440.0) for audio in shifted], 2.0)
    assert all(len(audio.samples) == 4 * SR for audio in shifted)


def test_time_stretch_keeps_pitch_and_is_at_most_a_half() -> None:
    stretched = drawn(TimeStretch(), tone())
    assert_spread([4.0 / audio.seconds - 1.0 for audio in stretched], 0.5)
    assert all(abs(hertz(audio) - 440.0) < 3 for audio in stretched)


def test_power_shift_is_at_most_ten_decibels() -> None:
    before = np.sqrt(np.mean(tone().samples ** 2))
    shifted = drawn(PowerShift(), tone())
    levels = [20 * np.log10(np.sqrt(np.mean(a.samples**2)) / before) for a in shifted]
    assert_spread([float(level) for level in levels], 10.0)


@pytest.mark.parametrize("transform", CLASSICAL, ids=lambda item: type(item).__name__)
@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_very_short_and_silent_clips_stay_audio(transform: Any, seconds: float) -> None:
    silence = Audio(samples=np.zeros(round(seconds * SR), np.float32), sr=SR, n_channels=1)
    for audio in (silence, tone(seconds=seconds)):
        result = changed(transform, audio, 1)
        assert np.isfinite(result.samples).all()
        assert result.samples.dtype == np.float32
        assert result.samples.size > 0


@pytest.mark.parametrize("transform", CLASSICAL, ids=lambda item: type(item).__name__)
def test_clips_changed_side_by_side_are_as_changed_alone(transform: Any) -> None:
    audio = tone(seconds=1.0)
    alone = drawn(transform, audio)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: changed(transform, audio, seed), DRAWS))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_keys_tell_transforms_and_bounds_apart() -> None:
    transforms = (*CLASSICAL, TimeShift(max_seconds=4.0), PowerShift(max_db=4.0))
    assert len({transform.key for transform in transforms}) == len(transforms)
