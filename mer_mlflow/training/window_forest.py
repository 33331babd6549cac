"""Random forests on windows of clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from mer_mlflow.representations import Examples
from mer_mlflow.training.chunk_vote import FittedSegments
from mer_mlflow.training.estimators import FittedEstimator, load_estimator
from mer_mlflow.training.method import FittedModel, Prediction
from mer_mlflow.training.steps import PREDICT_BATCH, batches

VOTE, FLAT, MEAN_STD = "vote", "flat", "mean_std"
SUMMARY_FILE = "summary.txt"


@dataclass(frozen=True, kw_only=True)
class FittedForest:
    """A random forest, and the summary of its input.

    Attributes
    ----------
    forest : classifier of clips, or of windows
    summary : ``"mean_std"``, ``"flat"`` or ``"vote"``
    """

    forest: FittedEstimator
    summary: str
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        if self.summary == VOTE:
            return FittedSegments(of=self.forest).predict(examples)
        return self.forest.predict(as_rows(examples, self.summary))

    def save(self, folder: Path) -> None:
        """Write forest and summary into an existing folder."""
        self.forest.save(folder)
        (folder / SUMMARY_FILE).write_text(self.summary)


def load_forest(folder: Path) -> FittedModel:
    """Read a model written by :meth:`FittedForest.save`."""
    return FittedForest(forest=load_estimator(folder), summary=(folder / SUMMARY_FILE).read_text())


def fit_forest(train: Examples, *, summary: str, n_estimators: int, seed: int) -> FittedForest:
    """Fit a forest on clips' windows.

    Parameters
    ----------
    train : training examples, whose first input is a matrix of windows
        [shape=(n_windows, n_values)]
    summary : ``"mean_std"`` over windows, ``"flat"`` for all windows concatenated, ``"vote"`` for a
        majority vote of the windows, each of which is classified separately
    n_estimators : int > 0, number of trees
    seed : seed of the trees
    """
    rows = train.by_part() if summary == VOTE else as_rows(train, summary)
    forest = RandomForestClassifier(n_estimators=n_estimators, random_state=seed)
    forest.fit(rows.read(0), rows.labels)
    return FittedForest(forest=FittedEstimator(estimator=forest), summary=summary)


def as_rows(examples: Examples, summary: str) -> Examples:
    """Turn each clip's windows into one row of features.

    Parameters
    ----------
    examples : examples whose first input is a matrix of windows [shape=(n_windows, n_values)]
    summary : ``"mean_std"`` or ``"flat"``
    """
    rows = [
        _summarised(examples.read(0, batch), summary)
        for batch in batches(np.arange(len(examples)), PREDICT_BATCH)
    ]
    return Examples(
        inputs=(np.concatenate(rows),),
        positions=np.arange(len(examples)),
        quadrants=examples.quadrants,
    )


def _summarised(windows: NDArray[np.float32], summary: str) -> NDArray[np.float32]:
    if summary == FLAT:
        return windows.reshape(len(windows), -1)
    joined: NDArray[np.float32] = np.concatenate([windows.mean(1), windows.std(1)], axis=1)
    return joined
