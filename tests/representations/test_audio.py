import gc
import shutil
import subprocess
import zlib
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mer_mlflow.errors import AudioError
from mer_mlflow.representations.audio import Audio, decode, resample

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg program on PATH")


def cut(path: Path, share: float) -> Path:
    """Keep the beginning of a file, as an interrupted copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_wav_decodes_to_its_samples(tmp_path, noisy_tones):
    samples = noisy_tones(sr=22_050)
    soundfile.write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    audio = decode(tmp_path / "a.wav")
    assert (audio.sr, audio.n_channels, audio.seconds) == (22_050, 1, 1.0)
    assert audio.samples.dtype == np.float32
    np.testing.assert_array_equal(audio.samples, samples)


def test_channels_are_averaged(tmp_path, noisy_tones):
    left, right = noisy_tones(seed=1), noisy_tones(seed=2)
    soundfile.write(tmp_path / "a.wav", np.c_[left, right], 16_000, subtype="FLOAT")
    audio = decode(tmp_path / "a.wav")
    assert audio.n_channels == 2
    np.testing.assert_allclose(audio.samples, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_average_has_the_bits_of_the_mean(tmp_path, n_channels):
    samples = np.random.default_rng(0).normal(size=(50_000, n_channels)).astype(np.float32)
    soundfile.write(tmp_path / "clip.wav", samples, 16_000, subtype="FLOAT")
    audio = decode(tmp_path / "clip.wav")
    assert audio.samples.tobytes() == samples.mean(axis=1).tobytes()
    assert audio.checksum == zlib.crc32(samples.mean(axis=1).tobytes())


@needs_ffmpeg
def test_m4a_decodes_to_what_was_encoded(tmp_path, noisy_tones):
    soundfile.write(tmp_path / "a.wav", np.c_[noisy_tones(), 0 * noisy_tones()], 16_000)
    encode = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-b:a", "128k"]
    subprocess.run([*encode, tmp_path / "a.m4a"], check=True)
    audio = decode(tmp_path / "a.m4a")
    assert (audio.sr, audio.n_channels) == (16_000, 2)
    assert audio.samples.dtype == np.float32
    level, expected = np.std(audio.samples), np.std(decode(tmp_path / "a.wav").samples)
    assert level == pytest.approx(expected, rel=0.1)


def test_m4a_without_ffmpeg_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"a\.m4a: .*m4a files need the ffmpeg program"):
        decode(tmp_path / "a.m4a")


@pytest.mark.parametrize("content", [b"Q1 is happy\n" * 500, b"\0" * 5000, b"ID3", b"RIFF"])
@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg", ".m4a"])
def test_what_is_not_audio_is_named(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"a\{suffix}: not decodable audio"):
        decode(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"gone\.mp3: no such file"):
        decode(tmp_path / "gone.mp3")


def test_empty_file_is_named(tmp_path):
    (tmp_path / "a.mp3").touch()
    with pytest.raises(AudioError, match=r"a\.mp3: the file is empty \(0 bytes\)"):
        decode(tmp_path / "a.mp3")


def test_file_without_samples_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match=r"a\.wav: contains no samples"):
        decode(tmp_path / "a.wav")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_named(tmp_path, noisy_tones, wrong):
    samples = noisy_tones()
    samples[5000] = wrong
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: contains samples that are not finite"):
        decode(tmp_path / "a.wav")


@needs_ffmpeg  # a cut flac is decoded by it as far as it goes
@pytest.mark.parametrize("share", [0.9, 0.503])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_truncated_file_is_named(tmp_path, write_audio, suffix, share):
    path = cut(write_audio(tmp_path / f"a{suffix}", seconds=8.0), share)
    with pytest.raises(AudioError, match=rf"a\{suffix}: truncated, \d\.\d of 8\.0 s decode"):
        decode(path)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("options", "message"), [(["-movflags", "+faststart"], "truncated"), ([], "not decodable")]
)
def test_truncated_m4a_is_named(tmp_path, write_audio, options, message):
    wav = write_audio(tmp_path / "a.wav", seconds=4.0)
    encode = ["ffmpeg", "-v", "error", "-i", wav, *options, tmp_path / "a.m4a"]
    subprocess.run(encode, check=True)
    with pytest.raises(AudioError, match=rf"a\.m4a: {message}"):
        decode(cut(tmp_path / "a.m4a", 0.6))


def test_a_file_that_lacks_its_last_instant_is_used(tmp_path, write_audio):
    audio = decode(cut(write_audio(tmp_path / "a.wav", seconds=8.0), 0.98))
    assert audio.seconds == pytest.approx(7.84, abs=0.01)


def test_wav_of_unknown_length_is_used(tmp_path, write_audio):
    path = write_audio(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4  # as a recorder that was never stopped writes it
    path.write_bytes(content)
    assert decode(path).seconds == pytest.approx(1.0, abs=0.01)


def test_header_that_announces_years_is_named(tmp_path, write_audio):
    path = write_audio(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the highest bits of the number of samples
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.flac: (damaged|truncated)"):
        decode(path)


def audio_or_audio_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        audio = decode(path)
    except AudioError as error:
        assert str(path) in str(error)
    else:
        assert audio.samples.size > 0
        assert np.isfinite(audio.samples).all()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("any bytes")


@settings(deadline=None, max_examples=20)
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".wav", ".mp3", ".m4a"]))
@example(content=b"RIFF\x24\0\0\0WAVEfmt ", suffix=".wav")
@example(content=b"FORM\0\0\0\x12AIFC", suffix=".wav")
@example(content=b"\xff\xfb\x90\x64" * 100, suffix=".mp3")
def test_any_bytes_give_audio_or_an_audio_error(scratch, content, suffix):
    audio_or_audio_error(scratch / f"bytes{suffix}", content)


@pytest.fixture(scope="module")
def whole_files(scratch, write_audio):
    return {
        suffix: write_audio(scratch / f"whole{suffix}", seconds=0.5).read_bytes()
        for suffix in (".wav", ".flac", ".mp3", ".ogg")
    }


@settings(deadline=None, max_examples=40)
@given(data=st.data(), suffix=st.sampled_from([".wav", ".flac", ".mp3", ".ogg"]))
def test_damaged_files_give_audio_or_an_audio_error(scratch, whole_files, data, suffix):
    content = whole_files[suffix]
    start = data.draw(st.integers(0, 60) | st.integers(0, len(content)), label="start")
    inserted = data.draw(st.binary(min_size=1, max_size=6), label="inserted")
    removed = data.draw(st.integers(0, 6) | st.integers(0, len(content)), label="removed")
    damaged = content[:start] + inserted + content[start + removed :]
    audio_or_audio_error(scratch / f"damaged{suffix}", damaged)


@pytest.mark.parametrize("sr", [8000, 22_050, 32_000, 44_100, 48_000])
def test_resampling_is_soxr_hq_as_in_librosa(make_audio, sr):
    audio = make_audio(seconds=2.0, sr=sr)
    expected = librosa.resample(audio.samples, orig_sr=sr, target_sr=16_000, res_type="soxr_hq")
    ours = resample(audio, sr=16_000, duration=2.0)
    assert ours.shape == (32_000,)
    np.testing.assert_allclose(ours, expected[:32_000], atol=1e-6)


def test_cropping_before_resampling_is_not_heard(make_audio):
    """Only duration + 1 s is resampled: the filter's edge lies a second behind what is kept."""
    audio = make_audio(seconds=6.0, sr=44_100)
    whole = librosa.resample(audio.samples, orig_sr=44_100, target_sr=16_000, res_type="soxr_hq")
    ours = resample(audio, sr=16_000, duration=2.0)
    np.testing.assert_allclose(ours, whole[:32_000], atol=1e-6)


def test_short_audio_is_padded_with_zeros(make_audio):
    audio = make_audio(seconds=0.5)
    fitted = resample(audio, sr=16_000, duration=1.0)
    np.testing.assert_array_equal(fitted[:8000], audio.samples)
    assert not fitted[8000:].any()


def test_long_audio_is_cropped_at_its_end(make_audio):
    audio = make_audio(seconds=3.0)
    np.testing.assert_array_equal(resample(audio, sr=16_000, duration=1.0), audio.samples[:16_000])


def test_resampling_leaves_the_audio_alone(make_audio):
    audio = make_audio(sr=22_050)
    before = Audio(samples=audio.samples.copy(), sr=audio.sr, n_channels=1)
    resample(audio, sr=16_000, duration=0.5)[:] = 0
    resample(audio, sr=22_050, duration=0.5)[:] = 0
    np.testing.assert_array_equal(audio.samples, before.samples)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are listed on Linux")
def test_unusable_file_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(b"no sound")
    kept, before = [], len(list(Path("/proc/self/fd").iterdir()))
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(AudioError) as error:
                decode(path)
            kept.append(error.value)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        gc.enable()
