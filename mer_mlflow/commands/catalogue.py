"""Commands: what each one does, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from mer_mlflow.commands.parameters import (
    AUGMENT,
    EXPORT,
    IMPORT,
    METHOD,
    PREPARE,
    REPORT,
    SEARCH,
    SEARCHED,
    STUDY,
    SYNC,
    TRAIN,
    WEIGHTS,
)
from mer_mlflow.experiments import Parameter


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes
    ----------
    name : as users type it
    summary : one sentence
    parameters : what it takes; train and search take the methodology's hyperparameters too
    is_entry : whether it is an entry of MLproject, whose runs MLflow keeps
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    is_entry: bool = True

    @property
    def module(self) -> str:
        """Module of this package whose ``main`` runs it."""
        return f"mer_mlflow.commands.{'import_' if self.name == 'import' else self.name}"

    @property
    def takes_hyperparameters(self) -> bool:
        """Whether the methodology's hyperparameters are parameters too."""
        return METHOD[0] in self.parameters


COMMANDS = {
    command.name: command
    for command in (
        Command(
            name="train",
            summary="Cross-validate one methodology.",
            parameters=(*METHOD, *TRAIN),
        ),
        Command(
            name="search",
            summary="Tune one methodology.",
            parameters=(*METHOD, *SEARCH, *SEARCHED),
        ),
        Command(
            name="study",
            summary="Run many methodologies on many datasets by a plan.",
            parameters=STUDY,
        ),
        Command(name="report", summary="Build the comparison table.", parameters=REPORT),
        Command(name="prepare", summary="Check a dataset and fill the store.", parameters=PREPARE),
        Command(name="augment", summary="Make a synthesised copy of one clip.", parameters=AUGMENT),
        Command(
            name="weights",
            summary="List pretrained weights: needed, there, known.",
            parameters=WEIGHTS,
        ),
        Command(
            name="sync",
            summary="Deliver results that the tracking server did not take.",
            parameters=SYNC,
        ),
        Command(
            name="export", summary="Write an experiment's runs to one archive.", parameters=EXPORT
        ),
        Command(
            name="import", summary="Write an archive's runs to an experiment.", parameters=IMPORT
        ),
        Command(name="methods", summary="List the methodologies.", is_entry=False),
        Command(name="datasets", summary="List the datasets.", is_entry=False),
    )
}
"""All commands by name."""
