from collections import Counter

import numpy as np
import pytest
import soundfile

from mer_mlflow.datasets import QUADRANTS, load_dataset
from mer_mlflow.datasets import demo as demo_module
from mer_mlflow.datasets.demo.music import compose
from mer_mlflow.datasets.quadrant_folders import content_hashes

FOLDER = f"demo-{demo_module.VERSION}"


def test_demo_is_balanced_with_audio_and_artists(demo):
    assert demo.counts == dict.fromkeys(QUADRANTS, 40)
    assert len(demo.audio_files()) == 160
    assert len(set(demo.audio_hashes)) == 160
    assert demo.features == {}
    assert None not in demo.artists
    assert max(Counter(demo.artists).values()) > 1


def test_demo_clips_last_ten_seconds(demo):
    info = soundfile.info(demo.audio_files()[0])
    assert (info.duration, info.channels) == (10.0, 1)


def test_demo_is_made_once(demo, cache, capsys):
    before = {path: path.stat().st_mtime_ns for path in (cache / FOLDER).rglob("*")}
    assert load_dataset("demo").digest == demo.digest
    assert {path: path.stat().st_mtime_ns for path in (cache / FOLDER).rglob("*")} == before
    assert capsys.readouterr().out == ""


def test_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(piece):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_module, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_module.build_demo(tmp_path / FOLDER, compose())
    assert list(tmp_path.iterdir()) == []


def test_unseen_songs_are_one_of_each_quadrant_and_not_in_the_dataset(demo):
    files = sorted(demo_module.unseen_songs().rglob("*.flac"))
    assert [f"{file.parent.name}/{file.stem}" for file in files] == [
        f"{quadrant}/unseen-{quadrant}" for quadrant in QUADRANTS
    ]
    assert not set(content_hashes(files)) & set(demo.audio_hashes)


def test_shifted_demo_is_slower_darker_and_quieter_than_its_pieces(tmp_path):
    (piece,) = compose(seed=2)[:1]
    moved = demo_module.shifted(piece)
    assert moved.tempo < piece.tempo
    assert moved.tilt < piece.tilt
    assert moved.loudness == piece.loudness + demo_module.SHIFT.loudness
    assert moved.artist != piece.artist


def test_coded_samples_have_half_the_rate_and_few_values():
    samples = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32)
    coded, sr = demo_module.coded(samples)
    assert (sr, len(coded)) == (11_025, 11_025)
    assert len(np.unique(np.round(coded, 9))) <= demo_module.SHIFT.levels
    np.testing.assert_allclose(coded, samples[::2], atol=0.05)


def test_shifted_demo_shares_no_clip_with_the_demo(demo, cache):
    clips = load_dataset("demo-shifted")
    assert clips.counts == dict.fromkeys(QUADRANTS, 20)
    assert not set(clips.ids) & set(demo.ids)
    assert not set(clips.artists) & set(demo.artists)
    assert not set(clips.audio_hashes) & set(demo.audio_hashes)
