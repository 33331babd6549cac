"""CNN + distortion: the baseline CNN, trained also on a distorted copy of each training clip.

A hyperbolic tangent clips the copy softly.

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
    name="cnn_td",
    title="CNN + distortion",
    summary="The baseline CNN, trained also on a distorted copy of each training clip.",
    version=2,
    augmentations=get_transforms(["td"]),
    citation="Jordal et al., audiomentations; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=61.83, recall=61.58, f1=60.59),
    },
)
