"""Experiments and searches: what their commands are given is what they are."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import TRAIN_ONLY, Experiment, Parameter, Role, Search, parameters
from mer_mlflow.experiments.text import parse

TEXTS = st.from_regex(r"[A-Za-z0-9_/=;-][A-Za-z0-9_/ =;-]{0,9}[A-Za-z0-9]", fullmatch=True)
PAIRS = st.dictionaries(
    st.sampled_from(["C", "gamma", "epochs"]), st.floats(0.5, 9).map(str), min_size=1
)


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    limits = parameter.limits
    if limits.choices:
        return st.sampled_from(limits.choices)
    if parameter.kind is bool:
        return st.booleans()
    low, high = max(limits.low + 1e-3 * limits.exclusive_low, -1e6), min(limits.high, 1e6)
    if parameter.kind is int:
        return st.integers(int(low), int(high))
    if parameter.kind is float:
        return st.floats(low, high)
    return PAIRS if parameter.kind is dict else TEXTS


def instances(declaration: type[Any], **fixed: Any) -> st.SearchStrategy[Any]:
    optional = {each.name: values_of(each) for each in parameters(declaration)}
    return st.fixed_dictionaries({}, optional=optional).map(
        lambda values: declaration(**values, **fixed)
    )


def command_line(arguments: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in arguments.items()]


@given(experiment=instances(Experiment))
def test_command_line_of_an_experiment_reads_as_the_experiment(experiment: Experiment) -> None:
    values = parse(parameters(Experiment), command_line(experiment.arguments()))
    assert Experiment(**values) == experiment


@given(experiment=instances(Experiment))
def test_yaml_of_an_experiment_reads_as_the_experiment(experiment: Experiment) -> None:
    assert Experiment.from_yaml(experiment.to_yaml()) == experiment


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methode: cnn", "methode: unknown parameter; did you mean method?"),
        ("folds: 1", "folds=1: must be >= 2"),
        ("folds: [5, 10]", "folds: must be one value"),
        ("- cnn", "not a mapping"),
        ("a: b: c", "not YAML"),
        ("nested: maybe", "nested=maybe: must be true or false"),
    ],
)
def test_bad_yaml_is_named(text: str, words: str) -> None:
    with pytest.raises(ParameterError) as error:
        Experiment.from_yaml(text)
    assert words in str(error.value)


@given(search=instances(Search, experiment=Experiment(method="cnn", repeats=1)))
def test_command_line_of_a_search_reads_as_the_search(search: Search) -> None:
    of_experiment = [each for each in parameters(Experiment) if each.name not in TRAIN_ONLY]
    own = parameters(Search)
    values = parse([*own, *of_experiment], command_line(search.arguments()))
    given_own = {each.name: values.pop(each.name) for each in own}
    assert Search(experiment=Experiment(**values), **given_own) == search


def test_defaults_are_not_named() -> None:
    assert Experiment().arguments() == {}
    assert Experiment(nested=True, hyperparameters={"C": 4.0}).arguments() == {
        "nested": "true",
        "hyperparameters": "C=4.0",
    }


@pytest.mark.parametrize("declaration", [Experiment, Search])
def test_every_field_is_declared_and_documented(declaration: type[Any]) -> None:
    declared = {each.name: each for each in parameters(declaration)}
    assert set(declared) == {item.name for item in fields(declaration)} - {"experiment"}
    for name, parameter in declared.items():
        assert name in (declaration.__doc__ or "")
        assert parameter.help
        assert parameter.role in Role
        if parameter.default is not None:
            parameter.check(parameter.default)
