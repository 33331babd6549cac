import numpy as np
import pytest
import soundfile

from mer_mlflow.representations import Waveform
from mer_mlflow.representations.audio import decode, resample


@pytest.mark.parametrize("duration", [0.1, 1.0, 1.00001, 2.5])
@pytest.mark.parametrize("sr", [8000, 16_000, 22_050])
def test_shape_is_what_is_announced(make_audio, sr, duration):
    waveform = Waveform(sr=sr, duration=duration)
    assert waveform.compute(make_audio()).shape == waveform.shape == (round(sr * duration),)


def test_samples_are_the_resampled_excerpt(make_audio):
    audio = make_audio(seconds=2.0, sr=44_100)
    np.testing.assert_array_equal(
        Waveform(duration=1.5).compute(audio), resample(audio, sr=16_000, duration=1.5)
    )


def test_stereo_is_mixed_down(tmp_path, noisy_tones):
    left, right = noisy_tones(seed=1), noisy_tones(seed=2)
    soundfile.write(tmp_path / "a.wav", np.c_[left, right], 16_000, subtype="FLOAT")
    samples = Waveform(duration=1.0).compute(decode(tmp_path / "a.wav"))
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-7)


def test_half_precision(make_audio):
    half = Waveform(duration=1.0, dtype="float16").compute(make_audio())
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, Waveform(duration=1.0).compute(make_audio()), atol=1e-3)


def test_default_is_thirty_seconds_at_16_khz(make_audio):
    samples = Waveform().compute(make_audio())
    assert samples.shape == (480_000,)
    assert samples.dtype == np.float32
    assert not samples[16_000:].any()
