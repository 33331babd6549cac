"""What a search leaves in MLflow: a run with trials, figures and winner; how it is found again."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import optuna
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial, TrialState

from mer_mlflow.crossval.metrics import OBJECTIVE
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.errors import ParameterError, RunDataError
from mer_mlflow.spreadsheet import to_csv
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import Kind, Status, schema, search
from mer_mlflow.tracking.items import File, Item, Metric, Param, Tag
from mer_mlflow.tracking.outage import reason
from mer_mlflow.tracking.reading import read_json
from mer_mlflow.training import Value
from mer_mlflow.tuning.space import space_text
from mer_mlflow.tuning.study import (
    CALLED_OFF,
    INCOMPLETE,
    OBJECTIVE_NAME,
    SearchSetting,
    best_trial,
)
from mer_mlflow.tuning.trials import (
    OTHER_ARITHMETIC,
    OTHER_SOFTWARE,
    REUSED,
    RUN_ID,
    SPENT,
)

HOME = "original-4qaed"
"""The dataset that the study tunes on, whatever a method is then trained on."""
FIGURE_SIZE = (10.0, 5.0)
"""Inches: axes and the bar of colours must not lie upon each other."""
FIGURES = ("optimization_history", "slice", "param_importances", "parallel_coordinate")


def search_items(study: optuna.Study, searched: SearchSetting, setting: Setting) -> Iterator[Item]:
    """All that the run of a finished search carries."""
    yield Tag(key=schema.KIND, value=Kind.SEARCH)
    yield Tag(key=schema.STUDY, value=searched.name)
    yield Tag(key=schema.METHOD, value=setting.method.name)
    yield Tag(key=schema.DATASET, value=setting.clips.name)
    yield Param(key="search.strategy", value=searched.strategy)
    for name, values in searched.space.items():
        yield Param(key=f"space.{name}", value=", ".join(map(str, values)))
    table = trials_table(study)
    yield Metric(key="n_trials", value=float(len(table)))
    for state in ("INCOMPLETE", "PRUNED"):
        yield Metric(key=f"n_{state.lower()}", value=float((table["state"] == state).sum()))
    for key, n_folds in folds_by_use(study, setting).items():
        yield Metric(key=key, value=float(n_folds))
    yield File(name=schema.TRIALS, content=to_csv(table))
    best = best_trial(study)
    if best is not None and best.value is not None:
        yield Metric(key=f"best_{OBJECTIVE}", value=best.value)
        winner = json.dumps(_winner(best, searched, setting), indent=2)
        yield File(name=schema.BEST, content=winner.encode())
        yield from _figures(study)
    yield Tag(key=schema.STATUS, value=Status.COMPLETE)


def folds_by_use(study: optuna.Study, setting: Setting) -> dict[str, int]:
    """Folds that were run, those read from earlier runs, and those that pruning saved."""
    table = trials_table(study)
    table = table[table["state"].isin(["COMPLETE", "PRUNED"])]
    spent, reused = (int(table[key].fillna(0).sum()) for key in (SPENT, REUSED))
    n_folds = len(setting.plan.splits) * len(table)
    return {SPENT: spent, REUSED: reused, "folds_saved": n_folds - spent - reused}


def adoption_warnings(study: optuna.Study) -> list[str]:
    """What is to be known of the folds that trials read from earlier runs."""
    causes = {
        OTHER_SOFTWARE: "by another version of the code or its packages",
        OTHER_ARITHMETIC: "by other arithmetic (the kernels of another processor, or settings)",
    }
    trials = study.get_trials(deepcopy=False)
    counts = {key: sum(trial.user_attrs.get(key, 0) for trial in trials) for key in causes}
    return [
        f"{counts[key]} of the folds read were run {words} (see their tags)"
        for key, words in causes.items()
        if counts[key]
    ]


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """Table with a row a trial: number, state, score, hyperparameters, run, seconds."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if trial.user_attrs.get(CALLED_OFF):
            continue
        seconds = trial.duration.total_seconds() if trial.duration is not None else None
        rows.append(
            {
                "trial": trial.number,
                "state": "INCOMPLETE" if INCOMPLETE in trial.user_attrs else trial.state.name,
                OBJECTIVE: trial.value if trial.state == TrialState.COMPLETE else None,
                **trial.params,
                REUSED: trial.user_attrs.get(REUSED),
                SPENT: trial.user_attrs.get(SPENT),
                "seconds": seconds,
                "run": trial.user_attrs.get(RUN_ID),
            }
        )
    return pd.DataFrame(rows)


def find_best(
    client: MlflowClient,
    experiment: str,
    *,
    method: str,
    dataset: str,
    study: str | None = None,
) -> dict[str, Any]:
    """Find the winner of the latest finished search of a method.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment
    method : name of the methodology
    dataset : whose search counts where there is none on Original-4QAED
    study : name of the search's study, by default any

    Returns
    -------
    content of ``best.json``: ``hyperparameters``, the ``study`` and its ``strategy`` and ``space``

    Raises
    ------
    ParameterError
        If there is no such search.
    RunDataError
        If what it found cannot be read.
    """
    runs = [
        run
        for run in search(
            client, experiment, kind=Kind.SEARCH, method=method, status=Status.COMPLETE
        )
        if has_winner(run)
    ]
    if study is not None:
        found = [run for run in runs if run.data.tags.get(schema.STUDY) == study]
        if not found:
            raise ParameterError(
                f"hyperparameters=best of {study}: no finished search of {method} has this name "
                "in this experiment"
            )
        return read_winner(found[0])
    for tuned_on in dict.fromkeys((HOME, dataset)):
        found = [run for run in runs if run.data.tags.get(schema.DATASET) == tuned_on]
        if found:
            return read_winner(max(found, key=lambda run: int(run.info.start_time or 0)))
    raise ParameterError(
        f"hyperparameters=best: no finished search of {method} on {HOME} in this experiment; "
        f"run the entry point search with method={method} first"
    )


def has_winner(run: Run) -> bool:
    """Tell whether a finished search's run names a winner: where all settings failed, none does."""
    return f"best_{OBJECTIVE}" in run.data.metrics


def read_winner(run: Run) -> dict[str, Any]:
    """Read ``best.json`` of a finished search.

    Raises
    ------
    RunDataError
        If it is missing or damaged.
    """
    place = f"search run {printable(run.info.run_id)}"
    advice = "delete the run, and search again"
    try:
        winner = read_json(run.info.artifact_uri, schema.BEST)
    except RunDataError as error:
        raise RunDataError(f"{place}: {error}; {advice}") from error
    except (MlflowException, OSError) as error:
        raise RunDataError(f"{place}: {schema.BEST} cannot be fetched ({reason(error)})") from error
    values = winner.get("hyperparameters")
    texts = (winner.get("study"), winner.get("strategy"), winner.get("space"))
    if not all(isinstance(each, str) and each.isprintable() for each in texts):
        raise RunDataError(f"{place}: {schema.BEST} names no study, strategy and space; {advice}")
    if not isinstance(values, dict) or not all(map(_is_value, values.values())):
        raise RunDataError(f"{place}: {schema.BEST} has no hyperparameters; {advice}")
    return winner


def _is_value(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _winner(best: FrozenTrial, searched: SearchSetting, setting: Setting) -> Mapping[str, Any]:
    return {
        "method": setting.method.name,
        "dataset": setting.clips.name,
        "study": searched.name,
        "strategy": searched.strategy,
        "space": space_text(searched.space),
        "hyperparameters": {**_fixed(setting, searched), **best.params},
        OBJECTIVE: best.value,
        "trial": best.number,
        "run": best.user_attrs.get(RUN_ID),
        "folds": f"{setting.plan.n_repeats} x {setting.plan.n_splits} {setting.plan.protocol}",
        "note": "chosen by the folds that it is scored on: the score is optimistic",
    }


def _fixed(setting: Setting, searched: SearchSetting) -> dict[str, Value]:
    """Hyperparameters that are not searched and differ from the method's defaults."""
    defaults = setting.method.defaults
    return {
        name: value
        for name, value in asdict(setting.hyperparameters).items()
        if name not in searched.space and value != defaults[name]
    }


def _figures(study: optuna.Study) -> Iterator[File]:
    for name in FIGURES:
        content = _drawn(study, name)
        if content is not None:
            yield File(name=f"figures/{name}.png", content=content)


def _drawn(study: optuna.Study, name: str) -> bytes | None:
    """One of Optuna's plots, which would leave their style to all figures that follow."""
    import matplotlib as mpl

    mpl.use("Agg")
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore")  # these plots have been experimental since 2020
        from optuna.visualization import matplotlib as plots

        try:
            drawn = getattr(plots, f"plot_{name}")(study, target_name=OBJECTIVE_NAME)
        except (RuntimeError, ValueError):  # too few trials, or one value of everything
            return None
        axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
        axes.figure.set_size_inches(*FIGURE_SIZE)
        buffer = io.BytesIO()
        axes.figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
        mpl.pyplot.close(axes.figure)
        return buffer.getvalue()
