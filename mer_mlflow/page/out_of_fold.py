"""Out-of-fold predictions of cross-validations: mean over repetitions, errors, suspects, scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mer_mlflow.crossval.metrics import scores_of_counts
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.page.confident import label_suspects
from mer_mlflow.reporting.validations import Validation

SHARES = [f"p_{quadrant}" for quadrant in QUADRANTS]
N_NEAREST = 5


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Macro F1 of a cross-validation with all clips, and without some of them.

    Attributes
    ----------
    everything, without : mean over the folds, 0 to 1
    n_left_out, n_clips : number of clips left out, and of all tested clips
    """

    everything: float
    without: float
    n_left_out: int
    n_clips: int


def mean_predictions(validation: Validation) -> pd.DataFrame:
    """Return the out-of-fold predictions of a cross-validation, mean over its repetitions.

    Parameters
    ----------
    validation : a complete cross-validation

    Returns
    -------
    one row per clip, with its id as index: true ``quadrant``, probability of each quadrant, and
    ``predicted``, the quadrant predicted most often; of several, the most probable one
    """
    by_clip = validation.predictions.groupby("clip")
    table = by_clip[SHARES].mean().set_axis(list(QUADRANTS), axis=1)
    votes = pd.crosstab(validation.predictions["clip"], validation.predictions["predicted"])
    votes = votes.reindex(index=table.index, columns=list(QUADRANTS), fill_value=0)
    table.insert(0, "quadrant", by_clip["quadrant"].first())
    # a vote counts more than any probability
    return table.assign(predicted=(2 * votes + table[list(QUADRANTS)]).idxmax(axis=1))


def true_probability(table: pd.DataFrame) -> pd.Series[float]:
    """Return the probability of the true quadrant of each clip of :func:`mean_predictions`."""
    columns = [QUADRANTS.index(quadrant) for quadrant in table["quadrant"]]
    values = table[list(QUADRANTS)].to_numpy()[np.arange(len(table)), columns]
    return pd.Series(values, index=table.index)


def nearest(table: pd.DataFrame, probabilities: Sequence[float]) -> pd.DataFrame:
    """Return the clips with the most similar out-of-fold probabilities.

    Parameters
    ----------
    table : rows of :func:`mean_predictions`
    probabilities : probability of each quadrant of a song

    Returns
    -------
    nearest clips first, with a column ``distance``: Euclidean, 0 to the square root of 2
    """
    apart = table[list(QUADRANTS)].to_numpy() - np.asarray(probabilities)
    found = table.assign(distance=np.linalg.norm(apart, axis=1))
    return found.sort_values("distance", kind="stable").head(N_NEAREST)


def same_clips(chosen: Validation, others: Sequence[Validation]) -> list[Validation]:
    """Return the complete cross-validations of the same clips with the same labels."""
    return [item for item in others if item.is_complete and item.frame[:2] == chosen.frame[:2]]


def suspects(validations: Sequence[Validation]) -> set[str]:
    """Return clips whose labels are suspect: confident learning over the mean of methodologies.

    Parameters
    ----------
    validations : complete cross-validations of the same clips; those of the same methodology are
        averaged first, so that each methodology has the same weight
    """
    by_method: dict[str, list[pd.DataFrame]] = {}
    for item in validations:
        by_method.setdefault(item.method, []).append(mean_predictions(item))
    methods = [
        pd.concat(tables).groupby(level=0)[list(QUADRANTS)].mean() for tables in by_method.values()
    ]
    mean = pd.concat(methods).groupby(level=0).mean()
    truth = pd.concat([table["quadrant"] for tables in by_method.values() for table in tables])
    labels = truth.groupby(level=0).first().map(QUADRANTS.index)
    found = label_suspects(labels.to_numpy(dtype=np.int64), mean.to_numpy())
    return set(mean.index[found])


def compare_without(validation: Validation, left_out: Collection[str]) -> Comparison:
    """Compute the macro F1 of a cross-validation with all clips, and without some of them.

    The models stay the same: the clips are left out of the tests only. A fold without any other
    clip is not counted.

    Parameters
    ----------
    validation : a complete cross-validation
    left_out : ids of clips
    """
    predictions = validation.predictions
    kept = predictions[~predictions["clip"].isin(list(left_out))]
    clips = set(predictions["clip"])
    return Comparison(
        everything=_macro_f1(predictions),
        without=_macro_f1(kept),
        n_left_out=len(clips & set(left_out)),
        n_clips=len(clips),
    )


def _macro_f1(predictions: pd.DataFrame) -> float:
    """Mean over the folds; NaN if there are no predictions."""
    if predictions.empty:
        return float("nan")
    folds, names = pd.factorize(predictions["split"])
    n = len(QUADRANTS)
    counts = np.zeros((len(names), n, n), dtype=np.int64)
    true, predicted = (predictions[each].map(QUADRANTS.index) for each in ("quadrant", "predicted"))
    np.add.at(counts, (folds, true.to_numpy(), predicted.to_numpy()), 1)
    return float(scores_of_counts(counts)["f1_macro"].mean())
