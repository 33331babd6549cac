"""CNN + SMOTE: the baseline CNN, trained also on points between the clips' spectrograms themselves.

SMOTE makes 25 new points of each quadrant between the spectrograms of training clips, value by
value, as if they were cross-faded. The study names it as tried before, without scores.

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
from mer_mlflow.methods._method import FittedModel, Method, OnEpoch, searchable
from mer_mlflow.methods._network import load_network
from mer_mlflow.representations import Examples, Mel


@dataclass(frozen=True, kw_only=True)
class CNNSMOTERawHyperparameters:
    """The baseline's, and the sampler.

    n_synthesised : new points of each quadrant.
    """

    optimizer: str = searchable("sgd", choices=("sgd", "adam"))
    learning_rate: float = searchable(
        0.01, low=0.0, exclusive_low=True, grid=(0.001, 0.005, 0.01, 0.05, 0.1)
    )
    batch_size: int = searchable(150, low=1, grid=(50, 100, 150, 200))
    epochs: int = searchable(200, low=1, grid=(100, 200, 300))
    stop_accuracy: float = searchable(0.9, low=0.0, high=1.0)
    filters: int = searchable(16, low=1, grid=(8, 16, 32))
    dense_units: int = searchable(300, low=1, grid=(150, 300, 600))
    block_dropout: float = searchable(0.1, low=0.0, high=0.9)
    dropout: float = searchable(0.4, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))
    momentum: float = searchable(0.9, low=0.0, high=1.0)
    sampler: str = searchable("smote", choices=("borderline_smote2", "smote", "adasyn"))
    n_synthesised: int = searchable(25, low=1, grid=(10, 25, 50, 100))


def fit(
    train: Examples, hyperparameters: CNNSMOTERawHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Oversample the spectrograms and train the CNN on all.

    Parameters
    ----------
    train : examples of mel spectrograms; copies synthesised from recordings train the CNN only
    hyperparameters : of the CNN and the sampler
    seed : of weights, dropout, order and draws
    on_epoch : called after every epoch
    """
    from mer_mlflow.augmentation.oversampling import oversample
    from mer_mlflow.methods._synthesised import train_with_synthesised

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
    summary="The baseline CNN, trained also on points between the clips' spectrograms themselves.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNSMOTERawHyperparameters,
    fit=fit,
    require_clips=refuse_unusable_labels,
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.11,
    citation="Chawla et al., JAIR 2002; Louro et al., Sensors 2024",
    table=None,
    baseline="cnn",
    published={},
)
