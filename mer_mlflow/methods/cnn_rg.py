"""CNN + gain: the baseline CNN, trained also on a louder or softer copy of each training clip.

The copy's level is changed by at most 12 dB.

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
    name="cnn_rg",
    title="CNN + gain",
    summary="The baseline CNN, trained also on a louder or softer copy of each training clip.",
    version=2,
    augmentations=get_transforms(["rg"]),
    citation="Jordal et al., audiomentations; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=63.37, recall=63.13, f1=62.24),
        "new-4qaed-c": Scores(precision=63.02, recall=62.80, f1=62.08),
        "new-4qaed-b": Scores(precision=62.35, recall=62.10, f1=61.36),
    },
)
