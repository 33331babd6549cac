"""CNN + DeepSMOTE: the baseline CNN, trained also on clips interpolated in a latent space.

A convolutional autoencoder is trained on the training clips. SMOTE makes 25 synthetic points of
each quadrant between their bottlenecks, and the decoder turns these into spectrograms. Each
quadrant is oversampled against the union of the others. If Borderline-SMOTE2 or ADASYN find no
clip of a quadrant near one of another quadrant, plain SMOTE makes its points; the run records their
number. The study does not publish the autoencoder's layers and training: they are those of
``autoencoder_rf``.

References
----------
D. Dablain, B. Krawczyk, N. V. Chawla, "DeepSMOTE: fusing deep learning and SMOTE for imbalanced
data", IEEE Transactions on Neural Networks and Learning Systems 34(9), 2023.
H. Han, W.-Y. Wang, B.-H. Mao, "Borderline-SMOTE: a new over-sampling method in imbalanced data sets
learning", ICIC 2005.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

from mer_mlflow.augmentation.oversampling import refuse_unusable_labels
from mer_mlflow.representations import Examples, Mel
from mer_mlflow.training.hyperparameters import (
    AutoencoderTraining,
    CNNSizes,
    Role,
    SGDTraining,
    searchable,
)
from mer_mlflow.training.keras_network import load_network
from mer_mlflow.training.method import FittedModel, Method, OnEpoch, Scores


@dataclass(frozen=True, kw_only=True)
class CNNDeepSMOTEHyperparameters(AutoencoderTraining, CNNSizes, SGDTraining):
    """Hyperparameters of the baseline with larger batches, of the sampler and the autoencoder.

    n_synthesised : number of synthetic points per quadrant.
    """

    batch_size: int = searchable(200, Role.TRAINING | Role.BATCH, low=1, grid=(100, 150, 200))
    sampler: str = searchable(
        "borderline_smote2", Role.SYNTHESIS, choices=("borderline_smote2", "smote", "adasyn")
    )
    n_synthesised: int = searchable(25, Role.SYNTHESIS, low=1, grid=(10, 25, 50, 100))


def fit(
    train: Examples, hyperparameters: CNNDeepSMOTEHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Train the autoencoder, oversample its bottlenecks, decode, and train the CNN on all.

    Parameters
    ----------
    train : examples with mel spectrograms; augmented copies of recordings train the CNN only
    hyperparameters : hyperparameters of the CNN, the sampler and the autoencoder
    seed : seed of weights, dropout, order and draws
    on_epoch : called after every epoch of the autoencoder and of the CNN
    """
    from mer_mlflow.augmentation.oversampling import oversample
    from mer_mlflow.training.synthesised import autoencoder_beside, train_with_synthesised

    recordings = train.recordings()
    refuse_unusable_labels(recordings.labels)
    autoencoder = autoencoder_beside(recordings, hyperparameters, seed=seed, on_epoch=on_epoch)
    made = oversample(
        autoencoder.encode(recordings),
        recordings.labels,
        algorithm=hyperparameters.sampler,
        n_each=hyperparameters.n_synthesised,
        seed=seed,
    )
    return train_with_synthesised(
        train,
        spectrograms=autoencoder.decode(made.values),
        quadrants=made.quadrants,
        autoencoder=autoencoder,
        numbers={"n_by_plain_smote": float(made.n_by_last_resort.sum())},
        hyperparameters=hyperparameters,
        seed=seed,
        on_epoch=on_epoch,
    )


METHOD = Method(
    name="cnn_deepsmote",
    title="CNN + DeepSMOTE",
    summary="The baseline CNN, trained also on clips interpolated in a latent space.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNDeepSMOTEHyperparameters,
    fit=fit,
    require_clips=refuse_unusable_labels,
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.025,
    citation="Dablain, Krawczyk, Chawla, IEEE TNNLS 2023; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=61.91, recall=61.61, f1=60.70),
        "new-4qaed-c": Scores(precision=62.40, recall=62.02, f1=61.47),
        "new-4qaed-b": Scores(precision=61.62, recall=61.41, f1=60.48),
    },
)
