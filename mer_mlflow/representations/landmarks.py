"""Landmarks: pairs of spectral peaks that identify a recording, also re-encoded or shifted in time.

A landmark is a hash of the frequencies of two neighbouring peaks and of the time between them. Two
files of one recording have many landmarks in common, all displaced by the same time; for other
files, equal landmarks are displaced at random.

No program has to be installed for them, so that the same duplicates are found on every machine.

References
----------
A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample
from mer_mlflow.representations.representation import parameter_key

SR, N_FFT, HOP = 8000, 1024, 256
"""Sample rate [Hz], samples of a frame, and samples between frames."""
REACH = (15, 9)
"""Bins and frames on each side within which a peak is the loudest."""
FAN_OUT = 3
"""Number of later peaks with which a peak is paired."""
MOST_FRAMES, MOST_BINS = 63, 127
"""Largest distances of paired peaks in time and in frequency."""
PER_SECOND = 64
"""Largest number of landmarks, per second of audio."""
AT_ONCE = 256
"""Number of clips of the first set that are compared at once, which limits the memory."""
FEWEST = 200
"""Number of landmarks below which a share is of this number: few may be in common by chance."""


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Landmarks of a clip's beginning.

    Attributes
    ----------
    duration : float > 0 [s]
    """

    duration: float = 60.0
    cost: ClassVar[float] = 0.04

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("landmarks", 1, self)

    @property
    def shape(self) -> tuple[int, ...]:
        """(2, most landmarks)."""
        return (2, round(self.duration * PER_SECOND))

    @property
    def dtype(self) -> str:
        """Data type in the store, exact for hashes of 23 bits."""
        return "float32"

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its landmarks depend on [s]."""
        return self.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute hashes, from 1, and frames of landmarks; zeros after the last [shape=self.shape].

        If there are too many, those of the loudest peaks are kept.
        """
        frames, bins, levels = _peaks(resample(audio, sr=SR, duration=self.duration))
        hashes, starts, loudness = _pairs(frames, bins, levels)
        kept = np.sort(np.argsort(-loudness, kind="stable")[: self.shape[1]])
        landmarks = np.zeros(self.shape, dtype=self.dtype)
        landmarks[:, : len(kept)] = hashes[kept], starts[kept]
        return landmarks

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, duration=duration)


def _peaks(
    samples: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]:
    """Return frames, bins and levels of local maxima above the mean level, in order of time."""
    import scipy.ndimage
    import scipy.signal

    if not samples.any():
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    _, _, spectrum = scipy.signal.stft(samples, nperseg=N_FFT, noverlap=N_FFT - HOP)
    levels = np.log(np.maximum(np.abs(spectrum.T), 1e-10))
    size = tuple(2 * reach + 1 for reach in REACH[::-1])
    is_peak = levels == scipy.ndimage.maximum_filter(levels, size=size, mode="nearest")
    frames, bins = np.nonzero(is_peak & (levels > levels.mean()))
    return frames, bins, levels[frames, bins]


def _pairs(
    frames: NDArray[np.int64], bins: NDArray[np.int64], levels: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]:
    """Return hash, frame and level of each peak paired with later ones."""
    found = []
    for later in range(1, min(4 * FAN_OUT, len(frames))):
        time, step = frames[later:] - frames[:-later], bins[later:] - bins[:-later]
        near = np.flatnonzero((time > 0) & (time <= MOST_FRAMES) & (np.abs(step) <= MOST_BINS))
        hashes = 1 + ((bins[near] * 256 + step[near] + MOST_BINS) * 64 + time[near])
        found.append(np.stack([hashes, frames[near], near]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    hashes, starts, peaks = np.concatenate(found, axis=1)
    order = np.argsort(peaks, kind="stable")
    nth = np.arange(len(peaks)) - np.searchsorted(peaks[order], peaks[order])
    chosen = order[nth < FAN_OUT]
    return hashes[chosen], starts[chosen], levels[peaks[chosen]]


def common_landmarks(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> dict[tuple[int, int], float]:
    """Compare all clips of two sets.

    Parameters
    ----------
    first, second : landmarks of the clips [shape=(n_clips, 2, n_landmarks)]

    Returns
    -------
    share of landmarks in common with one displacement, of those of the clip that has fewer, by the
    positions of the two clips; pairs without any are left out
    """
    other = _sorted(second)
    best: dict[tuple[int, int], float] = {}
    for start in range(0, len(first), AT_ONCE):
        block = _common(first[start : start + AT_ONCE], second, other)
        best |= {(start + i, k): share for (i, k), share in block.items()}
    return best


def _common(
    first: NDArray[np.floating], second: NDArray[np.floating], other: NDArray[np.int64]
) -> dict[tuple[int, int], float]:
    """Compare some clips with all of the other set, whose landmarks are sorted."""
    one = _sorted(first)
    starts = np.searchsorted(other[0], one[0], side="left")
    counts = np.searchsorted(other[0], one[0], side="right") - starts
    left = np.repeat(np.arange(len(one[0])), counts)
    right = (
        np.repeat(starts, counts)
        + np.arange(len(left))
        - np.repeat(np.cumsum(counts) - counts, counts)
    )
    span = 2 * max(one[2].max(initial=0), other[2].max(initial=0)) + 3
    shifts = one[2][left] - other[2][right] + span // 2
    keys, numbers = np.unique(
        (one[1][left] * len(second) + other[1][right]) * span + shifts, return_counts=True
    )
    follows = np.append(np.diff(keys) == 1, False)
    numbers = numbers + np.where(follows, np.roll(numbers, -1), 0)  # half a frame of displacement
    lengths = [(each[:, 0] > 0).sum(axis=1) for each in (first, second)]
    best: dict[tuple[int, int], float] = {}
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        pair = divmod(key // span, len(second))
        share = number / max(FEWEST, min(lengths[0][pair[0]], lengths[1][pair[1]]))
        best[pair] = max(best.get(pair, 0.0), share)
    return best


def _sorted(landmarks: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return hash, clip and frame of all landmarks, ordered by hash."""
    clips, places = np.nonzero(landmarks[:, 0] > 0)
    rows = np.stack([landmarks[clips, 0, places], clips, landmarks[clips, 1, places]])
    return rows[:, np.argsort(rows[0], kind="stable")].astype(np.int64)
