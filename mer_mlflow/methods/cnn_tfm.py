"""CNN + masking: the baseline CNN, trained also on a masked copy of each training clip.

One frequency band and one time interval of the copy's spectrogram are masked.

References
----------
D. S. Park et al., "SpecAugment: a simple data augmentation method for automatic speech
recognition", Interspeech 2019.
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
    name="cnn_tfm",
    title="CNN + masking",
    summary="The baseline CNN, trained also on a masked copy of each training clip.",
    version=2,
    augmentations=get_transforms(["tfm"]),
    citation="Park et al., Interspeech 2019; Louro et al., Sensors 2024",
    table=6,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=63.05, recall=62.75, f1=62.03),
        "new-4qaed-c": Scores(precision=62.51, recall=62.17, f1=61.82),
        "new-4qaed-b": Scores(precision=62.33, recall=61.85, f1=61.39),
    },
)
