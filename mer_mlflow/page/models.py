"""Models of the page: loaded once, each with the predictions of its cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.logging import CANDIDATE, load_model
from mer_mlflow.deployment.prediction import EmotionPrediction
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.errors import AudioError, RunDataError
from mer_mlflow.page.out_of_fold import mean_predictions
from mer_mlflow.reporting.validations import Validation, dataset_title, read_validation
from mer_mlflow.tracking import schema

PREFIX = "mer-"
"""Prefix of the names of registered models."""
DEMO = "demo"


@dataclass(frozen=True, kw_only=True, eq=False)
class PageModel:
    """A model of the page.

    Attributes
    ----------
    address : address by which it was loaded
    trained : the model
    validation : the cross-validation that it is linked to; None if there is none
    known : rows of :func:`mean_predictions` of that cross-validation; empty if there is none
    """

    address: str
    trained: TrainedModel
    validation: Validation | None
    known: pd.DataFrame

    @property
    def facts(self) -> str:
        """Training data and score, as one sentence."""
        dataset = str(next(iter(self.trained.facts.get("dataset", ())), "unknown clips"))
        if dataset == DEMO:
            return "Trained on the synthesised demo: not meaningful for real music."
        score = "not validated"
        if self.validation is not None:
            score = f"macro F1 {self.validation.metrics['f1_macro_mean']:.1%} in cross-validation"
        return f"Trained on {dataset_title(dataset)}, {score}."


def default_models(client: MlflowClient) -> list[str]:
    """Return the address of the registered candidate that was updated last; empty without any."""
    found = [
        (each.last_updated_timestamp or 0, each.name)
        for each in client.search_registered_models(filter_string=f"name LIKE '{PREFIX}%'")
        if CANDIDATE in each.aliases
    ]
    return [f"models:/{max(found)[1]}@{CANDIDATE}"] if found else []


def load_models(
    client: MlflowClient, addresses: Sequence[str], *, on_warning: Callable[[str], None]
) -> list[PageModel]:
    """Load models and their cross-validations.

    Parameters
    ----------
    client : client of the tracking server
    addresses : see :func:`mer_mlflow.load_model`; a repeated address is loaded once
    on_warning : called with a message about a cross-validation that cannot be read

    Raises
    ------
    ModelError
        If a model cannot be used.
    """
    found = []
    for address in dict.fromkeys(addresses):
        trained = load_model(address)
        validation = _validation(client, address, on_warning)
        known = pd.DataFrame() if validation is None else mean_predictions(validation)
        found.append(
            PageModel(address=address, trained=trained, validation=validation, known=known)
        )
    return found


def mean_of(predictions: Sequence[EmotionPrediction]) -> tuple[str, Mapping[str, float]]:
    """Return the quadrant and the mean probabilities of several models' predictions of a song."""
    values = np.mean([list(each.probabilities.values()) for each in predictions], axis=0)
    quadrant = predictions[0].quadrant if len(predictions) == 1 else QUADRANTS[values.argmax()]
    return quadrant, dict(zip(QUADRANTS, map(float, values), strict=True))


def predict_all(models: Sequence[PageModel], song: Path) -> list[EmotionPrediction]:
    """Predict the emotion of a song with several models.

    Raises
    ------
    AudioError
        If the song cannot be used; the message has its name without folders.
    """
    try:
        return [model.trained.predict(song) for model in models]
    except AudioError as error:
        raise AudioError(str(error).replace(str(song), song.name)) from error


def _validation(
    client: MlflowClient, address: str, on_warning: Callable[[str], None]
) -> Validation | None:
    if ":/" not in address:
        return None
    try:
        model_id = get_model_info(address).model_id
        run_id = client.get_logged_model(model_id).tags.get(schema.VALIDATED_BY)
        return None if run_id is None else read_validation(client, run_id)
    except (MlflowException, RunDataError) as error:
        on_warning(f"{address}: its cross-validation cannot be read ({error})")
        return None
