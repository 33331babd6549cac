"""Expressivity: vibrato, tremolo, glides, attacks and articulation.

References
----------
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020 (vibrato, tremolo, glissando, articulation).
J. Sundberg, "Acoustic and psychoacoustic aspects of vocal vibrato", STL-QPSR 35, 1994 (its rates).
G. Peeters et al., "The timbre toolbox: extracting audio descriptors from musical signals", Journal
of the Acoustical Society of America 130, 2011 (attacks).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.handcrafted.groups import Events, Values
from mer_mlflow.representations.handcrafted.pitch import Note
from mer_mlflow.representations.handcrafted.sound import FINE_HOP, HOP, SR, Sound

Array = NDArray[np.float64]

RATE = SR / HOP
VIBRATO_RATES = (4.0, 8.5)
"""Rates of vibrato and tremolo [Hz]."""
SHORTEST_VIBRATO = 14
"""Minimum length of a vibrato in frames, 325 ms."""
N_RATES = 256
"""Points of a note's modulation spectrum."""
REGULAR = 0.5
"""Minimum share of a note's modulation at one rate."""
VIBRATO_EXTENT = (0.1, 2.0)
"""Deviation from the mean [semitones]."""
TREMOLO_EXTENT = (0.5, 12.0)
"""Deviation from the mean [dB]."""
GLIDE_SEMITONES = 1.0
LEGATO_SECONDS, STACCATO_SECONDS = 0.05, 0.15
"""Longest pause after a legato note, longest staccato note."""
HIGHER_NOTES = 60.0
"""MIDI number of C4."""
ATTACK_SECONDS, DECAY_SECONDS = 0.15, 0.25
"""Window around an onset, in which its rise and fall are measured."""
SPREAD = ("mean", "std", "skewness", "p05", "p95")


def _modulation(course: Array, extents: tuple[float, float]) -> tuple[float, float] | None:
    """Return rate [Hz] and extent of a regular modulation around a line, else None."""
    time = np.linspace(-1.0, 1.0, len(course))
    line = np.polynomial.polynomial.polyfit(time, course, 1)
    window = np.hanning(len(course) + 2)[1:-1]
    swing = (course - line[0] - line[1] * time) * window
    amplitudes = 2.0 * np.abs(np.fft.rfft(swing, N_RATES)) / window.sum()
    rates = np.fft.rfftfreq(N_RATES, 1.0 / RATE)
    within = (rates >= VIBRATO_RATES[0]) & (rates <= VIBRATO_RATES[1])
    peak = int(np.argmax(np.where(within, amplitudes, 0.0)))
    extent = float(amplitudes[peak])
    total = float((amplitudes**2).sum())
    is_regular = (amplitudes[within] ** 2).sum() > REGULAR * total
    if not is_regular or not extents[0] <= extent <= extents[1]:
        return None
    return float(rates[peak]), extent


def _modulated(
    notes: tuple[Note, ...], courses: list[Array], extents: tuple[float, float]
) -> Iterator[tuple[Note, float, float]]:
    for note, course in zip(notes, courses, strict=True):
        found = _modulation(course, extents) if len(course) >= SHORTEST_VIBRATO else None
        if found is not None:
            yield note, *found


def _columns(rows: Sequence[tuple[float, ...]], n_columns: int) -> Array:
    return np.array(rows, dtype=np.float64).reshape(-1, n_columns).T


def _vibratos(sound: Sound) -> list[tuple[Note, float, float]]:
    courses = [note.semitones for note in sound.notes]
    return list(_modulated(sound.notes, courses, VIBRATO_EXTENT))


def _tremolos(sound: Sound) -> list[tuple[Note, float, float]]:
    courses = [20.0 * np.log10(note.strength) for note in sound.notes]
    return list(_modulated(sound.notes, courses, TREMOLO_EXTENT))


def modulations(sound: Sound) -> tuple[Array, ...]:
    """Rate [Hz], extent, length [s] and pitch of vibratos [semitones], then of tremolos [dB]."""
    return tuple(
        column
        for found in (_vibratos(sound), _tremolos(sound))
        for column in _columns(
            [(rate, extent, len(n.semitones) / RATE, n.pitch) for n, rate, extent in found], 4
        )
    )


def glides(sound: Sound) -> tuple[Array, ...]:
    """Extent [semitones], length [s] and slope [semitones/s] of notes that glide."""
    courses = [
        (float(note.semitones[-2:].mean() - note.semitones[:2].mean()), len(note.semitones) / RATE)
        for note in sound.notes
    ]
    rows = [
        (abs(extent), seconds, extent / seconds)
        for extent, seconds in courses
        if abs(extent) >= GLIDE_SEMITONES
    ]
    return tuple(_columns(rows, 3))


def articulation(sound: Sound) -> tuple[Array, ...]:
    """Length of notes and of pauses between them [log2 of s], change of level in notes [dB]."""
    notes = sound.notes
    return (
        np.log2(np.array([len(note.semitones) for note in notes]) / RATE),
        np.log2(np.maximum(_pauses(notes), 1.0 / RATE)),
        np.array([20.0 * np.log10(note.strength[-1] / note.strength[0]) for note in notes]),
    )


def _pauses(notes: tuple[Note, ...]) -> Array:
    return np.array([after.start - before.end for before, after in pairwise(notes)]) / RATE


def attacks(sound: Sound) -> tuple[Array, ...]:
    """Rise time [log2 of s], height [dB] and slope [dB/s] of onsets, and fall after them [dB]."""
    level = 20.0 * np.log10(sound.fine_bands.sum(axis=0).astype(np.float64))
    per_second = SR / FINE_HOP
    reach, fall = round(ATTACK_SECONDS * per_second), round(DECAY_SECONDS * per_second)
    rows = []
    for onset in sound.onsets * HOP // FINE_HOP:
        around = level[max(0, onset - reach) : onset + reach]
        top = int(around.argmax())
        bottom = int(around[: top + 1].argmin())
        height = around[top] - around[bottom]
        rise = around[bottom : top + 1]
        frames = np.count_nonzero((rise > rise[0] + 0.1 * height) & (rise < rise[0] + 0.9 * height))
        seconds = (frames + 1) / per_second
        peak = max(0, onset - reach) + top
        after = level[peak : peak + fall]
        rows.append((np.log2(seconds), height, 0.8 * height / seconds, after[0] - after.min()))
    return tuple(_columns(rows, 4))


def coverage(sound: Sound) -> Array:
    """Values in the order of `COVERAGE`."""
    notes = sound.notes
    lengths = np.array([len(note.semitones) for note in notes], dtype=np.float64)
    total, count = max(lengths.sum(), 1.0), max(len(notes), 1)
    pauses = _pauses(notes)
    extents = np.array([note.semitones[-1] - note.semitones[0] for note in notes])
    staccato = lengths[:-1] / RATE <= STACCATO_SECONDS
    legato = pauses <= LEGATO_SECONDS
    return np.array(
        [
            *_shares(_vibratos(sound), total=total, count=count),
            *_shares(_tremolos(sound), total=total, count=count),
            np.mean(extents >= GLIDE_SEMITONES) if len(notes) else 0.0,
            np.mean(extents <= -GLIDE_SEMITONES) if len(notes) else 0.0,
            legato.mean() if len(pauses) else 0.0,
            np.mean(staccato & ~legato) if len(pauses) else 0.0,
        ]
    )


def _shares(found: list[tuple[Note, float, float]], *, total: float, count: int) -> list[float]:
    """Share of time, of notes, and of time at C4 and above."""
    higher = sum(len(note.semitones) for note, *_ in found if note.pitch >= HIGHER_NOTES)
    covered = sum(len(note.semitones) for note, *_ in found)
    return [covered / total, len(found) / count, higher / total]


COVERAGE = (
    *(f"vibrato.{name}" for name in ("coverage", "note_share", "higher_coverage")),
    *(f"tremolo.{name}" for name in ("coverage", "note_share", "higher_coverage")),
    *("glide_up.share", "glide_down.share", "legato.share", "staccato.share"),
)

GROUPS = (
    Events(
        descriptors=tuple(
            f"expressivity.{kind}_{name}"
            for kind in ("vibrato", "tremolo")
            for name in ("rate", "extent", "length", "pitch")
        ),
        statistics=("mean", "std"),
        measure=modulations,
    ),
    Events(
        descriptors=tuple(f"expressivity.glide_{name}" for name in ("extent", "length", "slope")),
        statistics=("mean", "std"),
        measure=glides,
    ),
    Events(
        descriptors=tuple(
            f"expressivity.{name}" for name in ("note_length", "pause", "note_swell")
        ),
        statistics=SPREAD,
        measure=articulation,
    ),
    Events(
        descriptors=tuple(
            f"expressivity.attack_{name}" for name in ("time", "height", "slope", "fall")
        ),
        statistics=SPREAD,
        measure=attacks,
    ),
    Values(names=tuple(f"expressivity.{name}" for name in COVERAGE), measure=coverage),
)
