"""Decoding: an audio file as samples."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from mer_mlflow.errors import AudioError

COMPLETE = 0.95
"""Share of the announced length below which a file counts as truncated."""
STREAMED_BYTES = 0x7FFF_0000
"""Sizes from here on stand in a WAV header for "not known yet"."""
LOUDEST = 2.0**31
"""Largest sample, full scale being 1: programs write integers of 32 bits as floats as they are."""
STDERR = 2
"""Descriptor that libmpg123 writes to, past Python: errors alone say what is wrong with a file."""


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A decoded file.

    Attributes
    ----------
    samples : mono samples, channels averaged [shape=(n_samples,)]
    sr : sample rate [Hz]
    n_channels : channels of the file
    """

    samples: NDArray[np.float32]
    sr: int
    n_channels: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sr


def decode(path: Path) -> Audio:
    """Decode an audio file with soundfile, or with audioread where soundfile cannot.

    Parameters
    ----------
    path : audio file

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated or not audio.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    try:
        samples, sr = _decode_soundfile(path)
    except soundfile.LibsndfileError:
        samples, sr = _decode_audioread(path)
    if samples.size == 0:
        raise AudioError(f"{path}: no samples decode from it; replace or remove the file")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    if np.abs(samples).max() > LOUDEST:
        raise AudioError(f"{path}: holds samples of {np.abs(samples).max():.3g} times full scale")
    return Audio(samples=samples.mean(axis=1), sr=sr, n_channels=samples.shape[1])


def resample(audio: Audio, *, sr: int, duration: float) -> NDArray[np.float32]:
    """Resample by soxr (high quality), then crop or pad with zeros at the end.

    Parameters
    ----------
    audio : decoded file
    sr : int > 0 [Hz], target sample rate
    duration : float > 0 [s], target length

    Returns
    -------
    samples [shape=(round(duration * sr),)]
    """
    needed = int(np.ceil((duration + 1.0) * audio.sr))
    samples = audio.samples[:needed]
    if audio.sr != sr:
        samples = soxr.resample(samples, audio.sr, sr, quality="HQ")
    length = round(duration * sr)
    fitted = np.zeros(length, dtype=np.float32)
    fitted[: len(samples)] = samples[:length]
    return fitted


def resample_repeated(audio: Audio, *, sr: int, duration: float) -> NDArray[np.float32]:
    """Resample a clip, crop it, and where it is shorter repeat it from its start.

    Parameters
    ----------
    audio : the clip
    sr : int > 0 [Hz]
    duration : float > 0 [s]

    Returns
    -------
    samples [shape=(n_samples,)]
    """
    recorded = resample(audio, sr=sr, duration=min(duration, audio.seconds))
    return np.resize(recorded, round(duration * sr)) if len(recorded) else recorded


@dataclass(kw_only=True)
class _Silence:
    """Keeps the process's stderr free of what decoders print, however many threads decode."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: set[int] = field(default_factory=set)
    stderr: int | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        try:  # from the first step on: an interruption anywhere must not leave it silent
            self._enter()
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self.lock:
            self.inside.add(threading.get_ident())
            # without a stderr of Python's, its descriptor is another file's
            if self.stderr is None and sys.__stderr__ is not None:
                self.stderr = os.dup(STDERR)
                with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, devnull is no path
                    os.dup2(nowhere.fileno(), STDERR)

    def _leave(self) -> None:
        with self.lock:
            self.inside.discard(threading.get_ident())
            if not self.inside and self.stderr is not None:
                os.dup2(self.stderr, STDERR)
                os.close(self.stderr)
                self.stderr = None


_silence = _Silence()


def _decode_soundfile(path: Path) -> tuple[NDArray[np.float32], int]:
    with _silence(), soundfile.SoundFile(path) as file:
        announced = file.frames / file.samplerate * _cut_wav_factor(path)
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except MemoryError as error:
            raise AudioError(f"{path}: damaged, its header announces {announced:.0f} s") from error
        _refuse_truncated(path, seconds=len(samples) / file.samplerate, announced=announced)
        return samples, file.samplerate


def _decode_audioread(path: Path) -> tuple[NDArray[np.float32], int]:
    from audioread import DecodeError
    from audioread.ffdec import FFmpegAudioFile

    try:
        with FFmpegAudioFile(str(path)) as file:
            content = b"".join(file)
            integers = np.frombuffer(content, dtype="<i2").reshape(-1, file.channels)
            samples, sr, announced = integers / np.float32(32768), file.samplerate, file.duration
    except (DecodeError, ValueError, OSError) as error:
        traceback.clear_frames(error.__traceback__)  # they would hold the pipes of ffmpeg open
        hint = "; m4a files need the ffmpeg program" if path.suffix.lower() == ".m4a" else ""
        raise AudioError(
            f"{path}: not decodable audio; replace or remove the file{hint}"
        ) from error
    _refuse_truncated(path, seconds=len(samples) / sr, announced=announced)
    return samples.astype(np.float32), sr


def _refuse_truncated(path: Path, *, seconds: float, announced: float) -> None:
    if seconds < COMPLETE * announced:
        raise AudioError(
            f"{path}: truncated, {seconds:.1f} of {announced:.1f} s decode; replace the file"
        )


def _cut_wav_factor(path: Path) -> float:
    """How many times longer a WAV's header says it is; libsndfile corrects that silently."""
    with path.open("rb") as file:
        name, size = file.read(4), int.from_bytes(file.read(4), "little") + 8
    is_known = name == b"RIFF" and size < STREAMED_BYTES
    return max(1.0, size / path.stat().st_size) if is_known else 1.0
