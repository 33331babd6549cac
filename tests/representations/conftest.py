from pathlib import Path

import numpy as np
import pytest
import soundfile

from mer_mlflow.datasets import Clips
from mer_mlflow.datasets.quadrant_folders import content_hashes
from mer_mlflow.representations.audio import Audio


@pytest.fixture(scope="session")
def noisy_tones():
    """Three gliding tones in noise, of any length, rate and number of channels."""

    def samples(*, seconds=1.0, sr=16_000, seed=0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(round(seconds * sr)) / sr
        tones = (np.sin(2 * np.pi * (hz + 30 * time) * time) for hz in rng.uniform(80, 3000, 3))
        return (0.2 * sum(tones) + 0.01 * rng.normal(size=time.size)).astype(np.float32)

    return samples


@pytest.fixture(scope="session")
def make_audio(noisy_tones):
    def make(*, seconds=1.0, sr=16_000, seed=0) -> Audio:
        return Audio(samples=noisy_tones(seconds=seconds, sr=sr, seed=seed), sr=sr, n_channels=1)

    return make


@pytest.fixture(scope="session")
def write_audio(noisy_tones):
    def write(path: Path, *, seconds=1.0, sr=16_000, seed=0) -> Path:
        soundfile.write(path, noisy_tones(seconds=seconds, sr=sr, seed=seed), sr)
        return path

    return write


@pytest.fixture(scope="session")
def clips_of():
    def clips(*files: Path) -> Clips:
        ordered = tuple(sorted(files, key=lambda file: file.stem))
        return Clips(
            name="test",
            ids=tuple(file.stem for file in ordered),
            quadrants=np.arange(len(ordered)) % 4,
            audio=ordered,
            audio_hashes=content_hashes(ordered),
            artists=(None,) * len(ordered),
        )

    return clips
