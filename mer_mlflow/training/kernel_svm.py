"""RBF support vector machines of several settings, which share computations.

Features are selected and scaled, and distances computed, once for all settings. The kernel matrix
of each ``gamma`` is computed once for all penalties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_mlflow.training.feature_selection import MostRelevant

Values = NDArray[np.floating]
LOG_SLOPES = (-10.0, 10.0)
"""Range of the logarithm of the inverse temperature."""


class Machine(Protocol):
    """Hyperparameters of an SVM; equal ones are hashed as equal."""

    @property
    def C(self) -> float:
        """Penalty of errors."""

    @property
    def gamma(self) -> float:
        """Inverse width of the kernel."""

    @property
    def n_features(self) -> int:
        """Number of most relevant features that are selected."""


def fit_machines(
    values: Values, labels: NDArray[np.int64], machines: Sequence[Machine], *, n_splits: int | None
) -> list[Pipeline]:
    """Fit SVMs whose probabilities are calibrated by cross-validation within the training set.

    Parameters
    ----------
    values : features of the training clips [shape=(n_clips, n_features)]
    labels : their quadrants [shape=(n_clips,)]
    machines : the settings
    n_splits : number of folds of that cross-validation; None for no calibration, the probabilities
        are then a softmax of the decision values. The predicted quadrants are the same

    Returns
    -------
    a fitted classifier with ``predict_proba`` for each setting
    """
    with quick_checks():
        return _fit_machines(values, labels, machines, n_splits=n_splits)


def quick_checks() -> AbstractContextManager[None]:
    """Skip scikit-learn's checks of arrays, which were checked when the dataset was read."""
    context: AbstractContextManager[None] = config_context(
        assume_finite=True, skip_parameter_validation=True
    )
    return context


def _fit_machines(
    values: Values, labels: NDArray[np.int64], machines: Sequence[Machine], *, n_splits: int | None
) -> list[Pipeline]:
    temperatures = (
        {machine: Temperature.of_one(labels) for machine in machines}
        if n_splits is None
        else _temperatures(values, labels, machines, n_splits=n_splits)
    )
    whole = {
        fitted.machine: fitted for fitted in _fit_each(values, labels, machines, also=values[:0])
    }
    return [whole[machine].classifier(temperatures[machine]) for machine in machines]


def _temperatures(
    values: Values, labels: NDArray[np.int64], machines: Sequence[Machine], *, n_splits: int
) -> dict[Machine, Temperature]:
    decisions = {machine: np.empty((len(labels), len(np.unique(labels)))) for machine in machines}
    for train, held_out in StratifiedKFold(n_splits).split(values, labels):
        for fitted in _fit_each(values[train], labels[train], machines, also=values[held_out]):
            decisions[fitted.machine][held_out] = fitted.decisions_on_others
    return {machine: Temperature().fit(each, labels) for machine, each in decisions.items()}


class GaussianKernel(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer from features to their kernel with each training clip.

    Parameters
    ----------
    gamma : float > 0, inverse width
    """

    def __init__(self, gamma: float = 1.0) -> None:
        self.gamma = gamma

    def fit(self, X: Values, y: object = None) -> Self:
        """Store the features of the training clips [shape=(n_clips, n_features)]."""
        self.rows_ = X
        return self

    def transform(self, X: Values) -> Values:
        """Compute the kernel of clips and training clips [shape=(n_clips, n_training_clips)]."""
        kernel: Values = rbf_kernel(X, self.rows_, gamma=self.gamma)
        return kernel


class DecisionValues(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer from a fitted classifier's input to its decision values.

    Parameters
    ----------
    classifier : a fitted classifier
    """

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier

    def fit(self, X: Values, y: object = None) -> Self:
        """Do nothing: the classifier is already fitted."""
        return self

    def transform(self, X: Values) -> Values:
        """Compute decision values [shape=(n_clips, n_classes)]."""
        decisions: Values = self.classifier.decision_function(X)
        return decisions


class Temperature(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn classifier from decision values to probabilities by temperature scaling.

    The temperature of the softmax maximises the likelihood of the quadrants. The predicted quadrant
    does not change.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks",
    ICML 2017.
    """

    def fit(self, X: Values, y: NDArray[np.int64]) -> Self:
        """Fit the temperature.

        Parameters
        ----------
        X : decision values of clips that the classifier was not trained on
            [shape=(n_clips, n_classes)]
        y : their classes [shape=(n_clips,)]
        """
        self.classes_, labels = np.unique(y, return_inverse=True)
        below_largest = X - X.max(axis=1, keepdims=True)
        of_true = below_largest[np.arange(len(X)), labels]

        def loss(log_slope: float) -> float:
            slope = np.exp(log_slope)
            normaliser = np.log(np.exp(slope * below_largest).sum(axis=1))
            return float(np.mean(normaliser - slope * of_true))

        self.slope_ = float(np.exp(minimize_scalar(loss, bounds=LOG_SLOPES, method="bounded").x))
        return self

    @classmethod
    def of_one(cls, y: NDArray[np.int64]) -> Self:
        """Return a classifier whose temperature is 1.

        Parameters
        ----------
        y : classes [shape=(n_clips,)]
        """
        fitted = cls()
        fitted.classes_, fitted.slope_ = np.unique(y), 1.0
        return fitted

    def predict_proba(self, X: Values) -> Values:
        """Compute the probability of each class [shape=(n_clips, n_classes)]."""
        probabilities: Values = softmax(self.slope_ * X, axis=1)
        return probabilities


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    machine: Machine
    features: Pipeline
    rows: Values
    svc: SVC
    decisions_on_others: Values

    def classifier(self, temperature: Temperature) -> Pipeline:
        return Pipeline(
            [
                *self.features.steps,
                ("kernel", GaussianKernel(gamma=self.machine.gamma).fit(self.rows)),
                ("decisions", DecisionValues(self.svc)),
                ("temperature", temperature),
            ]
        )


def _fit_each(
    values: Values, labels: NDArray[np.int64], machines: Sequence[Machine], *, also: Values
) -> Iterator[_Fitted]:
    for n_features, of_size in _grouped(machines, "n_features").items():
        features = make_pipeline(MostRelevant(n_features=int(n_features)), StandardScaler())
        rows = features.fit_transform(values, labels)
        others = features.transform(also) if len(also) else rows[:0]
        among = euclidean_distances(rows, squared=True)
        across = euclidean_distances(others, rows, squared=True) if len(also) else among[:0]
        for gamma, of_width in _grouped(of_size, "gamma").items():
            kernel = np.exp(-gamma * among)
            kernel_of_others = np.exp(-gamma * across)
            for machine in of_width:
                svc = SVC(C=machine.C, kernel="precomputed", break_ties=True).fit(kernel, labels)
                yield _Fitted(
                    machine=machine,
                    features=features,
                    rows=rows,
                    svc=svc,
                    decisions_on_others=(
                        svc.decision_function(kernel_of_others) if len(also) else kernel_of_others
                    ),
                )


def _grouped(machines: Iterable[Machine], name: str) -> Mapping[float, list[Machine]]:
    groups: dict[float, list[Machine]] = {}
    for machine in machines:
        groups.setdefault(getattr(machine, name), []).append(machine)
    return groups
