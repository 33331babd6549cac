"""CRNN, transferred from MagnaTagATune: Won's tagging network with a new output.

The network was trained to tag MagnaTagATune. Its layers are frozen, and a new output layer is
trained on the last step of its recurrent layers. The frozen layers are computed once for each clip,
so that a fold trains only the output; the result is the same.

References
----------
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020; weights: https://github.com/minzwon/sota-music-tagging-models.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from mer_mlflow.training.method import Method, Scores
from mer_mlflow.training.transfer import (
    TransferCRNNHyperparameters,
    fit_transfer,
    load_transfer,
    transfer_inputs,
)

NETWORK = "crnn_mtat"

METHOD = Method(
    name="crnn_mtat",
    title="CRNN, MTAT",
    summary="New output on Won's frozen CRNN, trained to tag MagnaTagATune.",
    version=2,
    inputs=transfer_inputs(NETWORK)(TransferCRNNHyperparameters()),
    reads=transfer_inputs(NETWORK),
    hyperparameters=TransferCRNNHyperparameters,
    fit=fit_transfer(NETWORK),
    load=load_transfer,
    shortest=2.0,
    framework="torch",
    quick_epochs=20,
    cost=0.000005,
    step_cost=0.0004,
    citation="Won et al., SMC 2020; Louro et al., Sensors 2024",
    table=7,
    published={
        "original-4qaed": Scores(precision=51.93, recall=51.71, f1=50.21),
        "new-4qaed-c": Scores(precision=52.97, recall=53.72, f1=51.70),
        "new-4qaed-b": Scores(precision=52.16, recall=52.50, f1=51.44),
    },
)
