"""Folds in surroundings that are not the project's: none changes a prediction unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CODE = """
import hashlib
import json
import sys
import numpy as np
from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import FoldFailed, FoldFinished, ProcessExecutor
from mer_mlflow.crossval.jobs import Job, Task
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.representations import Examples

N = 40
SMALL = {"svm": {}, "dnn_100": {"epochs": 2, "optimizer": "adam"}, "cnn": {"epochs": 1}}
labels, rng = np.arange(N) % 4, np.random.default_rng(0)
table = rng.normal(size=(N, 100)) + labels[:, None] / 4
mel = (rng.normal(size=(N, 128, 65)) + labels[:, None, None] / 4).astype(np.float32)
clips = Clips(
    name="made",
    ids=tuple(f"c{i:02d}" for i in range(N)),
    quadrants=labels,
    audio=(None,) * N,
    audio_hashes=(None,) * N,
    artists=(None,) * N,
    features={"top100": FeatureTable(names=tuple(f"f{i}" for i in range(100)), values=table)},
)
plan = split_plan(clips, n_splits=2, n_repeats=1)
found = {"splits": plan.digest}
for name, given in SMALL.items():
    method = get_method(name)
    task = Task(
        method=method,
        examples=Examples(
            inputs=(mel if name == "cnn" else table,), positions=np.arange(N), quadrants=labels
        ),
    )
    events = []
    job = Job(split=plan.splits[0], hyperparameters=method.resolve(given))
    ProcessExecutor(workers=1).run(task, [(job,)], on_event=events.append)
    for event in events:
        if isinstance(event, FoldFinished):
            values = event.result.prediction.probabilities
            found[name] = hashlib.sha256(values.tobytes()).hexdigest()
            found[f"{name} arithmetic"] = dict(event.result.arithmetic)
        elif isinstance(event, FoldFailed):
            found[name] = event.reason
for name in ("svm", "dnn_100"):
    found[f"{name} identity"] = resolve_setting(get_method(name), clips, plan).identity
print(json.dumps(found))
"""
FOREIGN = {
    "floatx": "float16",
    "epsilon": 0.1,
    "image_data_format": "channels_first",
    "backend": "torch",
}
WHATEVER = {
    "PYTHONHASHSEED": "4242",
    "LC_ALL": "de_DE.UTF-8",
    "TZ": "Pacific/Kiritimati",
    "OMP_NUM_THREADS": "5",
    "OPENBLAS_NUM_THREADS": "5",
    "MKL_NUM_THREADS": "5",
    "TF_NUM_INTRAOP_THREADS": "5",
    "TF_NUM_INTEROP_THREADS": "5",
    "NUMBA_NUM_THREADS": "1",
    "TF_USE_LEGACY_KERAS": "1",
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "SKLEARN_WORKING_MEMORY": "1",
    "SKLEARN_ASSUME_FINITE": "1",
    "JOBLIB_START_METHOD": "spawn",
}


def outcome(home: Path, **variables: str) -> dict[str, Any]:
    """What a process with these variables, and this home folder, makes of a cross-validation."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KERAS_", "LC_", "PYTHONHASHSEED"))
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**environment, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(tmp_path_factory.mktemp("home"))


def keras_folder(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / "keras.json").write_text(content)
    return folder


@pytest.mark.parametrize(
    "content",
    [json.dumps(FOREIGN), json.dumps({"floatx": "float8", "backend": "none"}), "{", "[]"],
    ids=["foreign", "wrong", "cut off", "no object"],
)
def test_configuration_of_keras_in_the_home_folder_changes_nothing(
    content: str, plain: dict[str, Any], tmp_path: Path
) -> None:
    folder = keras_folder(tmp_path / ".keras", content)
    assert outcome(tmp_path) == plain
    assert (folder / "keras.json").read_text() == content


def test_home_of_keras_and_an_empty_backend_change_nothing(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    folder = keras_folder(tmp_path / "elsewhere", json.dumps(FOREIGN))
    assert outcome(tmp_path, KERAS_HOME=str(folder), KERAS_BACKEND="") == plain


def test_nothing_is_written_into_the_home_folder(tmp_path: Path) -> None:
    outcome(tmp_path)
    assert not (tmp_path / ".keras").exists()


def test_locale_hash_seed_clock_and_threads_change_nothing(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    assert outcome(tmp_path, **WHATEVER) == plain


def test_order_of_additions_is_described_where_a_variable_changes_it(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    other = outcome(tmp_path, TF_ENABLE_ONEDNN_OPTS="0", ONEDNN_MAX_CPU_ISA="SSE41")
    for name in ("svm", "svm arithmetic", "svm identity", "dnn_100 identity", "splits"):
        assert other[name] == plain[name]
    for name in ("dnn_100", "cnn"):
        assert other[f"{name} arithmetic"]["onednn"] == "off (SSE41)"
    assert plain["cnn arithmetic"]["onednn"] != "off (SSE41)"
    assert plain["cnn arithmetic"]["keras"] == "float32 channels_last 1e-07 float32"
