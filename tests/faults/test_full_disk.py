"""Full disks, really full: one line says which, nothing is half-written, and room is enough to
go on."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow.datasets import Clips
from mer_mlflow.representations import Handcrafted
from mer_mlflow.representations.store import TEMPORARY_PREFIX, _fault

TRAIN = ("train", "--dataset=demo", "--folds=5", "--repeats=2", "--duration=2")
N_CLIPS, SR = 32, 22_050

pytestmark = pytest.mark.usefixtures("store")


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount(folder, "size=96k")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def work(start: Callable[..., Any]) -> Callable[..., Any]:
    """Function that runs a command to its end."""
    return lambda *arguments, **environment: start(*arguments, environment=environment).done()


def assert_one_line(done: Any, *words: str) -> None:
    assert done.returncode == 2, done.stderr[-3000:]
    assert len(done.stderr.splitlines()) == 1, done.stderr[-3000:]
    assert all(each in done.stderr for each in ("error: ", *words)), done.stderr


def statuses(tag: str) -> Counter[str]:
    runs = MlflowClient().search_runs(["0"], f"tags.`mer.kind` = '{tag}'", max_results=1000)
    return Counter(run.data.tags.get("mer.status", run.info.status) for run in runs)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Folder of short clips, more than a small disk has room for the features of."""
    for i in range(N_CLIPS):
        path = tmp_path / "songs" / f"Q{1 + i % 4}" / f"{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).normal(size=SR // 2), SR)
    return tmp_path / "songs"


def test_store_on_a_full_disk(small_disk: Path, songs: Path, work: Callable[..., Any]) -> None:
    short = ("--folds=2", "--repeats=1", "--duration=0.5", "--workers=0")
    command = ("train", "--method=svm", "--dataset=folder", f"--data_root={songs}", *short)
    done = work(*command, MER_CACHE_ROOT=str(small_disk))
    assert_one_line(done, str(small_disk), "No space left on device", "free disk space")
    entries = list((small_disk / "store").rglob("*.npy"))
    features = Handcrafted(duration=0.5)
    assert 0 < len(entries) < N_CLIPS
    assert [_fault(path, features) for path in entries] == [None] * len(entries)
    assert not list((small_disk / "store").rglob(f"{TEMPORARY_PREFIX}*"))
    mount(small_disk, "remount", "size=400m")
    assert work(*command, MER_CACHE_ROOT=str(small_disk)).returncode == 0
    assert len(list((small_disk / "store").rglob("*.npy"))) == N_CLIPS


def test_journal_on_a_full_disk(small_disk: Path, demo: Clips, work: Callable[..., Any]) -> None:
    done = work(*TRAIN, "--workers=1", MER_JOURNAL_ROOT=str(small_disk))
    assert_one_line(done, f"journal {small_disk}", "full", "free disk space there")
    assert statuses("cross-validation") == {"failed": 1}
    before = statuses("fold")["FINISHED"]
    assert before < 10
    mount(small_disk, "remount", "size=40m")
    done = work(*TRAIN, "--workers=1", MER_JOURNAL_ROOT=str(small_disk))
    assert done.returncode == 0, done.stderr
    assert statuses("fold")["FINISHED"] == 10
    assert statuses("fold")["RUNNING"] == 0
    assert statuses("cross-validation") == {"superseded": 1, "complete": 1}


def test_tracking_store_on_a_full_disk(
    small_disk: Path, store: Path, demo: Clips, tmp_path: Path, work: Callable[..., Any]
) -> None:
    mount(small_disk, "remount", "size=1100k")
    (small_disk / "mlflow.db").write_bytes((store / "mlflow.db").read_bytes())
    given = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{small_disk / 'mlflow.db'}",
        "MER_JOURNAL_ROOT": str(tmp_path / "journals"),
        "MER_TRACKING_PATIENCE": "2",
    }
    done = work(*TRAIN, "--workers=0", **given)
    assert done.returncode in (2, 3), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr[-3000:]
    assert "disk is full" in done.stderr
    mount(small_disk, "remount", "size=40m")
    done = work(*TRAIN, "--workers=0", **given)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "journals").glob("*.journal")) == []
    client = MlflowClient(given["MLFLOW_TRACKING_URI"])
    folds = client.search_runs(["0"], "tags.`mer.kind` = 'fold' and status = 'FINISHED'")
    assert len(folds) == len({run.data.tags["mer.split"] for run in folds}) == 10
    assert len(client.search_runs(["0"], "tags.`mer.status` = 'complete'")) == 1
