"""Representations: a clip as arrays, computed once and kept in the store."""

from mer_mlflow.representations.chunks import Chunks
from mer_mlflow.representations.examples import Examples, Input, assemble, with_duration
from mer_mlflow.representations.mel import Mel
from mer_mlflow.representations.representation import Features, Representation
from mer_mlflow.representations.store import Store, open_store
from mer_mlflow.representations.waveform import Waveform

__all__ = [
    "Chunks",
    "Examples",
    "Features",
    "Input",
    "Mel",
    "Representation",
    "Store",
    "Waveform",
    "assemble",
    "open_store",
    "with_duration",
]
