"""Inspection of a dataset's audio files: lengths, formats, broken and silent files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import AudioError
from mer_mlflow.representations.audio import Audio, decode

VERY_SHORT_SECONDS = 1.0
SILENT_DB = -70.0
"""RMS level [dB relative to full scale] below which a clip counts as silent."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Findings about the audio of clips.

    Attributes
    ----------
    seconds : length of each clip that can be decoded, by clip id
    sample_rates, channels : number of files by sample rate and by number of channels
    broken : one line for each file that cannot be used
    silent : ids of silent clips
    shortfalls : lengths of files that decode shorter than estimated, by clip id
    """

    seconds: dict[str, float]
    sample_rates: Counter[int]
    channels: Counter[int]
    broken: tuple[str, ...]
    silent: tuple[str, ...]
    shortfalls: Mapping[str, str]

    def shorter_than(self, seconds: float) -> tuple[str, ...]:
        """Return the ids of clips shorter than some length, the shortest first."""
        short = {clip: length for clip, length in self.seconds.items() if length < seconds}
        return tuple(sorted(short, key=lambda clip: short[clip]))


def inspect_audio(
    clips: Clips,
    *,
    duration: float = 30.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Decode every audio file, on all cores.

    Parameters
    ----------
    clips : the clips; those without a file are ignored
    duration : float > 0 [s], length of the excerpt that methods use; a clip counts as silent if
        its excerpt is
    on_progress : called with (number decoded, number to decode) after each file
    """
    files = [
        (clip, path) for clip, path in zip(clips.ids, clips.audio, strict=True) if path is not None
    ]
    seconds: dict[str, float] = {}
    sample_rates: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    broken: list[str] = []
    silent: list[str] = []
    shortfalls: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda item: _measure(item[1], duration), files)
        for done, ((clip, _), outcome) in enumerate(zip(files, outcomes, strict=True), start=1):
            if isinstance(outcome, AudioError):
                broken.append(str(outcome))
            else:
                seconds[clip] = outcome.seconds
                sample_rates[outcome.sr] += 1
                channels[outcome.n_channels] += 1
                if outcome.level < SILENT_DB:
                    silent.append(clip)
                if outcome.shortfall is not None:
                    shortfalls[clip] = outcome.shortfall
            on_progress(done, len(files))
    return Inspection(
        seconds=seconds,
        sample_rates=sample_rates,
        channels=channels,
        broken=tuple(broken),
        silent=tuple(silent),
        shortfalls=shortfalls,
    )


@dataclass(frozen=True, kw_only=True)
class _Measures:
    seconds: float
    sr: int
    n_channels: int
    level: float
    shortfall: str | None


def _measure(path: Path, duration: float) -> _Measures | AudioError:
    try:
        audio = decode(path, seconds=duration)
    except AudioError as error:
        return error
    return _Measures(
        seconds=audio.file_seconds or audio.seconds,
        sr=audio.sr,
        n_channels=audio.n_channels,
        level=_level(audio),
        shortfall=audio.shortfall,
    )


def _level(audio: Audio) -> float:
    power = float(np.mean(np.square(audio.samples, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-12)))
