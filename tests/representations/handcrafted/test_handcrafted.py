import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mer_mlflow.representations import Handcrafted
from mer_mlflow.representations.audio import Audio, decode

SR = 22_050
DIMENSIONS = {"timbre", "dynamics", "rhythm", "harmony", "melody", "texture", "expressivity"}


def audio_of(samples, sr=SR) -> Audio:
    return Audio(samples=np.asarray(samples, dtype=np.float32), sr=sr, n_channels=1)


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(0).normal(size=round(seconds * SR))


def sine(seconds: float, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(3 * SR),
        np.zeros(1),
        np.full(SR, 0.5),
        noise(0.5),
        noise(0.005),
        noise(2.0),
        noise(2.0, level=1e-6),
        sine(2.0),
        sine(2.0, hz=25.0),
        sine(2.0, hz=10_900.0),
        np.sign(sine(2.0)),
        np.eye(1, 2 * SR, SR)[0],
        np.concatenate([np.zeros(2 * SR), sine(0.1), np.zeros(2 * SR)]),
    ],
    ids=[
        *("silence", "one sample", "constant", "half a second", "five milliseconds", "noise"),
        *("faint noise", "tone", "lowest tone", "highest tone", "square", "click", "beep"),
    ],
)
def test_every_value_is_finite(samples):
    features = Handcrafted()
    values = features.compute(audio_of(samples))
    assert values.shape == features.shape
    wrong = [
        name for name, value in zip(features.names, values, strict=True) if not np.isfinite(value)
    ]
    assert not wrong


@pytest.mark.parametrize("sr", [8000, 16_000, 44_100, 48_000])
def test_any_sample_rate(make_audio, sr):
    features = Handcrafted()
    values = features.compute(make_audio(seconds=1.5, sr=sr))
    assert np.isfinite(values).all()


def test_names_say_dimension_descriptor_and_statistic():
    names = Handcrafted().names
    assert len(set(names)) == len(names) == Handcrafted().shape[0]
    assert all(re.fullmatch(r"[a-z]+\.[a-z0-9_]+\.[a-z0-9_]+", name) for name in names)
    assert {name.split(".")[0] for name in names} == DIMENSIONS


def test_names_are_known_without_libraries_for_audio():
    code = (
        "import sys; from mer_mlflow.representations import Handcrafted; Handcrafted().names; "
        "Handcrafted().shape; print(*{'librosa', 'scipy', 'sklearn', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_key_tells_parameters_apart():
    keys = {
        Handcrafted().key,
        Handcrafted(duration=10.0).key,
        Handcrafted(dtype="float64").key,
    }
    assert len(keys) == 3
    assert Handcrafted().with_duration(10.0) == Handcrafted(duration=10.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_have_the_announced_type(make_audio, dtype):
    features = Handcrafted(dtype=dtype)
    assert features.compute(make_audio(sr=SR)).dtype == features.dtype == dtype


def test_threads_and_repetition_give_equal_values(make_audio):
    features = Handcrafted()
    clips = [make_audio(seconds=2.0, sr=SR, seed=seed) for seed in range(4)]
    alone = [features.compute(clip) for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(features.compute, clips))
    np.testing.assert_array_equal(together, alone)


def test_a_longer_clip_is_cropped(make_audio):
    features = Handcrafted(duration=2.0)
    whole = make_audio(seconds=4.0, sr=SR)
    cropped = replace(whole, samples=whole.samples[: 2 * SR])
    np.testing.assert_array_equal(features.compute(whole), features.compute(cropped))


def test_a_shorter_clip_is_not_padded(make_audio):
    clip = make_audio(seconds=3.0, sr=SR)
    np.testing.assert_array_equal(
        Handcrafted(duration=30.0).compute(clip), Handcrafted(duration=3.0).compute(clip)
    )


def test_real_music(real_data):
    song = sorted((real_data / "4qaed-200").glob("*/Q*/*.mp3"))[0]
    features = Handcrafted(duration=10.0)
    values = dict(zip(features.names, features.compute(decode(song)).tolist(), strict=True))
    assert np.isfinite(list(values.values())).all()
    assert -40.0 < values["dynamics.loudness.integrated"] < 0.0
    assert 40.0 < values["rhythm.beat.tempo"] < 240.0
    assert 36.0 < values["melody.note_pitch.mean"] < 90.0


def test_values_are_those_that_were_recorded(describe, chords, clicks):
    """The recorded values are of the first implementation of version 1."""
    recorded = json.loads(Path(__file__).with_name("recorded.json").read_text())
    values = describe(
        0.3 * clicks(100, seconds=3.0) + chords((60, 64, 67), (57, 60, 64), seconds=1.5)
    )
    for name, value in recorded.items():
        assert values[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
