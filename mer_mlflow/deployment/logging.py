"""Trained models in MLflow: logged to a run, registered, and loaded by their address."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import soundfile
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.deployment.demo_model import DEMO, demo_model
from mer_mlflow.deployment.fitting import CARD
from mer_mlflow.deployment.requirements import PROJECT, installed, packages_of
from mer_mlflow.deployment.serving import ARTIFACT, AUDIO, PATH, SIGNATURE
from mer_mlflow.deployment.trained import TrainedModel, load_trained
from mer_mlflow.errors import ModelError, TrackingError
from mer_mlflow.tracking import check_store
from mer_mlflow.tracking.models import lacks_files
from mer_mlflow.training import Method

PACKAGE = Path(__file__).parents[1]
CODE = Path(__file__).parent / "model_code.py"
CANDIDATE = "candidate"
"""Alias of the latest registered version of a methodology."""
LONGEST = 5000
"""Maximum number of characters of a description in MLflow's databases."""
EXAMPLE_SR = 16_000
EXAMPLE_SECONDS = 4.0


def log_model(
    folder: Path,
    setting: Setting,
    *,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    registered_name: str | None = None,
) -> ModelInfo:
    """Log a trained model to the active run, and register it if a name is given.

    It is registered only after the tracking server has all of its files, and its card becomes the
    description of the version.

    Parameters
    ----------
    folder : folder of the trained model
    setting : setting of its training
    tags, params, metrics : those of the logged model; metrics also are the run's
    registered_name : name in the model registry, None for no registration

    Raises
    ------
    TrackingError
        If the server has lost files of the model.
    """
    packages = installed(packages_of(setting.method, setting.inputs))
    info: ModelInfo = mlflow.pyfunc.log_model(
        name=setting.method.name,
        python_model=str(CODE),
        artifacts={ARTIFACT: str(folder)},
        signature=SIGNATURE,
        input_example=_example(),
        # an image of the model must not depend on an index that has this package
        code_paths=[str(PACKAGE)],
        pip_requirements=[
            f"{name}=={number}" for name, number in packages.items() if name != PROJECT
        ],
        tags=dict(tags),
        params=dict(params),
    )
    mlflow.log_metrics(dict(metrics), model_id=info.model_id)
    client = MlflowClient()
    _require_files(client, info, folder)
    if registered_name is not None:
        number = mlflow.register_model(info.model_uri, registered_name, tags=dict(tags)).version
        info.registered_model_version = number
        card = (folder / CARD).read_text()
        client.update_model_version(registered_name, number, description=card[:LONGEST])
        client.update_registered_model(registered_name, description=summary(setting.method))
        client.set_registered_model_alias(registered_name, CANDIDATE, str(number))
    return info


def load_model(address: str | Path) -> TrainedModel:
    """Load a trained model; a warning names packages that have other versions than its training.

    Parameters
    ----------
    address : ``models:/mer-svm@candidate``, ``models:/m-…`` as printed by ``fit``, ``runs:/…``, the
        folder of a trained model, or ``demo`` for a model of the demo, which is fitted first if it
        is not in the cache

    Raises
    ------
    ModelError
        If there is no such model, or this version cannot use it.

    Examples
    --------
    >>> from mer_mlflow import load_model
    >>> model = load_model("models:/mer-svm@candidate")  # doctest: +SKIP
    >>> model.predict("song.mp3").quadrant  # doctest: +SKIP
    'Q3'
    """
    trained = load_trained(_folder(address))
    trained.warn_of_other_versions()
    return trained


def _folder(address: str | Path) -> Path:
    if address == DEMO:
        return demo_model()
    if ":/" not in str(address):
        return Path(address)
    check_store()
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=str(address)))
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())[:300]
        raise ModelError(f"model={address}: cannot be loaded ({words})") from error
    return folder / "artifacts" / ARTIFACT


def summary(method: Method) -> str:
    """Return the description of a methodology's registered model."""
    return (
        f"{method.title}: {method.summary} Predicts the emotion of a song as one of Russell's four "
        "quadrants. Each version has a model card."
    )


def _require_files(client: MlflowClient, info: ModelInfo, folder: Path) -> None:
    paths = (path for path in folder.rglob("*") if path.is_file())
    sizes = {
        f"artifacts/{ARTIFACT}/{path.relative_to(folder).as_posix()}": path.stat().st_size
        for path in paths
    }
    if lacks_files(client, info.model_id, sizes):
        client.finalize_logged_model(info.model_id, LoggedModelStatus.FAILED)
        raise TrackingError(
            f"model {info.model_id}: the tracking server has lost some of its files; give the same "
            "command again"
        )


def _example() -> pd.DataFrame:
    """Return a table with one song: a noise as a FLAC file."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=round(EXAMPLE_SECONDS * EXAMPLE_SR))
    content = io.BytesIO()
    soundfile.write(content, samples, EXAMPLE_SR, format="FLAC")
    return pd.DataFrame({AUDIO: [content.getvalue()], PATH: [None]})
