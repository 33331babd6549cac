"""Damaged audio: a finite array, or one line that names the file, and not a word besides."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.datasets import Clips
from mer_mlflow.datasets.quadrant_folders import content_hashes
from mer_mlflow.errors import AudioError
from mer_mlflow.representations import Mel, Store, Waveform
from mer_mlflow.representations.audio import decode

FAULTS = settings.get_profile("faults")
SECONDS = 1.0
KINDS = {
    "pcm.wav": ("WAV", "PCM_16", 1),
    "deep.wav": ("WAV", "PCM_24", 2),
    "float.wav": ("WAV", "FLOAT", 2),
    "double.wav": ("WAV", "DOUBLE", 1),
    "adpcm.wav": ("WAV", "MS_ADPCM", 1),
    "extensible.wav": ("WAVEX", "PCM_16", 2),
    "large.wav": ("RF64", "PCM_16", 2),
    "a.flac": ("FLAC", "PCM_16", 2),
    "a.ogg": ("OGG", "VORBIS", 2),
    "opus.ogg": ("OGG", "OPUS", 1),
    "a.mp3": ("MP3", "MPEG_LAYER_III", 2),
    "other.wav": ("CAF", "PCM_16", 2),
    "aiff.wav": ("AIFF", "PCM_16", 2),
    "au.wav": ("AU", "FLOAT", 1),
}
SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".m4a")
Read = Callable[[str, bytes], str | None]


@pytest.fixture(scope="module")
def originals(demo: Clips, scratch: Path) -> Mapping[str, bytes]:
    """The start of a clip of the demo in every format that can be written here."""
    audio = decode(demo.audio_files()[0])
    samples = audio.samples[: round(SECONDS * audio.sr)]
    contents = {}
    for name, (container, coding, n_channels) in KINDS.items():
        file = scratch / name
        sound = np.stack([samples] * n_channels, axis=1)
        sr = 48_000 if coding == "OPUS" else audio.sr
        soundfile.write(file, sound, sr, format=container, subtype=coding)
        contents[name] = file.read_bytes()
    if shutil.which("ffmpeg"):
        encode = ["ffmpeg", "-v", "error", "-i", scratch / "pcm.wav", scratch / "a.m4a"]
        subprocess.run(encode, check=True)
        contents["a.m4a"] = (scratch / "a.m4a").read_bytes()
    return contents


@pytest.fixture
def read(
    scratch: Path,
    demo: Clips,
    refusal: Callable[..., str | None],
    capfd: pytest.CaptureFixture[str],
) -> Read:
    """Fill a store with a file's representations; what is said is the refusal alone."""

    def read(name: str, content: bytes) -> str | None:
        path = scratch / "damaged" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        clips = replace(
            demo.take(np.array([0])), audio=(path,), audio_hashes=content_hashes([path])
        )

        def fill() -> None:
            for representation in (Waveform(duration=SECONDS), Mel(duration=SECONDS)):
                values = Store(root=scratch / "store").fill(clips, representation)[np.array([0])]
                assert values.shape == (1, *representation.shape)
                assert np.isfinite(values).all()

        words = refusal(fill, AudioError)
        said = capfd.readouterr()
        assert (said.out, said.err) == ("", "")
        shutil.rmtree(scratch / "store", ignore_errors=True)
        if words is not None:
            assert str(path) in words
        return words

    return read


def test_originals_are_read(originals: Mapping[str, bytes], read: Read) -> None:
    assert {name: read(name, content) for name, content in originals.items()} == dict.fromkeys(
        originals
    )


@FAULTS
@given(data=st.data(), name=st.sampled_from([*KINDS, "a.m4a"]))
def test_damaged_audio_is_read_or_named(
    originals: Mapping[str, bytes], read: Read, damaged: Any, data: Any, name: str
) -> None:
    if name in originals:
        read(name, damaged(data, originals[name]))


@FAULTS
@given(data=st.data())
def test_damaged_published_clips_are_read_or_named(
    real_data: Path, read: Read, damaged: Any, data: Any
) -> None:
    clips = sorted((real_data / "4qaed-200").rglob("*.mp3"))[:20]
    content = data.draw(st.sampled_from(clips), label="clip").read_bytes()
    kept = content[: data.draw(st.sampled_from([4000, 40_000]), label="kept")]
    read("published.mp3", damaged(data, kept))


@FAULTS
@given(content=st.binary() | st.text().map(str.encode), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes_are_read_or_named(read: Read, content: bytes, suffix: str) -> None:
    read(f"bytes{suffix}", content)


@pytest.mark.parametrize("suffix", [".mp3", ".m4a"])
def test_another_format_under_a_name_is_read_or_named(
    originals: Mapping[str, bytes], read: Read, suffix: str
) -> None:
    for content in originals.values():
        read(f"renamed{suffix}", content)
        read(f"headless{suffix}", content[64:])
        read(f"header{suffix}", content[:64])
