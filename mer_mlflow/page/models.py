"""Models of the page: loaded once, each with the predictions of its cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.models import get_model_info

from mer_mlflow.deployment.demo_model import DEMO
from mer_mlflow.deployment.logging import CANDIDATE, load_model
from mer_mlflow.deployment.prediction import EmotionPrediction
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.errors import AudioError, RunDataError
from mer_mlflow.page.out_of_fold import mean_predictions
from mer_mlflow.reporting.validations import Validation, read_validation
from mer_mlflow.tracking import schema

PREFIX = "mer-"
"""Prefix of the names of registered models."""


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


def default_models(client: MlflowClient) -> list[str]:
    """Return the address of the registered candidate that was updated last, else of the demo's."""
    found = [
        (each.last_updated_timestamp or 0, each.name)
        for each in client.search_registered_models(filter_string=f"name LIKE '{PREFIX}%'")
        if CANDIDATE in each.aliases
    ]
    return [f"models:/{max(found)[1]}@{CANDIDATE}" if found else DEMO]


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
        validated_by = _tags(client, address).get(schema.VALIDATED_BY)
        validation = _validation(client, validated_by, on_warning)
        found.append(
            PageModel(
                address=address,
                trained=trained,
                validation=validation,
                known=pd.DataFrame() if validation is None else mean_predictions(validation),
            )
        )
    return found


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


def _tags(client: MlflowClient, address: str) -> Mapping[str, str]:
    """Return the tags of a logged model; empty for a folder, which has none."""
    if ":/" not in address:
        return {}
    tags: Mapping[str, str] = client.get_logged_model(get_model_info(address).model_id).tags
    return tags


def _validation(
    client: MlflowClient, run_id: str | None, on_warning: Callable[[str], None]
) -> Validation | None:
    if run_id is None:
        return None
    try:
        return read_validation(client, run_id)
    except RunDataError as error:
        on_warning(f"the cross-validation of a model cannot be read ({error})")
        return None
