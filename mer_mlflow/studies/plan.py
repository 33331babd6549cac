"""A study's plan: which methodologies on which datasets, how they are tuned, which go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mer_mlflow.methods import Value, get_method
from mer_mlflow.profiles import Profile, default_profile, get_profile


@dataclass(frozen=True, kw_only=True)
class MethodPlan:
    """A methodology of a study.

    Attributes
    ----------
    name : of the methodology
    hyperparameters : values that differ from its defaults
    duration : excerpt of each clip [s], None for the study's
    max_epochs : cap on epochs, None for the study's
    features : ``published`` or ``extracted``, None for the study's
    """

    name: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    duration: float | None = None
    max_epochs: int | None = None
    features: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """How a methodology is tuned.

    Attributes
    ----------
    method : name of the methodology
    strategy : ``grid``, ``neighbour`` or ``tpe``
    space : ``"learning_rate=0.001,0.01;batch_size=100,150"``
    prune : ``wilcoxon``, None for none
    trials : of ``tpe``
    repeats : repetitions of the folds, None for the study's
    start : methodology at whose winner a neighbour search begins, None for the own defaults
    per_dataset : whether every dataset has a search of its own, not the first alone
    """

    method: str
    strategy: str
    space: str
    prune: str | None = None
    trials: int = 20
    repeats: int | None = None
    start: str | None = None
    per_dataset: bool = False


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Which methodologies must prove themselves on the first dataset.

    Attributes
    ----------
    baseline : whose F1 on the first dataset they must match
    tables : tables of the study whose methodologies are meant
    exceptions : names of methodologies that go on whatever their F1
    """

    baseline: str
    tables: tuple[int, ...]
    exceptions: tuple[str, ...] = ()

    def holds(self, method: str) -> bool:
        """Tell whether a methodology has to pass."""
        return get_method(method).table in self.tables and method not in self.exceptions


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study.

    Attributes
    ----------
    name : of the built-in plan or of the file
    title : one line
    datasets : names, the one to tune on first; empty for those that data roots are given for
    methods : methodologies, in the order in which they run
    searches : searches, in the order in which they run
    gate : what further datasets ask for, None for nothing
    profile : ``paper`` or ``quick``, None for each dataset's own
    protocol : ``paper``, ``grouped``, ``fixed`` or ``fixed-40-30-30``
    seed : of splits, synthesised clips and training
    folds, repeats, duration, max_epochs, features : override the profile, as in ``train``
    data_roots : folder of each dataset
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    methods: tuple[MethodPlan, ...]
    searches: tuple[SearchPlan, ...] = ()
    gate: Gate | None = None
    profile: str | None = None
    protocol: str = "paper"
    seed: int = 0
    folds: int | None = None
    repeats: int | None = None
    duration: float | None = None
    max_epochs: int | None = None
    features: str | None = None
    data_roots: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The first dataset: what is tuned there is used everywhere."""
        return self.datasets[0]

    def method(self, name: str) -> MethodPlan:
        """What is planned for a methodology."""
        return next(method for method in self.methods if method.name == name)

    def search(self, method: str) -> SearchPlan | None:
        """How a methodology is tuned, None where it is not."""
        return next((search for search in self.searches if search.method == method), None)

    def profile_name(self, dataset: str) -> str:
        """Name of the profile that a dataset is validated in."""
        return self.profile or default_profile(dataset)

    def size(self, dataset: str) -> Profile:
        """Profile that a dataset is validated in."""
        return get_profile(self.profile_name(dataset))

    def duration_of(self, method: MethodPlan, dataset: str) -> float:
        """Excerpt of each clip that a methodology sees [s]."""
        for duration in (method.duration, self.duration):
            if duration is not None:
                return duration
        return self.size(dataset).duration

    def epochs_of(self, method: MethodPlan) -> int | None:
        """Cap on a methodology's epochs, None for the profile's."""
        return self.max_epochs if method.max_epochs is None else method.max_epochs


def plan_text(plan: Plan) -> str:
    """Write a plan as YAML that reads as the same plan, with nothing left open."""
    protocol = {
        name: getattr(plan, name)
        for name in (
            "profile",
            "protocol",
            "folds",
            "repeats",
            "seed",
            "duration",
            "max_epochs",
            "features",
        )
    }
    whole: dict[str, Any] = {
        "title": plan.title,
        **protocol,
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
    return yaml.safe_dump(_said(whole), sort_keys=False, allow_unicode=True)


def _method_entry(method: MethodPlan) -> str | dict[str, Any]:
    facts = {
        "hyperparameters": dict(method.hyperparameters),
        "duration": method.duration,
        "max_epochs": method.max_epochs,
        "features": method.features,
    }
    return {method.name: _said(facts)} if _said(facts) else method.name


def _search_entry(search: SearchPlan) -> dict[str, Any]:
    facts = {
        "strategy": search.strategy,
        "space": search.space,
        "prune": search.prune,
        "trials": search.trials,
        "repeats": search.repeats,
        "start": search.start,
        "per_dataset": search.per_dataset,
    }
    return _said(facts)


def _said(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, {}, [])}
