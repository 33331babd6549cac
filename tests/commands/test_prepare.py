"""prepare: finds what is wrong with a dataset, and fills the store where nothing is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow.commands.prepare import prepare
from mer_mlflow.datasets import Clips
from mer_mlflow.representations import open_store
from mer_mlflow.tracking.environment import process_tags

SECONDS, SR = 1.5, 16_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for quadrant in ("Q1", "Q2", "Q3", "Q4"):
        (tmp_path / "songs" / quadrant).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "songs" / quadrant / f"{quadrant}-{number}.wav"
            soundfile.write(path, 0.1 * rng.normal(size=round(SECONDS * SR)), SR)
    return tmp_path / "songs"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: " ".join(capsys.readouterr().out.split())


def test_sound_dataset_fills_the_store(
    folder: Path, store: Path, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(store / "cache"))
    assert prepare(dataset="folder", data_root=str(folder), duration=1.0) == 0
    text = said()
    assert "8 of 8 files can be decoded" in text
    assert "16000 Hz (8)" in text
    representations = list(open_store().root.iterdir())
    kinds = {"mel", "chunks", "handcrafted"}
    assert {path.name.split("-")[0] for path in representations} == kinds
    assert sum("pitch-shift" in path.name for path in representations) == 1
    assert all(len(list(path.glob("*/*.npy"))) == 8 for path in representations)
    (run,) = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'prepare'")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["n_clips"] == 8


def test_one_method_gets_only_what_it_needs(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(store / "cache"))
    assert prepare(method="cnn_tfm", dataset="folder", data_root=str(folder), duration=1.0) == 0
    kinds = sorted(path.name.split("-")[0] for path in open_store().root.iterdir())
    assert kinds == ["mel", "mel"]


def test_everything_that_is_wrong_is_named(
    folder: Path, store: Path, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(store / "cache"))
    (folder / "Q1" / "torn.mp3").write_bytes(b"not music at all")
    (folder / "Q2" / "hollow.wav").write_bytes(b"")
    soundfile.write(folder / "Q3" / "hushed.wav", np.zeros(SR), SR)
    soundfile.write(folder / "Q4" / "blink.wav", np.full(800, 0.5), SR)
    (folder / "Q4" / "twin.wav").write_bytes((folder / "Q4" / "Q4-0.wav").read_bytes())
    assert prepare(dataset="folder", data_root=str(folder), duration=1.0) == 2
    text = said()
    assert "11 of 13 files can be decoded" in text
    for name in ("torn.mp3", "hollow.wav", "hushed", "blink", "Q4-0, twin"):
        assert name in text, name
    assert not list((store / "cache").glob("**/*.npy"))
    (run,) = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'prepare'")
    assert run.info.status == "FAILED"
    assert run.data.metrics["n_errors"] == 2


def test_run_that_was_made_for_the_command_names_its_process_from_the_start(
    store: Path, demo: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    given = str(client.create_run("0").info.run_id)
    dead = {**process_tags(), "mer.kind": "prepare", "mer.process.pid": "999999999"}
    left = str(client.create_run("0", tags=dead).info.run_id)
    seen: list[dict[str, str]] = []

    def look(*arguments: object) -> int:
        seen.append(client.get_run(given).data.tags)
        return 0

    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    monkeypatch.setattr("mer_mlflow.commands.prepare._fill", lambda *arguments, **more: look())
    assert prepare(dataset="demo", duration=2.0) == 0
    assert (seen[0]["mer.kind"], seen[0]["mer.process.pid"]) == ("prepare", str(os.getpid()))
    assert client.get_run(given).info.status == "FINISHED"
    assert client.get_run(left).info.status == "KILLED"
