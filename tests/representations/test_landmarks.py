"""Landmarks find a recording that was re-encoded and shifted, and no other."""

import numpy as np
import pytest
import soundfile

from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.representations.landmarks import FEWEST, Landmarks, common_landmarks

N_CLIPS, SHIFT_SECONDS = 10, 2
LANDMARKS = Landmarks(duration=10.0)


@pytest.fixture(scope="module")
def clips(demo):
    return [decode(path) for path in demo.audio_files()[:N_CLIPS]]


@pytest.fixture(scope="module")
def landmarks(clips):
    return np.stack([LANDMARKS.compute(audio) for audio in clips])


@pytest.fixture(scope="module")
def copies(clips, tmp_path_factory):
    """Landmarks of the clips as MP3, without their first seconds."""
    folder = tmp_path_factory.mktemp("copies")
    found = []
    for i, audio in enumerate(clips):
        path = folder / f"{i}.mp3"
        later = audio.samples[SHIFT_SECONDS * audio.sr :]
        soundfile.write(path, later, audio.sr, format="MP3", compression_level=0.7)
        found.append(LANDMARKS.compute(decode(path)))
    return np.stack(found)


def test_shape_and_order_are_as_declared(landmarks):
    assert landmarks.shape[1:] == LANDMARKS.shape
    assert landmarks.dtype == LANDMARKS.dtype
    hashes, frames = landmarks[0]
    n_used = int((hashes > 0).sum())
    assert 20 < n_used < LANDMARKS.shape[1]
    assert not hashes[n_used:].any()
    assert hashes.max() < 2**24
    assert frames.max() <= 10.0 * 8000 / 256


def test_copy_has_landmarks_in_common_and_other_clips_have_none(landmarks, copies):
    shares = common_landmarks(landmarks, copies)
    own = [shares.get((i, i), 0.0) for i in range(N_CLIPS)]
    others = [share for (i, k), share in shares.items() if i != k]
    assert min(own) > 0.04
    assert max(others, default=0.0) < 0.04


def test_clip_has_all_landmarks_of_itself(landmarks):
    shares = common_landmarks(landmarks[:2], landmarks[:2])
    n_landmarks = (landmarks[:2, 0] > 0).sum(axis=1)
    for i, n in enumerate(n_landmarks):
        assert shares[i, i] >= min(1.0, n / FEWEST)


def test_silence_has_no_landmarks():
    silent = Audio(samples=np.zeros(16_000, dtype=np.float32), sr=16_000, n_channels=1)
    landmarks = LANDMARKS.compute(silent)[np.newaxis]
    assert not landmarks.any()
    assert common_landmarks(landmarks, landmarks) == {}


def test_few_landmarks_are_no_evidence():
    one = np.zeros((1, 2, 50))
    one[0, :, :5] = [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4]]
    assert common_landmarks(one, one)[0, 0] == 5 / FEWEST
