from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mer_mlflow.representations.inspection import inspect_audio


@pytest.fixture
def clips(tmp_path, write_audio, clips_of):
    faint = 1e-4 * np.random.default_rng(0).normal(size=16_000)
    soundfile.write(tmp_path / "faint.wav", faint, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", np.zeros((32_000, 2)), 16_000)
    (tmp_path / "broken.mp3").write_bytes(b"no audio")
    (tmp_path / "empty.ogg").touch()
    return clips_of(
        write_audio(tmp_path / "long.wav", seconds=4.0),
        write_audio(tmp_path / "short.flac", seconds=0.5, sr=22_050),
        *(tmp_path / name for name in ("broken.mp3", "empty.ogg", "faint.wav", "silent.wav")),
    )


def test_broken_files_are_named(clips):
    broken = inspect_audio(clips).broken
    assert [line.split(": ")[0].split("/")[-1] for line in broken] == ["broken.mp3", "empty.ogg"]


def test_silent_clips_are_named(clips):
    assert inspect_audio(clips).silent == ("faint", "silent")


def test_short_clips_are_named_shortest_first(clips):
    inspection = inspect_audio(clips)
    assert inspection.seconds == {"long": 4.0, "short": 0.5, "faint": 1.0, "silent": 2.0}
    assert inspection.shorter_than(2.0) == ("short", "faint")


def test_formats_are_counted(clips):
    inspection = inspect_audio(clips)
    assert inspection.sample_rates == {16_000: 3, 22_050: 1}
    assert inspection.channels == {1: 3, 2: 1}


def test_progress_counts_every_file(clips):
    seen = []
    inspect_audio(clips, on_progress=lambda *counts: seen.append(counts))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_clips_without_a_file_are_passed_over(clips):
    nothing = replace(clips, audio=(None,) * 6)
    assert inspect_audio(nothing).seconds == {}


def test_cut_file_without_an_announced_length_shows_by_its_length(tmp_path, write_audio, clips_of):
    """An ogg or a headerless mp3 does not say how long it was; only its length shows it."""
    cut = write_audio(tmp_path / "cut.ogg", seconds=4.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    whole = write_audio(tmp_path / "whole.ogg", seconds=4.0)
    inspection = inspect_audio(clips_of(cut, whole))
    assert inspection.shorter_than(3.9) == ("cut",)


def test_cut_real_mp3_shows_by_its_length(real_data, tmp_path, clips_of):
    song = next((real_data / "4qaed-200").glob("*/Q1/*.mp3"))
    content = song.read_bytes()
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(content[: len(content) // 2 + 100])
    inspection = inspect_audio(clips_of(cut))
    assert inspection.shorter_than(29.0) == ("cut",)
    assert inspection.seconds["cut"] == pytest.approx(15.0, abs=0.2)
