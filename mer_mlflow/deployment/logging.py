"""Trained models in MLflow: logged to a run, registered, and loaded by their address."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import soundfile
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo

from mer_mlflow.deployment.serving import ARTIFACT, AUDIO, PATH, SIGNATURE
from mer_mlflow.deployment.trained import TrainedModel, load_trained
from mer_mlflow.errors import ModelError, TrackingError
from mer_mlflow.tracking import check_store
from mer_mlflow.tracking.models import lacks_files
from mer_mlflow.training import Method

NAME = "model"
CODE = Path(__file__).parent / "model_code.py"
CANDIDATE = "candidate"
"""Alias of the latest registered version of a methodology."""
PACKAGES = (
    "mer_mlflow",
    "mlflow",
    "numpy",
    "scikit-learn",
    "librosa",
    "soundfile",
    "soxr",
    "skops",
)
FRAMEWORKS = {"scikit-learn": (), "keras": ("keras", "tensorflow"), "torch": ("torch",)}
EXAMPLE_SR = 16_000
EXAMPLE_SECONDS = 4.0


def log_model(
    folder: Path,
    method: Method,
    *,
    tags: Mapping[str, str],
    registered_name: str | None = None,
) -> ModelInfo:
    """Log a trained model to the active run, and register it if a name is given.

    It is registered only after the tracking server has all of its files.

    Parameters
    ----------
    folder : folder of the trained model
    method : its methodology
    tags : tags of the logged model
    registered_name : name in the model registry, None for no registration

    Raises
    ------
    TrackingError
        If the server has lost files of the model.
    """
    info: ModelInfo = mlflow.pyfunc.log_model(
        name=NAME,
        python_model=str(CODE),
        artifacts={ARTIFACT: str(folder)},
        signature=SIGNATURE,
        input_example=_example(),
        pip_requirements=requirements(method),
        tags=dict(tags),
    )
    client = MlflowClient()
    _require_files(client, info, folder)
    if registered_name is not None:
        version = mlflow.register_model(info.model_uri, registered_name, tags=dict(tags)).version
        info.registered_model_version = version
        client.set_registered_model_alias(registered_name, CANDIDATE, str(version))
    return info


def load_model(address: str | Path) -> TrainedModel:
    """Load a trained model.

    Parameters
    ----------
    address : ``models:/mer-svm@candidate``, ``models:/m-…`` as printed by ``fit``, ``runs:/…``, or
        the folder of a trained model

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
    if ":/" not in str(address):
        return load_trained(Path(address))
    check_store()
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=str(address)))
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())[:300]
        raise ModelError(f"model={address}: cannot be loaded ({words})") from error
    return load_trained(folder / "artifacts" / ARTIFACT)


def requirements(method: Method) -> list[str]:
    """Return the installed versions of the packages that a model of a methodology needs."""
    found = []
    for package in (*PACKAGES, *FRAMEWORKS[method.framework]):
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return found


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
