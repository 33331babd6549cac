"""MLproject follows from the declarations, and its environments share one list of pins."""

from __future__ import annotations

from pathlib import Path

import yaml

from mer_mlflow import get_method
from mer_mlflow.commands.mlproject import mlproject
from mer_mlflow.commands.parameters import METHOD, SEARCH, TRAIN
from mer_mlflow.methods import method_names

ROOT = Path(__file__).parents[2]


def test_committed_file_is_up_to_date() -> None:
    message = "MLproject is stale: run `make mlproject` and commit it"
    assert (ROOT / "MLproject").read_text() == mlproject(), message


def test_every_entry_point_runs_without_parameters() -> None:
    entries = yaml.safe_load(mlproject())["entry_points"]
    own = {"train", "search", "study", "prepare", "augment", "weights", "report"}
    own |= {"export", "fit", "import", "predict", "sync", "transfer"}
    assert own | set(method_names()) == set(entries)
    for entry in entries.values():
        for name, parameter in entry.get("parameters", {}).items():
            assert parameter["default"] != ""
            assert f"--{name}={{{name}}}" in entry["command"]


def test_hyperparameters_are_listed_but_not_declared_because_mlflow_would_record_them() -> None:
    text = mlproject()
    entries = yaml.safe_load(text)["entry_points"]
    for method in method_names():
        assert entries[method].keys() == {"command"}
        _, _, own = text.partition(f"--method={method}\n")
        for name, default in get_method(method).defaults.items():
            line, _, own = own.partition("\n")
            assert line == f"    # -P {name}={default}"


def test_no_hyperparameter_has_the_name_of_another_parameter() -> None:
    own = {parameter.name for parameter in (*METHOD, *TRAIN, *SEARCH)}
    for method in method_names():
        assert not own & get_method(method).defaults.keys()


def test_environments_share_the_pinned_requirements() -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    python_env = yaml.safe_load((ROOT / "python_env.yaml").read_text())
    assert {"pip": ["-r requirements.txt"]} in conda["dependencies"]
    assert python_env["dependencies"] == ["-r requirements.txt"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))
