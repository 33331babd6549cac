"""CNN + noise: the baseline CNN, trained also on a noisy copy of each training clip.

Background noise is added to the copy. The study used recordings of ESC-50 (``noise_root``); without
a folder of recordings the noise is synthesised.

References
----------
K. J. Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia 2015.
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
    name="cnn_bg",
    title="CNN + noise",
    summary="The baseline CNN, trained also on a noisy copy of each training clip.",
    version=2,
    augmentations=get_transforms(["bg"]),
    citation="Jordal et al., audiomentations; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=61.97, recall=61.79, f1=60.84),
    },
)
