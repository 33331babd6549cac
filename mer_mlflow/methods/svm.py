"""SVM on the 100 most relevant handcrafted features: the study's classical baseline.

A published table of the top 100 is used unchanged. From a larger table, or from features extracted
from audio, the 100 most relevant are selected on the training clips. Features are standardised on
the training clips too. The study does not describe probabilities: here they are a softmax of the
decision values, whose temperature is fitted by cross-validation within the training clips. It does
not change the predicted quadrant.

References
----------
C. Cortes, V. Vapnik, "Support-vector networks", Machine Learning 20, 1995.
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020: RBF kernel, C = 8, gamma = 2^-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mer_mlflow.representations import Examples, Features
from mer_mlflow.training.estimators import FittedEstimator, load_estimator
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import Method, OnEpoch, Scores
from mer_mlflow.training.requirements import fewest_clips

CALIBRATION_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class SVMHyperparameters:
    """C : penalty of errors; gamma : inverse width of the RBF kernel.

    n_features : number of most relevant features to select, or all if there are fewer.
    """

    C: float = searchable(
        8.0, Role.ESTIMATOR, low=0.0, exclusive_low=True, grid=(0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    )
    gamma: float = searchable(
        2.0**-9,
        Role.ESTIMATOR,
        low=0.0,
        exclusive_low=True,
        grid=(2.0**-11, 2.0**-10, 2.0**-9, 2.0**-8, 2.0**-7, 2.0**-6),
    )
    n_features: int = searchable(100, Role.SELECTION, low=1)


require_clips = partial(fewest_clips, fewest=2, needed_by="svm")


def fit_together(
    train: Examples, settings: Sequence[SVMHyperparameters], seed: int
) -> list[FittedEstimator]:
    """Fit selection, scaler and SVM of several settings; their probabilities are not calibrated.

    Parameters
    ----------
    train : examples whose input is a feature table
    settings : several hyperparameters
    seed : unused, the fit has no randomness

    Raises
    ------
    DatasetError
        If a quadrant has fewer than two training clips.
    """
    require_clips(train.labels)
    return _fit(train, settings, n_splits=None)


def fit(
    train: Examples, hyperparameters: SVMHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedEstimator:
    """Fit selection, scaler, SVM and temperature on the training examples, without epochs.

    Parameters
    ----------
    train : examples whose input is a feature table
    hyperparameters : one setting
    seed : unused, the fit has no randomness
    on_epoch : not called

    Raises
    ------
    DatasetError
        If a quadrant has fewer than two training clips.
    """
    require_clips(train.labels)
    smallest = int(np.unique(train.labels, return_counts=True)[1].min())
    return _fit(train, [hyperparameters], n_splits=min(CALIBRATION_FOLDS, smallest))[0]


def _fit(
    train: Examples, settings: Sequence[SVMHyperparameters], *, n_splits: int | None
) -> list[FittedEstimator]:
    from mer_mlflow.training.kernel_svm import fit_machines

    values = train.read(0).reshape(len(train), -1).astype(np.float64)
    classifiers = fit_machines(values, train.labels, settings, n_splits=n_splits)
    return [FittedEstimator(estimator=classifier) for classifier in classifiers]


METHOD = Method(
    name="svm",
    title="SVM",
    summary="RBF support vector machine on the 100 most relevant handcrafted features.",
    version=3,
    inputs=(Features(table="top100"),),
    hyperparameters=SVMHyperparameters,
    fit=fit,
    fit_together=fit_together,
    require_clips=require_clips,
    load=load_estimator,
    shortest=0.0,
    framework="scikit-learn",
    quick_epochs=None,
    cost=0.0012,
    citation="Panda, Malheiro, Paiva, IEEE Transactions on Affective Computing 2020",
    table=2,
    published={
        "original-4qaed": Scores(precision=75.63, recall=76.03, f1=75.59),
        "new-4qaed-c": Scores(precision=69.92, recall=70.26, f1=69.79),
        "new-4qaed-b": Scores(precision=70.03, recall=70.05, f1=69.82),
    },
)
