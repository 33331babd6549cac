"""The comparison table: methods and datasets, ours beside the published scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.methods import get_method, method_names
from mer_mlflow.tracking import Kind, Status, search

MEASURES = ("precision", "recall", "f1")
REPORTED = (Status.COMPLETE, Status.INCOMPLETE, Status.INTERRUPTED, Status.RUNNING)
COLUMNS = ("method", "dataset", "protocol", "setting", *MEASURES, "folds", "published F1", "run")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cross-validation in the table.

    Attributes
    ----------
    method, dataset, protocol : what was validated
    setting : seconds of a clip, whether handcrafted features were extracted from audio, and the
        hyperparameters that are not the method's defaults
    scores : (mean, standard deviation) in per cent by measure; empty where folds are missing
    n_done, n_expected : folds
    published_f1 : the study's macro F1 in per cent, None where it has none
    run_id : parent run
    """

    method: str
    dataset: str
    protocol: str
    setting: str
    scores: Mapping[str, tuple[float, float | None]]
    n_done: int
    n_expected: int
    published_f1: float | None
    run_id: str


def comparison_rows(client: MlflowClient, experiment: str) -> tuple[Row, ...]:
    """Collect the cross-validations of an experiment, the latest of each identity.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment

    Returns
    -------
    rows by dataset, the study's table and method; partial ones are without scores
    """
    runs = sorted(
        search(client, experiment, kind=Kind.PARENT),
        key=lambda run: (run.data.tags.get("mer.status") == Status.COMPLETE, run.info.start_time),
    )
    latest = {
        (run.data.tags["mer.identity"], run.data.tags["mer.folds_expected"]): run
        for run in runs
        if run.data.tags.get("mer.status") in REPORTED and _is_reported(run)
    }
    rows = [_row(client, experiment, run) for run in latest.values()]
    return tuple(sorted(rows, key=lambda row: (row.dataset, _order(row.method), row.run_id)))


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Table as text: scores as mean ± standard deviation in per cent."""
    return pd.DataFrame([_cells(row) for row in rows], columns=list(COLUMNS))


def to_markdown(rows: Iterable[Row]) -> str:
    """Table in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *to_frame(rows).itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _is_reported(run: Run) -> bool:
    """Trials of a search are not, unless their setting was also trained by itself."""
    return "mer.trial" not in run.data.tags or "mer.trained" in run.data.tags


def _row(client: MlflowClient, experiment: str, run: Run) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    method, dataset = tags["mer.method"], tags["mer.dataset"]
    complete = tags["mer.status"] == Status.COMPLETE
    published = get_method(method).published.get(dataset) if method in method_names() else None
    params = run.data.params
    return Row(
        method=method,
        dataset=dataset,
        protocol=f"{tags['mer.protocol']} {params['cv.n_repeats']} x {params['cv.n_splits']}",
        setting=_setting(method, params) + ", tuned" * ("mer.tuned_by" in tags),
        scores={
            measure: (
                100 * metrics[f"{measure}_macro_mean"],
                100 * metrics[f"{measure}_macro_std"]
                if f"{measure}_macro_std" in metrics
                else None,
            )
            for measure in MEASURES
            if complete
        },
        n_done=_finished_folds(client, experiment, run),
        n_expected=int(tags["mer.folds_expected"]),
        published_f1=published.f1 if published else None,
        run_id=run.info.run_id,
    )


def _setting(method: str, params: Mapping[str, str]) -> str:
    seconds = params.get("data.seconds")
    defaults = get_method(method).defaults if method in method_names() else {}
    changed = [
        f"{name}={params[f'hp.{name}']}"
        for name, default in defaults.items()
        if params.get(f"hp.{name}", str(default)) != str(default)
    ]
    extracted = ["extracted features"] * (params.get("data.features") == "extracted")
    return ", ".join([f"{seconds} s"] * bool(seconds) + extracted + changed) or "defaults"


def _finished_folds(client: MlflowClient, experiment: str, run: Run) -> int:
    if run.data.tags["mer.status"] == Status.COMPLETE:
        return int(run.data.metrics["folds_done"])
    children = search(client, experiment, kind=Kind.FOLD, identity=run.data.tags["mer.identity"])
    mine = (child for child in children if child.data.tags["mlflow.parentRunId"] == run.info.run_id)
    return sum(child.info.status == "FINISHED" for child in mine)


def _order(method: str) -> tuple[int, str]:
    table = get_method(method).table if method in method_names() else None
    return (99 if table is None else table, method)


def _cells(row: Row) -> dict[str, str]:
    def shown(measure: str) -> str:
        if measure not in row.scores:
            return "partial"
        mean, std = row.scores[measure]
        return f"{mean:.2f}" + (f" ± {std:.2f}" if std is not None else "")

    return {
        "method": row.method,
        "dataset": row.dataset,
        "protocol": row.protocol,
        "setting": row.setting,
        **{measure: shown(measure) for measure in MEASURES},
        "folds": f"{row.n_done}/{row.n_expected}",
        "published F1": "–" if row.published_f1 is None else f"{row.published_f1:.2f}",
        "run": row.run_id[:8],
    }
