"""The console script: commands, help, completion, and hyperparameters by their own names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from mlflow import MlflowClient

from mer_mlflow import __version__
from mer_mlflow.commands.catalogue import COMMANDS
from mer_mlflow.commands.main import dispatch
from mer_mlflow.commands.parameters import METHOD, TRAIN, experiment_values
from mer_mlflow.datasets import dataset_names
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import Experiment
from mer_mlflow.methods import get_method, method_names


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert dispatch(arguments) == 0
    return capsys.readouterr().out


def requested(*arguments: str) -> Experiment:
    return Experiment(**experiment_values((*METHOD, *TRAIN), arguments))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_overview_names_every_command(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, *arguments)
    assert all(f" {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_names_every_parameter(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, name, "--help")
    assert all(f"--{parameter.name} " in text for parameter in COMMANDS[name].parameters)


def test_help_has_choices_defaults_and_the_methods_hyperparameters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "train", "--method", "crnn", "--nested", "--help")
    assert "--profile {paper,quick}" in text
    assert "(default: 0)" in text
    assert all(f"--{name} " in text for name in get_method("crnn").defaults)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("given", "named"),
    [("bright-fox-123", "train: refused parameters"), ("my run", "my run")],
)
def test_run_of_refused_parameters_is_named(
    monkeypatch: pytest.MonkeyPatch, given: str, named: str
) -> None:
    client = MlflowClient()
    run_id = client.create_run("0", run_name=given).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with pytest.raises(ParameterError, match="methode=svm: unknown parameter"):
        dispatch(["train", "--methode=svm"])
    assert client.get_run(run_id).info.run_name == named


def test_refusal_does_not_depend_on_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ParameterError, match="methode=svm"):
        dispatch(["train", "--methode=svm"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"mer_mlflow {__version__}\n"


def test_catalogues_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    methods = printed(capsys, "methods")
    assert all(f" {name} " in methods for name in method_names())
    datasets = printed(capsys, "datasets")
    assert all(f" {name} " in datasets for name in dataset_names())


@pytest.mark.parametrize("form", [("--print-completion=bash",), ("--print-completion", "bash")])
def test_shell_completes_commands_and_parameters(
    form: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    script = printed(capsys, *form)
    check = (
        f"{script}\nCOMP_WORDS=(mer train --met); COMP_CWORD=2; _shtab_mer; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(["bash", "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--method"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "trian: unknown command; did you mean train?"),
        (["zzz"], "zzz: unknown command; commands are train, search"),
        (["--print-completion=fish"], "--print-completion=fish: must be one of bash, zsh, tcsh"),
        (["methods", "--all"], "all: has no value"),
        (["train", "--method=cnn", "--bach_size=3"], "bach_size=3: unknown parameter; did you"),
        (["train", "--method=svm", "--batch_size=3"], "batch_size=3: unknown parameter"),
        (["train", "--C=-1"], "C=-1: must be > 0"),
        (["train", "--method=cnn", "--method=svm"], "method is given twice: cnn and svm"),
        (["train", "--C=1", "--hyperparameters=C=2"], "C is given twice"),
        (["train", "--C=1", "--hyperparameters=best"], "hyperparameters=best and C=1.0: give one"),
    ],
)
def test_mistakes_are_one_clear_line(arguments: list[str], words: str) -> None:
    with pytest.raises(ParameterError) as error:
        dispatch(arguments)
    assert words in str(error.value)


def test_hyperparameters_may_be_given_by_their_own_names() -> None:
    given = requested("--method", "cnn", "--batch-size", "16", "--hyperparameters=epochs=3")
    assert given.hyperparameters == {"epochs": "3", "batch_size": 16}
    assert requested("--method=cnn").hyperparameters is None
    switched = requested("--nested", "--method", "cnn", "--batch_size", "16")
    assert (switched.nested, switched.hyperparameters) == (True, {"batch_size": 16})


def test_wrong_command_ends_with_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mer_mlflow", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: trian: unknown command; did you mean train?\n"
