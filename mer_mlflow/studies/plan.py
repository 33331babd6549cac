"""Plan of a study: methodologies, datasets, searches, and a gate for further datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mer_mlflow.augmentation import BackgroundNoise
from mer_mlflow.experiments import (
    TRAIN_ONLY,
    Experiment,
    Parameter,
    Role,
    Search,
    parameters,
)
from mer_mlflow.experiments.profiles import default_profile
from mer_mlflow.experiments.resolve import resolve_transforms
from mer_mlflow.methods import get_method
from mer_mlflow.training import Value
from mer_mlflow.tuning.space import parse_space

Given = Mapping[str, Any]
"""Parameters set by a plan, by name."""
NAMED = ("method", "hyperparameters", "dataset")
"""Parameters of an experiment that follow from the structure of a plan."""


def experiment_keys() -> dict[str, Parameter]:
    """Return the parameters of an experiment that a plan may set for all or single methods."""
    return {
        parameter.name: parameter
        for parameter in parameters(Experiment)
        if parameter.role == Role.REQUEST and parameter.name not in NAMED
    }


def search_keys() -> dict[str, Parameter]:
    """Return the parameters of a search that a plan may set."""
    return {
        parameter.name: parameter
        for parameter in parameters(Search)
        if parameter.role == Role.REQUEST and parameter.name != "start"
    }


@dataclass(frozen=True, kw_only=True)
class MethodPlan:
    """A methodology of a study.

    Attributes
    ----------
    name : name of the methodology
    hyperparameters : values that differ from its defaults
    given : further parameters of its experiments
    """

    name: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    given: Given = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """The search for a methodology's hyperparameters.

    Attributes
    ----------
    method : name of the methodology
    space : ``"learning_rate=0.001,0.01;batch_size=100,150"``
    given : further parameters of the search
    repeats : repetitions of the folds, None for those of the study
    start : methodology whose best setting is the start of a neighbour search, None for the
        defaults
    per_dataset : whether there is a search on every dataset, not only on the first
    """

    method: str
    space: str
    given: Given = field(default_factory=dict)
    repeats: int | None = None
    start: str | None = None
    per_dataset: bool = False


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Condition on the first dataset for a methodology to run on further datasets.

    Attributes
    ----------
    baseline : methodology whose F1 on the first dataset is the minimum
    tables : tables of the study whose methodologies have this condition
    exceptions : names of methodologies without this condition
    """

    baseline: str
    tables: tuple[int, ...]
    exceptions: tuple[str, ...] = ()

    def holds(self, method: str) -> bool:
        """Return whether the condition applies to a methodology."""
        return get_method(method).table in self.tables and method not in self.exceptions


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study.

    Attributes
    ----------
    name : name of the built-in plan or of the file
    title : one line
    datasets : names, the one for searches first; empty for all with given data roots
    methods : methodologies, in the order of execution
    searches : searches, in the order of execution
    gate : condition for further datasets, None for none
    given : parameters of all experiments
    data_roots : folder of each dataset
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    methods: tuple[MethodPlan, ...]
    searches: tuple[SearchPlan, ...] = ()
    gate: Gate | None = None
    given: Given = field(default_factory=dict)
    data_roots: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_dataset(self) -> str:
        """The first dataset, whose searches apply to all datasets."""
        return self.datasets[0]

    def method(self, name: str) -> MethodPlan:
        """Return the plan of a methodology."""
        return next(method for method in self.methods if method.name == name)

    def search(self, method: str) -> SearchPlan | None:
        """Return the search of a methodology, None if there is none."""
        return next((search for search in self.searches if search.method == method), None)

    def profile_name(self, dataset: str) -> str:
        """Return the name of a dataset's profile."""
        return str(self.given.get("profile") or default_profile(dataset))

    def experiment(self, method: str, dataset: str, **further: Any) -> Experiment:
        """Return the experiment of a methodology on a dataset.

        Parameters of all methodologies are omitted if the methodology does not use them.

        Parameters
        ----------
        method, dataset : their names
        further : parameters that override the plan
        """
        planned = self.method(method)
        shared = {
            name: value for name, value in self.given.items() if _is_of_use(name, planned, self)
        }
        values = {"hyperparameters": dict(planned.hyperparameters) or None}
        return Experiment(
            **{**values, **shared, **planned.given, "method": method, "dataset": dataset, **further}
        )

    def tuning(
        self,
        planned: SearchPlan,
        dataset: str,
        *,
        winner: Mapping[str, Value] | None,
        storage: str | None = None,
        **further: Any,
    ) -> Search:
        """Return the search of a methodology on a dataset.

        Parameters
        ----------
        planned : the search
        dataset : name of the dataset
        winner : best hyperparameters of the search that is the start of this one, None for the
            methodology's defaults
        storage : database URL of the searches
        further : parameters of its experiment that override the plan
        """
        repeats = {} if planned.repeats is None else {"repeats": planned.repeats}
        experiment = self.experiment(planned.method, dataset, **TRAIN_ONLY, **repeats, **further)
        return Search(
            experiment=experiment,
            space=planned.space,
            start=beginning(planned, winner) or None,
            storage=storage,
            **planned.given,
        )


def beginning(planned: SearchPlan, winner: Mapping[str, Value] | None) -> dict[str, Value]:
    """Return the best setting of another search, restricted to the searched hyperparameters."""
    space = parse_space(planned.space, get_method(planned.method))
    return {name: winner[name] for name in space if winner is not None and name in winner}


def plan_text(plan: Plan) -> str:
    """Return a plan as YAML; :func:`mer_mlflow.studies.reading.parse_plan` is the inverse."""
    whole: dict[str, Any] = {
        "title": plan.title,
        **plan.given,
        "datasets": list(plan.datasets),
        "data_roots": dict(plan.data_roots),
        "methods": [_method_entry(method) for method in plan.methods],
        "searches": {search.method: _search_entry(search) for search in plan.searches},
    }
    if plan.gate is not None:
        whole["gate"] = {
            "baseline": plan.gate.baseline,
            "tables": list(plan.gate.tables),
            "except": list(plan.gate.exceptions),
        }
    return yaml.safe_dump(_set_values(whole), sort_keys=False, allow_unicode=True)


def _is_of_use(name: str, planned: MethodPlan, plan: Plan) -> bool:
    """Return whether a methodology uses a parameter that is given for all of them."""
    method = get_method(planned.name)
    inputs = method.inputs_for(method.resolve(planned.hyperparameters))
    if name == "features":
        return any(item.table is not None for item in inputs)
    if name == "weights":
        return any(item.network is not None for item in inputs)
    if name == "noise_root":
        augment = planned.given.get("augment", plan.given.get("augment"))
        training, probes = resolve_transforms(
            method, augment=augment, noise_root=None, probe=planned.given.get("probe")
        )
        return any(isinstance(each, BackgroundNoise) for each in (*training, *probes.values()))
    return True


def _method_entry(method: MethodPlan) -> str | dict[str, Any]:
    facts = _set_values({"hyperparameters": dict(method.hyperparameters), **method.given})
    return {method.name: facts} if facts else method.name


def _search_entry(search: SearchPlan) -> dict[str, Any]:
    facts = {
        "space": search.space,
        **search.given,
        "repeats": search.repeats,
        "start": search.start,
        "per_dataset": search.per_dataset,
    }
    return _set_values(facts)


def _set_values(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, {}, [])}
