"""Melody: register, range, intervals and contours of the predominant voice.

References
----------
J. Salamon, B. Rocha, E. Gómez, "Musical genre classification using melody features extracted from
polyphonic music signals", ICASSP 2012 (statistics of pitch contours).
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020 (registers and transitions of notes).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.handcrafted.groups import Events, Values
from mer_mlflow.representations.handcrafted.sound import HOP, SR, Sound

Array = NDArray[np.float64]

REGISTERS = (0.0, 48.0, 55.0, 60.0, 64.0, 67.0, 72.0, 128.0)
"""Edges of registers, MIDI numbers: C3, G3, C4, E4, G4 and C5."""
N_REGISTERS = len(REGISTERS) - 1
STEPS = ("repeated", "second", "third", "fourth_or_fifth", "wider")
STEP_EDGES = (0.0, 0.5, 2.5, 4.5, 7.5, 128.0)
"""Edges of intervals between notes [semitones]."""
ADJACENT = 22
"""Maximum pause between two notes of an interval in frames, 0.5 s."""
SPREAD = ("mean", "std", "skewness", "p05", "p50", "p95")


def voice(sound: Sound) -> tuple[Array, Array]:
    """MIDI numbers, and salience relative to the strongest, of voiced frames."""
    melody = sound.melody
    strength = melody.strength[melody.voiced]
    return melody.semitones[melody.voiced], strength / strength.max(initial=1e-12)


def _steps(sound: Sound) -> Array:
    """Intervals between successive notes [semitones]."""
    notes = sound.notes
    return np.array(
        [
            after.pitch - before.pitch
            for before, after in pairwise(notes)
            if after.start - before.end <= ADJACENT
        ]
    )


def note_events(sound: Sound) -> tuple[Array, ...]:
    """Pitch, size and direction of intervals, slope [semitones/s] and curvature of notes."""
    steps = _steps(sound)
    lines = [
        np.polynomial.polynomial.polyfit(
            np.linspace(-1.0, 1.0, len(note.semitones)), note.semitones, 2
        )
        for note in sound.notes
    ]
    seconds = np.array([len(note.semitones) for note in sound.notes]) * HOP / SR
    slopes = np.array([line[1] for line in lines])
    return (
        np.array([note.pitch for note in sound.notes]),
        np.abs(steps),
        steps,
        2.0 * slopes / seconds if len(slopes) else slopes,
        np.array([line[2] for line in lines]),
        np.array([float(np.std(note.semitones)) for note in sound.notes]),
    )


def summary(sound: Sound) -> Array:
    """Values in the order of `SUMMARY`."""
    melody = sound.melody
    pitches = np.array([note.pitch for note in sound.notes])
    steps = _steps(sound)
    registers = np.histogram(melody.semitones[melody.voiced], REGISTERS)[0]
    sizes = np.histogram(np.abs(steps), STEP_EDGES)[0]
    directions = np.sign(steps[np.abs(steps) >= 0.5])
    return np.array(
        [
            melody.voiced.mean(),
            len(pitches) / sound.seconds,
            np.ptp(np.percentile(pitches, (5, 95))) if len(pitches) else 0.0,
            *(registers / max(registers.sum(), 1)),
            *(sizes / max(sizes.sum(), 1)),
            np.mean(directions > 0) if len(directions) else 0.5,
            np.mean(np.diff(directions) != 0) if len(directions) > 1 else 0.0,
            _class_entropy(pitches),
            _trend(pitches),
        ]
    )


def _class_entropy(pitches: Array) -> float:
    """Entropy of the notes' pitch classes, in nats."""
    if not len(pitches):
        return 0.0
    counts = np.bincount(np.round(pitches).astype(np.int64) % 12, minlength=12)
    shares = counts[counts > 0] / len(pitches)
    return float(-(shares * np.log(shares)).sum())


def _trend(pitches: Array) -> float:
    """Change of pitch from the first to the last note by linear regression [semitones]."""
    if len(pitches) < 2:
        return 0.0
    line = np.polynomial.polynomial.polyfit(np.linspace(0.0, 1.0, len(pitches)), pitches, 1)
    return float(line[1])


SUMMARY = (
    *("voiced.share", "note.rate", "note_pitch.range"),
    *(f"register_{i}.share" for i in range(N_REGISTERS)),
    *(f"interval_{name}.share" for name in STEPS),
    *("interval_rising.share", "turn.share", "pitch_class.entropy", "note_pitch.trend"),
)

GROUPS = (
    Events(
        descriptors=("melody.pitch", "melody.salience"),
        statistics=(*SPREAD, "kurtosis"),
        measure=voice,
    ),
    Events(
        descriptors=tuple(
            f"melody.{name}"
            for name in ("note_pitch", "leap", "interval", "slope", "bend", "wobble")
        ),
        statistics=SPREAD,
        measure=note_events,
    ),
    Values(names=tuple(f"melody.{name}" for name in SUMMARY), measure=summary),
)
