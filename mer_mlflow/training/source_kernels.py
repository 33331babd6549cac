"""SVMs on values from several sources, with equal weights of all sources in the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from mer_mlflow.representations import Examples
from mer_mlflow.representations.pretrained import MODULES
from mer_mlflow.training.estimators import FittedEstimator, load_estimator
from mer_mlflow.training.kernel_svm import DecisionValues, Temperature, quick_checks
from mer_mlflow.training.method import Prediction
from mer_mlflow.training.requirements import fewest_clips
from mer_mlflow.training.window_forest import MEAN_STD, as_rows

LAYOUT_FILE = "layout.json"
CALIBRATION_FOLDS = 5
NEGLIGIBLE = 1e-6
"""Standard deviation, relative to the mean, below which a value counts as constant."""

Values = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Order of the values of a clip.

    Attributes
    ----------
    sources : names of the inputs, in order
    blocks : statistics of a network that are used; of a network without one of them, all are
    """

    sources: tuple[str, ...]
    blocks: tuple[str, ...]

    def arrays(self, examples: Examples) -> list[list[Values]]:
        """Return the blocks of each source [shape=(n_clips, n_values)]."""
        return [list(self._of_source(examples, which)) for which in range(len(self.sources))]

    def _of_source(self, examples: Examples, which: int) -> Iterator[Values]:
        if len(examples.item_shape(which)) == 2:
            windows = as_rows(examples.only(which), MEAN_STD).read(0)
            yield from np.split(windows, 2, axis=1)
            return
        values = examples.read(which).astype(np.float64)
        sizes = MODULES[self.sources[which]].BLOCKS if self.sources[which] in MODULES else {}
        if not sizes:
            yield values
            return
        ends = np.cumsum(list(sizes.values()))
        by_name = dict(zip(sizes, np.split(values, ends[:-1], axis=1), strict=True))
        yield from [by_name[name] for name in self.blocks if name in by_name] or by_name.values()


@dataclass(frozen=True, kw_only=True)
class FittedBlocks:
    """A fitted classifier and the layout of its input.

    Attributes
    ----------
    estimator : classifier of the concatenated blocks of all sources
    layout : order of the blocks
    """

    estimator: FittedEstimator
    layout: Layout
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        blocks = [block for source in self.layout.arrays(examples) for block in source]
        return self.estimator.predict(
            Examples(
                inputs=(np.concatenate(blocks, axis=1),),
                positions=np.arange(len(examples)),
                quadrants=None,
            )
        )

    def save(self, folder: Path) -> None:
        """Write classifier and layout into an existing folder."""
        self.estimator.save(folder)
        (folder / LAYOUT_FILE).write_text(json.dumps(asdict(self.layout)))


def load_blocks(folder: Path) -> FittedBlocks:
    """Read a model written by :meth:`FittedBlocks.save`."""
    kept = json.loads((folder / LAYOUT_FILE).read_text())
    layout = Layout(sources=tuple(kept["sources"]), blocks=tuple(kept["blocks"]))
    return FittedBlocks(estimator=load_estimator(folder), layout=layout)


class WeighedBlocks(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer that standardises values, and weights each block in distances.

    The mean squared distance of two training clips is 2 if weights sum to 1. Constant values are
    removed.

    Parameters
    ----------
    sizes : number of values of each block, in order
    weights : share of each block in squared distances
    """

    def __init__(self, sizes: tuple[int, ...] = (), weights: tuple[float, ...] = ()) -> None:
        self.sizes = sizes
        self.weights = weights

    def fit(self, X: Values, y: object = None) -> Self:
        """Compute statistics of the training clips [shape=(n_clips, n_values)]."""
        self.mean_ = X.mean(axis=0)
        deviation = X.std(axis=0)
        varies = deviation > NEGLIGIBLE * np.maximum(np.abs(self.mean_), NEGLIGIBLE)
        block = np.repeat(np.arange(len(self.sizes)), self.sizes)
        n_varying = np.maximum(np.bincount(block[varies], minlength=len(self.sizes)), 1)
        share = np.sqrt(np.asarray(self.weights) / n_varying)[block]
        self.factor_ = np.where(varies, share / np.where(varies, deviation, 1.0), 0.0)
        return self

    def transform(self, X: Values) -> Values:
        """Scale values [shape=(n_clips, n_values)]."""
        scaled: Values = (X - self.mean_) * self.factor_
        return scaled


def fit_blocks(train: Examples, *, layout: Layout, C: float, gamma: float) -> FittedBlocks:
    """Fit scaling, one-vs-rest SVMs, and the temperature of their probabilities.

    Parameters
    ----------
    train : training examples, with one input per source
    layout : order of their values
    C : float > 0, penalty of errors
    gamma : float > 0, inverse width of the kernel

    Raises
    ------
    DatasetError
        If a quadrant has fewer than two training clips.
    """
    fewest_clips(train.labels, fewest=2, needed_by="embedding_svm")
    smallest = int(np.unique(train.labels, return_counts=True)[1].min())
    sources = layout.arrays(train)
    shares = [1 / (len(sources) * len(source)) for source in sources for _ in source]
    blocks = [block for source in sources for block in source]
    scaler = WeighedBlocks(tuple(block.shape[1] for block in blocks), tuple(shares))
    values = np.concatenate(blocks, axis=1)
    with quick_checks():
        decisions = np.empty((len(values), len(np.unique(train.labels))))
        folds = StratifiedGroupKFold(min(CALIBRATION_FOLDS, smallest))
        recordings = train.positions if train.sources is None else train.sources
        for rows, held_out in folds.split(values, train.labels, recordings):
            own, machines = _fitted(values[rows], train.labels[rows], scaler, C=C, gamma=gamma)
            decisions[held_out] = machines.decision_function(own.transform(values[held_out]))
        own, machines = _fitted(values, train.labels, scaler, C=C, gamma=gamma)
    classifier = Pipeline(
        [
            ("blocks", own),
            ("decisions", DecisionValues(machines)),
            ("temperature", Temperature().fit(decisions, train.labels)),
        ]
    )
    return FittedBlocks(estimator=FittedEstimator(estimator=classifier), layout=layout)


def _fitted(
    values: Values, labels: NDArray[np.int64], scaler: WeighedBlocks, *, C: float, gamma: float
) -> tuple[WeighedBlocks, OneVsRestClassifier]:
    own = WeighedBlocks(scaler.sizes, scaler.weights).fit(values)
    machines = OneVsRestClassifier(SVC(C=C, gamma=gamma, class_weight="balanced"))
    return own, machines.fit(own.transform(values), labels)
