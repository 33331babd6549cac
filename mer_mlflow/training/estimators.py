"""Fitted scikit-learn estimators as fitted models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.representations import Examples
from mer_mlflow.training.method import Prediction, most_probable

FILE = "estimator.skops"


@dataclass(frozen=True, kw_only=True)
class FittedEstimator:
    """A fitted scikit-learn classifier on one input, flattened to one row per clip."""

    estimator: Any
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        probabilities = np.zeros((len(examples), len(QUADRANTS)))
        rows = examples.read(0).reshape(len(examples), -1)
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(rows)
        return most_probable(probabilities)

    def save(self, folder: Path) -> None:
        """Write the estimator into an existing folder."""
        import skops.io

        skops.io.dump(self.estimator, folder / FILE)


def load_estimator(folder: Path) -> FittedEstimator:
    """Read a model written by :meth:`FittedEstimator.save`."""
    import skops.io

    path = folder / FILE
    trusted = [
        name
        for name in skops.io.get_untrusted_types(file=path)
        if name.startswith(("sklearn.", "mer_mlflow.training."))
    ]
    return FittedEstimator(estimator=skops.io.load(path, trusted=trusted))
