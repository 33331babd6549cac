"""Oversampling: new points between those of a quadrant, by smote-variants.

The library's samplers work on two classes. Each quadrant is oversampled against all others
together: its multiclass wrapper can only fill every class up to the largest, which adds nothing
where quadrants are balanced and never the same number to each.

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
"""Names of the algorithms, and what smote-variants calls them."""
FEWEST = 3
"""Points of a quadrant with which smote-variants works."""
LAST_RESORT = "smote"
"""Makes the points that another algorithm does not: it has no say on where a quadrant borders."""


@dataclass(frozen=True, kw_only=True)
class Oversampled:
    """Points that were made.

    Attributes
    ----------
    values : the points, quadrant by quadrant [shape=(n_quadrants * n_each, n_values)]
    quadrants : of each [shape=(n_quadrants * n_each,)]
    n_by_last_resort : how many of each quadrant were made by plain SMOTE, because the algorithm
        found no place for them [shape=(4,)]
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
    """Make the same number of new points for each quadrant.

    Borderline-SMOTE2 and ADASYN make none for a quadrant whose points have no neighbours of others,
    and say nothing of it. Plain SMOTE makes that quadrant's then.

    Parameters
    ----------
    values : points [shape=(n_points, n_values)]
    labels : quadrant of each, 0 to 3 [shape=(n_points,)]
    algorithm : ``"borderline_smote2"``, ``"smote"`` or ``"adasyn"``
    n_each : int > 0
    seed : of the draws

    Raises
    ------
    ParameterError
        If the algorithm is unknown, or smote-variants is not installed.
    DatasetError
        If a quadrant has fewer than three points, or half of them.
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
    """Make sure that points with these quadrants can be oversampled, before any is computed.

    Raises
    ------
    ParameterError
        If smote-variants is not installed.
    DatasetError
        If a quadrant has fewer than three points, or half of them.
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
    """Points that one algorithm makes for one quadrant, all that were requested or none."""
    sampler_class = getattr(_smote_variants(), SAMPLERS[algorithm])
    lack = len(is_own) - 2 * int(is_own.sum())
    share = (n_made + 0.5) / lack
    sampler = sampler_class(proportion=share, random_state=np.random.RandomState(seed))
    grown, _ = sampler.sample(values, is_own.astype(np.int64))
    new: NDArray[np.floating] = grown[len(values) :].copy()  # a view would keep all points alive
    if len(new) != n_made and (len(new) or algorithm == LAST_RESORT):
        raise RuntimeError(f"{algorithm} made {len(new)} points instead of {n_made}")
    return new


def _smote_variants() -> object:
    import smote_variants

    logging.getLogger("smote_variants").setLevel(logging.ERROR)
    return smote_variants
