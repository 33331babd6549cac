"""Synthesis of the demo dataset: 160 clips, generated on every machine without a download.

Fictitious artists play short tunes with chords, bass and drums. Each clip is composed for one
quadrant of Russell's circumplex. The musical cues (tempo, mode, register, articulation, loudness,
brightness, roughness, percussion) depend on arousal and valence as found in listening studies,
with independent noise on each cue: no single cue determines the quadrant, and some clips are
atypical. The dataset serves to try the commands: scores on it are not meaningful for real music.

References
----------
J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39(6),
1980.
A. Gabrielsson, E. Lindström, "The role of structure in the musical expression of emotions",
in: Handbook of Music and Emotion, Oxford University Press, 2010.
T. Eerola, A. Friberg, R. Bresin, "Emotional expression in music: contribution, linearity, and
additivity of primary musical cues", Frontiers in Psychology 4:487, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Quadrant: TypeAlias = Literal["Q1", "Q2", "Q3", "Q4"]
Mode: TypeAlias = Literal["major", "minor"]
Signal: TypeAlias = NDArray[np.float64]

DEMO_SR = 22050
"""Sampling rate of the clips, in hertz."""

DEMO_SECONDS = 10.0
"""Length of a clip, in seconds."""

N_CLIPS_PER_QUADRANT = 40
"""Number of clips that `compose` gives each quadrant."""

_AROUSAL_VALENCE: dict[Quadrant, tuple[int, int]] = {
    "Q1": (1, 1),
    "Q2": (1, -1),
    "Q3": (-1, -1),
    "Q4": (-1, 1),
}

_ARTIST_NAMES = (
    "Ada Quillfeather", "Almanac Weather", "Anselm Torvik", "Attic Semaphore", "Basalt Choir Nine",
    "Beatrix Onomoto", "Bramblewick", "Brass Meridian Six", "Calla Venn", "Candlewax Motel",
    "Cedarline Ferry", "Cinder Protocol", "Clementine Rusk", "Copper Thistles", "Dagny Orsolo",
    "Delta Umbrella", "Doctor Pomelo", "Driftglass Union", "Eiderdown Riot", "Elio Marchbanks",
    "Fennel Street Trio", "Ferrous Lullaby", "Foxglove Telegram", "Gantry & Sons", "Gable Moth",
    "Hollis Ambergate", "Honeycomb Static", "Ibex Parade", "Inkwell Foundry", "Iris Tamborello",
    "Junipero Flats", "Kestrel Arithmetic", "Kiln Sisters", "Lantern Bureau", "Linnet Okafor-Dale",
    "Marzipan Storm", "Milk Teeth Orchestra", "Mossback Engine", "Nine Paper Boats", "Night Depot",
    "Odile Farrowgate", "Orchard Voltage", "Oxbow Signal", "Parsnip Kings", "Pilar Windermoor",
    "Plaster Saints Club", "Quartz Pavilion", "Rafferty Blume", "Rook & Tide", "Saltmarsh Radio",
    "Sable Carousel", "Tamsin Verhoeve", "Tin Cathedral", "Tollbooth Garden", "Ulla Brandywine",
    "Velvet Trowel", "Wickerwork", "Yarrow Machine", "Zephyrine Holt", "Zinc Picnic",
)  # fmt: skip

_SCALES: dict[Mode, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}

_PROGRESSIONS: dict[Mode, tuple[tuple[int, ...], ...]] = {
    "major": ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4), (0, 1, 4, 0), (3, 0, 4, 0)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 0, 4), (0, 5, 3, 4)),
}


@dataclass(frozen=True, kw_only=True)
class DemoPiece:
    """Composition and sound parameters of one demo clip; `render` turns it into audio.

    Parameters
    ----------
    clip_id
        "demo-000" to "demo-159".
    quadrant
        The label: "Q1" to "Q4".
    artist
        Name of the fictitious artist.
    seed
        Seed of the notes and of the noise in the sound.
    tempo
        Beats per minute.
    mode
        Scale and chords: "major" or "minor".
    tonic
        MIDI pitch of the tonic, between 55 and 66.
    progression
        Scale degree of each chord's root, 0 for the tonic.
    register
        Shift of melody and chords, in semitones.
    notes_per_beat
        Melody notes in a beat; below one, notes last longer than a beat.
    articulation
        Share of a note's duration in which it sounds, from 0.25 (staccato) to 1.1 (legato).
    attack
        Rise time of a note, in seconds.
    decay
        Time constant of a note's decay, in seconds.
    loudness
        RMS level of the clip, in dB below full scale (negative).
    tilt
        Slope of the harmonics' levels, in dB per octave (negative; closer to zero is brighter).
    drive
        Gain before the distortion; 0 for no distortion.
    dissonance
        Probability that a melody note is outside of the scale.
    percussion
        Level of the drums; 0 for none.
    reverberation
        Share of reverberated sound, from 0 to 1.
    even_harmonics
        Level of the even harmonics relative to the odd ones (the artist's instrument).
    body_hz
        Centre of the instrument's resonance, in hertz.
    vibrato
        Depth of the vibrato, in semitones.
    arpeggiated
        Whether chords are broken into single notes.
    drum_tuning
        Factor on the pitch of the drums.
    """

    clip_id: str
    quadrant: Quadrant
    artist: str
    seed: int
    tempo: float
    mode: Mode
    tonic: int
    progression: tuple[int, ...]
    register: int
    notes_per_beat: float
    articulation: float
    attack: float
    decay: float
    loudness: float
    tilt: float
    drive: float
    dissonance: float
    percussion: float
    reverberation: float
    even_harmonics: float
    body_hz: float
    vibrato: float
    arpeggiated: bool
    drum_tuning: float


@dataclass(frozen=True, kw_only=True)
class _Artist:
    name: str
    home: Quadrant
    fame: float
    tilt: float
    register: float
    even_harmonics: float
    body_hz: float
    vibrato: float
    arpeggiated: bool
    drum_tuning: float


class _Note(NamedTuple):
    start: float
    seconds: float
    pitch: int
    velocity: float


def compose(*, seed: int = 0) -> tuple[DemoPiece, ...]:
    """Draw the pieces of the demo dataset.

    Parameters
    ----------
    seed
        Non-negative seed; each seed gives a different dataset of the same kind.

    Returns
    -------
    tuple of DemoPiece
        `4 * N_CLIPS_PER_QUADRANT` pieces; four consecutive ones have different quadrants.

    Raises
    ------
    ValueError
        If `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    n_clips = N_CLIPS_PER_QUADRANT * len(_AROUSAL_VALENCE)
    cast_seed, order_seed, *piece_seeds = np.random.SeedSequence(seed).spawn(2 + n_clips)
    artists = _draw_artists(np.random.default_rng(cast_seed))
    quadrants = _interleaved_quadrants(np.random.default_rng(order_seed))
    return tuple(
        _compose_piece(
            clip_id=f"demo-{index:03d}",
            quadrant=quadrant,
            artists=artists,
            seed_sequence=piece_seed,
        )
        for index, (quadrant, piece_seed) in enumerate(zip(quadrants, piece_seeds, strict=True))
    )


def render(piece: DemoPiece) -> NDArray[np.float32]:
    """Synthesise the audio of a piece.

    Parameters
    ----------
    piece
        The piece; equal pieces give equal samples.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        Mono audio of `DEMO_SECONDS` at `DEMO_SR`, between -1 and 1.
    """
    rng = np.random.default_rng(piece.seed)
    melody, chords, bass = _melody(piece, rng), _chords(piece), _bass(piece)
    tonal = _play(melody, piece) + 0.6 * _play(chords, piece) + 0.9 * _play(bass, piece)
    tonal = _distort(tonal, drive=piece.drive)
    drums = _drums(piece, rng)
    room = _reverberate(tonal + 0.3 * drums, amount=piece.reverberation, rng=rng)
    return _set_level(room + 0.7 * drums, loudness=piece.loudness)


def _draw_artists(rng: np.random.Generator) -> tuple[_Artist, ...]:
    homes = tuple(_AROUSAL_VALENCE)
    return tuple(
        _Artist(
            name=name,
            home=homes[index % len(homes)],
            fame=float(rng.gamma(3.0)),
            tilt=float(rng.normal(scale=1.2)),
            register=float(rng.normal(scale=2.0)),
            even_harmonics=float(rng.uniform(0.1, 1.0)),
            body_hz=float(np.exp(rng.uniform(np.log(500), np.log(2500)))),
            vibrato=float(rng.choice((0.0, 0.05, 0.15))),
            arpeggiated=bool(rng.random() < 0.5),
            drum_tuning=float(rng.uniform(0.8, 1.25)),
        )
        for index, name in enumerate(_ARTIST_NAMES)
    )


def _interleaved_quadrants(rng: np.random.Generator) -> list[Quadrant]:
    quadrants = tuple(_AROUSAL_VALENCE)
    rounds = (rng.permutation(len(quadrants)) for _ in range(N_CLIPS_PER_QUADRANT))
    return [quadrants[index] for indices in rounds for index in indices]


def _choose_artist(
    artists: Sequence[_Artist], quadrant: Quadrant, rng: np.random.Generator
) -> _Artist:
    weights = np.array([a.fame * (1.0 if a.home == quadrant else 0.2) for a in artists])
    return artists[rng.choice(len(artists), p=weights / weights.sum())]


def _compose_piece(
    *,
    clip_id: str,
    quadrant: Quadrant,
    artists: Sequence[_Artist],
    seed_sequence: np.random.SeedSequence,
) -> DemoPiece:
    rng = np.random.default_rng(seed_sequence)
    artist = _choose_artist(artists, quadrant, rng)
    arousal, valence = (sign * abs(rng.normal(0.8, 0.35)) for sign in _AROUSAL_VALENCE[quadrant])

    def cue(centre: float, by_arousal: float, by_valence: float, spread: float) -> float:
        lean = by_arousal * arousal + by_valence * valence
        return float(centre + lean + spread * rng.normal())

    mode: Mode = "major" if cue(0.0, 0.0, 1.0, 0.7) > 0 else "minor"
    progressions = _PROGRESSIONS[mode]
    return DemoPiece(
        clip_id=clip_id,
        quadrant=quadrant,
        artist=artist.name,
        seed=int(rng.integers(2**32)),
        tempo=_clip(cue(106, 24, 5, 14), 56, 184),
        mode=mode,
        tonic=int(rng.integers(55, 67)),
        progression=progressions[rng.integers(len(progressions))],
        register=round(_clip(artist.register + cue(2, 1, 5, 3), -9, 15)),
        notes_per_beat=_note_rate(cue(1.4, 0.8, 0.3, 0.5)),
        articulation=_clip(cue(0.75, -0.1, -0.18, 0.13), 0.25, 1.1),
        attack=0.02 * math.exp(cue(0, -0.7, -0.6, 0.5)),
        decay=0.6 * math.exp(cue(0, -0.2, -0.5, 0.4)),
        loudness=_clip(cue(-22, 3.5, -0.5, 2.5), -34, -14),
        tilt=_clip(artist.tilt + cue(-10, 2.5, 1.5, 1.5), -18, -4),
        drive=_clip(cue(0.8, 1.2, -1.3, 0.9), 0, 6),
        dissonance=_clip(cue(0.1, 0.02, -0.12, 0.06), 0, 0.4),
        percussion=_clip(cue(0.3, 0.4, 0.0, 0.2), 0, 1),
        reverberation=_clip(cue(0.3, -0.1, -0.12, 0.1), 0, 0.8),
        even_harmonics=artist.even_harmonics,
        body_hz=artist.body_hz,
        vibrato=artist.vibrato,
        arpeggiated=artist.arpeggiated,
        drum_tuning=artist.drum_tuning,
    )


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _note_rate(rate: float) -> float:
    return min((0.5, 1.0, 2.0, 4.0), key=lambda allowed: abs(allowed - rate))


def _starts(step: float) -> Iterator[float]:
    return takewhile(lambda start: start < DEMO_SECONDS, (index * step for index in count()))


def _degree_pitch(piece: DemoPiece, degree: int) -> int:
    octave, step = divmod(degree, 7)
    return piece.tonic + 12 * octave + _SCALES[piece.mode][step]


def _chord_root(piece: DemoPiece, start: float) -> int:
    bar = int((start + 1e-6) * piece.tempo / 240)
    return piece.progression[bar % len(piece.progression)]


def _melody(piece: DemoPiece, rng: np.random.Generator) -> list[_Note]:
    step = 60 / piece.tempo / piece.notes_per_beat
    degree = 7
    notes = []
    for start in _starts(step):
        if rng.random() < 0.15:
            continue
        degree = _next_degree(degree, _chord_root(piece, start), rng)
        clash = int(rng.random() < piece.dissonance)
        notes.append(
            _Note(
                start=start,
                seconds=step * piece.articulation,
                pitch=_degree_pitch(piece, degree) + piece.register + clash,
                velocity=rng.uniform(0.6, 1.0),
            )
        )
    return notes


def _next_degree(degree: int, root: int, rng: np.random.Generator) -> int:
    moved = degree + int(rng.integers(-2, 3))
    if rng.random() < 0.5:
        chord_tones = [root + octave + third for octave in (0, 7) for third in (0, 2, 4)]
        moved = min(chord_tones, key=lambda tone: abs(tone - moved))
    return int(_clip(moved, 2, 14))


def _chords(piece: DemoPiece) -> list[_Note]:
    beat = 60 / piece.tempo
    step = beat * (1 if piece.arpeggiated else 2 if piece.notes_per_beat > 1 else 4)
    return [
        _Note(
            start=start,
            seconds=step * piece.articulation,
            pitch=_degree_pitch(piece, _chord_root(piece, start) + third) + piece.register // 2,
            velocity=0.5,
        )
        for index, start in enumerate(_starts(step))
        for third in ((0, 2, 4, 2)[index % 4 : index % 4 + 1] if piece.arpeggiated else (0, 2, 4))
    ]


def _bass(piece: DemoPiece) -> list[_Note]:
    step = 60 / piece.tempo * max(1.0, 2 / piece.notes_per_beat)
    return [
        _Note(
            start=start,
            seconds=step * piece.articulation,
            pitch=_degree_pitch(piece, _chord_root(piece, start)) - 24,
            velocity=0.7,
        )
        for start in _starts(step)
    ]


def _silence() -> Signal:
    return np.zeros(round(DEMO_SECONDS * DEMO_SR))


def _add(track: Signal, sound: Signal, start: float) -> None:
    first = round(start * DEMO_SR)
    room = track[first : first + len(sound)]
    room += sound[: len(room)]


def _play(notes: Sequence[_Note], piece: DemoPiece) -> Signal:
    track = _silence()
    for note in notes:
        _add(track, _tone(note, piece), note.start)
    return track


def _tone(note: _Note, piece: DemoPiece) -> Signal:
    release = 0.03
    frequency = 440 * 2 ** ((note.pitch - 69) / 12)
    time = np.arange(round((note.seconds + release) * DEMO_SR)) / DEMO_SR
    wave = _waveform(frequency, piece)
    vibrato_hz = 5.5
    bend = frequency * piece.vibrato * math.log(2) / 12 / (2 * math.pi * vibrato_hz)
    cycles = frequency * time + bend * np.sin(2 * math.pi * vibrato_hz * time)
    envelope = (
        np.minimum(1, time / piece.attack)
        * np.exp(-time / piece.decay)
        * np.minimum(1, (note.seconds + release - time) / release)
    )
    samples: Signal = wave[(cycles * len(wave)).astype(np.int64) % len(wave)]
    return note.velocity * envelope * samples


def _waveform(frequency: float, piece: DemoPiece) -> Signal:
    """Return one period of the instrument's waveform, band-limited for `frequency` [Hz]."""
    table_size = 8192
    harmonics = np.arange(1, 1 + min(32, int(0.45 * DEMO_SR / frequency)))
    octaves = np.log2(harmonics)
    body = 1 + 2 * np.exp(-2 * (octaves + math.log2(frequency / piece.body_hz)) ** 2)
    parity = np.where(harmonics % 2 == 0, piece.even_harmonics, 1.0)
    amplitudes = 10 ** (piece.tilt * octaves / 20) * body * parity
    spectrum = np.zeros(table_size // 2 + 1, dtype=np.complex128)
    spectrum[harmonics] = -1j * amplitudes / np.sqrt(np.sum(amplitudes**2))
    return np.fft.irfft(spectrum, table_size) * table_size / 2


def _distort(signal: Signal, *, drive: float) -> Signal:
    if drive == 0:
        return signal
    gain = drive / np.sqrt(np.mean(signal**2))
    distorted: Signal = np.tanh(gain * signal) / gain * math.sqrt(1 + drive**2)
    return distorted


def _drums(piece: DemoPiece, rng: np.random.Generator) -> Signal:
    track = _silence()
    eighth = 30 / piece.tempo
    kick, snare, hat = _kick(piece), _snare(piece, rng), _hat(rng)
    for index, start in enumerate(_starts(eighth)):
        if index % 4 == 0 or rng.random() < 0.1:
            _add(track, kick, start)
        if index % 4 == 2:
            _add(track, snare, start)
        if rng.random() < 0.9:
            _add(track, rng.uniform(0.6, 1.0) * hat, start)
    return piece.percussion * track


def _decaying(seconds: float) -> tuple[Signal, Signal]:
    time = np.arange(round(5 * seconds * DEMO_SR)) / DEMO_SR
    return time, np.exp(-time / seconds)


def _kick(piece: DemoPiece) -> Signal:
    time, envelope = _decaying(0.07)
    sweep = 50 * time - 3.0 * np.exp(-time / 0.03)
    return 2.5 * envelope * np.sin(2 * math.pi * piece.drum_tuning * sweep)


def _snare(piece: DemoPiece, rng: np.random.Generator) -> Signal:
    time, envelope = _decaying(0.06)
    body = np.sin(2 * math.pi * 190 * piece.drum_tuning * time)
    hit: Signal = envelope * (body + 0.6 * rng.normal(size=len(time)))
    return hit


def _hat(rng: np.random.Generator) -> Signal:
    _, envelope = _decaying(0.025)
    hiss = np.diff(rng.normal(size=len(envelope) + 2), n=2)
    return 0.16 * envelope * hiss


def _reverberate(signal: Signal, *, amount: float, rng: np.random.Generator) -> Signal:
    _, envelope = _decaying(0.25)
    echoes = envelope * rng.normal(size=len(envelope))
    echoes /= np.sqrt(np.sum(echoes**2))
    n_fft = 1 << (len(signal) + len(echoes)).bit_length()
    room = np.fft.irfft(np.fft.rfft(signal, n_fft) * np.fft.rfft(echoes, n_fft), n_fft)
    return (1 - amount) * signal + amount * room[: len(signal)]


def _set_level(signal: Signal, *, loudness: float) -> NDArray[np.float32]:
    """Set the RMS level to `loudness` (dB), and limit peaks smoothly."""
    gain = 10 ** (loudness / 20) / np.sqrt(np.mean(signal**2))
    samples: NDArray[np.float32] = np.tanh(gain * signal).astype(np.float32)
    return samples
