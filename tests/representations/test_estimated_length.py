"""Compressed audio without a length in its header: read completely, and never called truncated."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mer_mlflow.datasets import Clips
from mer_mlflow.errors import AudioError
from mer_mlflow.representations import Mel, Store, Waveform, assemble
from mer_mlflow.representations.audio import decode
from mer_mlflow.representations.inspection import inspect_audio

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg program on PATH")
SR, SECONDS = 44_100, 8.0
MPEG = {
    "vbr": ("-q:a", "2", "-write_xing", "0"),
    "abr": ("-abr", "1", "-b:a", "128k", "-write_xing", "0"),
    "cbr": ("-b:a", "128k", "-write_xing", "0"),
}
Encode = Callable[..., Path]


@pytest.fixture(scope="module", params=["quiet first", "loud first"])
def wav(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half silence and half noise, so that the first bit rate is far from the average one."""
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    samples = np.zeros(round(SECONDS * SR))
    samples[len(samples) // 2 :] = np.random.default_rng(0).normal(size=len(samples) // 2) / 5
    soundfile.write(path, samples if request.param == "quiet first" else samples[::-1], SR)
    return path


@pytest.fixture
def encode(wav: Path, tmp_path: Path) -> Encode:
    def encode(name: str, *options: str, seconds: float = SECONDS) -> Path:
        command = ["ffmpeg", "-v", "error", "-i", wav, "-t", str(seconds), *options]
        subprocess.run([*command, tmp_path / name], check=True)
        return tmp_path / name

    return encode


def without_frame_count(path: Path) -> Path:
    """Write 0 into the Xing header, as a recorder that is stopped too early leaves it."""
    content = bytearray(path.read_bytes())
    count = content.index(b"Xing") + 8
    content[count : count + 4] = bytes(4)
    path.write_bytes(content)
    return path


def after_id3(path: Path, inserted: bytes) -> Path:
    content = path.read_bytes()
    assert content.startswith(b"ID3")
    end = 10 + (content[8] << 7) + content[9]
    path.write_bytes(content[:end] + inserted + content[end:])
    return path


def half(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def assert_whole(path: Path) -> None:
    audio = decode(path)
    assert audio.seconds == pytest.approx(SECONDS, abs=0.2)
    levels = [np.std(part) for part in np.array_split(audio.samples, 2)]
    assert max(levels) == pytest.approx(0.2, abs=0.03)
    assert min(levels) < 0.02


@pytest.mark.parametrize("options", MPEG.values(), ids=MPEG)
def test_mpeg_without_a_frame_count_is_read_completely(
    encode: Encode, options: tuple[str, ...]
) -> None:
    assert_whole(encode("a.mp3", *options))


def test_frame_count_of_0_is_none(encode: Encode) -> None:
    assert_whole(without_frame_count(encode("a.mp3", "-q:a", "2")))


def test_mpeg_that_was_written_to_a_pipe_is_read_completely(wav: Path, tmp_path: Path) -> None:
    command = ["ffmpeg", "-v", "error", "-i", wav, "-q:a", "2", "-f", "mp3", "-"]
    content = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    (tmp_path / "a.mp3").write_bytes(content)
    assert_whole(tmp_path / "a.mp3")


@pytest.mark.parametrize("n_bytes", [300, 5_000, 100_000])
@pytest.mark.parametrize("kind", ["zeros", "junk"])
def test_bytes_after_the_id3_tag_are_skipped(encode: Encode, kind: str, n_bytes: int) -> None:
    junk = bytes(n_bytes) if kind == "zeros" else np.random.default_rng(0).bytes(n_bytes)
    assert_whole(after_id3(encode("a.mp3", "-q:a", "2"), junk))


@pytest.mark.parametrize("name", ["a.m4a", "a.mp3", "a.wav"])
def test_adts_is_read_under_any_name(encode: Encode, name: str) -> None:
    assert_whole(encode(name, "-c:a", "aac", "-f", "adts"))


@pytest.mark.parametrize("options", [("-q:a", "2"), ("-b:a", "128k")])
@pytest.mark.parametrize("inserted", [b"", bytes(5000), bytes(100_000)])
def test_half_of_a_file_with_a_length_is_refused(
    encode: Encode, options: tuple[str, ...], inserted: bytes
) -> None:
    path = encode("a.mp3", *options)
    cut = half(path).read_bytes()
    path.write_bytes(cut)
    with pytest.raises(AudioError, match=r"truncated, \d\.\d of 8\.0 s decoded"):
        decode(after_id3(path, inserted))


def test_estimate_that_is_too_long_is_reported(
    encode: Encode,
    tmp_path: Path,
    clips_of: Callable[..., Clips],
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    clips = clips_of(encode("a.mp3", *MPEG["vbr"]), encode("b.mp3", "-q:a", "2"))
    is_long = "quiet first" in request.node.name
    inspection = inspect_audio(clips)
    assert inspection.seconds["a"] == pytest.approx(SECONDS, abs=0.2)
    assert list(inspection.shortfalls) == ["a"] * is_long
    inputs = (Mel(duration=1.0), Waveform(duration=1.0))
    assemble(clips, inputs, store=Store(root=tmp_path / "store"))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == is_long
    if is_long:
        assert re.fullmatch(
            r"warning: 1 clips decode shorter than .*: a 8\.0 of \d+\.\d s; check .*", said[0]
        )


@pytest.mark.parametrize("options", [("-c:a", "aac"), ("-c:a", "libopus", "-f", "webm")])
@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m4a", ".ogg"])
def test_format_that_needs_ffmpeg_is_read_or_named_under_any_suffix(
    encode: Encode, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], suffix: str
) -> None:
    path = encode("a.m4a" if "aac" in options else "a.webm", *options)
    path = path.rename(path.with_suffix(suffix))
    assert_whole(path)
    monkeypatch.setenv("PATH", str(path.parent))
    kind = "m4a" if "aac" in options else "webm"
    with pytest.raises(AudioError, match=f"not decodable .*; {kind} files need the ffmpeg program"):
        decode(path)
