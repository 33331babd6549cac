"""Confident learning: clips whose label contradicts out-of-fold probabilities.

References
----------
C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident learning: estimating uncertainty in dataset
labels", Journal of Artificial Intelligence Research 70, 2021.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def label_suspects(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the clips outside of the diagonal of the confident joint.

    The threshold of a class is the mean probability of this class over the clips with its label. A
    clip belongs to the most probable of the classes whose thresholds it reaches; it is a suspect if
    this is not its label. A clip that reaches no threshold is not a suspect.

    Parameters
    ----------
    labels : label of each clip [shape=(n_clips,)]
    probabilities : out-of-fold probability of each class [shape=(n_clips, n_classes)]

    Returns
    -------
    whether each clip is a suspect [shape=(n_clips,)]

    Examples
    --------
    >>> found = label_suspects(
    ...     np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    ... )
    >>> found.tolist()
    [False, True, False, False]
    """
    n_classes = probabilities.shape[1]
    given = labels[:, None] == np.arange(n_classes)
    counts = given.sum(axis=0)
    sums = np.where(given, probabilities, 0).sum(axis=0)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = probabilities >= thresholds
    belongs = np.where(reached, probabilities, -1).argmax(axis=1)
    return np.asarray(reached.any(axis=1) & (belongs != labels))
