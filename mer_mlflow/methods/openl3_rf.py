"""OpenL3 + random forest on summarised embeddings of one-second windows.

The network was trained to predict whether sound and picture of music videos belong together. A
window every 0.1 s gives 512 values: 296 x 512 for 30 s. The spectrograms are those of the openl3
package from version 0.4.2 on, whose kapre front end computes magnitudes. The study does not
publish how the matrix is summarised. By default these are mean and standard deviation over windows
(``mean_std``); ``flat`` concatenates all values; with ``vote`` every window is classified and the
windows vote.

References
----------
J. Cramer, H.-H. Wu, J. Salamon, J. P. Bello, "Look, listen and learn more: design choices for deep
audio embeddings", ICASSP 2019; weights: https://github.com/marl/openl3 (CC BY 4.0).
L. Breiman, "Random forests", Machine Learning 45, 2001.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.representations import Embedding, Examples
from mer_mlflow.representations.pretrained.openl3 import LAYER
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import FittedModel, Method, OnEpoch, Scores


@dataclass(frozen=True, kw_only=True)
class OpenL3RFHyperparameters:
    """Summary of windows, and scikit-learn's default number of trees.

    network : published network for music, named by its number of mel bands.
    """

    summary: str = searchable("mean_std", Role.ESTIMATOR, choices=("mean_std", "flat", "vote"))
    n_estimators: int = searchable(100, Role.ESTIMATOR, low=1, grid=(50, 100, 200, 400))
    network: str = searchable("mel256", Role.INPUTS, choices=("mel256", "mel128"))


def reads(hyperparameters: OpenL3RFHyperparameters) -> tuple[Embedding, ...]:
    """Return the embeddings of the chosen network."""
    return (Embedding(network=f"openl3_{hyperparameters.network}", layer=LAYER),)


def fit(
    train: Examples, hyperparameters: OpenL3RFHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Fit a forest on summaries of windows, or on windows, without epochs.

    Parameters
    ----------
    train : examples with embeddings [shape=(n_windows, 512)]
    hyperparameters : summary and number of trees
    seed : seed of the trees
    on_epoch : not called
    """
    from mer_mlflow.training.window_forest import fit_forest

    return fit_forest(
        train,
        summary=hyperparameters.summary,
        n_estimators=hyperparameters.n_estimators,
        seed=seed,
    )


def load(folder: Path) -> FittedModel:
    """Read a saved forest."""
    from mer_mlflow.training.window_forest import load_forest

    return load_forest(folder)


METHOD = Method(
    name="openl3_rf",
    title="OpenL3 + forest",
    summary="Random forest on summarised OpenL3 embeddings.",
    version=1,
    inputs=reads(OpenL3RFHyperparameters()),
    reads=reads,
    hyperparameters=OpenL3RFHyperparameters,
    fit=fit,
    load=load,
    shortest=1.0,
    framework="scikit-learn",
    quick_epochs=None,
    cost=0.003,
    citation="Cramer et al., ICASSP 2019; Breiman, Machine Learning 2001",
    table=5,
    published={
        "original-4qaed": Scores(precision=55.67, recall=56.75, f1=55.70),
        "new-4qaed-c": Scores(precision=53.92, recall=54.49, f1=53.62),
        "new-4qaed-b": Scores(precision=53.03, recall=53.18, f1=52.85),
    },
)
