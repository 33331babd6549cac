"""A trained model as MLflow's pyfunc model: a table of songs in, a table of emotions out."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.types import ColSpec, DataType, Schema

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.trained import TrainedModel, load_trained
from mer_mlflow.errors import AudioError, MerError, ParameterError

with warnings.catch_warnings():
    # MLflow warns about its own type hints when it is imported
    warnings.simplefilter("ignore")
    from mlflow.pyfunc.model import PythonModel, PythonModelContext

ARTIFACT = "trained"
"""Name of the folder of the trained model among the artifacts of a logged model."""
AUDIO, PATH = "audio", "path"
"""Columns of the input: content of audio files, or their paths."""
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.binary, name=AUDIO, required=False),
            ColSpec(DataType.string, name=PATH, required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.string, name="quadrant"),
            *(ColSpec(DataType.double, name=name) for name in QUADRANTS),
            ColSpec(DataType.double, name="arousal"),
            ColSpec(DataType.double, name="valence"),
        ]
    ),
)


class BadRequestError(MlflowException):
    """A song of a request cannot be used; MLflow's server answers with status 400 and one line."""

    def __init__(self, line: str) -> None:
        super().__init__(line, error_code=BAD_REQUEST)
        self._line = line

    def serialize_as_json(self) -> str:
        """Return the body of the response, without the data that MLflow adds to the message."""
        return json.dumps({"error_code": self.error_code, "message": self._line})


class EmotionModel(PythonModel):
    """Predicts quadrant, probabilities, arousal and valence of each song of a table.

    A row gives the content of an audio file (``audio``), or its path (``path``).
    """

    trained: TrainedModel

    def load_context(self, context: PythonModelContext) -> None:
        """Load the trained model of a logged model."""
        self.trained = load_trained(Path(context.artifacts[ARTIFACT]))
        self.trained.warn_of_other_versions()

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict one row for each row of the input.

        Raises
        ------
        BadRequestError
            If there is no row, a row has neither or both of audio and path, or a song cannot be
            decoded, is silent or too short.
        """
        columns = [model_input.get(name, [None] * len(model_input)) for name in (AUDIO, PATH)]
        if not len(model_input):
            raise BadRequestError(f"there is no song; give rows with {AUDIO} or {PATH}")
        numbered = zip(range(len(model_input)), *columns, strict=True)
        try:
            rows = [self._row(*given) for given in numbered]
        except MerError as error:
            raise BadRequestError(str(error)) from error
        return pd.DataFrame(rows, columns=SIGNATURE.outputs.input_names())

    def _row(self, number: int, audio: object, path: object) -> dict[str, Any]:
        if isinstance(path, str) and not isinstance(audio, bytes):
            return self.trained.predict(path).row
        if isinstance(path, str) or not isinstance(audio, bytes):
            raise ParameterError(f"row {number}: give either {AUDIO} or {PATH}")
        with tempfile.NamedTemporaryFile(prefix="song-") as file:
            file.write(audio)
            file.flush()
            try:
                return self.trained.predict(file.name).row
            except AudioError as error:
                raise AudioError(str(error).replace(file.name, f"row {number}")) from error
