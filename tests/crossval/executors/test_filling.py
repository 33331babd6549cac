"""Representations on a Dask cluster: the entries of one machine, whatever workers lack."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mer_mlflow.arithmetic import describe
from mer_mlflow.crossval.executors import filling, remote
from mer_mlflow.crossval.executors.filling import entries_fault, fill_on_cluster
from mer_mlflow.datasets import Clips
from mer_mlflow.datasets.quadrant_folders import content_hashes
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.representations import Mel, Store, Waveform
from mer_mlflow.representations.store import open_store

KINDS = (Mel(duration=1.0, n_mels=32), Waveform(duration=1.0))
N_CLIPS, SR = 5, 16_000


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    root = tmp_path / "data"
    files = tuple(root / "Q1" / f"c{i}.wav" for i in range(N_CLIPS))
    files[0].parent.mkdir(parents=True)
    for i, file in enumerate(files):
        tone = np.sin(np.arange(2 * SR) * 2 * np.pi * (300 + 40 * i) / SR)
        soundfile.write(file, 0.3 * tone, SR)
    return Clips(
        name="made",
        ids=tuple(file.stem for file in files),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=files,
        audio_hashes=content_hashes(files),
        artists=(None,) * N_CLIPS,
    )


def entries(store: Store, clips: Clips) -> dict[str, bytes]:
    paths = (store.path(kind, str(content)) for kind in KINDS for content in clips.audio_hashes)
    return {str(path.relative_to(store.root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("has_data", [False, True], ids=["without data", "with a data root"])
def test_entries_are_those_of_one_machine(
    has_data: bool,
    clips: Clips,
    tmp_path: Path,
    small_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []
    send = filling._Filling._submit_again
    monkeypatch.setattr(
        filling._Filling,
        "_submit_again",
        lambda self, i, *others: sent.append(i) or send(self, i, *others),
    )
    elsewhere = tmp_path / "elsewhere"
    if has_data:
        shutil.copytree(tmp_path / "data", elsewhere)
    small_cluster.start_worker(**({"MER_DATA_ROOT": str(elsewhere)} if has_data else {}))
    small_cluster.wait(1)
    expected = open_store(tmp_path / "expected")
    expected.fill_all(clips, KINDS)
    store = open_store(tmp_path / "store")
    shown: list[tuple[int, int]] = []

    def fill() -> int:
        return fill_on_cluster(
            small_cluster.address,
            clips,
            KINDS,
            store=store,
            root=tmp_path / "data",
            on_progress=lambda done, total: shown.append((done, total)),
        )

    assert fill() == len(KINDS) * N_CLIPS
    assert entries(store, clips) == entries(expected, clips)
    assert shown == [(i, N_CLIPS) for i in range(1, N_CLIPS + 1)]
    assert sorted(sent) == ([] if has_data else list(range(N_CLIPS)))
    assert fill() == 0
    shutil.rmtree(store.root)
    shutil.rmtree(tmp_path / "data")  # the worker has the entries by now
    shutil.rmtree(elsewhere, ignore_errors=True)
    assert fill() == len(KINDS) * N_CLIPS
    assert entries(store, clips) == entries(expected, clips)


def test_clip_that_cannot_be_decoded_is_left_to_this_machine(
    clips: Clips, tmp_path: Path, small_cluster: Any
) -> None:
    files = clips.audio_files()
    files[2].write_bytes(b"no sound" * 100)
    broken = replace(clips, audio_hashes=content_hashes(files))
    small_cluster.start_worker()
    small_cluster.wait(1)
    store = open_store(tmp_path / "store")
    n_new = fill_on_cluster(small_cluster.address, broken, KINDS, store=store)
    assert n_new == len(KINDS) * (N_CLIPS - 1)
    with pytest.raises(AudioError, match=r"c2\.wav"):
        store.fill_all(broken, KINDS)


def test_cluster_without_usable_workers_leaves_all_to_this_machine(
    clips: Clips,
    tmp_path: Path,
    small_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    version = remote.metadata.version
    monkeypatch.setattr(
        remote.metadata, "version", lambda name: "0.0" if name == "librosa" else version(name)
    )
    small_cluster.start_worker()
    small_cluster.wait(1)
    store = open_store(tmp_path / "store")
    assert fill_on_cluster(small_cluster.address, clips, KINDS, store=store) == 0
    said = capsys.readouterr().out
    assert re.search(r"is not used: librosa [\d.]+, not 0.0", said)
    assert "this machine computes the rest" in said


@pytest.mark.parametrize("killed", ["scheduler", "worker"])
def test_what_is_lost_is_left_to_this_machine(
    killed: str,
    clips: Clips,
    tmp_path: Path,
    small_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(filling, "NO_WORKERS_SECONDS", 10.0)
    monkeypatch.setattr(filling, "RESULT_SECONDS", 2.0)
    worker = small_cluster.start_worker()
    small_cluster.wait(1)
    process = small_cluster.scheduler if killed == "scheduler" else worker
    store = open_store(tmp_path / "store")
    n_new = fill_on_cluster(
        small_cluster.address,
        clips,
        KINDS,
        store=store,
        on_progress=lambda done, total: process.kill(),
    )
    assert 0 < n_new < len(KINDS) * N_CLIPS
    assert "this machine computes the rest" in capsys.readouterr().out


def test_worker_that_comes_later_is_used(clips: Clips, tmp_path: Path, small_cluster: Any) -> None:
    timer = threading.Timer(2.0, small_cluster.start_worker)
    timer.start()
    store = open_store(tmp_path / "store")
    assert fill_on_cluster(small_cluster.address, clips, KINDS, store=store) == 2 * N_CLIPS
    timer.join()


def test_scheduler_that_does_not_answer_is_named(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no scheduler answers"):
        fill_on_cluster("dask://127.0.0.1:9", clips, KINDS, store=open_store(tmp_path / "store"))


def test_worker_with_another_arithmetic_is_not_used() -> None:
    facts = describe("scikit-learn")
    versions = remote.installed_versions(filling.LIBRARIES)
    assert "soxr" in versions
    assert entries_fault(versions, [("scikit-learn", facts)], "native") is None
    other = {**facts, "numpy": "another"}
    assert "numpy" in str(entries_fault(versions, [("scikit-learn", other)], "native"))
