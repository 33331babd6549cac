import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from mer_mlflow.datasets.demo.music import (
    DEMO_SECONDS,
    DEMO_SR,
    N_CLIPS_PER_QUADRANT,
    DemoPiece,
    compose,
    render,
)

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")


@pytest.fixture(scope="module")
def pieces() -> tuple[DemoPiece, ...]:
    return compose()


def quadrant_mean(pieces: tuple[DemoPiece, ...], cue: str, *quadrants: str) -> float:
    return float(np.mean([getattr(p, cue) for p in pieces if p.quadrant in quadrants]))


def crude_onset_rate(y: np.ndarray) -> float:
    """Rises of the level by a half or more between frames of 23 ms, per second."""
    level = np.sqrt(np.mean(y[: len(y) // 512 * 512].reshape(-1, 512) ** 2, axis=1))
    rising = level[1:] > 1.5 * level[:-1] + 1e-4
    return float(np.sum(rising[1:] & ~rising[:-1]) / DEMO_SECONDS)


def test_quadrants_are_balanced_and_interleaved(pieces):
    assert Counter(p.quadrant for p in pieces) == dict.fromkeys(QUADRANTS, N_CLIPS_PER_QUADRANT)
    rounds = {tuple(p.quadrant for p in pieces[i : i + 4]) for i in range(0, len(pieces), 4)}
    assert all(set(quadrants) == set(QUADRANTS) for quadrants in rounds)
    assert len(rounds) > 4, "the position of a clip would tell its quadrant"


def test_clip_ids_count_up(pieces):
    assert [p.clip_id for p in pieces] == [f"demo-{i:03d}" for i in range(160)]


def test_artists_have_several_clips_and_some_several_quadrants(pieces):
    quadrants_of = defaultdict(list)
    for piece in pieces:
        quadrants_of[piece.artist].append(piece.quadrant)
    assert 45 <= len(quadrants_of) <= 60
    assert max(map(len, quadrants_of.values())) <= 16
    assert sum(len(quadrants) > 1 for quadrants in quadrants_of.values()) >= 25
    assert sum(len(set(quadrants)) > 1 for quadrants in quadrants_of.values()) >= 15


def test_an_artist_keeps_one_instrument(pieces):
    instruments = defaultdict(set)
    for p in pieces:
        instruments[p.artist].add(
            (p.even_harmonics, p.body_hz, p.vibrato, p.arpeggiated, p.drum_tuning)
        )
    assert all(len(found) == 1 for found in instruments.values())


def test_compose_depends_on_its_seed_alone(pieces):
    np.random.seed(1)
    assert compose() == pieces
    assert compose(seed=1) != pieces


def test_compose_refuses_a_negative_seed():
    with pytest.raises(ValueError, match="seed"):
        compose(seed=-1)


def test_render_repeats_itself_byte_for_byte_in_another_process(pieces):
    code = (
        "import sys, hashlib; from mer_mlflow.datasets.demo.music import compose, render;"
        "print(hashlib.sha256(render(compose()[7]).tobytes()).hexdigest(),"
        " *{'librosa', 'numba', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(render(pieces[7]).tobytes()).hexdigest()
    assert run.stdout.split() == [here], "other samples, or a heavy library was loaded"
    assert hashlib.sha256(render(pieces[7]).tobytes()).hexdigest() == here


def test_render_follows_the_seed_of_the_piece(pieces):
    piece = pieces[0]
    assert not np.array_equal(render(piece), render(replace(piece, seed=piece.seed + 1)))


@pytest.mark.parametrize("index", range(0, 160, 23))
def test_clip_is_audible_mono_within_full_scale(pieces, index):
    y = render(pieces[index])
    assert y.shape == (round(DEMO_SECONDS * DEMO_SR),)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert 0.02 < np.abs(y).max() <= 1
    seconds = np.abs(y).reshape(10, -1).max(axis=1)
    assert (seconds > 1e-3).all(), "a whole second is silent"


@pytest.mark.parametrize(
    "extreme",
    [
        {"tempo": 56.0, "notes_per_beat": 0.5, "articulation": 1.1, "register": -9},
        {"tempo": 184.0, "notes_per_beat": 4.0, "articulation": 0.25, "register": 15},
        {"drive": 6.0, "loudness": -14.0, "percussion": 1.0, "tilt": -4.0},
        {"drive": 0.0, "loudness": -34.0, "percussion": 0.0, "attack": 0.3, "decay": 0.05},
    ],
)
def test_render_stands_the_edges_of_every_cue(pieces, extreme):
    y = render(replace(pieces[0], **extreme))
    assert np.isfinite(y).all()
    assert 1e-3 < np.abs(y).max() <= 1


def test_loudness_is_the_level_in_db(pieces):
    y = render(replace(pieces[0], loudness=-30.0)).astype(np.float64)
    assert 10 * np.log10(np.mean(y**2)) == pytest.approx(-30, abs=0.5)


@pytest.mark.parametrize("cue", ["tempo", "notes_per_beat", "loudness", "tilt", "percussion"])
def test_cue_rises_with_arousal(pieces, cue):
    assert quadrant_mean(pieces, cue, "Q1", "Q2") > quadrant_mean(pieces, cue, "Q3", "Q4")


def test_cues_lean_with_valence(pieces):
    positive, negative = ("Q1", "Q4"), ("Q2", "Q3")
    for cue in ("drive", "dissonance", "articulation", "reverberation"):
        assert quadrant_mean(pieces, cue, *positive) < quadrant_mean(pieces, cue, *negative), cue
    happy, sad = (
        np.mean([p.mode == "major" for p in pieces if p.quadrant in half])
        for half in (positive, negative)
    )
    assert 0.6 < happy < 1
    assert 0 < sad < 0.4


@pytest.mark.parametrize("cue", ["tempo", "loudness", "tilt", "drive", "percussion", "register"])
def test_no_cue_alone_separates_the_quadrants(pieces, cue):
    spans = [
        (min(values), max(values))
        for values in ([getattr(p, cue) for p in pieces if p.quadrant == q] for q in QUADRANTS)
    ]
    assert max(low for low, _ in spans) < min(high for _, high in spans)


def test_lively_clips_have_more_onsets_than_calm_ones(pieces):
    rates = {
        quadrant: np.mean(
            [crude_onset_rate(render(p)) for p in pieces[:32] if p.quadrant == quadrant]
        )
        for quadrant in ("Q1", "Q4")
    }
    assert rates["Q1"] > 1.3 * rates["Q4"]
