"""Pitch: spectral peaks, the salience of pitches, the predominant voice and its notes.

The salience of a pitch is the weighted sum of its harmonics' amplitudes. The melody is the
smoothest path through the most salient pitches of the frames.

References
----------
J. Salamon, E. Gómez, "Melody extraction from polyphonic music signals using pitch contour
characteristics", IEEE Transactions on Audio, Speech, and Language Processing 20(6), 2012 (salience
by harmonic summation).
E. Gómez, "Tonal description of polyphonic audio for music content processing", INFORMS Journal on
Computing 18(3), 2006 (chroma from spectral peaks).
A. Klapuri, "Multiple fundamental frequency estimation by summing harmonic amplitudes", ISMIR 2006
(cancellation of one pitch after the other).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HIGHEST_PEAK = 5000.0
LOWEST_PEAK = 50.0
"""Range of spectral peaks [Hz]."""
DEPTH = 1e-5
"""Minimum power of a peak, relative to the frame's maximum: -50 dB."""
AUDIBLE = 1e-8
"""Minimum power of a peak: 10 dB above the floor."""

HARMONIC_WIDTH, HIGHEST_HARMONIC = 0.5, 16
"""Maximum deviation of a harmonic from its frequency [semitones], if harmonics are at least a
semitone apart."""
STEPS = 10
"""Number of pitches per semitone."""
N_HARMONICS = 8
N_MIDI = 132
"""Number of MIDI numbers, in whole octaves."""
HARMONIC_DECAY = 0.8
N_CANDIDATES = 6
LEAP_COST, LARGEST_LEAP = 0.04, 12.0
"""Penalty of a leap per semitone, relative to the frame's maximum salience."""
VOICED = 0.25
"""Minimum salience of a voiced frame, relative to high values of the clip."""
SLUR = 0.9
"""Change of pitch from frame to frame at which a new note begins [semitones]."""
SHORTEST_NOTE = 5
"""Minimum length of a note in frames, 116 ms."""


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Spectral peaks, frame by frame.

    Attributes
    ----------
    frame : index of the peak's frame, in ascending order [shape=(n_peaks,)]
    hz : frequency [Hz, shape=(n_peaks,)]
    amplitude : amplitude relative to full scale [shape=(n_peaks,)]
    """

    frame: NDArray[np.int64]
    hz: Array
    amplitude: Array

    @cached_property
    def semitones(self) -> Array:
        """MIDI numbers of the frequencies [shape=(n_peaks,)]."""
        return midi(self.hz)

    def without(self, fundamentals: Array) -> Peaks:
        """Return the peaks that are not harmonics of a pitch.

        Parameters
        ----------
        fundamentals : MIDI number of each frame's pitch [shape=(n_frames,)]
        """
        above = self.semitones - fundamentals[self.frame]
        number = np.maximum(np.round(2.0 ** (above / 12.0)), 1.0)
        distance = np.abs(above - 12.0 * np.log2(number))
        kept = (distance > HARMONIC_WIDTH) | (number > HIGHEST_HARMONIC)
        return Peaks(frame=self.frame[kept], hz=self.hz[kept], amplitude=self.amplitude[kept])


@dataclass(frozen=True, kw_only=True)
class Contour:
    """Pitch of one voice.

    Attributes
    ----------
    semitones : MIDI number of each frame [shape=(n_frames,)]
    strength : salience of that pitch [shape=(n_frames,)]
    voiced : whether the voice sounds in each frame [shape=(n_frames,)]
    """

    semitones: Array
    strength: Array
    voiced: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Note:
    """A section of a contour without a leap.

    Attributes
    ----------
    start : index of its first frame
    semitones : MIDI numbers [shape=(n_note_frames,)]
    strength : salience [shape=(n_note_frames,)]
    """

    start: int
    semitones: Array
    strength: Array

    @property
    def pitch(self) -> float:
        """Median MIDI number."""
        return float(np.median(self.semitones))

    @property
    def end(self) -> int:
        """Index of the frame after its last one."""
        return self.start + len(self.semitones)


def midi(hz: NDArray[np.floating] | float) -> Array:
    """Return the MIDI numbers of frequencies [Hz]; A4, 440 Hz, is 69."""
    return np.asarray(69.0 + 12.0 * np.log2(np.asarray(hz) / 440.0))


def spectral_peaks(power: NDArray[np.float32], *, hz_per_bin: float) -> Peaks:
    """Find the peaks of spectra, with parabolic interpolation of levels.

    Parameters
    ----------
    power : power spectrogram [shape=(n_bins, n_frames)]
    hz_per_bin : width of a bin [Hz]
    """
    first, last = round(LOWEST_PEAK / hz_per_bin), round(HIGHEST_PEAK / hz_per_bin)
    below, middle, above = (power[first + i : last + i].T for i in (-1, 0, 1))
    loud = np.maximum(AUDIBLE, DEPTH * middle.max(axis=1, keepdims=True))
    frame, bins = np.nonzero((middle > below) & (middle >= above) & (middle > loud))
    left, centre, right = (
        np.log(part[frame, bins].astype(np.float64)) for part in (below, middle, above)
    )
    offset = 0.5 * (left - right) / np.minimum(left - 2.0 * centre + right, -1e-9)
    offset = np.clip(offset, -0.5, 0.5)
    return Peaks(
        frame=frame,
        hz=(bins + first + offset) * hz_per_bin,
        amplitude=np.exp(0.5 * (centre - 0.25 * (left - right) * offset)),
    )


def _harmonic_sum(
    peaks: Peaks, between: tuple[float, float]
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return frame, MIDI number and weight of each pitch of which a peak may be a harmonic."""
    lowest, highest = midi(between[0]), midi(between[1])
    parts = []
    for harmonic in range(1, N_HARMONICS + 1):
        semitones = peaks.semitones - 12.0 * np.log2(harmonic)
        within = np.flatnonzero((semitones >= lowest) & (semitones < highest))
        parts.append((within, semitones[within], HARMONIC_DECAY ** (harmonic - 1)))
    index = np.concatenate([within for within, _, _ in parts])
    weight = np.concatenate([peaks.amplitude[within] * decay for within, _, decay in parts])
    return peaks.frame[index], np.concatenate([part[1] for part in parts]), weight


def salience(peaks: Peaks, *, n_frames: int, between: tuple[float, float]) -> Array:
    """Sum the harmonics of each pitch, weighted by a squared cosine within half a semitone.

    Parameters
    ----------
    peaks : spectral peaks
    n_frames : number of frames
    between : lowest and highest pitch [Hz]

    Returns
    -------
    salience, with `STEPS` pitches per semitone, lowest first [shape=(n_pitches, n_frames)]
    """
    import scipy.ndimage

    lowest, highest = midi(between[0]), midi(between[1])
    n_pitches = int(np.ceil((highest - lowest) * STEPS)) + 1
    frame, semitones, weight = _harmonic_sum(peaks, between)
    pitch = np.round((semitones - lowest) * STEPS).astype(np.int64)
    summed = np.bincount(pitch * n_frames + frame, weights=weight, minlength=n_pitches * n_frames)
    reach = STEPS // 2
    kernel = np.cos(np.linspace(-0.5, 0.5, 2 * reach + 1) * np.pi) ** 2
    pitches = summed.reshape(n_pitches, n_frames)
    spread = scipy.ndimage.convolve1d(pitches, kernel, axis=0, mode="constant")
    return np.asarray(spread, dtype=np.float64)


def layers(
    peaks: Peaks, salience_of_all: Array, *, most: int, between: tuple[float, float]
) -> Array:
    """Remove the most salient pitch with its harmonics, repeatedly.

    Parameters
    ----------
    peaks : spectral peaks
    salience_of_all : salience of these peaks [shape=(n_pitches, n_frames)]
    most : number of pitches to find
    between : lowest and highest pitch [Hz]

    Returns
    -------
    salience of the first, second, ... pitch [shape=(most, n_frames)]
    """
    left, strongest = salience_of_all, [salience_of_all.max(axis=0)]
    for _ in range(most - 1):
        peaks = peaks.without(midi(between[0]) + left.argmax(axis=0) / STEPS)
        left = salience(peaks, n_frames=left.shape[1], between=between)
        strongest.append(left.max(axis=0))
    return np.stack(strongest)


def local_maxima(salience: Array) -> NDArray[np.bool_]:
    """Find pitches more salient than their neighbours [shape=(n_pitches, n_frames)]."""
    maxima = np.zeros(salience.shape, dtype=bool)
    middle = salience[1:-1]
    maxima[1:-1] = (middle > salience[:-2]) & (middle >= salience[2:]) & (middle > 0.0)
    return maxima


def track(salience: Array, *, lowest: float) -> Contour:
    """Track the predominant voice.

    Parameters
    ----------
    salience : salience of pitches [shape=(n_pitches, n_frames)]
    lowest : pitch of the first row [Hz]
    """
    masked = np.where(local_maxima(salience), salience, 0.0)
    rows = _candidates(masked)
    strengths = np.take_along_axis(masked, rows, axis=0)
    path = _smoothest_path(rows / float(STEPS), strengths)
    frames = np.arange(salience.shape[1])
    row, strength = rows[path, frames], strengths[path, frames]
    high = np.percentile(strength, 90)
    return Contour(
        semitones=midi(lowest) + _refined(salience, row) / STEPS,
        strength=strength,
        voiced=(strength > VOICED * high) & (strength > 0.0),
    )


def _candidates(masked: Array) -> NDArray[np.int64]:
    """Return the most salient rows of each frame [shape=(N_CANDIDATES, n_frames)]."""
    frames, left = np.arange(masked.shape[1]), np.ascontiguousarray(masked.T)
    rows = np.empty((N_CANDIDATES, len(frames)), dtype=np.int64)
    for row in rows[::-1]:
        row[:] = left.argmax(axis=1)
        left[frames, row] = -1.0
    few = np.count_nonzero(masked, axis=0) < N_CANDIDATES  # the rest are any pitches of salience 0
    rows[:, few] = np.argpartition(masked[:, few], -N_CANDIDATES, axis=0)[-N_CANDIDATES:]
    return rows


def _smoothest_path(semitones: Array, strengths: Array) -> NDArray[np.int64]:
    """Choose a candidate of each frame by dynamic programming [shape=(n_frames,)]."""
    scores = strengths / np.maximum(strengths.max(axis=0), 1e-12)
    leaps = np.abs(semitones[:, np.newaxis, 1:] - semitones[np.newaxis, :, :-1])
    costs = LEAP_COST * np.minimum(leaps, LARGEST_LEAP)
    n_frames = scores.shape[1]
    best = np.zeros(scores.shape, dtype=np.int64)
    total = scores[:, 0]
    for frame in range(1, n_frames):
        reached = total - costs[:, :, frame - 1]
        best[:, frame] = reached.argmax(axis=1)
        total = scores[:, frame] + reached.max(axis=1)
    path = np.zeros(n_frames, dtype=np.int64)
    path[-1] = total.argmax()
    for frame in range(n_frames - 1, 0, -1):
        path[frame - 1] = best[path[frame], frame]
    return path


def _refined(salience: Array, row: NDArray[np.int64]) -> Array:
    """Refine rows by parabolic interpolation [shape=(n_frames,)]."""
    frames = np.arange(len(row))
    inner = np.clip(row, 1, len(salience) - 2)
    left, centre, right = (salience[inner + i, frames] for i in (-1, 0, 1))
    curvature = left - 2.0 * centre + right
    bent = curvature < -1e-12
    offset = np.where(bent, 0.5 * (left - right) / np.where(bent, curvature, 1.0), 0.0)
    refined: Array = inner + np.clip(offset, -0.5, 0.5)
    return refined


def notes(contour: Contour) -> tuple[Note, ...]:
    """Split a contour into notes at pauses and leaps."""
    leaps = np.abs(np.diff(contour.semitones)) > SLUR
    pauses = np.diff(contour.voiced.astype(np.int8)) != 0
    starts = [0, *(np.flatnonzero(leaps | pauses) + 1)]
    ends = [*starts[1:], len(contour.semitones)]
    return tuple(
        Note(
            start=int(start),
            semitones=contour.semitones[start:end],
            strength=contour.strength[start:end],
        )
        for start, end in zip(starts, ends, strict=True)
        if contour.voiced[start] and end - start >= SHORTEST_NOTE
    )


def tuning(peaks: Peaks) -> float:
    """Estimate the tuning relative to A4 = 440 Hz, from -0.5 to 0.5 [semitones]."""
    turns = peaks.amplitude * np.exp(2j * np.pi * peaks.semitones)
    return float(np.angle(turns.sum()) / (2.0 * np.pi))


def chroma(peaks: Peaks, *, n_frames: int, between: tuple[float, float]) -> Array:
    """Sum the harmonics of each pitch class, tuned to the clip.

    Parameters
    ----------
    peaks : spectral peaks
    n_frames : number of frames
    between : lowest and highest pitch [Hz]

    Returns
    -------
    share of each pitch class, C first [shape=(12, n_frames)], 0 in frames without peaks
    """
    frame, semitones, weight = _harmonic_sum(peaks, between)
    tuned = semitones - tuning(peaks)
    nearest = np.round(tuned)
    closeness = np.cos(np.pi * (tuned - nearest)) ** 2
    by_pitch = np.bincount(
        nearest.astype(np.int64) * n_frames + frame,
        weights=weight * closeness,
        minlength=N_MIDI * n_frames,
    ).reshape(N_MIDI // 12, 12, n_frames)
    summed = by_pitch.sum(axis=0)
    total = summed.sum(axis=0)
    shares: Array = summed / np.where(total > 0.0, total, 1.0)
    return shares
