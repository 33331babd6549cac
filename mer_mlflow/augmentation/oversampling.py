"""Oversampling: synthetic points of each quadrant, by smote-variants.

The library's samplers work on two classes. Each quadrant is oversampled against the union of the
others. The library's multiclass wrapper is not used: it only extends every class to the size of the
largest, so it adds nothing to balanced quadrants and never the same number to each.

References
----------
N. V. Chawla et al., "SMOTE: synthetic minority over-sampling technique", Journal of Artificial
Intelligence Research 16, 2002.
H. Han, W.-Y. Wang, B.-H. Mao, "Borderline-SMOTE: a new over-sampling method in imbalanced data sets
learning", ICIC 2005.
H. He et al., "ADASYN: adaptive synthetic sampling approach for imbalanced learning", IJCNN 2008.
G. Kovács, "smote-variants: a Python implementation of 85 minority oversampling techniques",
Neurocomputing 366, 2019.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.packages import require_package

SAMPLERS = {"borderline_smote2": "Borderline_SMOTE2", "smote": "SMOTE", "adasyn": "ADASYN"}
"""Class names in smote-variants, by name of the algorithm."""
FEWEST = 3
"""Minimum number of points of a quadrant that smote-variants needs."""
LAST_RESORT = "smote"
"""Algorithm used if another one fails: it does not depend on the borders of a quadrant."""


@dataclass(frozen=True, kw_only=True)
class Oversampled:
    """Synthetic points.

    Attributes
    ----------
    values : the points, quadrant by quadrant [shape=(n_quadrants * n_each, n_values)]
    quadrants : quadrant of each point [shape=(n_quadrants * n_each,)]
    n_by_last_resort : number of points of each quadrant that were made by plain SMOTE, because
        the requested algorithm made none [shape=(4,)]
    """

    values: NDArray[np.float32]
    quadrants: NDArray[np.int64]
    n_by_last_resort: NDArray[np.int64]


def oversample(
    values: NDArray[np.floating],
    labels: NDArray[np.int64],
    *,
    algorithm: str,
    n_each: int,
    seed: int,
) -> Oversampled:
    """Make the same number of synthetic points for each quadrant.

    If the points of a quadrant have no neighbours in other quadrants, Borderline-SMOTE2 and ADASYN
    return no points and no warning. Plain SMOTE is used for that quadrant then.

    Parameters
    ----------
    values : points [shape=(n_points, n_values)]
    labels : quadrant of each, 0 to 3 [shape=(n_points,)]
    algorithm : ``"borderline_smote2"``, ``"smote"`` or ``"adasyn"``
    n_each : int > 0
    seed : random seed

    Raises
    ------
    ParameterError
        If the algorithm is unknown, or smote-variants is not installed.
    DatasetError
        If a quadrant has fewer than three points, or at least half of all points.
    """
    refuse_unusable_labels(labels)
    if algorithm not in SAMPLERS:
        raise ParameterError(f"sampler={algorithm}: unknown; samplers are {', '.join(SAMPLERS)}")
    present = np.unique(labels)
    made, n_by_last_resort = [], np.zeros(len(QUADRANTS), dtype=np.int64)
    for quadrant in present:
        is_own = labels == quadrant
        draws = [seed, int(quadrant)]
        new = _sampled(values, is_own, algorithm, n_each, draws)
        if not len(new):
            new = _sampled(values, is_own, LAST_RESORT, n_each, draws)
            n_by_last_resort[quadrant] = n_each
        made.append(new)
    return Oversampled(
        values=np.concatenate(made).astype(np.float32),
        quadrants=np.repeat(present, n_each),
        n_by_last_resort=n_by_last_resort,
    )


def refuse_unusable_labels(labels: NDArray[np.int64]) -> None:
    """Check that points with these quadrants can be oversampled, before they are computed.

    Raises
    ------
    ParameterError
        If smote-variants is not installed.
    DatasetError
        If a quadrant has fewer than three points, or at least half of all points.
    """
    require_package("smote_variants", needed_by="oversampling")
    for quadrant in np.unique(labels):
        n_own = int(np.sum(labels == quadrant))
        if n_own < FEWEST:
            raise DatasetError(
                f"{QUADRANTS[quadrant]} has {n_own} training clips: oversampling needs {FEWEST}"
            )
        if 2 * n_own >= len(labels):
            raise DatasetError(
                f"{QUADRANTS[quadrant]} has {n_own} of {len(labels)} training clips: oversampling "
                "needs quadrants that have less than half"
            )


def _sampled(
    values: NDArray[np.floating],
    is_own: NDArray[np.bool_],
    algorithm: str,
    n_made: int,
    seed: list[int],
) -> NDArray[np.floating]:
    """Return the points that one algorithm makes for one quadrant: all requested ones or none."""
    sampler_class = getattr(_smote_variants(), SAMPLERS[algorithm])
    lack = len(is_own) - 2 * int(is_own.sum())
    share = (n_made + 0.5) / lack
    sampler = sampler_class(proportion=share, random_state=np.random.RandomState(seed))
    grown, _ = sampler.sample(values, is_own.astype(np.int64))
    new: NDArray[np.floating] = grown[len(values) :].copy()  # a view would keep all in memory
    if len(new) != n_made and (len(new) or algorithm == LAST_RESORT):
        raise RuntimeError(f"{algorithm} made {len(new)} points instead of {n_made}")
    return new


def _smote_variants() -> object:
    import smote_variants

    logging.getLogger("smote_variants").setLevel(logging.ERROR)
    return smote_variants
