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
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo

from mer_mlflow.deployment.demo_model import DEMO, demo_model
from mer_mlflow.deployment.fitting import CARD
from mer_mlflow.deployment.requirements import PROJECT
from mer_mlflow.deployment.serving import ARTIFACT, AUDIO, PATH, SIGNATURE
from mer_mlflow.deployment.trained import TrainedModel, load_trained, read_description
from mer_mlflow.errors import ModelError, TrackingError
from mer_mlflow.methods import get_method
from mer_mlflow.tracking import check_store
from mer_mlflow.tracking.models import lacks_files, versions_of
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
    client: MlflowClient, folder: Path, *, tags: Mapping[str, str], params: Mapping[str, str]
) -> LoggedModel:
    """Log a trained model to the active run.

    Parameters
    ----------
    client : client of the tracking server
    folder : folder of the trained model
    tags, params : those of the logged model

    Raises
    ------
    TrackingError
        If the server has lost files of the model.
    """
    description = read_description(folder)
    versions = {name: each for name, each in description["packages"].items() if name != PROJECT}
    info: ModelInfo = mlflow.pyfunc.log_model(
        name=description["method"],
        python_model=str(CODE),
        artifacts={ARTIFACT: str(folder)},
        signature=SIGNATURE,
        input_example=_example(),
        # an image of the model must not depend on an index that has this package
        code_paths=[str(PACKAGE)],
        pip_requirements=[f"{name}=={version}" for name, version in versions.items()],
        tags=dict(tags),
        params=dict(params),
    )
    logged = client.get_logged_model(info.model_id)
    if not has_files(client, logged, folder):
        client.finalize_logged_model(info.model_id, LoggedModelStatus.FAILED)
        raise TrackingError(f"model {info.model_id}: the tracking server has lost some files of it")
    return logged


def has_files(client: MlflowClient, logged: LoggedModel, folder: Path) -> bool:
    """Return whether the server has all files of a trained model.

    Parameters
    ----------
    client : client of the tracking server
    logged : the logged model
    folder : folder of the trained model
    """
    paths = (path for path in folder.rglob("*") if path.is_file())
    sizes = {
        f"artifacts/{ARTIFACT}/{path.relative_to(folder).as_posix()}": path.stat().st_size
        for path in paths
    }
    return not lacks_files(client, logged.model_id, sizes)


def register(
    client: MlflowClient, logged: LoggedModel, folder: Path, *, name: str, tags: Mapping[str, str]
) -> str:
    """Register a logged model as a candidate, unless it is registered, and return its version.

    The model card becomes the description of the version.

    Parameters
    ----------
    client : client of the tracking server
    logged : the logged model
    folder : folder of the trained model
    name : name in the model registry
    tags : tags of a new version
    """
    known = [str(each.version) for each in versions_of(client, logged) if each.name == name]
    number = known[-1] if known else _new_version(logged, name=name, tags=tags)
    card = (folder / CARD).read_text()
    client.update_model_version(name, number, description=card[:LONGEST])
    method = get_method(read_description(folder)["method"])
    client.update_registered_model(name, description=summary(method))
    client.set_registered_model_alias(name, CANDIDATE, number)
    return number


def _new_version(logged: LoggedModel, *, name: str, tags: Mapping[str, str]) -> str:
    return str(mlflow.register_model(logged.model_uri, name, tags=dict(tags)).version)


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


def _example() -> pd.DataFrame:
    """Return a table with one song: a noise as a FLAC file."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=round(EXAMPLE_SECONDS * EXAMPLE_SR))
    content = io.BytesIO()
    soundfile.write(content, samples, EXAMPLE_SR, format="FLAC")
    return pd.DataFrame({AUDIO: [content.getvalue()], PATH: [None]})
