"""Parameters as text: read, or refused in one clear line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import Experiment, parameters
from mer_mlflow.experiments.text import assignments_text, parse, parse_assignments

DECLARED = parameters(Experiment)


def test_empty_values_count_as_not_given() -> None:
    values = parse(DECLARED, ["--method=", "--folds=", "--seed=", "--dataset="])
    assert Experiment(**values) == Experiment()


def test_values_have_their_types() -> None:
    values = parse(DECLARED, ["--folds=5", "--duration=10", "--data_root=-odd name", "--nested=1"])
    assert values["folds"] == 5
    assert values["duration"] == 10.0
    assert values["data_root"] == "-odd name"
    assert values["nested"] is True


def test_values_may_stand_behind_their_names_and_begin_with_a_dash() -> None:
    values = parse(DECLARED, ["--weights", "--odd", "--folds", "5", "--data_root", "-x"])
    assert (values["weights"], values["folds"], values["data_root"]) == ("--odd", 5, "-x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folds=five"], "folds=five: not a number"),
        (["--folds=2.5"], "folds=2.5: not a whole number"),
        (["--folds=1"], "folds=1: must be >= 2"),
        (["--duration=long"], "duration=long: not a number"),
        (["--nested=maybe"], "nested=maybe: must be true or false"),
        (["--protocol=random"], "protocol=random: must be one of paper, grouped, fixed"),
        (["--fold=5"], "fold=5: unknown parameter; did you mean folds?"),
        (["--methode", "cnn"], "methode=cnn: unknown parameter; did you mean method?"),
        (["--zzz=5"], "zzz=5: unknown parameter; parameters are method, hyperparameters"),
        (["stray"], "stray: not a parameter; write --name=value"),
        (["--nested", "--folds"], "folds: has no value; write --folds=VALUE"),
    ],
)
def test_bad_command_lines_are_named(arguments: list[str], words: str) -> None:
    with pytest.raises(ParameterError) as error:
        parse(DECLARED, arguments)
    assert words in str(error.value)


def test_the_last_value_counts() -> None:
    assert parse(DECLARED, ["--folds=5", "--folds=10"])["folds"] == 10


def test_switches_need_no_value_and_names_may_have_hyphens() -> None:
    values = parse(DECLARED, ["--nested", "--data-root", "/music", "--test_curve"])
    assert (values["nested"], values["test_curve"]) == (True, True)
    assert values["data_root"] == "/music"
    assert parse(DECLARED, ["--nested", "false"])["nested"] is False


def test_hyperparameters_are_pairs_or_the_winner_of_a_search() -> None:
    assert parse_assignments(None) == {}
    assert parse_assignments(" C = 4 ; gamma=0.1; ") == {"C": "4", "gamma": "0.1"}
    for text in ("best", "best of svm demo grid 1234"):
        assert parse(DECLARED, [f"--hyperparameters={text}"])["hyperparameters"] == text


@pytest.mark.parametrize("text", ["C", "C=", "=4", "C=4;gamma", "bestof x"])
def test_hyperparameters_that_are_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="write name=value"):
        parse(DECLARED, [f"--hyperparameters={text}"])


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.floats(allow_nan=False)))
def test_pairs_are_read_as_they_are_written(values: dict[str, float]) -> None:
    read = parse_assignments(assignments_text(values))
    assert {name: float(value) for name, value in read.items()} == values
