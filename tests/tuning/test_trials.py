"""Trials: tracked cross-validations that share folds, and are given up only for a reason."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import optuna
import pytest
from mlflow import MlflowClient

from mer_mlflow import cross_validate, get_method, split_plan
from mer_mlflow.crossval.executors import InlineExecutor
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import ParameterError
from mer_mlflow.representations import assemble, open_store
from mer_mlflow.tracking import open_run, write
from mer_mlflow.tuning.pruning import fold_order
from mer_mlflow.tuning.record import find_best, folds_by_use, search_items, trials_table
from mer_mlflow.tuning.space import parse_space
from mer_mlflow.tuning.study import SearchSetting, best_trial, open_study, run_study
from mer_mlflow.tuning.trials import RUN_ID, evaluate_point

N_CLIPS = 80
LABELS = np.arange(N_CLIPS) % 4
GOOD, BAD = 0.01, 30.0


def make_clips() -> Clips:
    values = np.random.default_rng(0).normal(size=(N_CLIPS, 6)) + 2 * np.eye(4, 6)[LABELS]
    return Clips(
        name="original-4qaed",
        ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
        quadrants=LABELS,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
        features={"top100": FeatureTable(names=tuple("abcdef"), values=values)},
    )


def make_setting() -> Setting:
    clips = make_clips()
    plan = split_plan(clips, n_splits=8, n_repeats=1)
    return resolve_setting(get_method("svm"), clips, plan, hyperparameters={"C": 2.0})


def make_search(*, prune: str = "") -> SearchSetting:
    return SearchSetting(
        name=f"made {prune}",
        strategy="grid",
        space={"gamma": (GOOD, BAD)},
        start={"gamma": GOOD},
        n_trials=1,
        seed=0,
        prune=prune,
    )


def run(search: SearchSetting, folder: Path) -> optuna.Study:
    setting = make_setting()
    clips = setting.clips
    examples = assemble(clips, setting.method.inputs, store=open_store(folder / "store"))
    study = open_study(search, f"sqlite:///{folder / 'optuna.db'}")
    run_study(
        study,
        search,
        lambda trial, point: evaluate_point(
            trial,
            point,
            setting=setting,
            examples=examples,
            executor=InlineExecutor(),
            tags={"mer.study": search.name},
            source="made",
            order=fold_order(setting.plan, search.prune),
        ),
    )
    return study


def test_score_is_that_of_a_cross_validation_and_the_run_is_linked_both_ways(store: Path) -> None:
    study = run(make_search(), store)
    setting = make_setting()
    best = best_trial(study)
    assert best is not None
    expected = cross_validate(
        setting.method,
        setting.clips,
        plan=setting.plan,
        hyperparameters={"C": 2.0, "gamma": GOOD},
        workers=0,
    )
    assert best.params == {"gamma": GOOD}
    assert best.value == expected.summary["f1_macro"].mean
    run_of_best = MlflowClient().get_run(best.user_attrs[RUN_ID])
    assert run_of_best.data.tags["mer.study"] == "made "
    assert run_of_best.data.tags["mer.trial"] == str(best.number)
    assert run_of_best.data.metrics["f1/macro"] == best.value


@pytest.mark.parametrize("prune", ["wilcoxon", "forgiving"])
def test_losing_point_is_given_up_and_its_folds_count_later(store: Path, prune: str) -> None:
    pruned = run(make_search(prune=prune), store)
    used = folds_by_use(pruned, make_setting())
    assert used["folds_saved"] > 0
    assert used["folds_run"] + used["folds_saved"] == 16
    loser = trials_table(pruned).set_index("state").loc["PRUNED"]
    assert loser["gamma"] == BAD
    given_up = MlflowClient().get_run(loser["run"])
    assert given_up.data.tags["mer.status"] == "pruned"
    assert "f1/macro" not in given_up.data.metrics
    whole = run(make_search(), store)
    again = folds_by_use(whole, make_setting())
    assert again == {"folds_run": used["folds_saved"], "folds_reused": used["folds_run"]} | {
        "folds_saved": 0
    }
    winners = [best_trial(study) for study in (pruned, whole)]
    assert [winner.params for winner in winners if winner] == [{"gamma": GOOD}] * 2


def test_winner_is_found_again(store: Path) -> None:
    client = MlflowClient()
    matplotlib.use("Agg")
    style = dict(matplotlib.rcParams)
    setting, search = make_setting(), make_search()
    study = run(search, store)
    found = open_run(client, name="search")
    write(client, found.info.run_id, list(search_items(study, search, setting)))
    best = find_best(client, "0", method="svm", dataset="new-4qaed-c")
    assert best["hyperparameters"] == {"C": 2.0, "gamma": GOOD}
    assert best["study"] == search.name
    assert parse_space(best["space"], setting.method) == search.space
    figures = {item.path for item in client.list_artifacts(found.info.run_id, "figures")}
    assert "figures/optimization_history.png" in figures
    assert dict(matplotlib.rcParams) == style, "figures that follow must not change"


def test_missing_search_is_named(store: Path) -> None:
    with pytest.raises(ParameterError, match="no finished search of svm on original-4qaed"):
        find_best(MlflowClient(), "0", method="svm", dataset="demo")
