"""CNN, transferred from artists: Park's network for artist classification with a new output.

Its five convolution blocks are frozen, and a new dense output is trained on their 256 outputs for a
clip. The study used the network that was trained to classify artists (``basic``). The network that
was trained to distinguish songs of the same artist from others (``siamese``) has the same layers.

References
----------
J. Park, J. Lee, J. Park, J.-W. Ha, J. Nam, "Representation learning of music using artist labels",
ISMIR 2018; weights: https://github.com/jongpillee/ismir2018-artist.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Embedding
from mer_mlflow.representations.pretrained.artist_cnn import LAYER
from mer_mlflow.training.hyperparameters import AdamTraining, Role, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class CNNArtistHyperparameters(AdamTraining):
    """Adam with batches of 100; otherwise the study's deep-learning defaults.

    network : published network, ``basic`` or ``siamese``.
    """

    learning_rate: float = searchable(
        0.001, Role.TRAINING, low=0.0, exclusive_low=True, grid=(0.0005, 0.001, 0.005, 0.01)
    )
    batch_size: int = searchable(100, Role.TRAINING | Role.BATCH, low=1, grid=(50, 100, 150))
    network: str = searchable("basic", Role.INPUTS, choices=("basic", "siamese"))


def reads(hyperparameters: CNNArtistHyperparameters) -> tuple[Embedding, ...]:
    """Return the embedding of the chosen network."""
    return (Embedding(network=f"artist_{hyperparameters.network}", layer=LAYER),)


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.artist_cnn import artist_output

    return artist_output


METHOD = Method(
    name="cnn_artist",
    title="CNN, artists",
    summary="New dense output on Park's frozen network for artist classification.",
    version=2,
    inputs=reads(CNNArtistHyperparameters()),
    reads=reads,
    hyperparameters=CNNArtistHyperparameters,
    fit=fit_network(network),
    load=load_network,
    shortest=3.0,
    framework="keras",
    quick_epochs=20,
    cost=0.00005,
    step_cost=0.001,
    citation="Park et al., ISMIR 2018; Louro et al., Sensors 2024",
    table=7,
    published={
        "original-4qaed": Scores(precision=51.95, recall=53.93, f1=50.85),
        "new-4qaed-c": Scores(precision=51.81, recall=53.29, f1=50.27),
        "new-4qaed-b": Scores(precision=51.56, recall=52.43, f1=50.22),
    },
)
