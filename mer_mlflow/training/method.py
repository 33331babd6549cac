"""Declaration of a methodology, and conversion and validation of its hyperparameters."""

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
    """Metrics of training after one epoch.

    Attributes
    ----------
    epoch : int >= 1
    loss : mean training loss of the epoch
    accuracy : training accuracy over the epoch, 0 to 1; None if no quadrants are predicted
    stage : name of the network that is trained, empty if the methodology trains only one
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
    """Predictions of a fitted model.

    Attributes
    ----------
    probabilities : probability of each quadrant [shape=(n_clips, 4)]
    quadrants : predicted label [shape=(n_clips,)]
    stages : probabilities predicted by each network of a hybrid, by network name
    """

    probabilities: NDArray[np.float64]
    quadrants: NDArray[np.int64]
    stages: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def most_probable(
    probabilities: NDArray[np.float64], *, stages: Mapping[str, NDArray[np.float64]] | None = None
) -> Prediction:
    """Predict each clip's most probable quadrant.

    Parameters
    ----------
    probabilities : probability of each quadrant [shape=(n_clips, 4)]
    stages : probabilities predicted by each network of a hybrid
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
        """Number of trained weights, None if not applicable."""

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""


@dataclass(frozen=True, kw_only=True)
class Illustration:
    """Additional results of a fitted model; spectrograms are in decibels.

    Attributes
    ----------
    numbers : numbers by name
    reconstructed : the first clips and their reconstructions by an autoencoder
        [shape=(n_shown, 2, n_mels, n_frames)], None if there is no autoencoder
    synthesised : synthesised examples of each quadrant
        [shape=(4, n_shown, n_mels, n_frames)], None if there are none
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    reconstructed: NDArray[np.float32] | None = None
    synthesised: NDArray[np.float32] | None = None


@runtime_checkable
class Illustrated(Protocol):
    """A trained model with additional results."""

    def illustrate(self, examples: Examples) -> Illustration:
        """Return reconstructions of test clips, and examples of the synthesised training data."""


Predict = Callable[[Examples], Prediction]
OnEpoch = Callable[[EpochRecord, Predict | None], None]
"""Callback after every epoch; its second argument is None for a network that does not predict
quadrants."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """Declaration of a methodology, independent of MLflow, folds and files.

    Attributes
    ----------
    name : name in commands, and of its module
    title : name in tables
    summary : one sentence
    version : raise it if the same hyperparameters give different scores
    inputs : inputs of each clip that ``fit`` reads, in order
    reads : function from hyperparameters to the inputs, if they depend on hyperparameters;
        ``inputs`` are then those of the defaults
    augmentations : transforms; each adds a synthesised copy of every training clip
    baseline : name of the methodology from which this one differs in one respect, empty for none
    require_clips : (quadrants of the training clips) raises a ``MerError`` if there are too few
        clips of a quadrant to fit a model; None for no requirement
    fit_together : (training examples, several hyperparameters, seed) -> a fitted model for each,
        which predicts the same quadrants as that of ``fit``, not necessarily with the same
        probabilities; for searches, where the fits of a methodology can share computations
    hyperparameters : frozen dataclass of :func:`searchable` fields
    fit : (training examples, hyperparameters, seed, on_epoch) -> fitted model
    load : (folder) -> fitted model that was saved there
    shortest : minimum length of an excerpt [s]
    framework : library that trains it
    quick_epochs : sufficient number of epochs for a quick test, None if there are no epochs
    cost : time to train one 30 s clip for one epoch (or for one fit, if there are no epochs) on
        one core of an ordinary CPU [s]; the same for a synthesised copy; for estimates only
    step_cost : additional time of each training step on one core [s]
    usual_epochs : number of epochs after which training with the defaults usually ends on the
        900 clips of Original-4QAED, the maximum if it does not end early; None if unknown
    citation : publications that describe the methodology
    table : the study's table that reports it, None if there is none
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
    step_cost: float = 0.0
    usual_epochs: int | None = None
    augmentations: tuple[Transform, ...] = ()
    baseline: str = ""
    reads: Callable[[Any], tuple[Input, ...]] | None = None
    require_clips: Callable[[NDArray[np.int64]], None] | None = None
    fit_together: Callable[[Examples, Sequence[Any], int], Sequence[FittedModel]] | None = None

    @property
    def spaces(self) -> dict[str, Space]:
        """Allowed values of each hyperparameter."""
        return {item.name: item.metadata[SPACE] for item in self._fields}

    @property
    def roles(self) -> dict[str, Role]:
        """Roles of each hyperparameter."""
        return {item.name: item.metadata[ROLE] for item in self._fields}

    @property
    def defaults(self) -> dict[str, Value]:
        """Default of each hyperparameter."""
        return {item.name: cast(Value, item.default) for item in self._fields}

    def resolve(self, given: Mapping[str, Value] | None = None) -> Any:
        """Complete hyperparameters with defaults, and validate them.

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
            fault = self.spaces[name].fault(values[name])
            if fault:
                raise ParameterError(f"{name}={value}: {fault} for {self.name}")
        return self.hyperparameters(**values)

    @property
    def shares_work(self) -> bool:
        """Whether fits for quadrants only are faster, and share computations."""
        return self.fit_together is not None

    def fit_many(
        self,
        train: Examples,
        settings: Sequence[Any],
        seed: int,
        on_epoch: OnEpoch,
        *,
        only_quadrants: bool = False,
    ) -> Iterator[FittedModel]:
        """Fit a model for each of several sets of hyperparameters.

        Parameters
        ----------
        train : training examples
        settings : resolved hyperparameters of each model
        seed : seed of all trainings
        on_epoch : called after every epoch
        only_quadrants : whether no probabilities are needed

        Yields
        ------
        fitted models, equal to those of ``fit`` or, for quadrants only, of ``fit_together``
        """
        if self.fit_together is not None and only_quadrants:
            yield from self.fit_together(train, settings, seed)
            return
        for hyperparameters in settings:
            yield self.fit(train, hyperparameters, seed, on_epoch)

    def inputs_for(self, hyperparameters: Any) -> tuple[Input, ...]:
        """Return the inputs of each clip for resolved hyperparameters.

        Raises
        ------
        ParameterError
            If they name an unknown input.
        """
        return self.inputs if self.reads is None else self.reads(hyperparameters)

    def __reduce__(self) -> tuple[Callable[[str], Method], tuple[str]]:
        from mer_mlflow.methods import get_method

        return get_method, (self.name,)

    @property
    def _fields(self) -> tuple[dataclasses.Field[Any], ...]:
        return dataclasses.fields(self.hyperparameters)
