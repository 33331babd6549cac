import librosa
import numpy as np
import pytest
import soundfile

from mer_mlflow.representations import Mel
from mer_mlflow.representations.audio import Audio, decode


def by_librosa(samples: np.ndarray, mel: Mel) -> np.ndarray:
    length = round(mel.duration * mel.sr)
    power = librosa.feature.melspectrogram(
        y=librosa.util.fix_length(samples, size=length),
        sr=mel.sr,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels,
    )
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=mel.top_db)


@pytest.mark.parametrize(
    "mel",
    [
        Mel(duration=3.0),
        Mel(duration=3.0, sr=22_050),
        Mel(duration=3.0, n_fft=512, hop_length=256),
        Mel(duration=3.0, n_mels=96, hop_length=160, n_fft=1024),
        Mel(duration=3.0, top_db=40.0),
        Mel(duration=5.0),
        Mel(duration=1.2345),
    ],
    ids=["default", "sr", "n_fft", "n_mels", "top_db", "padded", "odd length"],
)
def test_equal_to_librosa(make_audio, mel):
    audio = make_audio(seconds=3.0, sr=mel.sr)
    np.testing.assert_allclose(mel.compute(audio), by_librosa(audio.samples, mel), atol=1e-4)


def test_equal_to_librosa_on_real_music(real_data):
    songs = sorted((real_data / "4qaed-200").glob("*/Q*/*.mp3"))[::67]
    assert len(songs) == 3
    for song in songs:
        channels, sr = soundfile.read(song, dtype="float32", always_2d=True)
        samples = librosa.resample(channels.mean(axis=1), orig_sr=sr, target_sr=16_000)
        np.testing.assert_allclose(
            Mel().compute(decode(song)), by_librosa(samples, Mel()), atol=1e-4
        )


def test_result_does_not_depend_on_the_frames_at_once(make_audio, monkeypatch):
    audio = make_audio(seconds=3.0)
    found = Mel(duration=3.0).compute(audio)
    for number in (1, 7, 10_000):
        monkeypatch.setattr("mer_mlflow.representations.mel.FRAMES_AT_ONCE", number)
        assert Mel(duration=3.0).compute(audio).tobytes() == found.tobytes()


def test_thirty_seconds_are_128_by_938(make_audio):
    spectrogram = Mel().compute(make_audio(seconds=30.0))
    assert spectrogram.shape == Mel().shape == (128, 938)
    assert spectrogram.dtype == np.float32


@pytest.mark.parametrize("n_fft", [400, 512, 2048])
@pytest.mark.parametrize("duration", [0.064, 0.999, 1.0, 1.024])
def test_shape_is_what_is_announced(make_audio, duration, n_fft):
    mel = Mel(duration=duration, n_fft=n_fft, hop_length=128, n_mels=40)
    assert mel.compute(make_audio()).shape == mel.shape


def test_level_is_kept(make_audio):
    audio = make_audio()
    louder = Audio(samples=10 * audio.samples, sr=audio.sr, n_channels=1)
    mel = Mel(duration=1.0)
    np.testing.assert_allclose(mel.compute(louder) - mel.compute(audio), 20.0, atol=1e-3)


def test_silence_is_the_floor():
    silence = Audio(samples=np.zeros(16_000, np.float32), sr=16_000, n_channels=1)
    floor = Mel(duration=1.0).compute(silence)
    np.testing.assert_allclose(floor, -100.0, rtol=1e-7)  # log10 differs by one digit between CPUs


def test_half_precision(make_audio):
    half = Mel(duration=1.0, dtype="float16").compute(make_audio())
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, Mel(duration=1.0).compute(make_audio()), atol=0.05)
