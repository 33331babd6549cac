"""Identities of all methods, recorded: a changed one loses the folds that users have.

An identity may change only with the version of its method, on purpose. This file, run as a script
(``python tests/crossval/test_identities.py``), writes the record anew; the commit says why.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer_mlflow import arithmetic
from mer_mlflow.arithmetic import ARITHMETICS
from mer_mlflow.augmentation import get_transforms
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.splits import SplitPlan, split_plan
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations.pretrained import PUBLISHED
from mer_mlflow.training import Method
from mer_mlflow.tuning.nested import InnerSearch
from mer_mlflow.tuning.space import resolve_space

FILE = Path(__file__).with_name("identities.json")
N_CLIPS, N_FEATURES = 24, 120
VARIED = ("cnn", "cnn_artist", "sample_cnn")
"""One that reads spectrograms, one that reads frozen layers, one that reads chunks."""


def make_clips() -> Clips:
    values = np.arange(N_CLIPS * N_FEATURES, dtype=np.float64).reshape(N_CLIPS, N_FEATURES) % 7
    table = FeatureTable(names=tuple(f"f{i:03d}" for i in range(N_FEATURES)), values=values)
    return Clips(
        name="made",
        ids=tuple(f"c{i:03d}" for i in range(N_CLIPS)),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=tuple(Path(f"c{i:03d}.wav") for i in range(N_CLIPS)),
        audio_hashes=tuple(f"{i:032x}" for i in range(N_CLIPS)),
        artists=(None,) * N_CLIPS,
        features={"top100": table, "all": table},
    )


def weights_folder(folder: Path) -> Path:
    """A file of each published network's name; identities depend on contents, not on places."""
    for each in PUBLISHED.values():
        file = folder / each.name / each.path.replace("*", "-v0")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(each.name)
    return folder


def other_value(method: Method) -> dict[str, Any]:
    name, space = next(
        (name, space) for name, space in method.spaces.items() if space.grid or space.choices
    )
    default = method.defaults[name]
    return {name: next(value for value in space.grid or space.choices if value != default)}


def nested(method: Method) -> InnerSearch | None:
    if not any(space.grid for space in method.spaces.values()):
        return None
    space = resolve_space(None, method)
    return InnerSearch(
        strategy="grid",
        space=space,
        start={name: method.defaults[name] for name in space},
        n_splits=4,
    )


def settings() -> Iterator[tuple[str, Setting]]:
    clips = make_clips()
    plan = split_plan(clips, n_splits=3, n_repeats=2, seed=7)

    def resolved(method: Method, *, splits: SplitPlan = plan, **changes: Any) -> Setting:
        return resolve_setting(method, clips, splits, **changes)

    for name in method_names():
        method = get_method(name)
        yield f"{name}: defaults", resolved(method)
        yield f"{name}: other hyperparameter", resolved(method, hyperparameters=other_value(method))
        choice = nested(method)
        if choice is not None:
            yield f"{name}: nested", resolved(method, choice=choice)
    for name in VARIED:
        method = get_method(name)
        transforms = get_transforms(["rg", "time_shift"])
        yield f"{name}: augmented", resolved(method, augmentations=transforms)
        yield f"{name}: two threads", resolved(method, threads=2)
        yield f"{name}: 10 s", resolved(method, duration=10.0)
        others = split_plan(clips, n_splits=3, n_repeats=2, seed=8)
        yield f"{name}: another seed", resolved(method, splits=others)
    yield "svm: extracted", resolved(get_method("svm"), features="extracted")
    yield "hybrid: extracted", resolved(get_method("hybrid"), features="extracted")
    for layers in ("last_block", "all"):
        chosen = {"unfreeze": layers}
        yield f"crnn_msd: {layers}", resolved(get_method("crnn_msd"), hyperparameters=chosen)


def identities(folder: Path) -> Mapping[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "tensorflow")
        patch.setenv("MER_WEIGHTS_ROOT", str(weights_folder(folder)))
        patch.setenv("MER_ALLOW_UNVERIFIED_WEIGHTS", "true")
        return {
            name: f"version {setting.method.version}: {setting.identity}"
            for name, setting in settings()
        }


def test_identities_are_those_that_were_recorded(tmp_path: Path) -> None:
    assert identities(tmp_path) == json.loads(FILE.read_text())


def test_threads_and_excerpts_are_of_no_account_to_features() -> None:
    clips, method = make_clips(), get_method("svm")
    plan = split_plan(clips, n_splits=3, n_repeats=2, seed=7)
    other = resolve_setting(method, clips, plan, threads=2, duration=10.0)
    assert other.identity == resolve_setting(method, clips, plan).identity


def test_every_setting_has_an_identity_of_its_own(tmp_path: Path) -> None:
    every = identities(tmp_path)
    assert len(set(every.values())) == len(every)


def test_portable_arithmetic_has_identities_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    features = dict.fromkeys(arithmetic.NEEDED_FEATURES, True)
    monkeypatch.setattr(arithmetic, "_features", lambda: features)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    clips = make_clips()
    plan = split_plan(clips, n_splits=3, n_repeats=2, seed=7)
    for name in ("svm", "dnn_100", "cnn"):
        method = get_method(name)
        native, portable = (
            resolve_setting(method, clips, plan, arithmetic=each) for each in ARITHMETICS
        )
        assert native.identity == resolve_setting(method, clips, plan).identity
        assert portable.identity != native.identity


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        FILE.write_text(json.dumps(identities(Path(folder)), indent=1) + "\n")


if __name__ == "__main__":
    main()
