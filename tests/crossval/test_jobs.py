"""Jobs: predictions come back whole, and those that are no numbers are no result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.jobs import FoldResult, Job, Task, run_jobs
from mer_mlflow.crossval.metrics import SCORES, score
from mer_mlflow.crossval.results import CrossValidation, fold_row
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import DivergenceError
from mer_mlflow.representations import Examples
from mer_mlflow.training import EpochRecord, Prediction

N_CLIPS = 20
LABELS = np.arange(N_CLIPS) % 4
CLIPS = Clips(
    name="made",
    ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
    quadrants=LABELS,
    audio=(None,) * N_CLIPS,
    audio_hashes=(None,) * N_CLIPS,
    artists=(None,) * N_CLIPS,
)
PLAN = split_plan(CLIPS, n_splits=5, n_repeats=1)


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Reads the quadrant from its input; its vote and its stage say something else."""

    offset: float = 0.0
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        truth = examples.read(0)[:, 0].astype(int)
        return Prediction(
            probabilities=np.eye(4)[truth] + self.offset,
            quadrants=(truth + 1) % 4,
            stages={"audio": np.eye(4)[np.zeros_like(truth)]},
        )

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def make_examples(values: NDArray[np.int64]) -> Examples:
    return Examples(inputs=(values[:, np.newaxis],), positions=np.arange(N_CLIPS), quadrants=LABELS)


def run(
    fitted: Oracle,
    *,
    test_curve: bool = False,
    probes: Mapping[str, NDArray[np.int64]] = MappingProxyType({}),
) -> FoldResult:
    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: Any) -> Oracle:
        on_epoch(EpochRecord(epoch=1, loss=1.0, accuracy=0.5, stage="audio"), fitted.predict)
        return fitted

    task = Task(
        method=replace(get_method("svm"), fit=fit),
        examples=make_examples(LABELS),
        test_curve=test_curve,
        probes={name: make_examples(values) for name, values in probes.items()},
    )
    (result,) = run_jobs(task, (Job(split=PLAN.splits[0], hyperparameters=None),))
    return result


def test_scores_are_of_the_quadrants_that_were_chosen_not_of_the_most_probable() -> None:
    row = fold_row(run(Oracle()))
    assert row["f1_macro"] == 0
    assert row["accuracy"] == 0


def test_stages_are_scored_beside_the_whole() -> None:
    result = run(Oracle())
    row = fold_row(result)
    expected = score(result.true, np.zeros(len(result.true), dtype=np.int64))
    assert {name: row[f"audio/{name}"] for name in SCORES} == expected
    setting = resolve_setting(get_method("svm"), CLIPS, PLAN)
    results = tuple(replace(result, split_id=split.id) for split in PLAN.splits)
    summary = CrossValidation(setting=setting, results=results).summary
    assert set(summary) == {*SCORES, *(f"audio/{name}" for name in SCORES)}
    assert summary["audio/accuracy"].mean == pytest.approx(expected["accuracy"])


def test_test_curve_follows_the_chosen_quadrants() -> None:
    (epoch,) = run(Oracle(), test_curve=True).epochs
    assert (epoch.stage, epoch.test_accuracy, epoch.test_loss) == ("audio", 0, 0)
    (epoch,) = run(Oracle()).epochs
    assert epoch.test_accuracy is None


@pytest.mark.parametrize("offset", [np.nan, np.inf])
def test_model_that_predicts_no_numbers_has_no_result(offset: float) -> None:
    with pytest.raises(DivergenceError, match="no finite probabilities"):
        run(Oracle(offset=offset))


def test_copies_that_change_the_model_s_mind_are_counted_among_test_clips_alone() -> None:
    test = PLAN.splits[0].test
    one_moved, training_moved = LABELS.copy(), (LABELS + 1) % 4
    one_moved[test[0]] = (LABELS[test[0]] + 1) % 4
    training_moved[test] = LABELS[test]
    result = run(Oracle(), probes={"rg": one_moved, "tfm": training_moved})
    assert result.changed == {"rg": 1 / len(test), "tfm": 0.0}
    row = fold_row(result)
    assert (row["changed/rg"], row["changed/tfm"]) == (1 / len(test), 0.0)
    assert row["accuracy"] == fold_row(run(Oracle()))["accuracy"]
