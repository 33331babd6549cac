"""Answers of listeners: the dataset "folder" reads them, and nothing is half-written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from mer_mlflow.datasets import load_dataset
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.page.heard import Heard, add_clip, add_song, check_table

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def heard(quadrant: str) -> Heard:
    return Heard(quadrant=quadrant, time=NOW, model="models:/mer-svm@candidate", predicted="Q1")


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Three audio files with different contents in a folder of their own."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    paths = [folder / name for name in ("=a, b.wav", "a.wav", "c.wav")]
    for seed, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(seed).normal(scale=0.1, size=800), 8000)
    return paths


def test_folder_dataset_reads_answers_about_songs_and_clips(
    songs: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "answers" / "heard.csv"
    table.parent.mkdir()
    copies = [add_song(table, songs[0], heard("Q3")), add_song(table, songs[1], heard("Q2"))]
    add_clip(table, songs[2], heard("Q4"))
    for song in songs[:2]:
        song.unlink()  # uploads are temporary
    clips = load_dataset("folder", table, on_warning=print)
    quadrants = dict(zip(clips.audio, clips.quadrants, strict=True))
    assert quadrants == {copies[0]: 2, copies[1]: 1, songs[2]: 3}
    first = pd.read_csv(table).iloc[0]
    assert first["time"] == "2026-01-02T03:04:05+00:00"
    assert (first["model"], first["predicted"]) == ("models:/mer-svm@candidate", "Q1")


def test_later_answer_replaces_the_earlier_one(songs: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "heard.csv"
    for quadrant in ("Q3", "Q4"):
        add_song(table, songs[0], heard(quadrant))
        add_clip(table, songs[2], heard(quadrant))
    assert list(pd.read_csv(table)["quadrant"]) == ["Q4", "Q4"]
    assert load_dataset("folder", table, on_warning=print).counts["Q4"] == 2


@pytest.mark.parametrize("content", ["path,quadrant\na.wav,Q1\n", "", "a\n1,2,3\n"])
def test_other_file_is_not_changed(content: str, songs: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "heard.csv"
    table.write_text(content)
    with pytest.raises(DatasetError, match="name another"):
        add_song(table, songs[0], heard("Q1"))
    with pytest.raises(DatasetError, match="name another"):
        check_table(table)
    assert table.read_text() == content
    assert not table.with_suffix("").exists()


def test_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="nowhere"):
        check_table(tmp_path / "nowhere" / "heard.csv")
