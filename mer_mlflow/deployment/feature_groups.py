"""Shapley values of groups of handcrafted features, one group for each musical dimension.

The groups are players of a cooperative game. The features of groups outside a coalition are
replaced by those of each clip of a background, and the probabilities averaged: a feature has no
value that means "missing", and the mean of all clips is a clip that sounds like none of them. The
values of the groups sum to the probability of the song minus the mean one of the background. All
coalitions of the seven groups are evaluated, so that the values are exact.

References
----------
L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games 2, 1953.
S. M. Lundberg, S.-I. Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.
D. Janzing, L. Minorics, P. Blöbaum, "Feature relevance quantification in explainable AI: a causal
problem", AISTATS 2020 (replacement by values that do not depend on the other features).
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020 (the dimensions).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.packages import require_package
from mer_mlflow.representations import Examples, Input
from mer_mlflow.representations.handcrafted.handcrafted import NAMES

GROUPS = ("melody", "harmony", "rhythm", "dynamics", "timbre", "texture", "expressivity")
N_BACKGROUND = 32
"""Maximum number of training clips of the background."""
SEED = 0
NEEDS_SHAP = "the explanation by groups of features"

Values = NDArray[np.floating]


def group_of(name: str) -> str:
    """Return the group of a handcrafted feature, its musical dimension.

    Examples
    --------
    >>> group_of("rhythm.onset_interval.std")
    'rhythm'
    """
    return name.partition(".")[0]


def handcrafted_input(inputs: Sequence[Input]) -> int | None:
    """Return the index of the handcrafted features among inputs from audio, None without any."""
    return next((i for i, item in enumerate(inputs) if item.is_handcrafted), None)


def draw_background(examples: Examples, inputs: Sequence[Input]) -> Values | None:
    """Draw the features of some training clips at random.

    Parameters
    ----------
    examples : training examples; synthesised ones are not drawn
    inputs : inputs of the methodology

    Returns
    -------
    features [shape=(n_clips, n_features)]; None if no input is handcrafted features
    """
    which = handcrafted_input(inputs)
    if which is None:
        return None
    recordings = examples.recordings()
    n_drawn = min(N_BACKGROUND, len(recordings))
    drawn = np.random.default_rng(SEED).choice(len(recordings), n_drawn, replace=False)
    return recordings.read(which, np.sort(drawn))


def group_values(
    predict: Callable[[Values], NDArray[np.float64]], features: Values, background: Values
) -> tuple[pd.DataFrame, float]:
    """Compute the Shapley value of each group.

    Parameters
    ----------
    predict : function from features [shape=(n_rows, n_features)] to probabilities [shape=(n_rows,)]
    features : features of a song [shape=(n_features,)]
    background : features of other clips [shape=(n_clips, n_features)]

    Returns
    -------
    table : ``group`` and its ``value``, in the order of ``GROUPS``
    base : mean probability of the background

    Raises
    ------
    ParameterError
        If the package shap is not installed.
    """
    members = np.array([[group_of(name) == group for name in NAMES] for group in GROUPS])

    def mean_probability(coalition: NDArray[np.bool_]) -> float:
        is_kept = members[coalition].any(axis=0)
        return float(predict(np.where(is_kept, features, background)).mean())

    values, base = shapley_values(mean_probability, n_players=len(GROUPS))
    return pd.DataFrame({"group": GROUPS, "value": values}), base


def shapley_values(
    worth: Callable[[NDArray[np.bool_]], float], *, n_players: int
) -> tuple[NDArray[np.float64], float]:
    """Compute exact Shapley values from all coalitions of a few players.

    Parameters
    ----------
    worth : function from the members of a coalition [shape=(n_players,)] to its worth
    n_players : int > 0

    Returns
    -------
    values : value of each player [shape=(n_players,)]
    base : worth of the coalition without members

    Raises
    ------
    ParameterError
        If the package shap is not installed.
    """
    require_package("shap", needed_by=NEEDS_SHAP)
    with warnings.catch_warnings():
        # shap warns about its own use of matplotlib when it is imported
        warnings.simplefilter("ignore")
        import shap

    def worths(coalitions: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.array([worth(members) for members in coalitions.astype(bool)])

    # Kernel SHAP is exact with all coalitions; shap's exact explainer is compiled in each process
    explainer = shap.KernelExplainer(worths, np.zeros((1, n_players)))
    values = explainer.shap_values(
        np.ones((1, n_players)), nsamples=2**n_players, l1_reg=False, silent=True
    )
    return np.asarray(values[0], dtype=np.float64), float(explainer.expected_value)
