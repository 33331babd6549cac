"""A study whose items run side by side on a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mer_mlflow.datasets import Clips

ROOT = Path(__file__).parents[3]
PLAN = """
{datasets: [demo], duration: 2, folds: 3, repeats: 2, max_epochs: 2, methods: [svm, dnn_100],
 searches: {svm: {strategy: grid, space: "C=1,8", repeats: 1}}}"""


def start(folder: Path, name: str, *options: str) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "mer_mlflow", "study", f"--plan={folder}/study.yaml", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/{name}.db",
            "MER_OPTUNA_STORAGE": f"sqlite:///{folder}/{name}-optuna.db",
            "MER_JOURNAL_ROOT": str(folder / "journals"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def client(folder: Path, name: str) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/{name}.db")


def predictions(found: MlflowClient) -> dict[str, Any]:
    """Predictions of each methodology's training."""
    condition = "tags.`mer.status` = 'complete' and tags.`mer.kind` = 'cross-validation'"
    runs = found.search_runs(["0"], condition)
    trained = [run for run in runs if "mer.trial" not in run.data.tags]
    return {
        run.data.tags["mer.method"]: pd.read_parquet(
            found.download_artifacts(run.info.run_id, "predictions.parquet")
        )
        for run in trained
    }


def test_independent_items_run_at_once_and_an_interruption_stops_them(
    cluster: Any, demo: Clips, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(PLAN)
    options = (f"--executor={cluster.address}", "--parallel=2")
    study = start(tmp_path, "cluster", *options)
    runs = client(tmp_path, "cluster")
    condition = "status = 'RUNNING' and tags.`mer.kind` = 'cross-validation'"
    at_once: set[str] = set()
    while at_once != {"svm", "dnn_100"}:
        assert study.poll() is None, study.stdout.read()
        time.sleep(0.1)
        with suppress(MlflowException):
            at_once = {run.data.tags["mer.method"] for run in runs.search_runs(["0"], condition)}
    study.send_signal(signal.SIGTERM)
    printed, _ = study.communicate(timeout=120)
    assert study.returncode == 130, printed
    assert not runs.search_runs(["0"], "status = 'RUNNING'")
    end = time.monotonic() + 10
    while cluster.running():
        assert time.monotonic() < end
        time.sleep(0.1)

    study = start(tmp_path, "cluster", *options)
    printed, _ = study.communicate(timeout=300)
    assert study.returncode == 0, printed
    assert "study: 3 done" in printed
    settled = printed.index("\nstudy: search svm demo\n"), printed.index("\nstudy: svm demo\n")
    assert settled[0] < printed.index("  search svm demo | train with it") < settled[1]

    alone = start(tmp_path, "alone", "--workers=1")
    printed, _ = alone.communicate(timeout=300)
    assert alone.returncode == 0, printed
    found, expected = (predictions(client(tmp_path, name)) for name in ("cluster", "alone"))
    assert found.keys() == expected.keys() == {"svm", "dnn_100"}
    for method, table in expected.items():
        assert found[method].equals(table)
    folds = runs.search_runs(
        ["0"], "tags.`mer.kind` = 'fold' and status = 'FINISHED'", max_results=1000
    )
    ran = Counter(
        (run.data.tags["mlflow.parentRunId"], run.data.tags["mer.split"]) for run in folds
    )
    assert set(ran.values()) == {1}
