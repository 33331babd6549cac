"""CRNN, transferred from MTG-Jamendo: Won's tagging network with a new output.

The network was trained to tag MTG-Jamendo. Its layers are frozen, and a new output layer is trained
on the last step of its recurrent layers. The frozen layers are computed once for each clip, so that
a fold trains only the output; the result is the same.

References
----------
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020; weights: https://github.com/minzwon/sota-music-tagging-models.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import replace

from mer_mlflow.methods import crnn_mtat
from mer_mlflow.training.method import Scores
from mer_mlflow.training.transfer import (
    TransferCRNNHyperparameters,
    fit_transfer,
    transfer_inputs,
)

NETWORK = "crnn_jamendo"

METHOD = replace(
    crnn_mtat.METHOD,
    name="crnn_jamendo",
    title="CRNN, Jamendo",
    summary="New output on Won's frozen CRNN, trained to tag MTG-Jamendo.",
    inputs=transfer_inputs(NETWORK)(TransferCRNNHyperparameters()),
    reads=transfer_inputs(NETWORK),
    fit=fit_transfer(NETWORK),
    published={
        "original-4qaed": Scores(precision=49.98, recall=48.07, f1=47.94),
    },
)
