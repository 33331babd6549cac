"""CRNN, transferred from the Million Song Dataset: Won's tagging network with a new output.

The network was trained to tag the Million Song Dataset. Its layers are frozen, and a new output
layer is trained on the last step of its recurrent layers. The frozen layers are computed once for
each clip, so that a fold trains only the output; the result is the same.

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

NETWORK = "crnn_msd"

METHOD = replace(
    crnn_mtat.METHOD,
    name="crnn_msd",
    title="CRNN, MSD",
    summary="New output on Won's frozen CRNN, trained to tag the Million Song Dataset.",
    inputs=transfer_inputs(NETWORK)(TransferCRNNHyperparameters()),
    reads=transfer_inputs(NETWORK),
    fit=fit_transfer(NETWORK),
    published={
        "original-4qaed": Scores(precision=47.50, recall=46.18, f1=45.84),
    },
)
