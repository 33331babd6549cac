"""Log items: built without a server, and read back to the last digit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.jobs import Epoch, FoldResult
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.datasets import Clips
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.items import File, Metric, fold_items, read_fold
from mer_mlflow.tracking.reading import fold_metrics
from mer_mlflow.training import Illustration, Prediction

N_CLIPS = 16
ODD_IDS = ("007", "1e5", "nan", "NA", "a,b", 'q"', "=1", "'@")
NUMBERS = st.floats(0, 1e6, allow_nan=False)


def make_setting() -> Setting:
    clips = Clips(
        name="made",
        ids=tuple(sorted([*ODD_IDS, *(f"c{i}" for i in range(N_CLIPS - len(ODD_IDS)))])),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
    )
    return resolve_setting(get_method("svm"), clips, split_plan(clips, n_splits=2, n_repeats=1))


SETTING = make_setting()


@st.composite
def probabilities(draw: st.DrawFn, n_clips: int) -> NDArray[np.float64]:
    raw = draw(hnp.arrays(np.float64, (n_clips, 4), elements=st.floats(1e-9, 1)))
    normalised: NDArray[np.float64] = raw / raw.sum(axis=1, keepdims=True)
    return normalised


@st.composite
def results(draw: st.DrawFn) -> FoldResult:
    split = SETTING.plan.splits[0]
    quadrants = hnp.arrays(np.int64, len(split.test), elements=st.integers(0, 3))
    stages = draw(st.lists(st.sampled_from(["audio", "features"]), unique=True))
    optional = st.none() | NUMBERS
    tested = draw(st.booleans())
    epochs = [
        Epoch(
            epoch=number,
            train_loss=draw(NUMBERS),
            train_accuracy=draw(optional),
            test_loss=draw(NUMBERS) if tested else None,
            test_accuracy=draw(optional),
            stage=draw(st.sampled_from(["", "audio"])),
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=SETTING.clips.quadrants[split.test],
        prediction=Prediction(
            probabilities=draw(probabilities(len(split.test))),
            quadrants=draw(quadrants),
            stages={stage: draw(probabilities(len(split.test))) for stage in stages},
        ),
        epochs=tuple(epochs),
        started=123.0,
        fit_seconds=draw(NUMBERS),
        predict_seconds=draw(NUMBERS),
        peak_memory=draw(NUMBERS),
        n_parameters=draw(st.none() | st.integers(0, 10**9)),
        changed=draw(st.dictionaries(st.sampled_from(["tfm", "rg"]), NUMBERS)),
        illustration=Illustration(
            numbers=draw(st.dictionaries(st.sampled_from(["n_made", "rmse_db"]), NUMBERS))
        ),
    )


@settings(deadline=None, max_examples=60)
@given(results())
def test_fold_is_read_back_exactly(result: FoldResult) -> None:
    items = list(fold_items(SETTING, SETTING.plan.splits[0], result))
    files = {item.name: item.content.decode() for item in items if isinstance(item, File)}
    metrics = {item.key: item.value for item in items if isinstance(item, Metric)}
    again: Any = read_fold(
        split_id=result.split_id,
        clips=SETTING.clips,
        predictions=files[schema.PREDICTIONS],
        epochs=files.get(schema.EPOCHS),
        metrics=fold_metrics(metrics),
        started=result.started,
        chosen={},
        arithmetic=result.arithmetic,
    )
    assert np.array_equal(again.prediction.probabilities, result.prediction.probabilities)
    assert np.array_equal(again.prediction.quadrants, result.prediction.quadrants)
    assert list(again.prediction.stages) == list(result.prediction.stages)
    for stage, expected in result.prediction.stages.items():
        assert np.array_equal(again.prediction.stages[stage], expected)
    assert np.array_equal(again.test, result.test)
    assert np.array_equal(again.true, result.true)
    assert again.epochs == result.epochs
    assert again.changed == result.changed
    assert again.illustration == result.illustration
    assert (again.fit_seconds, again.predict_seconds, again.peak_memory, again.n_parameters) == (
        result.fit_seconds,
        result.predict_seconds,
        result.peak_memory,
        result.n_parameters,
    )


def test_predictions_that_are_cut_off_are_not_read() -> None:
    header = "split,clip,quadrant,predicted,p_Q1,p_Q2,p_Q3,p_Q4\n"
    metrics = {"fit_seconds": 1.0, "predict_seconds": 1.0, "peak_memory_mib": 1.0}
    for predictions in ("", header, f"{header}r01-f01,007,Q1,Q1,0.5,0.5\n"):
        with pytest.raises(ValueError, match="truncated"):
            read_fold(
                split_id="r01-f01",
                clips=SETTING.clips,
                predictions=predictions,
                epochs=None,
                metrics=metrics,
                started=0.0,
                chosen={},
                arithmetic={},
            )
