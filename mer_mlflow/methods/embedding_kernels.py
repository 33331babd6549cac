"""Kernel ridge regression on embeddings of pretrained networks, with a kernel for each network.

Blocks of values are standardised. The squared distances of a network's blocks are averaged, scaled
to a mean of 1 over the training clips, and put into an RBF kernel. Ridge regression with an
unpenalised bias separates each quadrant from the others on the mean of all kernels. Leave-one-out
decisions on the training clips, which follow in closed form from the fit, calibrate the
probabilities and, with ``choose=loo``, choose width and penalty. With ``combine=stacking``, a
logistic regression on such decisions combines ridge regressions on the mean kernel and on each
network's: on 200 clips of Original-4QAED, it gained 1.1 points of macro F1 in the study's folds and
2.2 in artist-grouped ones, less than their standard errors of about 2 points can confirm. Scaling
is that of all training clips. This methodology is not part of the study.

References
----------
M. Gönen, E. Alpaydın, "Multiple kernel learning algorithms", Journal of Machine Learning Research
12, 2011.
D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992.
R. M. Rifkin, R. A. Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025, 2007.
S. An, W. Liu, S. Venkatesh, "Fast cross-validation algorithms for least squares support vector
machine and kernel ridge regression", Pattern Recognition 40(8), 2007.
J. F. Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events",
ICASSP 2017; YAMNet: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet.
J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
late-breaking demo, ISMIR 2019.
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mer_mlflow.representations import Examples
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import FittedModel, Method, OnEpoch
from mer_mlflow.training.requirements import fewest_clips
from mer_mlflow.training.sources import blocks_of, reads, sources_of

if TYPE_CHECKING:
    from mer_mlflow.training.kernel_ridge import Ridge

WIDTHS = (0.5, 0.71, 1.0, 1.41, 2.0)
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class EmbeddingKernelsHyperparameters:
    """width : of the kernels, in units of the mean distance; penalty : added to the diagonal.

    inputs : comma-separated sources: pretrained networks, ``top100``, ``all``.
    blocks : comma-separated statistics of a network; if it has none of them, all are used.
    combine : ``mean`` kernel; or ``stacking`` of regressions on it and on each source's kernel.
    choose : ``given`` for the given width and penalty; ``loo`` for those of the grid with the
        lowest squared error of the mean kernel on left-out training clips.
    """

    inputs: str = searchable("yamnet,crnn_mtat,crnn_jamendo,crnn_msd,musicnn_msd", Role.INPUTS)
    blocks: str = searchable("layer2_mean,layer3_mean,layer4_mean", Role.ESTIMATOR)
    combine: str = searchable("mean", Role.ESTIMATOR, choices=("mean", "stacking"))
    choose: str = searchable("given", Role.ESTIMATOR, choices=("given", "loo"))
    width: float = searchable(1.0, Role.ESTIMATOR, low=0.01, high=100.0, grid=WIDTHS)
    penalty: float = searchable(0.1, Role.ESTIMATOR, low=1e-6, high=1e6, grid=PENALTIES)


def fit(
    train: Examples, hyperparameters: EmbeddingKernelsHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Fit scaling, regressions and the temperature of their probabilities, without epochs.

    Parameters
    ----------
    train : examples of the sources
    hyperparameters : sources, blocks, width and penalty, or that they are chosen
    seed : unused, the fit has no randomness
    on_epoch : not called
    """
    from mer_mlflow.training.kernel_ridge import fit_kernels
    from mer_mlflow.training.source_kernels import Layout

    layout = Layout(sources=sources_of(hyperparameters), blocks=blocks_of(hyperparameters))
    return fit_kernels(
        train,
        layout=layout,
        ridges=ridges(hyperparameters),
        stacks=hyperparameters.combine == "stacking",
    )


def ridges(hyperparameters: EmbeddingKernelsHyperparameters) -> list[Ridge]:
    """Return the width and penalty that are given, or all those that are chosen from."""
    from mer_mlflow.training.kernel_ridge import Ridge

    given = [(hyperparameters.width, hyperparameters.penalty)]
    tried = given if hyperparameters.choose == "given" else itertools.product(WIDTHS, PENALTIES)
    return [Ridge(width=width, penalty=penalty) for width, penalty in tried]


def load(folder: Path) -> FittedModel:
    """Read a saved model."""
    from mer_mlflow.training.source_kernels import load_blocks

    return load_blocks(folder)


METHOD = Method(
    name="embedding_kernels",
    title="Kernels on embeddings",
    summary="Kernel ridge regression on embeddings of pretrained networks, a kernel for each.",
    version=1,
    inputs=reads(EmbeddingKernelsHyperparameters()),
    reads=reads,
    require_clips=partial(fewest_clips, fewest=2, needed_by="embedding_kernels"),
    hyperparameters=EmbeddingKernelsHyperparameters,
    fit=fit,
    load=load,
    shortest=3.0,
    framework="scikit-learn",
    quick_epochs=None,
    cost=0.004,
    citation="Gönen, Alpaydın, JMLR 2011; An et al., Pattern Recognition 2007; Gemmeke et al., "
    "ICASSP 2017; Pons, Serra, ISMIR 2019; Won et al., SMC 2020",
    table=None,
    published={},
)
