"""What repetition cannot fix ends a command before any fold is started, and says what to change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import getsource
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.main import dispatch
from mer_mlflow.datasets import QUADRANTS, Clips

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("store")


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it and its workers wrote."""

    code: object
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Function that runs a command in this process."""

    def run(arguments: Sequence[str], *, module: str = "train") -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: dispatch([module, *arguments]))
        return Done(stop.value.code, *capfd.readouterr())

    return run


class Hidden:
    """Finds no package of these names, and lets no other finder look."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def assert_refused(done: Done, words: str) -> None:
    assert done.code == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert "same command again" not in done.stdout + done.stderr
    runs = MlflowClient().search_runs(["0"])
    assert not [run for run in runs if run.data.tags.get("mer.kind") == "fold"]
    assert not [run for run in runs if run.info.status == "RUNNING"]


@pytest.mark.parametrize("module", ["train", "search"])
@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("foo", "KERAS_BACKEND=foo: dnn_100 cannot be trained with it"),
        ("jax", "needs the package jax, which is not installed"),
    ],
)
def test_backend_that_is_not_there(
    module: str, backend: str, words: str, demo: Clips, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    arguments = ["--method=dnn_100", "--folds=2", "--repeats=1", "--max_epochs=1"]
    assert_refused(run(arguments, module=module), words)


@pytest.mark.parametrize(
    ("hidden", "arguments", "words"),
    [
        ("tensorflow", ["--method=dnn_100"], "needs the package tensorflow"),
        ("smote_variants", ["--method=cnn_smote_raw"], "needs the package smote_variants"),
        ("smote_variants", ["--method=cnn_deepsmote"], "needs the package smote_variants"),
        ("audiomentations", ["--method=cnn", "--augment=rg"], "needs the package audiomentations"),
        ("python_stretch", ["--method=cnn_rg"], "needs the package python_stretch"),
    ],
)
def test_package_that_is_missing(
    hidden: str,
    arguments: list[str],
    words: str,
    demo: Clips,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, hidden, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Hidden(hidden), *sys.meta_path])
    arguments = [*arguments, "--folds=2", "--repeats=1", "--max_epochs=1", "--duration=2"]
    assert_refused(run(arguments), words)


def test_command_starts_without_the_packages_of_networks(demo: Clips, tmp_path: Path) -> None:
    names = ("tensorflow", "keras", "torch", "smote_variants", "audiomentations", "python_stretch")
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\n{getsource(Hidden)}\nsys.meta_path.insert(0, Hidden(*{names}))"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mer_mlflow", "train", "--method=dnn_100", "--folds=2"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert_refused(Done(done.returncode, done.stdout, done.stderr), "needs the package keras")


def test_package_that_cannot_be_imported_is_met_in_rehearsal(
    demo: Clips, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken" / "tensorflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libnothing.so: not found')")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    done = run(["--method=dnn_100", "--folds=2", "--repeats=1", "--duration=2", "--workers=1"])
    assert_refused(done, "dnn_100 cannot be trained as requested (ImportError: libnothing.so")
    (parent,) = MlflowClient().search_runs(["0"])
    assert parent.data.tags["mer.status"] == "failed"
    assert parent.info.status == "FAILED"


def make_folder(folder: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for quadrant, n_clips in counts.items():
        (folder / quadrant).mkdir(parents=True)
        for i in range(n_clips):
            samples = rng.normal(size=16_000 * 2) / 10
            soundfile.write(folder / quadrant / f"{quadrant}-{i}.wav", samples, 16_000)
    return folder


@pytest.mark.parametrize(
    ("method", "counts", "words"),
    [
        ("cnn_smote_raw", (8, 4, 8, 8), "Q2 has 2 training clips: oversampling needs 3"),
        ("cnn_deepsmote", (8, 8, 8, 4), "Q4 has 2 training clips: oversampling needs 3"),
        ("cnn_smote_raw", (40, 8, 8, 8), "has 20 of 32 training clips"),
        ("svm", (2, 8, 8, 8), "Q1 has 1 training clips: svm needs 2"),
    ],
)
def test_too_few_clips_to_train(
    method: str, counts: tuple[int, ...], words: str, tmp_path: Path, run: Run
) -> None:
    root = make_folder(tmp_path / "clips", dict(zip(QUADRANTS, counts, strict=True)))
    arguments = [f"--method={method}", "--dataset=folder", f"--data_root={root}", "--folds=2"]
    done = run([*arguments, "--repeats=1", "--max_epochs=1", "--duration=2", "--profile=quick"])
    assert_refused(done, words)
    assert "in fold r01-f01" in done.stderr


def test_nested_choice_with_too_few_clips(tmp_path: Path, run: Run) -> None:
    root = make_folder(tmp_path / "clips", dict.fromkeys(QUADRANTS, 4))
    arguments = ["--method=svm", "--dataset=folder", f"--data_root={root}", "--folds=2"]
    done = run([*arguments, "--repeats=1", "--duration=2", "--nested=true", "--profile=quick"])
    assert_refused(done, "a quadrant has 2 training clips, fewer than the 5 inner folds")


def test_training_that_diverges_says_that_repeating_is_no_use(demo: Clips, run: Run) -> None:
    arguments = ["--method=dnn_100", "--folds=2", "--repeats=1", "--max_epochs=2", "--duration=2"]
    done = run([*arguments, "--hyperparameters=learning_rate=1e30", "--workers=1"])
    assert done.code == 3, done.stderr
    assert "the same command would fail again" in done.stdout
    assert "try a smaller learning_rate" in done.stdout
    assert "same command again" not in done.stdout
