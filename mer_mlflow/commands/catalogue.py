"""List of all commands with their parameters."""

from __future__ import annotations

from dataclasses import dataclass

from mer_mlflow.commands.parameters import (
    AUGMENT,
    CLUSTER,
    EXPORT,
    FIT,
    IMPORT,
    LEADERBOARD,
    METHOD,
    PAGE,
    PREDICT,
    PREPARE,
    REPORT,
    SEARCH,
    SEARCHED,
    STUDY,
    SYNC,
    TRAIN,
    TRANSFER,
    WEIGHTS,
)
from mer_mlflow.experiments import Parameter


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes
    ----------
    name : name in the command line
    summary : one sentence
    parameters : its parameters; train and search also accept the methodology's hyperparameters
    is_entry : whether it is an entry of MLproject, and so has a run in MLflow
    bare : parameter to which arguments without a name belong, empty for none
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    is_entry: bool = True
    bare: str = ""

    @property
    def module(self) -> str:
        """Module with the command's ``main``."""
        return f"mer_mlflow.commands.{'import_' if self.name == 'import' else self.name}"

    @property
    def takes_hyperparameters(self) -> bool:
        """Whether the methodology's hyperparameters are also parameters."""
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
            name="fit",
            summary="Train one methodology on all clips, and log the model.",
            parameters=(*METHOD, *SEARCHED, *FIT),
        ),
        Command(
            name="predict",
            summary="Predict the emotion of songs with a model.",
            parameters=PREDICT,
            bare="clip",
        ),
        Command(
            name="transfer",
            summary="Train on datasets, and predict the clips of others.",
            parameters=TRANSFER,
        ),
        Command(
            name="study",
            summary="Run many methodologies on many datasets by a plan.",
            parameters=STUDY,
        ),
        Command(name="report", summary="Build the comparison table.", parameters=REPORT),
        Command(
            name="leaderboard",
            summary="Show the ranking, also of running cross-validations, and update it.",
            parameters=LEADERBOARD,
            is_entry=False,
        ),
        Command(name="prepare", summary="Check a dataset and fill the store.", parameters=PREPARE),
        Command(name="augment", summary="Write a synthesised copy of a clip.", parameters=AUGMENT),
        Command(
            name="weights",
            summary="List pretrained weights: needed, found, verified.",
            parameters=WEIGHTS,
        ),
        Command(
            name="sync",
            summary="Deliver results that the tracking server has not accepted.",
            parameters=SYNC,
        ),
        Command(
            name="export", summary="Write an experiment's runs to an archive.", parameters=EXPORT
        ),
        Command(
            name="import", summary="Write an archive's runs to an experiment.", parameters=IMPORT
        ),
        Command(
            name="page",
            summary="Serve a web page: emotion of songs, and errors of cross-validations.",
            parameters=PAGE,
            is_entry=False,
        ),
        Command(
            name="cluster",
            summary="Start a Dask cluster of jobs of SLURM, PBS, LSF or SGE.",
            parameters=CLUSTER,
            is_entry=False,
            bare="system",
        ),
        Command(name="methods", summary="List the methodologies.", is_entry=False),
        Command(name="datasets", summary="List the datasets.", is_entry=False),
    )
}
"""All commands by name."""
