"""Hybrid, augmented: the hybrid with four synthesised copies of each training clip.

Each training clip gets four copies: by a time shift, a pitch shift, a time stretch and a power
shift. They train the convolutional network and the fusion network, with the handcrafted features
of their source.

References
----------
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import replace

from mer_mlflow.augmentation import CLASSICAL
from mer_mlflow.methods import hybrid
from mer_mlflow.training.method import Scores

METHOD = replace(
    hybrid.METHOD,
    name="hybrid_augmented",
    title="Hybrid, augmented",
    summary="The hybrid, trained on each clip and its four classical augmentations.",
    version=2,
    augmentations=CLASSICAL,
    table=3,
    baseline="hybrid",
    published={
        "original-4qaed": Scores(precision=67.81, recall=68.08, f1=68.04),
        "new-4qaed-c": Scores(precision=68.15, recall=68.14, f1=67.85),
        "new-4qaed-b": Scores(precision=80.56, recall=80.50, f1=80.24),
    },
)
