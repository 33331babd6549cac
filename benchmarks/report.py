"""Reading cross-validations for the report: parents and their tables, against all fold runs.

The store is made up: ``RunTree`` records one cross-validation of random predictions, and the others
are copies of its runs under names of their own. Two ways then read it in turn:

- ours: ``read_validations``, then ``folds.parquet`` and ``predictions.parquet`` of every parent;
- obvious: ``search_runs`` over the fold runs, page by page, and a frame of their metrics. It has no
  predictions yet: they would cost it a file more for each fold.

The database and the files are local and were just written: neither way waits for a network or a
disk.

    python benchmarks/report.py [--parents 54] [--children 100]

prints the ratio of the times, whether our reading took under a second, and where its time went.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import mlflow
import numpy as np
import pandas as pd
import sqlalchemy
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.store.tracking.dbmodels import models
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval import CrossValidation, FoldResult, Setting, Split
from mer_mlflow.crossval.executors import FoldFinished, FoldStarted
from mer_mlflow.crossval.jobs import Job
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.methods import method_names
from mer_mlflow.reporting.validations import Selection, read_validations
from mer_mlflow.tracking import Kind, RunTree, search, write
from mer_mlflow.tracking.items import Item, Metric, Param
from mer_mlflow.training import Prediction

N_CLIPS = 900
N_SPLITS = 10
ROUNDS = 5
EXPERIMENT = "0"
DATASETS = ("original-4qaed", "new-4qaed-c", "new-4qaed-b")
TABLES = ("folds.parquet", "predictions.parquet")
CHILD_TABLES = (
    models.SqlRun,
    models.SqlTag,
    models.SqlParam,
    models.SqlMetric,
    models.SqlLatestMetric,
)
INHERITED = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
"""Variables of a surrounding ``mlflow run`` that would lead elsewhere."""

Rows = Mapping[sqlalchemy.Table, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of every round.

    Attributes
    ----------
    ours : our way: the search, and the tables of what it found, checked
    parquet : the same tables, from files whose place is known, without checks
    children : the obvious way
    """

    ours: list[float] = field(default_factory=list)
    parquet: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)


def main() -> None:
    """Make a store, read it both ways and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parents", type=int, default=54, help="cross-validations (default 54)")
    parser.add_argument(
        "--children", type=int, default=100, help=f"folds of each, in {N_SPLITS}s (default 100)"
    )
    given = parser.parse_args()
    if given.parents < 1:
        parser.error(f"--parents {given.parents}: must be >= 1")
    if given.children < N_SPLITS or given.children % N_SPLITS:
        parser.error(f"--children {given.children}: must be a multiple of {N_SPLITS}")
    prepare_process()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        mlflow.set_tracking_uri(f"sqlite:///{Path(folder) / 'mlflow.db'}")
        with redirect_stdout(io.StringIO()):
            make_store(n_parents=given.parents, n_children=given.children)
        print(f"{given.parents} cross-validations of {given.children} folds", flush=True)
        print_timing(measure())


def prepare_process() -> None:
    """Leave a surrounding run's settings and keep MLflow quiet."""
    for variable in INHERITED:
        os.environ.pop(variable, None)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)


def make_store(*, n_parents: int, n_children: int) -> None:
    """Fill the tracking store with complete cross-validations."""
    setting = example_setting(n_repeats=n_children // N_SPLITS)
    run = recorded(setting)
    rows = child_rows()
    client = MlflowClient()
    for method, dataset, number in names(n_parents - 1):
        tags = {
            "mer.method": method,
            "mer.dataset": dataset,
            "mer.identity": f"{method} {dataset} {number}",
        }
        copy_children(rows, tags | {MLFLOW_PARENT_RUN_ID: copy_parent(client, run, tags)})


def names(n: int) -> Iterator[tuple[str, str, int]]:
    """Method, dataset and a number that together occur once."""
    pairs = list(product(method_names(), DATASETS))
    return ((*pairs[k % len(pairs)], k) for k in range(n))


def example_setting(*, n_repeats: int) -> Setting:
    """Return a cross-validation of made-up clips."""
    clips = Clips(
        name=DATASETS[0],
        ids=tuple(f"clip{i:04d}" for i in range(N_CLIPS)),
        quadrants=np.arange(N_CLIPS) % len(QUADRANTS),
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
    )
    plan = split_plan(clips, n_splits=N_SPLITS, n_repeats=n_repeats)
    return resolve_setting(get_method("crnn"), clips, plan)


def example_result(split: Split) -> FoldResult:
    """Make up a fold's result with random probabilities that lean towards the truth."""
    random = np.random.default_rng(split.seed)
    true = split.test % len(QUADRANTS)
    weights = random.gamma(1 + 2 * np.eye(len(QUADRANTS))[true])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=true,
        prediction=Prediction(probabilities=probabilities, quadrants=probabilities.argmax(axis=1)),
        epochs=(),
        started=time.time(),
        fit_seconds=60.0,
        predict_seconds=1.0,
        peak_memory=1000.0,
        n_parameters=100_000,
    )


def recorded(setting: Setting) -> Run:
    """Record a cross-validation as ``train`` does, and return its parent run."""
    results = tuple(map(example_result, setting.plan.splits))
    with RunTree(setting, tags={"mer.profile": "paper"}, source="benchmark") as tree:
        for split, result in zip(setting.plan.splits, results, strict=True):
            tree.on_event(FoldStarted(job=Job(split=split, hyperparameters=None)))
            tree.on_event(FoldFinished(job=Job(split=split, hyperparameters=None), result=result))
        tree.conclude(CrossValidation(setting=setting, results=results))
    return MlflowClient().get_run(tree.run_id)


def copy_parent(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> str:
    """Log what a parent run carries to a new one with other tags, and return its id."""
    copy = client.create_run(EXPERIMENT, tags={**run.data.tags, **tags})
    items: list[Item] = [Param(key=key, value=value) for key, value in run.data.params.items()]
    items += [Metric(key=key, value=value) for key, value in run.data.metrics.items()]
    write(client, copy.info.run_id, items)
    assert run.inputs is not None
    client.log_inputs(copy.info.run_id, run.inputs.dataset_inputs)
    client.log_artifacts(copy.info.run_id, download_artifacts(artifact_uri=run.info.artifact_uri))
    client.set_terminated(copy.info.run_id, "FINISHED")
    return str(copy.info.run_id)


def child_rows() -> dict[sqlalchemy.Table, list[dict[str, Any]]]:
    """Rows of all fold runs by the store's tables."""
    tags = models.SqlTag.__table__
    ids = sqlalchemy.select(tags.c.run_uuid).where(
        tags.c.key == "mer.kind", tags.c.value == str(Kind.FOLD)
    )
    with sqlalchemy.create_engine(mlflow.get_tracking_uri()).connect() as database:
        return {
            table: [
                dict(row)
                for row in database.execute(
                    sqlalchemy.select(table).where(table.c.run_uuid.in_(ids))
                ).mappings()
            ]
            for table in (model.__table__ for model in CHILD_TABLES)
        }


def copy_children(rows: Rows, tags: Mapping[str, str]) -> None:
    """Insert copies of fold runs, whose files are left out, with other tags.

    MLflow's interface takes tens of milliseconds a run, which would be minutes.
    """
    new_ids = {row["run_uuid"]: uuid4().hex for row in rows[models.SqlRun.__table__]}
    with sqlalchemy.create_engine(mlflow.get_tracking_uri()).begin() as database:
        for table, of_table in rows.items():
            copies = [{**row, "run_uuid": new_ids[row["run_uuid"]]} for row in of_table]
            if table is models.SqlTag.__table__:
                copies = [{**row, "value": tags.get(row["key"], row["value"])} for row in copies]
            database.execute(sqlalchemy.insert(table), copies)


def measure() -> Timing:
    """Time the ways in turn; a first round only warms up.

    Raises
    ------
    RuntimeError
        If the two ways read other scores.
    """
    timing = Timing()
    for each in (Timing(), *[timing] * ROUNDS):
        client = MlflowClient()
        clock = time.perf_counter()
        selection = read_validations(client, [EXPERIMENT])
        each.ours.append(time.perf_counter() - clock)
        files = table_files(selection)
        clock = time.perf_counter()
        for path in files:
            pd.read_parquet(path)
        each.parquet.append(time.perf_counter() - clock)
        clock = time.perf_counter()
        children = read_children(client)
        each.children.append(time.perf_counter() - clock)
    means = pd.Series({item.run_id: item.scores().mean() for item in selection.complete})
    theirs = children.groupby(MLFLOW_PARENT_RUN_ID)["f1_macro"].mean()
    if not np.allclose(means.sort_index(), theirs.sort_index()):
        raise RuntimeError("the two ways read other scores")
    return timing


def table_files(selection: Selection) -> list[Path]:
    """Files of the tables of complete cross-validations."""
    return [
        Path(download_artifacts(artifact_uri=f"{item.artifacts}/{name}"))
        for item in selection.complete
        for name in TABLES
    ]


def read_children(client: MlflowClient) -> pd.DataFrame:
    """Read the metrics of all fold runs, a row for each."""
    return pd.DataFrame(
        {
            MLFLOW_PARENT_RUN_ID: run.data.tags[MLFLOW_PARENT_RUN_ID],
            "split": run.data.tags["mer.split"],
            **run.data.metrics,
        }
        for run in search(client, EXPERIMENT, kind=Kind.FOLD)
    )


def print_timing(timing: Timing) -> None:
    """Print seconds, their ratio and where they went."""
    ours, obvious = median(timing.ours), median(timing.children)
    print("seconds depend on the machine and its load: only the ratio is meant to be quoted")
    print(f"{'parents and their tables':<28}{ours:>8.2f} s, median of {ROUNDS} rounds")
    alone = median(timing.parquet)
    print(f"  {'tables, parquet alone':<26}{alone:>8.2f} s, {alone / ours:.0%}")
    print(f"{'all fold runs':<28}{obvious:>8.2f} s")
    ratios = [theirs / mine for theirs, mine in zip(timing.children, timing.ours, strict=True)]
    each = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    print(f"the obvious way takes {median(ratios):.1f} times as long (rounds: {each})")
    print(f"our reading took under a second: {'yes' if ours < 1 else 'no'}")


if __name__ == "__main__":
    main()
