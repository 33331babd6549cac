"""CNN + SMOTE: the baseline CNN, trained also on interpolated spectrograms.

SMOTE makes 25 synthetic spectrograms of each quadrant by interpolation between those of training
clips, like a cross-fade. The study mentions this methodology as earlier work, without scores.

References
----------
N. V. Chawla et al., "SMOTE: synthetic minority over-sampling technique", Journal of Artificial
Intelligence Research 16, 2002.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

from mer_mlflow.augmentation.oversampling import refuse_unusable_labels
from mer_mlflow.representations import Examples, Mel
from mer_mlflow.training.hyperparameters import CNNSizes, Role, SGDTraining, searchable
from mer_mlflow.training.keras_network import load_network
from mer_mlflow.training.method import FittedModel, Method, OnEpoch


@dataclass(frozen=True, kw_only=True)
class CNNSMOTERawHyperparameters(CNNSizes, SGDTraining):
    """Hyperparameters of the baseline, and the sampler.

    n_synthesised : number of synthetic points per quadrant.
    """

    sampler: str = searchable(
        "smote", Role.SYNTHESIS, choices=("borderline_smote2", "smote", "adasyn")
    )
    n_synthesised: int = searchable(25, Role.SYNTHESIS, low=1, grid=(10, 25, 50, 100))


def fit(
    train: Examples, hyperparameters: CNNSMOTERawHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Oversample the spectrograms and train the CNN on all.

    Parameters
    ----------
    train : examples with mel spectrograms; augmented copies of recordings train the CNN only
    hyperparameters : hyperparameters of the CNN and the sampler
    seed : seed of weights, dropout, order and draws
    on_epoch : called after every epoch
    """
    from mer_mlflow.augmentation.oversampling import oversample
    from mer_mlflow.training.synthesised import train_with_synthesised

    recordings = train.recordings()
    made = oversample(
        recordings.read(0).reshape(len(recordings), -1),
        recordings.labels,
        algorithm=hyperparameters.sampler,
        n_each=hyperparameters.n_synthesised,
        seed=seed,
    )
    return train_with_synthesised(
        train,
        spectrograms=made.values.reshape(-1, *train.item_shape(0)),
        quadrants=made.quadrants,
        autoencoder=None,
        numbers={"n_by_plain_smote": float(made.n_by_last_resort.sum())},
        hyperparameters=hyperparameters,
        seed=seed,
        on_epoch=on_epoch,
    )


METHOD = Method(
    name="cnn_smote_raw",
    title="CNN + SMOTE",
    summary="The baseline CNN, trained also on spectrograms interpolated by SMOTE.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNSMOTERawHyperparameters,
    fit=fit,
    require_clips=refuse_unusable_labels,
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.025,
    citation="Chawla et al., JAIR 2002; Louro et al., Sensors 2024",
    table=None,
    baseline="cnn",
    published={},
)
