from collections.abc import Callable

import numpy as np
import pytest

from mer_mlflow.representations import Handcrafted
from mer_mlflow.representations.audio import Audio

SR = 22_050


@pytest.fixture(scope="session")
def describe() -> Callable[[np.ndarray], dict[str, float]]:
    """Features by name."""

    def values(samples: np.ndarray) -> dict[str, float]:
        audio = Audio(samples=samples.astype(np.float32), sr=SR, n_channels=1)
        features = Handcrafted(dtype="float64")
        return dict(zip(features.names, features.compute(audio).tolist(), strict=True))

    return values


@pytest.fixture(scope="session")
def tone() -> Callable[..., np.ndarray]:
    """A note of six harmonics, by MIDI number, that may swing in pitch or level."""

    def samples(
        midi: float,
        seconds: float = 0.5,
        *,
        vibrato: tuple[float, float] = (0.0, 0.0),
        tremolo: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        time = np.arange(round(seconds * SR)) / SR
        rate, extent = vibrato
        semitones = midi - 69 + extent * np.sin(2 * np.pi * rate * time)
        phase = 2 * np.pi * np.cumsum(440.0 * 2.0 ** (semitones / 12)) / SR
        harmonics = sum(0.7**number * np.sin(number * phase) for number in range(1, 7))
        fade = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.02)
        rate, extent = tremolo
        return 0.1 * harmonics * fade * (1.0 + extent * np.sin(2 * np.pi * rate * time))

    return samples


@pytest.fixture(scope="session")
def chords(tone) -> Callable[..., np.ndarray]:
    """Chords of MIDI numbers, one after the other."""

    def samples(*notes: tuple[int, ...], seconds: float = 0.75) -> np.ndarray:
        return np.concatenate([sum(tone(note, seconds) for note in chord) for chord in notes])

    return samples


@pytest.fixture(scope="session")
def clicks() -> Callable[..., np.ndarray]:
    """Short bursts of noise at a tempo."""

    def samples(bpm: float, seconds: float = 10.0, jitter: float = 0.0) -> np.ndarray:
        rng = np.random.default_rng(0)
        burst = 0.3 * rng.normal(size=800) * np.exp(-np.arange(800) / 80)
        track = np.zeros(round(seconds * SR))
        for start in np.arange(0.1, seconds - 0.2, 60.0 / bpm):
            first = round((start + jitter * rng.uniform(-0.5, 0.5) * 60.0 / bpm) * SR)
            track[max(0, first) : max(0, first) + 800] += burst
        return track

    return samples
