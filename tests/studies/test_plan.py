"""Plans: built-in ones, the user's own, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.studies.plan import Plan, plan_text
from mer_mlflow.studies.reading import (
    GATE_KEYS,
    METHOD_KEYS,
    PLAN_KEYS,
    SEARCH_KEYS,
    built_in_plans,
    parse_plan,
    read_plan,
)

EXAMPLE = """
title: The comparison study
profile: paper
folds: 5
duration: 10
datasets: [original-4qaed, new-4qaed-c]
data_roots: {new-4qaed-c: there}
methods:
  - svm
  - cnn: {hyperparameters: {momentum: 8e-1}, duration: 10, max_epochs: 5}
  - cnn_gru
  - dnn_100: {features: extracted}
searches:
  svm: {strategy: grid, repeats: 1, per_dataset: true}
  cnn:
    strategy: neighbour
    space: "learning_rate=0.001,0.01;batch_size=100,150"
    prune: wilcoxon
    variants: {repeats: 2}
gate:
  baseline: cnn
  tables: [6, 7]
  except: [cnn_artist]
"""


def parse(text: str) -> Plan:
    return parse_plan(text, name="study.yaml", file="study.yaml", folder=Path("/data"))


def test_built_in_plans_read_and_say_everything_when_written_out() -> None:
    assert built_in_plans() == ("paper", "quick")
    for name in built_in_plans():
        plan = read_plan(name)
        assert plan.name == name
        assert parse_plan(plan_text(plan), name=name, file=name) == plan


def test_the_papers_plan_is_the_studys_protocol() -> None:
    plan = read_plan("paper")
    assert plan.datasets == ("original-4qaed", "new-4qaed-c", "new-4qaed-b")
    assert {method.name for method in plan.methods} == set(method_names())
    assert plan.profile_name(plan.first_dataset) == "paper"
    tuned = {search.method: search for search in plan.searches}
    assert (tuned["svm"].given["strategy"], tuned["svm"].per_dataset) == ("grid", True)
    assert (tuned["cnn"].given["strategy"], tuned["cnn"].start) == ("grid", None)
    assert (tuned["cnn_gru"].given["strategy"], tuned["cnn_gru"].start) == ("neighbour", "cnn")
    built_on_cnn = {name for name in method_names() if get_method(name).baseline == "cnn"}
    assert set(tuned) == {"svm", "cnn"} | built_on_cnn
    assert plan.gate is not None
    assert not any(plan.gate.holds(name) for name in ("svm", "cnn", "crnn"))


def test_values_are_read_as_meant() -> None:
    plan = parse(EXAMPLE)
    assert plan.method("cnn").hyperparameters == {"momentum": 0.8}
    assert plan.experiment("cnn", "original-4qaed").max_epochs == 5
    assert plan.experiment("svm", "original-4qaed").duration == 10.0
    assert plan.data_roots == {"new-4qaed-c": "/data/there"}
    variant = plan.search("cnn_gru")
    assert variant is not None
    assert (variant.start, variant.repeats) == ("cnn", 2)
    assert plan.tuning(variant, "original-4qaed", winner=None).strategy == "neighbour"
    assert variant.space.startswith("learning_rate=0.001,0.005,")
    assert ";batch_size=50," in variant.space
    assert "epochs" not in variant.space
    assert plan.search("dnn_100") is None
    assert parse(plan_text(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("profile: paper", "profile: fast", "profile=fast: must be one of paper, quick"),
        ("folds: 5", "folds: 1", "folds=1: must be >= 2"),
        ("folds: 5", "folds: five", "folds=five: not a number"),
        ("folds: 5", "folds: 2.5", "folds=2.5: not a whole number"),
        ("folds: 5", "folds: true", "folds=True: must be a number"),
        ("folds: 5", "fold: 5", "fold: unknown key; keys are title, profile"),
        ("folds: 5", "folds: 5\nfolds: 6", "study.yaml, line 5: folds: given twice"),
        ("duration: 10\n", "duration: 0.1\n", "duration=0.1: must be >= 0.5 and <= 3600"),
        ("title: The", "title: [The", "line 3: not YAML"),
        ("title: The comparison study", "title: 3", "title=3: must be text"),
        ("[original-4qaed, ", "[original-5qaed, ", "datasets[1]=original-5qaed: unknown dataset"),
        ("[original-4qaed, new-4qaed-c]", "[]", "datasets=[]: must be a list of at least one"),
        ("[original-4qaed, new-4qaed-c]", "all", "datasets=all: must be a list"),
        ("[original-4qaed, ", "[new-4qaed-c, ", "datasets[2]=new-4qaed-c: named twice"),
        ("{new-4qaed-c: there}", "{demo: there}", "data_roots.demo=there: this dataset needs no"),
        ("{new-4qaed-c: there}", "{folder: there}", "data_roots.folder=there: not among the"),
        ("{new-4qaed-c: there}", "there", "data_roots: there is not a mapping"),
        ("- svm\n", "- svn\n", "methods[1]=svn: unknown method; methods are"),
        ("- svm\n", "- svm\n  - svm\n", "methods[2]=svm: named twice"),
        ("momentum: 8e-1", "momentum: 2", "methods[2].cnn.hyperparameters: momentum=2: must be"),
        ("momentum: 8e-1", "moment: 2", "methods[2].cnn.hyperparameters.moment: unknown key"),
        ("momentum: 8e-1", "momentum: [1]", "momentum=[1]: must be a number or text"),
        ("momentum: 8e-1", "learning_rate: 1", "searches.cnn: learning_rate is both fixed"),
        ("max_epochs: 5}", "features: published}", "cnn reads no handcrafted features"),
        (
            "features: extracted",
            "features: both",
            "features=both: must be one of",
        ),
        ("  svm: {strategy", "  crnn: {strategy", "searches=crnn: not among the plan's methods"),
        (
            "strategy: grid",
            "strategy: random",
            "svm.strategy=random: must be one of grid",
        ),
        ("repeats: 1,", "repeat: 1,", "searches.svm.repeat: unknown key; keys are strategy"),
        (
            "prune: wilcoxon",
            "prune: median",
            "searches.cnn.prune=median: must be one of wilcoxon, forgiving",
        ),
        ("per_dataset: true", "per_dataset: 3", "per_dataset=3: must be true or false"),
        ("per_dataset: true", "start: cnn", "start=cnn: there is no earlier search"),
        ("learning_rate=0.001,0.01;", "rate=1;", "searches.cnn.space: cnn has no hyperparameter"),
        ("baseline: cnn\n", "baseline: crnn\n", "gate.baseline=crnn: not among the plan's methods"),
        ("  baseline: cnn\n", "", "gate: baseline is missing"),
        ("tables: [6, 7]", "tables: [six]", "gate.tables[1]=six: not a number"),
        ("except: [cnn_artist]", "except: cnn_artist", "gate.except=cnn_artist: must be a list"),
        (EXAMPLE, "", "study.yaml: the plan is empty"),
        (EXAMPLE, "- svm\n", "is not a mapping of key: value"),
        (EXAMPLE, "title: 2001-99-99\n", "not usable YAML"),
        (EXAMPLE, "[" * 3000, "not usable YAML"),
        (EXAMPLE, "!!python/name:os.system ''", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(old: str, new: str, words: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(ParameterError) as error:
        parse(EXAMPLE.replace(old, new, 1))
    said = str(error.value)
    assert words in said
    assert said.startswith("study.yaml")
    assert len(said.splitlines()) == 1


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("title: Café".encode("latin-1"))
    with pytest.raises(ParameterError, match=r"latin\.yaml: not a text file in UTF-8"):
        read_plan(str(tmp_path / "latin.yaml"))
    with pytest.raises(ParameterError, match=r"plan=nul.*: cannot be used as a path"):
        read_plan("nul\0")
    for name in ("papr", str(tmp_path), "~nobody-of-this-name/study.yaml"):
        with pytest.raises(ParameterError, match=r"cannot be read .* a plan: paper and quick"):
            read_plan(name)


WORDS = st.sampled_from(
    ["svm", "cnn", "demo", "original-4qaed", "paper", "all", "grid", "C=1,2", "published", "1e-3"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
KEYS = (*PLAN_KEYS, *METHOD_KEYS, *SEARCH_KEYS, *GATE_KEYS, "svm", "cnn", "demo", "C")
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def read_or_refuse(text: str) -> None:
    try:
        plan = parse(text)
    except ParameterError as error:
        assert str(error).startswith("study.yaml")
        assert len(str(error).splitlines()) == 1
    else:
        assert parse(plan_text(plan)) == plan


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


@given(st.dictionaries(st.sampled_from(PLAN_KEYS), VALUES, max_size=5))
def test_any_mapping_is_read_or_refused(values: dict[str, Any]) -> None:
    read_or_refuse(yaml.safe_dump(values, allow_unicode=True))
