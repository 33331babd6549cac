"""Made-up cross-validations, written to a store as real ones are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from mlflow import MlflowClient

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval import Split
from mer_mlflow.crossval.jobs import Epoch, FoldResult
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.tracking import write
from mer_mlflow.tracking.items import Item, Tag, setting_params, validation_items
from mer_mlflow.training import Prediction

N_CLIPS = 80

AddRun = Callable[..., str]


def make_clips(*, dataset: str = "original-4qaed", n_clips: int = N_CLIPS) -> Clips:
    return Clips(
        name=dataset,
        ids=tuple(f"{dataset[:3]}{i:03d}" for i in range(n_clips)),
        quadrants=np.arange(n_clips) % 4,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=tuple(f"artist {i // 2}" for i in range(n_clips)),
        features={"top100": FeatureTable(names=("a",), values=np.ones((n_clips, 1)))},
    )


def make_result(split: Split, clips: Clips, *, share_right: float, epochs: int) -> FoldResult:
    rng = np.random.default_rng([split.seed, round(1000 * share_right)])
    true = clips.quadrants[split.test]
    right = rng.random(len(true)) < share_right
    quadrants = np.where(right, true, (true + 1 + rng.integers(3, size=len(true))) % 4)
    probabilities = 0.1 + 0.6 * np.eye(4)[quadrants]
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=true,
        prediction=Prediction(probabilities=probabilities, quadrants=quadrants),
        epochs=tuple(
            Epoch(epoch=n, train_loss=1 / n, train_accuracy=1 - 0.5 / n)
            for n in range(1, epochs + 1)
        ),
        started=0.0,
        fit_seconds=1.5,
        predict_seconds=0.1,
        peak_memory=100.0,
        n_parameters=1234 if epochs else None,
    )


def made_setting(
    method: str,
    *,
    dataset: str = "original-4qaed",
    n_clips: int = N_CLIPS,
    n_splits: int = 4,
    n_repeats: int = 2,
    protocol: str = "paper",
    hyperparameters: Mapping[str, float] | None = None,
) -> Setting:
    clips = make_clips(dataset=dataset, n_clips=n_clips)
    plan = split_plan(clips, protocol=protocol, n_splits=n_splits, n_repeats=n_repeats)
    return resolve_setting(get_method(method), clips, plan, hyperparameters=hyperparameters)


@pytest.fixture
def made_clips() -> Clips:
    """Clips of the runs that ``add_run`` writes by default."""
    return make_clips()


@pytest.fixture
def add_run(store: object) -> AddRun:
    """Function that writes the parent run of a made-up cross-validation and returns its id."""
    client, numbers = MlflowClient(), count(1_700_000_000_000, 1000)

    def add(
        method: str = "svm",
        *,
        share_right: float = 0.7,
        status: str = "complete",
        experiment: str = "0",
        tags: Mapping[str, str] | None = None,
        changed: Mapping[str, float] | None = None,
        **setting: object,
    ) -> str:
        made = made_setting(method, **setting)  # type: ignore[arg-type]
        epochs = 3 if made.method.framework == "keras" else 0
        results = tuple(
            replace(
                make_result(split, made.clips, share_right=share_right, epochs=epochs),
                changed=changed or {},
            )
            for split in made.plan.splits
        )
        all_tags = {
            "mer.kind": "cross-validation",
            "mer.status": status,
            "mer.identity": made.identity,
            "mer.method": method,
            "mer.dataset": made.clips.name,
            "mer.protocol": made.plan.protocol,
            "mer.folds_expected": str(len(made.plan.splits)),
            "mer.packages": '{"numpy": "2.4.6"}',
            "mer.git_commit": "0123456789abcdef",
            **(tags or {}),
        }
        run = client.create_run(experiment, start_time=next(numbers))
        items: list[Item] = [Tag(key=key, value=value) for key, value in all_tags.items()]
        items += setting_params(made)
        if status == "complete":
            items += validation_items(CrossValidation(setting=made, results=results))
        write(client, run.info.run_id, items)
        return str(run.info.run_id)

    return add


@pytest.fixture
def add_fold(store: object) -> Callable[[str, str, str], None]:
    """Function that writes the run of one fold: of a parent, of this name, with this status."""
    client = MlflowClient()

    def add(parent: str, split: str, status: str) -> None:
        identity = client.get_run(parent).data.tags["mer.identity"]
        tags = {
            "mlflow.parentRunId": parent,
            "mer.kind": "fold",
            "mer.identity": identity,
            "mer.split": split,
        }
        run = client.create_run("0", tags=tags)
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status)

    return add
