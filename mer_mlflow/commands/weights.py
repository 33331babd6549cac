"""weights: list of the pretrained weights that methodologies need, and of those found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mer_mlflow.commands.command import OK
from mer_mlflow.commands.parameters import WEIGHTS
from mer_mlflow.errors import ParameterError, WeightsError
from mer_mlflow.experiments.text import parse
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.paths import given_path
from mer_mlflow.representations.pretrained import PUBLISHED, find_weights
from mer_mlflow.training import Method
from mer_mlflow.training.hyperparameters import Role
from mer_mlflow.weights import ROOT_VARIABLE


def weights(*, weights: str | None = None) -> int:
    """Print which weights are needed and found, with digests and licences.

    Parameters
    ----------
    weights : folder that contains the files at any depth, by default ``MER_WEIGHTS_ROOT``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If the folder does not exist.
    """
    if weights and given_path(weights, name="weights").is_file():
        raise ParameterError(f"weights={weights}: is a file; give the folder that contains it")
    needed_by = _needed_by()
    for name, published in PUBLISHED.items():
        print(f"{name}: {_state(name, weights)}")
        methods = ", ".join(needed_by.get(name, ()))
        print(f"  needed by {methods or f'embedding_svm with -P inputs={name}'}")
        print(f"  published {published.source}, {published.path} ({published.licence})")
    print(f"give the folder of the files by -P weights=, or by {ROOT_VARIABLE}")
    return OK


def _state(name: str, given: str | None) -> str:
    try:
        found = find_weights(name, given, allow_unverified=True)
    except WeightsError:
        return "MISSING"
    message = "as published" if found.is_known else "not verified"
    return f"found, {message}\n  file {found.file}\n  SHA-256 {found.digest}"


def _needed_by() -> dict[str, list[str]]:
    needed: dict[str, list[str]] = {}
    for method in map(get_method, method_names()):
        for network in dict.fromkeys(_networks(method)):
            needed.setdefault(network, []).append(method.name)
    return needed


def _networks(method: Method) -> Iterator[str]:
    """Yield the networks of a methodology for its defaults and for each value of a choice."""
    choices = [
        {name: value}
        for name, space in method.spaces.items()
        if Role.INPUTS in method.roles[name]
        for value in space.choices
    ]
    for given in ({}, *choices):
        for item in method.inputs_for(method.resolve(given)):
            if item.network is not None:
                yield item.network


def main(arguments: Sequence[str]) -> int:
    """Run ``weights``."""
    return weights(**parse(WEIGHTS, arguments))
