"""Selection of the features that are most relevant to the quadrants.

The relevance of a feature is the ratio of the variance between quadrants to that within quadrants,
which ranks features like the F statistic of an analysis of variance. Of highly correlated features
only the most relevant is selected.

References
----------
I. Guyon, A. Elisseeff, "An introduction to variable and feature selection", Journal of Machine
Learning Research 3, 2003.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

NEGLIGIBLE = 1e-6
"""Range, relative to the values, below which a feature counts as constant."""


class MostRelevant(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer that selects the most relevant features without redundant ones.

    Parameters
    ----------
    n_features : int > 0, number of features to select, or all if there are fewer. If too few
        remain after the removal of redundant features, the most relevant of these are added
    most_alike : float, 0 to 1, maximum absolute correlation of two selected features
    """

    def __init__(self, n_features: int = 100, most_alike: float = 0.9) -> None:
        self.n_features = n_features
        self.most_alike = most_alike

    def fit(self, X: NDArray[np.floating], y: NDArray[np.int64]) -> Self:
        """Select features on training clips.

        Parameters
        ----------
        X : features [shape=(n_clips, n_features)]
        y : quadrants [shape=(n_clips,)]
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.support_ = np.full(X.shape[1], X.shape[1] <= self.n_features)
        if not self.support_.all():
            ordered = _by_relevance(X, y)
            kept = _first_unlike(X, ordered, most=self.n_features, alike=self.most_alike)
            self.support_[kept] = True
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


def _by_relevance(values: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the features, most relevant first, constant ones last.

    Scikit-learn's ``f_classif`` is not used: its sums of squares cancel if a feature hardly varies.
    """
    classes, of_clip, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([values[of_clip == k].mean(axis=0) for k in range(len(classes))])
    between = (counts[:, np.newaxis] * (means - values.mean(axis=0)) ** 2).sum(axis=0)
    within = ((values - means[of_clip]) ** 2).sum(axis=0)
    constant = np.ptp(values, axis=0) <= NEGLIGIBLE * np.abs(values).max(axis=0)
    with np.errstate(divide="ignore"):  # inf for a feature without variance within quadrants
        ratio = between / np.where(constant, 1.0, within)
    return np.argsort(-np.where(constant, -1.0, ratio), kind="stable")


def _first_unlike(
    values: NDArray[np.floating], ordered: NDArray[np.int64], *, most: int, alike: float
) -> list[int]:
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    unit = centred / np.where(norms > 0, norms, 1.0)
    kept: list[int] = []
    passed_over: list[int] = []
    for feature in ordered:
        is_new = not kept or np.abs(unit[:, kept].T @ unit[:, feature]).max() <= alike
        (kept if is_new else passed_over).append(int(feature))
        if len(kept) == most:
            break
    return kept + passed_over[: max(0, most - len(kept))]
