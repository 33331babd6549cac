import subprocess
import sys
import warnings

import numpy as np
import pytest

from mer_mlflow.datasets.demo.statistics import LIBROSA_STATISTICS, librosa_statistics

SR = 22050


def tone(*frequencies: float, seconds: float = 3.0, sr: int = SR) -> np.ndarray:
    time = np.arange(round(seconds * sr)) / sr
    return np.mean([0.5 * np.sin(2 * np.pi * f * time) for f in frequencies], axis=0)


def clicks(bpm: float, seconds: float = 8.0) -> np.ndarray:
    y = np.zeros(round(seconds * SR))
    for start in np.arange(0.1, seconds - 0.1, 60 / bpm):
        first = round(start * SR)
        y[first : first + 1000] = np.exp(-np.arange(1000) / 150) * np.sin(np.arange(1000))
    return y


def described(y: np.ndarray, sr: int = SR) -> dict[str, float]:
    return dict(zip(LIBROSA_STATISTICS, librosa_statistics(y, sr=sr), strict=True))


def test_names_are_one_hundred_and_unique():
    assert len(LIBROSA_STATISTICS) == 100
    assert len(set(LIBROSA_STATISTICS)) == 100
    dimensions = {name.split(".")[0] for name in LIBROSA_STATISTICS}
    assert dimensions == {"timbre", "harmony", "dynamics", "rhythm"}


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(SR),
        np.zeros(1),
        np.ones(1),
        np.full(SR, 0.5),
        np.random.default_rng(0).normal(size=100),
        np.random.default_rng(0).normal(size=2048),
        np.random.default_rng(0).normal(size=2 * SR).astype(np.float32),
        np.r_[np.zeros(SR), tone(440.0), np.zeros(SR)],
        1e-20 * tone(440.0, seconds=1),
    ],
    ids=["silence", "zero", "click", "constant", "short", "frame", "noise", "gaps", "faint"],
)
def test_all_finite_without_a_warning(y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = librosa_statistics(y, sr=SR)
    assert values.shape == (100,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


def test_same_audio_same_numbers():
    y = np.random.default_rng(3).normal(scale=0.1, size=SR)
    before = y.copy()
    np.testing.assert_array_equal(librosa_statistics(y, sr=SR), librosa_statistics(y, sr=SR))
    np.testing.assert_array_equal(y, before)


def test_centroid_is_the_frequency_of_a_tone():
    assert described(tone(1000.0))["timbre.centroid.mean"] == pytest.approx(1000, rel=0.05)
    assert described(tone(1000.0, sr=16000), 16000)["timbre.centroid.mean"] == pytest.approx(
        1000, rel=0.05
    )


def test_chroma_names_the_pitch():
    values = described(tone(440.0))
    flux = values.pop("harmony.chroma_flux.mean")
    chroma = {name: v for name, v in values.items() if name.startswith("harmony.chroma_")}
    assert len(chroma) == 12
    assert flux < 0.05
    assert max(chroma, key=chroma.__getitem__) == "harmony.chroma_a.mean"


def test_major_triad_sounds_more_major_than_minor_triad():
    major = described(tone(261.63, 329.63, 392.0))["harmony.major_over_minor"]
    minor = described(tone(261.63, 311.13, 392.0))["harmony.major_over_minor"]
    assert major > 0.02
    assert minor < -0.02


def test_rms_is_the_level():
    values = described(tone(440.0))
    assert values["dynamics.rms.mean"] == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert values["dynamics.crest_factor"] == pytest.approx(np.sqrt(2), rel=0.01)


def test_clicks_tell_tempo_and_onset_rate():
    values = described(clicks(120))
    assert values["rhythm.tempo"] == pytest.approx(120, rel=0.05)
    assert values["rhythm.onset_rate"] == pytest.approx(2, abs=0.3)
    assert values["rhythm.pulse_clarity"] > 0.5
    assert values["rhythm.pulse_clarity"] > described(tone(440.0))["rhythm.pulse_clarity"]


def test_noise_is_flatter_and_higher_in_entropy_than_a_tone():
    noise = described(np.random.default_rng(1).normal(scale=0.1, size=SR))
    pure = described(tone(440.0, seconds=1))
    for name in ("timbre.flatness.mean", "timbre.entropy.mean", "timbre.high_share.mean"):
        assert noise[name] > pure[name] + 0.3
    assert noise["timbre.entropy.mean"] <= 1


def test_half_silence_is_counted():
    values = described(np.r_[tone(440.0), np.zeros(3 * SR)])
    assert values["rhythm.silence_share"] == pytest.approx(0.5, abs=0.03)
    assert values["dynamics.low_energy_share"] == pytest.approx(0.5, abs=0.03)
    assert values["dynamics.rms.range_db"] > 60


@pytest.mark.parametrize(
    ("y", "sr", "message"),
    [
        (np.zeros(0), SR, "at least one sample"),
        (np.zeros((2, SR)), SR, "mono"),
        (np.array([0.0, np.nan]), SR, "NaN"),
        (np.zeros(SR), 8000, "sr must be"),
    ],
)
def test_refuses_what_it_cannot_describe(y, sr, message):
    with pytest.raises(ValueError, match=message):
        librosa_statistics(y, sr=sr)


def test_import_does_not_load_librosa():
    code = "import mer_mlflow.datasets.demo.statistics, sys; print('librosa' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
