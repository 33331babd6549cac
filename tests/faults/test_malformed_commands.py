"""Commands as users type them, with something wrong in each: one line, code 2, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.parameters import PREPARE, STUDY, WEIGHTS
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments.text import parse

ROOT = Path(__file__).parents[2]
LONG = "a" * 5000
IN_PROCESS = {
    **{
        name: import_module(f"mer_mlflow.commands.{name}").main
        for name in ("train", "search", "report")
    },
    "augment": import_module("mer_mlflow.commands.augment").main,
    "prepare": lambda given: import_module("mer_mlflow.commands.prepare").prepare(
        **parse(PREPARE, given)
    ),
    "study": lambda given: import_module("mer_mlflow.commands.study").study(**parse(STUDY, given)),
    "weights": lambda given: import_module("mer_mlflow.commands.weights").weights(
        **parse(WEIGHTS, given)
    ),
}
COMMANDS = [
    ("train", "--method=a\nb"),
    ("train", "--method=--"),
    ("train", "--method=../svm"),
    ("train", "--dataset=demo\nfolder"),
    ("train", "--folds=1e400"),
    ("train", "--folds=nan"),
    ("train", "--repeats=1e18"),
    ("train", "--seed=4294967296"),
    ("train", "--seed=-1"),
    ("train", "--threads=1e9"),
    ("train", "--duration=nan", "--method=cnn"),
    ("train", "--duration=1e400", "--method=cnn"),
    ("train", "--max_epochs=-0", "--method=cnn"),
    ("train", "--data_root=~nobody-of-this-name"),
    ("train", f"--data_root={LONG}"),
    ("train", "--data_root=broken"),
    ("train", "--dataset=folder", "--data_root=broken.csv"),
    ("train", "--dataset=folder", "--data_root=songs", "--method=cnn", "--folds=2"),
    ("train", "--hyperparameters=C=1e400"),
    ("train", "--hyperparameters=C=nan"),
    ("train", "--hyperparameters=C"),
    ("train", "--augment=tfm,\ntfm", "--method=cnn"),
    ("train", "--probe=echo", "--method=cnn"),
    ("train", "--augment=bg", "--noise_root=broken", "--method=cnn"),
    ("train", "--method=crnn_mtat", f"--weights={LONG}"),
    ("train", "--method=crnn_mtat", "--weights=broken.csv"),
    ("train", "--nested=perhaps"),
    ("train", "--space=C=1,2"),
    ("search", "--space=C=1,inf"),
    ("search", "--space=;"),
    ("search", "--strategy=grid\nneighbour"),
    ("search", "--trials=0", "--strategy=tpe"),
    ("search", "--start=C"),
    ("search", "--prune=median"),
    ("search", "--storage=nonsense"),
    ("search", "--storage=gopher://\nhole"),
    ("prepare", "--dataset=demos"),
    ("prepare", "--data_root=broken"),
    ("prepare", "--data_root=~nobody-of-this-name/x"),
    ("prepare", "--duration=inf", "--dataset=demo"),
    ("report", "--methods=svm,a\nb"),
    ("report", "--datasets=a\u2028b"),
    ("report", "--protocol=loo"),
    ("report", f"--output={LONG}"),
    ("report", "--output=broken.csv"),
    ("report", "--experiment=a\nb"),
    ("augment", "--transform=sb"),
    ("augment", "--transform=echo", "--clip=broken.wav"),
    ("augment", "--transform=sb", "--clip=broken.wav"),
    ("augment", "--transform=sb", "--clip=~nobody-of-this-name/a.wav"),
    ("augment", "--transform=sb", "--clip=broken.wav", "--seed=-1"),
    ("augment", "--transform=sb", "--clip=broken.wav", "--seed=1e300"),
    ("augment", "--transform=bg", "--clip=broken.wav", "--noise_root=songs"),
    ("study", "--plan=broken.yaml"),
    ("study", "--plan=broken.wav"),
    ("study", f"--plan={LONG}"),
    ("study", "--data_root=demo=/"),
    ("study", "--workers=-1"),
    ("weights", "--weights=broken.wav"),
    ("weights", f"--weights={LONG}"),
    ("weights", "--wieghts=here"),
]
TYPED = [
    ("train", "--method=a\nb"),
    ("train", b"--dataset=\xff\xfe"),
    ("search", f"--data_root={LONG}"),
    ("prepare", "--data_root=broken"),
    ("report", b"--methods=\xff"),
    ("augment", "--transform=sb", "--clip=broken.wav"),
    ("study", "--plan=broken.yaml"),
    ("weights", "--weights=~nobody-of-this-name"),
]


def broken_files(folder: Path) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    (folder / "broken.csv").write_text("path,quadrant\nsong.wav,Q5\n")
    (folder / "broken.yaml").write_text("methods: [svm\n")
    for quadrant in ("Q1", "Q2", "Q3", "Q4"):
        for root in ("songs", "broken"):
            (folder / root / quadrant).mkdir(parents=True)
            for i in range(2):
                content = f"RIFF, but {quadrant} {i}".encode()
                (folder / root / quadrant / f"{quadrant}{i}.wav").write_bytes(content)
    (folder / "broken" / "annotations.csv").write_bytes(b"Song,Quadrant\nQ10,Q1\nQ20\n")


def below(*folders: Path) -> set[Path]:
    """All files but a tracking store's, which is looked into instead."""
    return {
        path
        for folder in folders
        for path in folder.rglob("*")
        if not path.name.startswith("mlflow.db")
    }


def is_one_line(said: str) -> bool:
    return said.startswith("error: ") and said.endswith("\n") and len(said.splitlines()) == 1


@pytest.fixture
def nothing_written(
    store: Path, cache: Path, demo: Clips, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    broken_files(store)
    monkeypatch.setenv("MER_CACHE_ROOT", str(cache))
    before = below(store, cache)

    def check() -> None:
        assert below(store, cache) == before
        assert not MlflowClient().search_runs(["0"])

    return check


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words)[:60])
def test_mistake_is_one_line_and_leaves_nothing(
    command: tuple[str, ...],
    nothing_written: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: IN_PROCESS[command[0]](command[1:]))
    assert is_one_line(capfd.readouterr().err)
    assert stop.value.code == 2
    nothing_written()


def test_typed_mistakes_are_one_line_each_and_leave_nothing(
    nothing_written: Callable[[], None], type_each: Callable[..., Any]
) -> None:
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    for command, done in zip(TYPED, type_each(TYPED, environment=strict), strict=True):
        assert is_one_line(done.stderr.decode()), (command, done.stderr)
        assert done.code == 2, command
    nothing_written()


def test_command_is_typed_as_a_module(store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mer_mlflow", "trian"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, is_one_line(done.stderr)) == (2, True), done.stderr
