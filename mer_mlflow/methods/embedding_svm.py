"""SVM on embeddings of pretrained networks, alone or with handcrafted features.

Each network and each feature table is a source. Their blocks of values are standardised and
weighted so that all sources have equal weight in one RBF kernel, and one SVM separates each
quadrant from the others. Of the tagging networks, the means of the upper three convolution blocks
over time and bands are used: in a comparison, maxima, deviations, recurrent steps and tags did not
improve scores. Hyperparameters are tuned only on request, and everything is fitted on the training
clips. This methodology is not part of the study, whose transfer learning trains an output on the
last recurrent step.

References
----------
C. Cortes, V. Vapnik, "Support-vector networks", Machine Learning 20, 1995.
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mer_mlflow.representations import Examples
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import FittedModel, Method, OnEpoch
from mer_mlflow.training.requirements import fewest_clips
from mer_mlflow.training.sources import blocks_of, reads, sources_of


@dataclass(frozen=True, kw_only=True)
class EmbeddingSVMHyperparameters:
    """C : penalty of errors; gamma : inverse width of a kernel with a mean squared distance of 2.

    inputs : comma-separated sources: pretrained networks, ``top100``, ``all``.
    blocks : comma-separated statistics of a network; if it has none of them, all are used.
    """

    inputs: str = searchable("crnn_mtat,crnn_jamendo,crnn_msd", Role.INPUTS)
    blocks: str = searchable("layer2_mean,layer3_mean,layer4_mean", Role.ESTIMATOR)
    C: float = searchable(
        1.5, Role.ESTIMATOR, low=0.0, exclusive_low=True, grid=(0.5, 1.0, 1.5, 3.0, 8.0)
    )
    gamma: float = searchable(
        0.5, Role.ESTIMATOR, low=0.0, exclusive_low=True, grid=(0.125, 0.25, 0.5, 1.0)
    )


def fit(
    train: Examples, hyperparameters: EmbeddingSVMHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Fit scaling, SVMs and the temperature of their probabilities, without epochs.

    Parameters
    ----------
    train : examples of the sources
    hyperparameters : sources, blocks, C and gamma
    seed : unused, the fit has no randomness
    on_epoch : not called
    """
    from mer_mlflow.training.source_kernels import Layout, fit_blocks

    return fit_blocks(
        train,
        layout=Layout(sources=sources_of(hyperparameters), blocks=blocks_of(hyperparameters)),
        C=hyperparameters.C,
        gamma=hyperparameters.gamma,
    )


def load(folder: Path) -> FittedModel:
    """Read a saved model."""
    from mer_mlflow.training.source_kernels import load_blocks

    return load_blocks(folder)


METHOD = Method(
    name="embedding_svm",
    title="SVM on embeddings",
    summary="SVM on embeddings of pretrained networks, alone or with handcrafted features.",
    version=2,
    inputs=reads(EmbeddingSVMHyperparameters()),
    reads=reads,
    require_clips=partial(fewest_clips, fewest=2, needed_by="embedding_svm"),
    hyperparameters=EmbeddingSVMHyperparameters,
    fit=fit,
    load=load,
    shortest=2.0,
    framework="scikit-learn",
    quick_epochs=None,
    cost=0.004,
    citation="Cortes, Vapnik, Machine Learning 1995; Won et al., SMC 2020",
    table=None,
    published={},
)
