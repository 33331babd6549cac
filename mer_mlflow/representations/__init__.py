"""Representations: arrays computed from a clip, cached in the store."""

from mer_mlflow.representations.chunks import Chunks
from mer_mlflow.representations.embedding import Embedding
from mer_mlflow.representations.examples import (
    Examples,
    assemble,
    examples_of,
    feature_tables,
    with_duration,
    with_features,
    with_weights,
)
from mer_mlflow.representations.handcrafted import Handcrafted
from mer_mlflow.representations.mel import Mel
from mer_mlflow.representations.representation import (
    Features,
    Input,
    Representation,
    representation_of,
)
from mer_mlflow.representations.store import Store, StoredArray, open_store
from mer_mlflow.representations.waveform import Waveform

__all__ = [
    "Chunks",
    "Embedding",
    "Examples",
    "Features",
    "Handcrafted",
    "Input",
    "Mel",
    "Representation",
    "Store",
    "StoredArray",
    "Waveform",
    "assemble",
    "examples_of",
    "feature_tables",
    "open_store",
    "representation_of",
    "with_duration",
    "with_features",
    "with_weights",
]
