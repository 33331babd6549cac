"""What a methodology declares, and how its hyperparameters are read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.augmentation import Transform
from mer_mlflow.errors import ParameterError
from mer_mlflow.representations import Examples, Input
from mer_mlflow.training.hyperparameters import ROLE, SPACE, Role, Space, Value, converted


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Training after one epoch.

    Attributes
    ----------
    epoch : int >= 1
    loss : mean training loss of the epoch
    accuracy : training accuracy over the epoch, 0 to 1; None where no quadrants are predicted
    stage : name of the network that is trained, empty where a methodology trains one only
    """

    epoch: int
    loss: float
    accuracy: float | None
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Published macro scores, in per cent."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a fitted model says of clips.

    Attributes
    ----------
    probabilities : of each quadrant [shape=(n_clips, 4)]
    quadrants : label that is chosen [shape=(n_clips,)]
    stages : probabilities by the networks that a hybrid is made of, by their names
    """

    probabilities: NDArray[np.float64]
    quadrants: NDArray[np.int64]
    stages: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def most_probable(
    probabilities: NDArray[np.float64], *, stages: Mapping[str, NDArray[np.float64]] | None = None
) -> Prediction:
    """Choose each clip's most probable quadrant.

    Parameters
    ----------
    probabilities : of each quadrant [shape=(n_clips, 4)]
    stages : probabilities by the parts of a hybrid
    """
    return Prediction(
        probabilities=probabilities,
        quadrants=probabilities.argmax(axis=1),
        stages=stages or {},
    )


class FittedModel(Protocol):
    """A trained model."""

    @property
    def n_parameters(self) -> int | None:
        """Number of trained weights, None where that says nothing."""

    def predict(self, examples: Examples) -> Prediction:
        """Quadrant of each clip, and the probability of every quadrant."""

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""


@dataclass(frozen=True, kw_only=True)
class Illustration:
    """What is to be seen of a fitted model beside its scores; spectrograms are in decibels.

    Attributes
    ----------
    numbers : by name
    reconstructed : the first clips and what an autoencoder makes of them
        [shape=(n_shown, 2, n_mels, n_frames)], None where there is none
    synthesised : examples that were made of each quadrant
        [shape=(4, n_shown, n_mels, n_frames)], None where there are none
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    reconstructed: NDArray[np.float32] | None = None
    synthesised: NDArray[np.float32] | None = None


@runtime_checkable
class Illustrated(Protocol):
    """A trained model that shows more than its predictions."""

    def illustrate(self, examples: Examples) -> Illustration:
        """Show what the model makes of clips that it was not trained on, and what it was fed."""


Predict = Callable[[Examples], Prediction]
OnEpoch = Callable[[EpochRecord, Predict | None], None]
"""Called after every epoch, with None while a network is trained that predicts no quadrants."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """Declaration of a methodology. Nothing in it knows of MLflow, folds or files.

    Attributes
    ----------
    name : as users type it, and the name of its module
    title : as tables print it
    summary : one sentence
    version : raised whenever the same hyperparameters give other scores
    inputs : what ``fit`` reads of each clip, in order
    reads : the same by hyperparameters, where it depends on them; ``inputs`` are the defaults' then
    augmentations : each gives every training clip a synthesised copy to train on
    baseline : name of the methodology that this one changes in one respect, empty for none
    require_clips : (quadrants of the training clips) raises a ``MerError`` where no model can be
        fitted to so many clips of each; None where any number will do
    fit_together : (training examples, several hyperparameters, seed) -> a fitted model for each,
        the same as ``fit`` gives; where fits can share work
    hyperparameters : frozen dataclass of :func:`searchable` fields
    fit : (training examples, hyperparameters, seed, on_epoch) -> fitted model
    load : reads what a fitted model saved
    shortest : shortest excerpt of a clip that it can read [s]
    framework : the library that trains it
    quick_epochs : epochs that are enough for a first look, None where there are none
    cost : seconds of one core to train one 30 s clip for one epoch (for one fit where there are no
        epochs), measured on an ordinary CPU; a synthesised copy costs the same; for estimates only
    citation : where the methodology comes from
    table : the study's table that reports it, None where it has none
    published : the study's scores by dataset name
    """

    name: str
    title: str
    summary: str
    version: int
    inputs: tuple[Input, ...]
    hyperparameters: type[Any]
    fit: Callable[[Examples, Any, int, OnEpoch], FittedModel]
    load: Callable[[Path], FittedModel]
    shortest: float
    framework: Literal["scikit-learn", "keras", "torch"]
    quick_epochs: int | None
    cost: float
    citation: str
    table: int | None
    published: Mapping[str, Scores]
    augmentations: tuple[Transform, ...] = ()
    baseline: str = ""
    reads: Callable[[Any], tuple[Input, ...]] | None = None
    require_clips: Callable[[NDArray[np.int64]], None] | None = None
    fit_together: Callable[[Examples, Sequence[Any], int], Sequence[FittedModel]] | None = None

    @property
    def spaces(self) -> dict[str, Space]:
        """Values allowed for each hyperparameter."""
        return {item.name: item.metadata[SPACE] for item in self._fields}

    @property
    def roles(self) -> dict[str, Role]:
        """What each hyperparameter is for."""
        return {item.name: item.metadata[ROLE] for item in self._fields}

    @property
    def defaults(self) -> dict[str, Value]:
        """Default of each hyperparameter."""
        return {item.name: cast(Value, item.default) for item in self._fields}

    def resolve(self, given: Mapping[str, Value] | None = None) -> Any:
        """Complete hyperparameters with their defaults and check them.

        Parameters
        ----------
        given : values by name, as numbers or as text

        Returns
        -------
        instance of ``hyperparameters``

        Raises
        ------
        ParameterError
            If a name is unknown or a value is not allowed.
        """
        defaults = self.defaults
        values = {}
        for name, value in (given or {}).items():
            if name not in defaults:
                known = ", ".join(defaults)
                raise ParameterError(f"{self.name} has no hyperparameter '{name}' (has: {known})")
            values[name] = converted(name, value, type(defaults[name]))
            complaint = self.spaces[name].complaint(values[name])
            if complaint:
                raise ParameterError(f"{name}={value}: {complaint} for {self.name}")
        return self.hyperparameters(**values)

    @property
    def shares_work(self) -> bool:
        """Whether several fits take less time together than one after the other."""
        return self.fit_together is not None

    def fit_many(
        self, train: Examples, settings: Sequence[Any], seed: int, on_epoch: OnEpoch
    ) -> Iterator[FittedModel]:
        """Fit a model with each of several sets of hyperparameters.

        Parameters
        ----------
        train : training examples
        settings : resolved hyperparameters of each model
        seed : of the trainings, the same for all
        on_epoch : called after every epoch

        Yields
        ------
        fitted models, each the one that ``fit`` gives
        """
        if self.fit_together is not None and len(settings) > 1:
            yield from self.fit_together(train, settings, seed)
            return
        for hyperparameters in settings:
            yield self.fit(train, hyperparameters, seed, on_epoch)

    def inputs_for(self, hyperparameters: Any) -> tuple[Input, ...]:
        """What is read of each clip with resolved hyperparameters.

        Raises
        ------
        ParameterError
            If they name what cannot be read.
        """
        return self.inputs if self.reads is None else self.reads(hyperparameters)

    def __reduce__(self) -> tuple[Callable[[str], Method], tuple[str]]:
        from mer_mlflow.methods import get_method

        return get_method, (self.name,)

    @property
    def _fields(self) -> tuple[dataclasses.Field[Any], ...]:
        return dataclasses.fields(self.hyperparameters)
