"""Decoding and resampling of audio files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import traceback
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from mer_mlflow.errors import AudioError, listing
from mer_mlflow.paths import whence
from mer_mlflow.representations.mpeg import MpegView

Derived = TypeVar("Derived")

COMPLETE = 0.95
"""Minimum share of the length in the header; a shorter file counts as truncated."""
STREAMED_BYTES = 0x7FFF_0000
"""Minimum size in a WAV header that means "unknown"."""
LOUDEST = 2.0**31
"""Largest valid sample, relative to full scale: some programs write 32-bit integers as floats
without scaling."""
LONGEST = 3600.0
"""Longest excerpt [s]."""
MARGIN = 1.0
"""Audio kept after an excerpt [s], for the resampler's filter."""
MOST_VALUES = 1 << 29
"""Maximum number of samples of all channels for a check of the whole file, 101 minutes of a CD; of
a longer file only the excerpt is decoded."""
BLOCK_VALUES = 1 << 18
"""Number of samples of all channels per decoded block."""
BLOCK_BYTES = 1 << 18
HIGHEST_SR, MOST_CHANNELS = 768_000, 64
"""Limits of a header; larger values are damaged, or would exhaust the memory."""
MPEG_TIMES = 16
"""Length of the view from which an MPEG file without a frame count is decoded: the bit rates of
frames, from the first of which the length is estimated, differ at most by 320 / 8 kbit/s, and
rarely by more than this."""
ESTIMATED = b"Estimating duration from bitrate"
"""Message of ffmpeg about a file whose header does not say its length."""
FOREIGN = {"m4a": (4, b"ftyp"), "webm": (0, b"\x1a\x45\xdf\xa3")}
"""Formats that libsndfile mistakes for MPEG audio if the file is named so: the position and the
bytes that identify them."""
NEEDS_FFMPEG = FOREIGN | {"opus": (0, b"OggS"), "AAC": (0, b"\xff\xf1")}
"""Formats that not every version of libsndfile can read."""
STDERR = 2
"""File descriptor of libmpg123's messages, which bypass Python's stderr. They are suppressed."""


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A decoded file, or its beginning.

    Attributes
    ----------
    samples : mono samples, channels averaged [shape=(n_samples,)]
    sr : sample rate [Hz]
    n_channels : number of channels of the file
    file_seconds : length of the file [s], None if it equals that of the samples
    file_checksum : CRC-32 of the file's mono samples, None if it equals that of ``samples``
    estimated_seconds : length that was estimated from the size of a file without a length in its
        header [s], if it is clearly longer than what was decoded; else None
    """

    samples: NDArray[np.float32]
    sr: int
    n_channels: int
    file_seconds: float | None = None
    file_checksum: int | None = None
    estimated_seconds: float | None = None
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def derived(self, key: Hashable, compute: Callable[[], Derived]) -> Derived:
        """Return an array that several representations need, which is computed once.

        It must not be changed, and is kept as long as this object.

        Parameters
        ----------
        key : name and parameters of the array
        compute : function that computes it from this audio
        """
        if key not in self._derived:
            self._derived[key] = compute()
        found: Derived = self._derived[key]
        return found

    @property
    def seconds(self) -> float:
        """Length of the samples in seconds."""
        return len(self.samples) / self.sr

    @property
    def checksum(self) -> int:
        """Checksum of the file's samples; it does not depend on the length of the excerpt."""
        known = self.file_checksum
        return zlib.crc32(self.samples.tobytes()) if known is None else known

    @property
    def shortfall(self) -> str | None:
        """The length of the file and its estimate, if that is clearly longer."""
        if self.estimated_seconds is None:
            return None
        return f"{self.file_seconds or self.seconds:.1f} of {self.estimated_seconds:.1f} s"

    def beginning(self, seconds: float) -> Audio:
        """Return what :func:`decode` returns for an excerpt that is not longer.

        Parameters
        ----------
        seconds : float > 0 [s], length of the excerpt
        """
        n_kept = _n_kept(seconds, self.sr)
        if n_kept >= len(self.samples):
            return self
        samples = self.samples[:n_kept]
        long = (self.file_seconds or 0.0) * self.sr * self.n_channels > MOST_VALUES
        checksum = zlib.crc32(samples.tobytes()) if long else self.checksum
        return replace(
            self,
            samples=samples,
            file_seconds=self.file_seconds or self.seconds,
            file_checksum=checksum,
        )


def decode(path: Path, *, seconds: float = LONGEST) -> Audio:
    """Decode an audio file with soundfile, or with audioread if soundfile cannot read it.

    A file of up to 101 minutes is checked completely, in blocks. A file without a length in its
    header is never truncated: its length is an estimate by the decoder. Memory is allocated only
    for the excerpt, whatever length the file has or its header states.

    Parameters
    ----------
    path : audio file
    seconds : float > 0 [s], length of the excerpt; one more second is kept

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated or not audio.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file{whence(path)}")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    try:
        if _kind(path, FOREIGN) is not None:
            return _decode_audioread(path, seconds=seconds)
        with _opened_by_soundfile(path) as source:
            return _read(path, source, seconds=seconds)
    except soundfile.LibsndfileError:
        return _decode_audioread(path, seconds=seconds)


def shortfalls(clips: Mapping[str, str]) -> str:
    """Return a warning about files that decode shorter than they say.

    Parameters
    ----------
    clips : :attr:`Audio.shortfall` by clip id
    """
    named = [f"{clip} {lengths}" for clip, lengths in clips.items()]
    return (
        f"{len(clips)} clips decode shorter than estimated from the sizes of their files, which "
        f"state no length: {listing(named)}; check that these files are complete"
    )


def resample(audio: Audio, *, sr: int, duration: float) -> NDArray[np.float32]:
    """Resample with soxr (high quality), then crop or zero-pad at the end.

    Parameters
    ----------
    audio : decoded file
    sr : int > 0 [Hz], target sample rate
    duration : float > 0 [s], target length

    Returns
    -------
    samples [shape=(round(duration * sr),)]
    """
    return audio.derived(
        (resample, sr, duration), lambda: _resampled(audio, sr=sr, duration=duration)
    )


def _resampled(audio: Audio, *, sr: int, duration: float) -> NDArray[np.float32]:
    samples = audio.samples[: _n_kept(duration, audio.sr)]
    if audio.sr != sr:
        samples = soxr.resample(samples, audio.sr, sr, quality="HQ")
    length = round(duration * sr)
    fitted = np.zeros(length, dtype=np.float32)
    fitted[: len(samples)] = samples[:length]
    return fitted


def resample_repeated(audio: Audio, *, sr: int, duration: float) -> NDArray[np.float32]:
    """Resample a clip, and crop it or, if it is too short, repeat it from its start.

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
    """Context that suppresses messages of decoders on the process's stderr; safe for threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: set[int] = field(default_factory=set)
    stderr: int | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        try:  # stderr must be restored after an interruption at any point
            self._enter()
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self.lock:
            self.inside.add(threading.get_ident())
            # without sys.stderr, the descriptor may belong to another file
            if self.stderr is None and sys.__stderr__ is not None:
                self.stderr = os.dup(STDERR)
                with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, devnull is a str
                    os.dup2(nowhere.fileno(), STDERR)

    def _leave(self) -> None:
        with self.lock:
            self.inside.discard(threading.get_ident())
            if not self.inside and self.stderr is not None:
                os.dup2(self.stderr, STDERR)
                os.close(self.stderr)
                self.stderr = None


_silence = _Silence()


def _n_kept(seconds: float, sr: int) -> int:
    return int(np.ceil((seconds + MARGIN) * sr))


@dataclass(frozen=True, kw_only=True)
class _Source:
    """An open audio file.

    Attributes
    ----------
    sr, n_channels : sample rate and number of channels of the file
    announced : length according to its header, or estimated from its size [s]
    is_estimated : function that returns whether the length is an estimate
    blocks : iterator over blocks of samples in full scale units [shape=(n_frames, n_channels)]
    """

    sr: int
    n_channels: int
    announced: float
    is_estimated: Callable[[], bool]
    blocks: Iterable[NDArray[np.float32]]


def _read(path: Path, source: _Source, *, seconds: float) -> Audio:
    sr, n_channels = source.sr, source.n_channels
    if not (1 <= sr <= HIGHEST_SR and 1 <= n_channels <= MOST_CHANNELS):
        raise AudioError(
            f"{path}: has {sr} samples per second in {n_channels} channels; the maximum is "
            f"{HIGHEST_SR} in {MOST_CHANNELS}"
        )
    n_kept = _n_kept(seconds, sr)
    is_long = source.announced * sr * n_channels > MOST_VALUES
    most = n_kept if is_long else max(n_kept, MOST_VALUES // n_channels)
    kept: list[NDArray[np.float32]] = []
    checksum, n_read, estimate = 0, 0, None
    for block in source.blocks:
        _refuse_impossible(path, block)
        mono = _mono(block[: most - n_read])
        checksum = zlib.crc32(mono.tobytes(), checksum)
        if n_read < n_kept:
            kept.append(mono[: n_kept - n_read].copy())
        n_read += len(mono)
        if n_read >= most:
            break
    else:
        estimate = _overestimate(path, source, seconds=n_read / sr)
    if n_read == 0:
        raise AudioError(f"{path}: contains no samples; replace or remove the file")
    return Audio(
        samples=np.concatenate(kept),
        sr=sr,
        n_channels=n_channels,
        file_seconds=source.announced if is_long else n_read / sr,
        file_checksum=checksum,
        estimated_seconds=estimate,
    )


def _overestimate(path: Path, source: _Source, *, seconds: float) -> float | None:
    """Return the estimated length if it is too long; reject a file shorter than its header says."""
    if seconds >= COMPLETE * source.announced:
        return None
    if source.is_estimated():
        return source.announced
    raise AudioError(
        f"{path}: truncated, {seconds:.1f} of {source.announced:.1f} s decoded; replace the file"
    )


def _mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over channels; NumPy's ``mean`` gives the same bits, but is slow for few."""
    if block.shape[1] == 1:
        return block[:, 0]
    if block.shape[1] == 2:
        return (block[:, 0] + block[:, 1]) * np.float32(0.5)
    mean: NDArray[np.float32] = block.mean(axis=1)
    return mean


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file read without seeking, because seeking changes the samples of some MP3 files."""

    def seekable(self) -> bool:
        """Return False."""
        return False


@contextlib.contextmanager
def _mpeg(path: Path, *, times: int) -> Iterator[soundfile.SoundFile]:
    with path.open("rb") as content, _Forward(MpegView(content, times=times)) as file:
        yield file


@contextlib.contextmanager
def _opened_by_libsndfile(path: Path) -> Iterator[soundfile.SoundFile]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_Forward(os.fsencode(path)))
        except soundfile.LibsndfileError:
            if path.suffix.lower() != ".mp3" or _kind(path, {"ID3": (0, b"ID3")}) is None:
                raise
            file = stack.enter_context(_mpeg(path, times=1))
        yield file


@contextlib.contextmanager
def _opened_by_soundfile(path: Path) -> Iterator[_Source]:
    with _silence(), _opened_by_libsndfile(path) as file:
        is_estimated = file.format == "MP3" and _is_estimated(path, file.frames)
        yield _Source(
            sr=file.samplerate,
            n_channels=file.channels,
            announced=file.frames / file.samplerate * _cut_wav_factor(path),
            is_estimated=lambda: is_estimated,
            blocks=_all_blocks(path, file) if is_estimated else _blocks(file),
        )


def _is_estimated(path: Path, n_frames: int) -> bool:
    try:
        with _mpeg(path, times=MPEG_TIMES) as longer:
            return bool(longer.frames > 2 * n_frames)
    except soundfile.LibsndfileError:
        return False


def _all_blocks(path: Path, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks of a file whose length is estimated, and those beyond the estimate."""
    n_read = 0
    for block in _blocks(file):
        n_read += len(block)
        yield block
    if n_read >= file.frames:
        with _mpeg(path, times=MPEG_TIMES) as longer:
            yield from _later(_blocks(longer), n_read)


def _later(blocks: Iterable[NDArray[np.float32]], n_frames: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks without the first samples of their channels."""
    for block in blocks:
        if n_frames < len(block):
            yield block[n_frames:]
        n_frames = max(0, n_frames - len(block))


def _blocks(file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    n_frames = max(1, BLOCK_VALUES // file.channels)
    while len(block := file.read(n_frames, dtype="float32", always_2d=True)):
        yield block


def _decode_audioread(path: Path, *, seconds: float) -> Audio:
    from audioread import DecodeError
    from audioread.ffdec import FFmpegAudioFile

    try:
        with FFmpegAudioFile(str(path), block_size=BLOCK_BYTES) as file:
            if not file.samplerate or not file.channels:
                raise ValueError("no sound in it")
            source = _Source(
                sr=file.samplerate,
                n_channels=file.channels,
                announced=file.duration,
                is_estimated=partial(_is_estimated_by_ffmpeg, path),
                blocks=_samples(file, n_channels=file.channels),
            )
            return _read(path, source, seconds=seconds)
    except (DecodeError, ValueError, OSError) as error:
        traceback.clear_frames(error.__traceback__)  # its frames keep ffmpeg's pipes open
        raise AudioError(
            f"{path}: not decodable audio; replace or remove the file{_ffmpeg_hint(path)}"
        ) from error


def _is_estimated_by_ffmpeg(path: Path) -> bool:
    from audioread.ffdec import COMMANDS, popen_multiple

    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    about = popen_multiple(COMMANDS, ["-i", str(path)], stderr=subprocess.PIPE, **streams)
    return ESTIMATED in about.communicate()[1]


def _ffmpeg_hint(path: Path) -> str:
    """Return what to install if the file is in a format that needs it, whatever its name."""
    from audioread.ffdec import available

    kind = _kind(path, NEEDS_FFMPEG) or ("m4a" if path.suffix.lower() == ".m4a" else None)
    return "" if kind is None or available() else f"; {kind} files need the ffmpeg program"


def _kind(path: Path, kinds: Mapping[str, tuple[int, bytes]]) -> str | None:
    """Return the format of a file by its first bytes, None if it is not one of these."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:  # the decoder's message names the file
        return None
    return next((kind for kind, (at, magic) in kinds.items() if start.startswith(magic, at)), None)


def _samples(pieces: Iterable[bytes], *, n_channels: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of samples from bytes of 16-bit integers, split at any position."""
    left, width = b"", 2 * n_channels
    for piece in pieces:
        content = left + piece
        end = len(content) // width * width
        integers = np.frombuffer(content[:end], dtype="<i2").reshape(-1, n_channels)
        yield np.divide(integers, 32768, dtype=np.float32)
        left = content[end:]
    if left:
        raise ValueError("the last sample is cut off")


def _refuse_impossible(path: Path, block: NDArray[np.float32]) -> None:
    if not np.isfinite(block).all():
        raise AudioError(f"{path}: contains samples that are not finite")
    loudest = np.abs(block).max(initial=0.0)
    if loudest > LOUDEST:
        raise AudioError(f"{path}: contains samples of {loudest:.3g} times full scale")


def _cut_wav_factor(path: Path) -> float:
    """Return the ratio of a WAV's length in its header to its real length, which libsndfile
    corrects silently."""
    with path.open("rb") as file:
        name, size = file.read(4), int.from_bytes(file.read(4), "little") + 8
    is_known = name == b"RIFF" and size < STREAMED_BYTES
    return max(1.0, size / path.stat().st_size) if is_known else 1.0
