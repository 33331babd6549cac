import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mer_mlflow.datasets import Clips, load_dataset

REPOSITORY = Path(__file__).parent.parent

# a network that is trained in this process computes as in a worker: with one thread, so that the
# same seed gives the same weights. TensorFlow reads them when it is imported
os.environ.update(dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"))


SLOW = (
    "archive",
    "augmentation",
    "commands",
    "crossval/executors",
    "crossval/test_surroundings.py",
    "crossval/test_validation.py",
    "deployment/test_fitting.py",
    "faults",
    "methods",
    "networks",
    "notebooks",
    "platform",
    "reporting/test_figures.py",
    "reporting/test_rendering.py",
    "reporting/test_report.py",
    "test_arithmetic.py",
    "test_imports.py",
    "test_portable.py",
    "tracking/test_database.py",
    "tracking/test_delivery.py",
    "tracking/test_earlier_ids.py",
    "tracking/test_run_tree.py",
    "training",
    "tuning",
)
"""Tests that train, start commands or servers, or repeat an attempt many times."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ``make test-quick`` leaves out."""
    for item in items:
        place = item.path.relative_to(REPOSITORY / "tests")
        if any(place.is_relative_to(each) for each in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory, worker_id):
    """One cache folder for all workers, so that the demo dataset is made once."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "cache"
    root = Path(os.environ.get("MER_TEST_CACHE") or shared)
    root.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_CACHE_ROOT", str(root))
        patch.setenv("MER_JOURNAL_ROOT", str(tmp_path_factory.mktemp("journals")))
        patch.delenv("MER_DATA_ROOT", raising=False)
        patch.delenv("MER_WEIGHTS_ROOT", raising=False)
        yield Path(root)


@pytest.fixture(scope="session")
def demo(cache) -> Clips:
    return load_dataset("demo")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder that holds ``4qaed-200`` and ``4qaed-features``."""
    root = Path(os.environ.get("MER_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (root / "4qaed-200").is_dir() or not (root / "4qaed-features").is_dir():
        pytest.skip(f"no 4qaed-200 and 4qaed-features in {root}; MER_TEST_DATA says where they are")
    return root


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Folder that holds published weights of pretrained networks."""
    root = Path(os.environ.get("MER_TEST_WEIGHTS") or REPOSITORY.parent / "shared" / "weights")
    if not root.is_dir():
        pytest.skip(f"no pretrained weights in {root}; MER_TEST_WEIGHTS says where they are")
    return root


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    code = "from mlflow import MlflowClient; MlflowClient().search_experiments()"
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, check=True, capture_output=True
    )
    return folder / "mlflow.db"


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with a fresh store, which this process and its children track to."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return tmp_path
