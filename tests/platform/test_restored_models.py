"""A registered model after a restore: it predicts as before the backup."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mer_mlflow.datasets import Clips

pytestmark = pytest.mark.platform

ROOT = Path(__file__).parents[2]
MODEL = "models:/mer-svm@candidate"
FIT = (
    "fit",
    "--method=svm",
    "--dataset=demo",
    "--duration=2",
    "--workers=0",
    "--folds=3",
    "--register",
)


@pytest.fixture
def call(platform: Any, tmp_path: Path) -> Callable[..., None]:
    """Run a script of server/."""
    environment = platform.docker(tmp_path)

    def run(name: str, *words: str | Path) -> None:
        done = subprocess.run(
            [str(ROOT / "server" / name), *words], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def execute(platform: Any) -> Callable[[str], None]:
    given = platform.superuser("postgres")

    def run(words: str) -> None:
        with psycopg.connect(
            host=given["PGHOST"], user="postgres", password=given["PGPASSWORD"], dbname="mlflow"
        ) as connection:
            connection.execute(words)

    return run


def test_registered_model_is_restored_with_its_files(
    platform: Any, call: Any, execute: Any, demo: Clips, tmp_path: Path
) -> None:
    predict = ("predict", f"--clip={demo.audio_files()[0]}", f"--model={MODEL}", "--format=json")
    fitted = platform.work(*FIT)
    assert fitted.returncode == 0, fitted.stderr
    before = platform.work(*predict)
    assert before.returncode == 0, before.stderr
    call("backup", tmp_path / "backup")

    store = platform.s3()
    keys = [item["Key"] for item in store.list_objects_v2(Bucket="mlflow")["Contents"]]
    lost = [key for key in keys if "/models/m-" in key]
    assert any(key.endswith("/SHA256SUMS") for key in lost)
    for key in lost:
        store.delete_object(Bucket="mlflow", Key=key)
    for table in ("registered_model_aliases", "model_version_tags", "model_versions"):
        execute(f"DELETE FROM {table}")
    execute("UPDATE logged_models SET lifecycle_stage = 'deleted'")
    missing = platform.work(*predict)
    assert missing.returncode == 2 and "cannot be loaded" in missing.stderr

    call("restore", tmp_path / "backup", "--replace")
    after = platform.work(*predict)
    assert after.returncode == 0, after.stderr
    assert json.loads(after.stdout) == json.loads(before.stdout)
