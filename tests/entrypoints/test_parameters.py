"""Command lines: parsed, or refused in one clear line."""

from __future__ import annotations

import pytest

from entrypoints.parameters import METHOD, TRAIN, parse, parse_hyperparameters
from mer_mlflow.errors import ParameterError


def test_empty_values_count_as_not_given() -> None:
    values = parse((*METHOD, *TRAIN), ["--method=", "--folds=", "--seed=", "--dataset="])
    assert values["method"] == "svm"
    assert values["folds"] is None
    assert values["seed"] == 0
    assert values["dataset"] is None


def test_values_have_their_types() -> None:
    values = parse(TRAIN, ["--folds=5", "--duration=10", "--data_root=-odd name"])
    assert values["folds"] == 5
    assert values["duration"] == 10.0
    assert values["data_root"] == "-odd name"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folds=five"], "folds=five: not a number"),
        (["--folds=2.5"], "folds=2.5: not a whole number"),
        (["--duration=long"], "duration=long: not a number"),
        (["--fold=5"], "--fold=5"),
        (["stray"], "stray"),
    ],
)
def test_bad_command_lines_are_named(arguments: list[str], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse(TRAIN, arguments)


def test_hyperparameters_are_pairs() -> None:
    assert parse_hyperparameters(None) == {}
    assert parse_hyperparameters(" C = 4 ; gamma=0.1; ") == {"C": "4", "gamma": "0.1"}


@pytest.mark.parametrize("text", ["C", "C=", "=4", "C=4;gamma"])
def test_hyperparameters_that_are_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="write name=value"):
        parse_hyperparameters(text)
