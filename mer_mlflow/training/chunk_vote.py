"""Segment-level methodologies: chunks of a clip are training examples, and vote in prediction.

References
----------
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations import Examples
from mer_mlflow.training.method import EpochRecord, FittedModel, OnEpoch, Predict, Prediction

Fit = Callable[[Examples, Any, int, OnEpoch], FittedModel]


@dataclass(frozen=True, kw_only=True)
class FittedSegments:
    """A model of chunks that predicts clips by vote.

    Attributes
    ----------
    of : model trained on chunks
    """

    of: FittedModel

    @property
    def n_parameters(self) -> int | None:
        """Number of weights."""
        return self.of.n_parameters

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip by vote, and the mean probability of every quadrant."""
        return _clip_prediction(self.of.predict, examples)

    def save(self, folder: Path) -> None:
        """Write the model of chunks into an existing folder."""
        self.of.save(folder)


def by_segment(fit: Fit) -> Fit:
    """Return the ``fit`` of a segment-level methodology.

    Parameters
    ----------
    fit : function that trains on examples that are chunks
    """

    def fit_chunks(
        train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch
    ) -> FittedModel:
        def on_chunk_epoch(record: EpochRecord, predict: Predict | None) -> None:
            on_epoch(record, predict and (lambda examples: _clip_prediction(predict, examples)))

        return FittedSegments(of=fit(train.by_part(), hyperparameters, seed, on_chunk_epoch))

    return fit_chunks


def load_by_segment(load: Callable[[Path], FittedModel]) -> Callable[[Path], FittedModel]:
    """Return the ``load`` of a segment-level methodology.

    Parameters
    ----------
    load : function that reads the model of chunks
    """
    return lambda folder: FittedSegments(of=load(folder))


def vote(probabilities: NDArray[np.float64]) -> Prediction:
    """Combine the predictions of each clip's chunks.

    Parameters
    ----------
    probabilities : probabilities for each chunk [shape=(n_clips, n_chunks, 4)]

    Returns
    -------
    the mean probabilities of the chunks, and the quadrant predicted for most chunks; ties are
    resolved by the mean probability
    """
    mean = probabilities.mean(axis=1)
    chosen = probabilities.argmax(axis=2)
    votes = (chosen[..., np.newaxis] == np.arange(probabilities.shape[2])).sum(axis=1)
    leading = votes == votes.max(axis=1, keepdims=True)
    return Prediction(probabilities=mean, quadrants=np.where(leading, mean, -1.0).argmax(axis=1))


def _clip_prediction(predict: Predict, examples: Examples) -> Prediction:
    chunks = predict(examples.by_part()).probabilities
    return vote(chunks.reshape(len(examples), -1, chunks.shape[1]))
