"""Timbral transforms: within their intervals, drawn for each clip, at the source's length."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mer_mlflow.augmentation import (
    BackgroundNoise,
    SevenBandEQ,
    TanhDistortion,
    draw_noise_from,
)
from mer_mlflow.augmentation.transform import AudioTransform
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.representations.audio import Audio

SR = 16_000
ALL = (SevenBandEQ(), TanhDistortion(), BackgroundNoise())
DRAWS = range(10)


def make_audio(*, sr: int = SR, seconds: float = 2.0) -> Audio:
    samples = 0.1 * np.random.default_rng(0).normal(size=round(sr * seconds))
    return Audio(samples=samples.astype(np.float32), sr=sr, n_channels=1)


def changed(transform: AudioTransform, audio: Audio, seed: int) -> Audio:
    return transform.apply(audio, duration=30.0, rng=np.random.default_rng(seed))


def decibels(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("transform", ALL, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("sr", [8_000, 16_000, 44_100])
def test_copy_differs_keeps_its_length_and_is_finite(transform: AudioTransform, sr: int) -> None:
    audio = make_audio(sr=sr)
    before = audio.samples.copy()
    first, second = (changed(transform, audio, seed) for seed in (1, 2))
    for copy in (first, second):
        assert copy.samples.shape == audio.samples.shape
        assert copy.samples.dtype == np.float32
        assert copy.sr == sr
        assert np.isfinite(copy.samples).all()
        assert not np.array_equal(copy.samples, audio.samples)
    assert not np.array_equal(first.samples, second.samples)
    assert np.array_equal(audio.samples, before)


@pytest.mark.parametrize("transform", ALL, ids=lambda each: type(each).__name__)
def test_copies_made_side_by_side_do_not_disturb_each_other(transform: AudioTransform) -> None:
    audio = make_audio()
    alone = [changed(transform, audio, seed).samples for seed in DRAWS]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda seed: changed(transform, audio, seed).samples, DRAWS)
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("transform", ALL, ids=lambda each: type(each).__name__)
def test_silence_stays_finite(transform: AudioTransform) -> None:
    silence = Audio(samples=np.zeros(SR, dtype=np.float32), sr=SR, n_channels=1)
    assert np.isfinite(changed(transform, silence, 0).samples).all()


def test_noise_is_mixed_in_at_the_ratio_that_was_drawn() -> None:
    audio = make_audio()
    for seed in DRAWS:
        added = changed(BackgroundNoise(), audio, seed).samples - audio.samples
        assert 2.9 < decibels(audio.samples) - decibels(added) < 30.1


def test_distortion_keeps_the_loudness() -> None:
    audio = make_audio()
    for seed in DRAWS:
        copy = changed(TanhDistortion(), audio, seed)
        assert decibels(copy.samples) == pytest.approx(decibels(audio.samples), abs=0.01)


def test_bands_of_the_equaliser_stay_within_their_gain() -> None:
    time = np.arange(SR) / SR
    for hertz in (30.0, 300.0, 3000.0):
        tone = Audio(
            samples=np.sin(2 * np.pi * hertz * time).astype(np.float32), sr=SR, n_channels=1
        )
        for seed in DRAWS:
            gain = decibels(changed(SevenBandEQ(max_db=1.0), tone, seed).samples[SR // 2 :])
            assert abs(gain - decibels(tone.samples)) < 7 * 1.0 + 0.5


def write_noise(folder: Path, name: str, value: float, seconds: float = 0.5) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    samples = value * np.random.default_rng(3).normal(size=round(seconds * 8000))
    soundfile.write(folder / name, samples, 8000)


def test_noise_of_a_folder_is_used_and_named_by_its_content(tmp_path: Path) -> None:
    write_noise(tmp_path / "a" / "deep", "x.wav", 0.1)
    write_noise(tmp_path / "b", "renamed.wav", 0.1)
    write_noise(tmp_path / "c", "other.wav", 0.2)
    (first,) = draw_noise_from([BackgroundNoise()], tmp_path / "a")
    (moved,) = draw_noise_from([BackgroundNoise()], tmp_path / "b")
    (other,) = draw_noise_from([BackgroundNoise()], tmp_path / "c")
    assert first.key == moved.key != other.key
    assert first.key != BackgroundNoise().key
    audio = make_audio()
    assert isinstance(first, BackgroundNoise)
    added = changed(first, audio, 0).samples - audio.samples
    assert np.any(added)
    assert not np.array_equal(added, changed(BackgroundNoise(), audio, 0).samples - audio.samples)


def test_bad_noise_folders_are_named(tmp_path: Path) -> None:
    noise = [BackgroundNoise()]
    with pytest.raises(ParameterError, match="no such folder"):
        draw_noise_from(noise, tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="contains no audio file"):
        draw_noise_from(noise, tmp_path)
    with pytest.raises(ParameterError, match="no transform adds background noise"):
        draw_noise_from([SevenBandEQ()], tmp_path)
    write_noise(tmp_path, "silent.wav", 0.0)
    with pytest.raises(AudioError, match=r"silent\.wav: is silent"):
        draw_noise_from(noise, tmp_path)
    (tmp_path / "silent.wav").write_bytes(b"no audio at all")
    with pytest.raises(AudioError, match=r"silent\.wav"):
        draw_noise_from(noise, tmp_path)
