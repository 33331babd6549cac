"""Any text as a parameter: a value, or one line that names the parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mer_mlflow.commands.augment import main as augment
from mer_mlflow.commands.parameters import (
    AUGMENT,
    METHOD,
    PREPARE,
    REPORT,
    SEARCH,
    SEARCHED,
    STUDY,
    TRAIN,
    WEIGHTS,
    hyperparameter_options,
)
from mer_mlflow.commands.report import main as report
from mer_mlflow.datasets import Clips, dataset_names, load_dataset
from mer_mlflow.errors import MerError, ParameterError
from mer_mlflow.experiments import Experiment, Parameter, Search, resolve, resolve_search
from mer_mlflow.experiments.profiles import get_profile, limited
from mer_mlflow.experiments.resolve import resolve_transforms
from mer_mlflow.experiments.text import parse, parse_assignments, split_names
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations.pretrained import PUBLISHED, find_weights
from mer_mlflow.studies.reading import read_plan
from mer_mlflow.studies.roots import locate, parse_data_roots
from mer_mlflow.tuning.space import parse_space, space_text, start_point

FAULTS = settings.get_profile("faults")
Refusal = Callable[[Callable[[], Any], type[MerError]], str | None]
ENTRY_POINTS: Mapping[str, tuple[Parameter, ...]] = {
    "train": (*METHOD, *TRAIN),
    "search": (*METHOD, *SEARCH, *SEARCHED),
    "prepare": PREPARE,
    "report": REPORT,
    "study": STUDY,
    "augment": AUGMENT,
    "weights": WEIGHTS,
    **{name: (*hyperparameter_options(name), *TRAIN) for name in method_names()},
}
PARAMETERS = tuple(
    dict.fromkeys(parameter for parameters in ENTRY_POINTS.values() for parameter in parameters)
)
ODD = (
    *("1e400", "-1e400", "nan", "-nan", "inf", "-inf", "-0", "1e308", "9" * 5000, "0x10", "1_0"),
    *(
        "",
        " ",
        "\n",
        "a\nb",
        "\0",
        "a\0b",
        "\r",
        "\u2028",
        "\x1b[31m",
        "\ud800",
        "é" * 300,
        "a" * 5000,
    ),
    *(
        "~",
        "~nobody-of-this-name",
        "~nobody-of-this-name/x",
        "/",
        ".",
        "..",
        "/dev/null",
        "/dev/zero",
    ),
    *(
        "/proc/self/mem",
        "-",
        "--",
        "-h",
        "--help",
        "=",
        ";",
        ",",
        "=;=",
        "a=b;a=c",
        "%s",
        "{0}",
        "None",
    ),
    *(
        "true",
        "best",
        "best of ",
        "all",
        "none",
        "svm",
        "demo",
        "folder",
        "paper",
        "grid",
        "tfm,tfm",
    ),
    *("C=1e400", "C=nan", "C=0", "C=-0", "gamma=1e-320", "epochs=1e18", "learning_rate=\u0661"),
)
TEXTS = st.sampled_from(ODD) | st.text() | st.floats().map(repr) | st.integers().map(str)
PLACES = TEXTS.filter(lambda text: text.strip("/. \n\r"))
"""Whole disks are no faults."""
NAMES = sorted({name for method in method_names() for name in get_method(method).defaults})
ASSIGNMENTS = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.lists(TEXTS, max_size=3)), max_size=3
).map(lambda pairs: ";".join(f"{name}={','.join(values)}" for name, values in pairs))


def value_or_refusal(refusal: Refusal, parameter: Parameter, text: str) -> None:
    values: list[Any] = []
    words = refusal(
        lambda: values.append(parse([parameter], [f"--{parameter.name}={text}"])), ParameterError
    )
    if words is None:
        value = values[0][parameter.name]
        kinds = (parameter.kind, str) if parameter.keywords else parameter.kind
        assert value == parameter.default or isinstance(value, kinds)
    else:
        assert words.startswith(f"{parameter.name}=")


def test_odd_text_is_a_value_or_named(refusal: Refusal) -> None:
    for parameter in PARAMETERS:
        for text in ODD:
            value_or_refusal(refusal, parameter, text)


@FAULTS
@given(text=TEXTS, parameter=st.sampled_from(PARAMETERS))
@example(text="--", parameter=PARAMETERS[0])
def test_any_text_is_a_value_or_named(refusal: Refusal, text: str, parameter: Parameter) -> None:
    value_or_refusal(refusal, parameter, text)


@FAULTS
@given(arguments=st.lists(TEXTS.filter(lambda text: text not in ("-h", "--help")), max_size=3))
@example(arguments=["a\nb"])
@example(arguments=["--method"])
def test_any_command_line_is_parsed_or_refused(refusal: Refusal, arguments: list[str]) -> None:
    refusal(lambda: parse((*METHOD, *TRAIN), arguments), ParameterError)


@FAULTS
@given(text=TEXTS | ASSIGNMENTS, method=st.sampled_from(method_names()))
def test_any_hyperparameters_are_values_or_named(refusal: Refusal, text: str, method: str) -> None:
    declared = get_method(method)

    def resolve() -> None:
        given_values = limited(
            declared, parse_assignments(text), profile=get_profile("quick"), max_epochs=None
        )
        resolved = declared.resolve(given_values)
        declared.inputs_for(resolved)
        for name, value in dataclasses.asdict(resolved).items():
            assert type(value) is type(declared.defaults[name])
            assert declared.spaces[name].fault(value) is None

    refusal(resolve, ParameterError)


@FAULTS
@given(text=TEXTS | ASSIGNMENTS, start=TEXTS | ASSIGNMENTS, method=st.sampled_from(method_names()))
def test_any_space_is_values_or_named(refusal: Refusal, text: str, start: str, method: str) -> None:
    declared = get_method(method)

    def resolve() -> None:
        space = parse_space(text, declared)
        assert parse_space(space_text(space), declared) == space
        start_point(declared, space, parse_assignments(start, name="start"))

    refusal(resolve, ParameterError)


@FAULTS
@given(augment=TEXTS, probe=TEXTS, method=st.sampled_from(method_names()))
@example(augment="tfm,tf\nm", probe="", method="cnn")
def test_any_transforms_are_known_or_named(
    refusal: Refusal, augment: str, probe: str, method: str
) -> None:
    refusal(
        lambda: resolve_transforms(
            get_method(method), augment=augment, noise_root=None, probe=probe
        ),
        ParameterError,
    )


@FAULTS
@given(place=PLACES, dataset=st.sampled_from(dataset_names()) | TEXTS)
@example(place="~nobody-of-this-name", dataset="folder")
@example(place="a" * 5000, dataset="original-4qaed")
@example(place="a\0b", dataset="folder")
def test_any_place_is_read_or_named(
    refusal: Refusal,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    dataset: str,
) -> None:
    monkeypatch.chdir(scratch)
    monkeypatch.setenv("HOME", str(scratch))
    said: list[str] = []
    refusal(lambda: load_dataset(dataset, place, on_warning=said.append), MerError)


@FAULTS
@given(place=PLACES)
@example(place="/dev/zero")
def test_any_path_is_used_or_named(
    refusal: Refusal, scratch: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(scratch)
    monkeypatch.setenv("HOME", str(scratch))
    assert refusal(lambda: augment(["--transform=sb", f"--clip={place or ' '}"]), MerError)
    for name in PUBLISHED:
        refusal(lambda name=name: find_weights(name, place), MerError)
    refusal(lambda: read_plan(place), ParameterError)

    def look() -> None:
        given_roots = parse_data_roots(place)
        locate(dataset_names(), given=given_roots, planned={})

    refusal(look, ParameterError)
    refusal(
        lambda: resolve_transforms(get_method("cnn"), augment="bg", noise_root=place, probe=None),
        MerError,
    )


NUMBERS = (
    st.integers(-3, 12)
    | st.integers()
    | st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**18, int(1e300), -(10**18)])
)


@FAULTS
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "folds": NUMBERS,
            "repeats": NUMBERS,
            "seed": NUMBERS,
            "threads": NUMBERS,
            "workers": NUMBERS,
            "duration": st.floats() | NUMBERS.map(float),
            "max_epochs": NUMBERS,
            "trials": NUMBERS,
            "protocol": TEXTS,
            "profile": TEXTS,
            "features": TEXTS,
            "strategy": TEXTS,
            "prune": TEXTS,
        },
    ),
    method=st.sampled_from(["svm", "cnn"]),
)
@example(values={"repeats": 10**18}, method="svm")
@example(values={"seed": 2**64}, method="svm")
def test_any_numbers_and_words_make_a_setting_or_are_named(
    refusal: Refusal, demo: Clips, values: dict[str, Any], method: str
) -> None:
    of_search = {name: values.pop(name) for name in ("trials", "prune") if name in values}
    experiment = Experiment(method=method, **{"folds": 2, "repeats": 1} | values)
    of_search["strategy"] = values.get("strategy") or "grid"
    plain = replace(experiment, strategy=None)

    def make() -> None:
        assert resolve(plain, demo).setting.identity
        assert resolve_search(Search(experiment=plain, **of_search), demo).search.name

    refusal(make, ParameterError)


@FAULTS
@given(which=st.sampled_from(["methods", "datasets", "protocol"]), text=TEXTS)
def test_any_filter_of_a_report_that_is_unknown_is_named(
    refusal: Refusal, which: str, text: str
) -> None:
    known = {*method_names(), *dataset_names(), "paper"}
    if set(split_names(text)) - known:
        assert refusal(lambda: report([f"--{which}={text}"]), ParameterError)
