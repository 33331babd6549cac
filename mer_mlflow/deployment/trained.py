"""A trained model in a folder: the fitted methodology, its inputs and their weights.

The folder contains ``model.json``, the fitted model below ``fitted``, files of pretrained weights
below ``weights``, handcrafted features of some training clips for explanations in
``background.npy``, and ``SHA256SUMS`` of them all. Nothing in it is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets import is_synthesised
from mer_mlflow.deployment.explanation import BANDS, SECONDS, Explanation, explain_song
from mer_mlflow.deployment.feature_groups import draw_background
from mer_mlflow.deployment.prediction import EmotionPrediction, predict_song
from mer_mlflow.deployment.requirements import installed, packages_of
from mer_mlflow.errors import AudioError, ModelError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations import Examples, Handcrafted, Input, with_duration
from mer_mlflow.representations.audio import Audio, decode
from mer_mlflow.training import FittedModel, Method, Value, require_framework
from mer_mlflow.weights import Weights

Song = Path | str | NDArray[np.floating]
"""An audio file, or samples."""
FORMAT = 1
DESCRIPTION, FITTED, WEIGHTS, SUMS = "model.json", "fitted", "weights", "SHA256SUMS"
BACKGROUND = "background.npy"
SAMPLES = "samples"
"""Name of a song that is given as an array."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A methodology fitted to all clips of a dataset.

    Attributes
    ----------
    method : the methodology
    hyperparameters : resolved, an instance of the method's dataclass
    inputs : its inputs, all computed from audio
    fitted : the fitted model
    temperature : calibrates its probabilities; 1 if it was not validated
    facts : further content of ``model.json``: dataset, validation and versions of packages
    background : handcrafted features of some training clips [shape=(n_clips, n_features)], None if
        they are no input, or were not saved
    """

    method: Method
    hyperparameters: Any
    inputs: tuple[Input, ...]
    fitted: FittedModel
    temperature: float
    facts: Mapping[str, Any]
    background: NDArray[np.floating] | None = None

    def __str__(self) -> str:
        dataset, validation = self.facts["dataset"], self.facts.get("validation")
        summary = "not validated" if validation is None else validation["summary"]
        worth = ", worth nothing on real music" if is_synthesised(dataset["name"]) else ""
        n_clips = f"{dataset['n_clips']} clips of {dataset['name']}"
        return f"{self.method.title}, fitted to {n_clips}: {summary}{worth}"

    @property
    def other_versions(self) -> tuple[str, ...]:
        """Packages of other versions than those that the model was fitted with."""
        found = installed(self.facts["packages"])
        return tuple(
            f"{name} {found.get(name, 'is missing')} (fitted with {version})"
            for name, version in self.facts["packages"].items()
            if found.get(name) != version
        )

    def warn_of_other_versions(self) -> None:
        """Warn if packages have other versions than in the training."""
        if self.other_versions:
            warnings.warn(
                f"the model may predict otherwise here: {', '.join(self.other_versions)}",
                stacklevel=3,
            )

    @overload
    def predict(
        self,
        song: Song,
        *,
        sr: int | None = None,
        hop: float | None = None,
        calibrated: bool = True,
    ) -> EmotionPrediction: ...

    @overload
    def predict(
        self,
        song: list[Song],
        *,
        sr: int | None = None,
        hop: float | None = None,
        calibrated: bool = True,
    ) -> list[EmotionPrediction]: ...

    def predict(
        self,
        song: Song | list[Song],
        *,
        sr: int | None = None,
        hop: float | None = None,
        calibrated: bool = True,
    ) -> EmotionPrediction | list[EmotionPrediction]:
        """Predict the emotion of a song, or of each song of a list.

        Parameters
        ----------
        song : audio file, or samples [shape=(n_samples,) or (n_samples, n_channels)], or a list of
            them
        sr : int > 0 [Hz], sample rate of samples
        hop : float > 0 [s], time between the starts of windows, by default half a window
        calibrated : whether probabilities are calibrated by the temperature of the model's
            cross-validation; those of a model that was not validated are as predicted

        Raises
        ------
        AudioError
            If the song cannot be decoded, is silent or too short.
        ParameterError
            If the hop is not allowed.

        Examples
        --------
        >>> model = load_model("models:/mer-svm@candidate")  # doctest: +SKIP
        >>> print(model.predict("song.mp3"))  # doctest: +SKIP
        song.mp3: Q1 (Q1 71.2%, Q2 12.4%, Q3 4.1%, Q4 12.3%; arousal +0.67, valence +0.67)
        """
        if isinstance(song, list):
            return [self.predict(each, sr=sr, hop=hop, calibrated=calibrated) for each in song]
        audio, name = self._heard(song, sr)
        return predict_song(
            self.fitted,
            self.inputs,
            audio,
            song=name,
            hop=hop,
            temperature=self.temperature if calibrated else 1.0,
        )

    def explain(
        self,
        song: Song,
        *,
        sr: int | None = None,
        quadrant: str | None = None,
        seconds: float = SECONDS,
        bands: int = BANDS,
        with_map: bool = False,
        hop: float | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Explanation:
        """Explain which seconds, frequency bands and groups of features carry a prediction.

        Parameters
        ----------
        song : audio file, or samples [shape=(n_samples,) or (n_samples, n_channels)]
        sr : int > 0 [Hz], sample rate of samples
        quadrant : ``"Q1"`` to ``"Q4"``, by default the predicted one
        seconds : float > 0 [s], approximate length of the stretches that are replaced
        bands : int > 0, number of frequency bands
        with_map : whether each band is also attenuated in each stretch
        hop : float > 0 [s], time between the starts of windows, by default half a window
        on_progress : called with (done, total) after each copy of the excerpt

        Raises
        ------
        AudioError
            If the song cannot be decoded, is silent or too short.
        ParameterError
            If a parameter is not allowed, or a package that is needed is not installed.

        Examples
        --------
        >>> found = model.explain("song.mp3")  # doctest: +SKIP
        >>> found.plot().savefig("song.png")  # doctest: +SKIP
        """
        audio, name = self._heard(song, sr)
        return explain_song(
            self.fitted,
            self.inputs,
            audio,
            song=name,
            background=self.background,
            quadrant=quadrant,
            seconds=seconds,
            bands=bands,
            with_map=with_map,
            hop=hop,
            temperature=self.temperature,
            on_progress=on_progress,
        )

    def _heard(self, song: Song, sr: int | None) -> tuple[Audio, str]:
        """Decode a song that is long enough, and return its name too."""
        if isinstance(song, Path | str):
            audio, name = decode(Path(song)), Path(song).name
        else:
            audio, name = _audio(song, sr), SAMPLES
        if audio.seconds < self.method.shortest:
            raise AudioError(
                f"{name}: lasts {audio.seconds:.2f} s; {self.method.name} needs at least "
                f"{self.method.shortest:g}"
            )
        return audio, name


def write_model(
    folder: Path,
    setting: Setting,
    *,
    chosen: Mapping[str, Value],
    temperature: float,
    facts: Mapping[str, Any],
    examples: Examples,
) -> None:
    """Complete the folder of a model whose fitted part has been saved below ``fitted``.

    Parameters
    ----------
    folder : contains the folder ``fitted``
    setting : setting of the training
    chosen : hyperparameters that were chosen within the training set
    temperature : float > 0, calibrates the model's probabilities
    facts : further content of ``model.json``
    examples : the training examples; the features of some of them are saved for explanations
    """
    background = draw_background(examples, setting.inputs)
    if background is not None:
        np.save(folder / BACKGROUND, background)
    description = {
        "format": FORMAT,
        "method": setting.method.name,
        "version": setting.method.version,
        "hyperparameters": asdict(setting.hyperparameters) | dict(chosen),
        "duration": setting.duration,
        "inputs": [item.key for item in setting.inputs],
        "weights": [_copied(each, folder) for each in setting.weights],
        "temperature": temperature,
        "packages": installed(packages_of(setting.method, setting.inputs)),
        **facts,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True))
    lines = [f"{_sha256(folder / name)}  {name}" for name in _files(folder)]
    (folder / SUMS).write_text("\n".join(lines) + "\n")


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``model.json`` of a model that this version has written."""
    found: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    return found


def load_trained(folder: Path) -> TrainedModel:
    """Read a model written by :func:`write_model`.

    Parameters
    ----------
    folder : folder of the model

    Raises
    ------
    ModelError
        If files are missing or changed, or this version cannot use the model.
    MissingPackageError
        If a package of the methodology is not installed.
    """
    _check_sums(folder)
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        facts = dict(description)
        format_, name, version = (facts.pop(key) for key in ("format", "method", "version"))
        given, duration = facts.pop("hyperparameters"), facts.pop("duration")
        keys, weights = facts.pop("inputs"), facts.pop("weights")
        temperature = float(facts.pop("temperature"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: no model of mer_mlflow ({error})") from error
    if format_ != FORMAT or name not in method_names():
        raise ModelError(f"{folder}: made by another version, which has format {format_} of {name}")
    method = get_method(name)
    if version != method.version:
        raise ModelError(
            f"{folder}: {name} has version {version} there and {method.version} here, which gives "
            "other predictions; fit the model again"
        )
    require_framework(method)
    hyperparameters = method.resolve(given)
    files = {each["name"]: _found(each, folder) for each in weights}
    inputs = _inputs(method, hyperparameters, duration, files)
    if [item.key for item in inputs] != keys:
        raise ModelError(
            f"{folder}: its inputs ({', '.join(keys)}) are computed differently here "
            f"({', '.join(item.key for item in inputs)}); fit the model again"
        )
    return TrainedModel(
        method=method,
        hyperparameters=hyperparameters,
        inputs=inputs,
        fitted=method.load(folder / FITTED),
        temperature=temperature,
        facts=facts,
        background=_background(folder),
    )


def _background(folder: Path) -> NDArray[np.floating] | None:
    path = folder / BACKGROUND
    if not path.is_file():
        return None
    values: NDArray[np.floating] = np.load(path, allow_pickle=False)
    return values


def _inputs(
    method: Method, hyperparameters: Any, duration: float, files: Mapping[str, Weights]
) -> tuple[Input, ...]:
    read = method.inputs_for(hyperparameters)
    from_audio = [item if item.table is None else Handcrafted() for item in read]
    return tuple(
        item
        if item.network is None
        else cast(Input, replace(cast(Any, item), weights=files[item.network]))
        for item in with_duration(from_audio, duration)
    )


def _audio(samples: NDArray[np.floating], sr: int | None) -> Audio:
    if sr is None or sr <= 0:
        raise AudioError("samples: give their sample rate as sr=")
    values = np.asarray(samples, dtype=np.float32)
    if values.ndim not in (1, 2) or not len(values) or not np.isfinite(values).all():
        raise AudioError("samples: must be finite numbers [shape=(n_samples,) or (…, n_channels)]")
    n_channels = 1 if values.ndim == 1 else values.shape[1]
    mono = values if values.ndim == 1 else values.mean(axis=1)
    return Audio(samples=mono, sr=int(sr), n_channels=n_channels)


def _copied(weights: Weights, folder: Path) -> dict[str, Any]:
    target = folder / WEIGHTS / weights.name / weights.file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights.file, target)
    return {
        "name": weights.name,
        "file": target.relative_to(folder).as_posix(),
        "digest": weights.digest,
        "is_known": weights.is_known,
    }


def _found(described: Mapping[str, Any], folder: Path) -> Weights:
    if not (folder / described["file"]).resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{folder}: {described['file']} is not a file of the model")
    return Weights(
        name=described["name"],
        file=folder / described["file"],
        digest=described["digest"],
        is_known=described["is_known"],
    )


def _files(folder: Path) -> Iterable[str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for path in paths if (name := path.relative_to(folder).as_posix()) != SUMS]


def _check_sums(folder: Path) -> None:
    try:
        lines = (folder / SUMS).read_text().splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no model of mer_mlflow ({SUMS}: {error})") from error
    found = _files(folder)
    missing = sorted(expected.keys() - set(found))
    if missing:
        raise ModelError(f"{folder}: lacks {missing[0]}; get the model again")
    for name in found:
        if expected.get(name) != _sha256(folder / name):
            raise ModelError(f"{folder}: {name} was changed since the model was made; get it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
