"""CNN + equaliser: the baseline CNN, trained also on an equalised copy of each training clip.

A seven-band parametric equaliser cuts or boosts each band of the copy.

References
----------
I. Jordal et al., audiomentations, https://github.com/iver56/audiomentations.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import replace

from mer_mlflow.augmentation import get_transforms
from mer_mlflow.methods import cnn
from mer_mlflow.training.method import Scores

METHOD = replace(
    cnn.METHOD,
    usual_epochs=None,
    name="cnn_sb",
    title="CNN + equaliser",
    summary="The baseline CNN, trained also on an equalised copy of each training clip.",
    version=2,
    augmentations=get_transforms(["sb"]),
    citation="Jordal et al., audiomentations; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=63.38, recall=62.79, f1=62.12),
        "new-4qaed-c": Scores(precision=62.54, recall=62.16, f1=61.73),
        "new-4qaed-b": Scores(precision=62.13, recall=61.71, f1=61.01),
    },
)
