"""Sources of methodologies on embeddings: networks and feature tables, named in hyperparameters."""

from __future__ import annotations

from typing import Protocol

from mer_mlflow.errors import ParameterError
from mer_mlflow.representations import Embedding, Features
from mer_mlflow.representations.pretrained import MODULES

BLOCKS = tuple(dict.fromkeys(block for module in MODULES.values() for block in module.BLOCKS))
"""Blocks of values that pretrained networks compute for a clip."""
TABLES = ("top100", "all")


class Sources(Protocol):
    """Hyperparameters that name sources."""

    @property
    def inputs(self) -> str:
        """Comma-separated sources: pretrained networks, ``top100``, ``all``."""

    @property
    def blocks(self) -> str:
        """Comma-separated statistics of networks."""


def checked_names(names: str, *, what: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Split comma-separated names, and check them.

    Raises
    ------
    ParameterError
        If there are none, or one is unknown or given twice.
    """
    found = tuple(name.strip() for name in names.split(",") if name.strip())
    for i, name in enumerate(found):
        if name not in known:
            raise ParameterError(f"{what}={name}: unknown; {what} are {', '.join(known)}")
        if name in found[:i]:
            raise ParameterError(f"{what}: {name} is given twice")
    if not found:
        raise ParameterError(f"{what}: none is given; {what} are {', '.join(known)}")
    return found


def reads(hyperparameters: Sources) -> tuple[Embedding | Features, ...]:
    """Return the inputs of the sources."""
    blocks_of(hyperparameters)
    return tuple(
        Features(table=name)
        if name in TABLES
        else Embedding(network=name, layer=MODULES[name].SUMMARY)
        for name in sources_of(hyperparameters)
    )


def sources_of(hyperparameters: Sources) -> tuple[str, ...]:
    """Return the names of the sources."""
    return checked_names(hyperparameters.inputs, what="inputs", known=(*MODULES, *TABLES))


def blocks_of(hyperparameters: Sources) -> tuple[str, ...]:
    """Return the names of the statistics."""
    return checked_names(hyperparameters.blocks, what="blocks", known=BLOCKS)
