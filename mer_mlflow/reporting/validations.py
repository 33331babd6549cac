"""Cross-validations as their parent runs tell them: read once, from few runs and their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow.artifacts
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path

from mer_mlflow.arithmetic import PORTABLE, facts_words, read_facts
from mer_mlflow.crossval.metrics import Summary, summarise
from mer_mlflow.crossval.splits import FIXED_SPLITS
from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.tracking import Kind, Status, search
from mer_mlflow.tracking.items import ARITHMETIC, MIXED_ARITHMETIC, mixture_words

SHOWN = (Status.COMPLETE, Status.INCOMPLETE, Status.INTERRUPTED, Status.RUNNING)
"""Superseded, duplicate, pruned and failed runs gave their folds to others, or have none."""

LOCAL = ("", "file")
"""Schemes of addresses that are files of this machine; MLflow would take longer to look at them."""
READERS = 8
"""Tables that are downloaded at a time."""

Frame = tuple[str, str, str, int, int]
"""Dataset, its digest, protocol, folds and seed: what makes splits the same."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A cross-validation.

    Attributes
    ----------
    run_id, experiment_id : of its parent run
    artifacts : address of the run's artifacts
    method, dataset, protocol : what was validated
    status : value of the tag ``mer.status``
    identity : equal where the same folds give the same predictions
    n_done, n_expected : folds
    started : Unix time [s]
    params, metrics, tags : of the parent run
    """

    run_id: str
    experiment_id: str
    artifacts: str
    method: str
    dataset: str
    protocol: str
    status: str
    identity: str
    n_done: int
    n_expected: int
    started: float
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        """Whether every fold has a result."""
        return self.status == Status.COMPLETE

    @property
    def frame(self) -> Frame:
        """What it shares with the cross-validations that it can be compared with fold by fold."""
        params = self.params
        return (
            self.dataset,
            params.get("data.digest", ""),
            self.protocol,
            int(params.get("cv.n_splits", 0)),
            int(params.get("cv.seed", 0)),
        )

    @property
    def n_repeats(self) -> int:
        """Repetitions of the protocol."""
        return int(self.params.get("cv.n_repeats", 1))

    @property
    def n_splits(self) -> int:
        """Folds of a repetition."""
        return int(self.params.get("cv.n_splits", 0))

    @property
    def n_clips(self) -> int:
        """Clips of the dataset."""
        return int(self.params.get("data.n_clips", 0))

    @property
    def title(self) -> str:
        """Method as tables print it."""
        return get_method(self.method).title if self.method in method_names() else self.method

    @property
    def table(self) -> int | None:
        """The study's table that reports the method."""
        return get_method(self.method).table if self.method in method_names() else None

    @property
    def published_f1(self) -> float | None:
        """The study's macro F1 in per cent, None where it has none."""
        scores = None
        if self.method in method_names():
            scores = get_method(self.method).published.get(self.dataset)
        return None if scores is None else scores.f1

    @property
    def selection(self) -> str:
        """How hyperparameters were found: ``default``, ``given``, ``tuned`` or ``nested``."""
        if self.tags.get("mer.selection") == "nested":
            return "nested"
        if "mer.tuned_by" in self.tags:
            return "tuned"
        return "given" if self.changed else "default"

    @property
    def changed(self) -> dict[str, str]:
        """Hyperparameters that are not the method's defaults."""
        defaults = get_method(self.method).defaults if self.method in method_names() else {}
        return {
            name: self.params[f"hp.{name}"]
            for name, default in defaults.items()
            if self.params.get(f"hp.{name}", str(default)) != str(default)
        }

    @property
    def setting(self) -> tuple[str, ...]:
        """What may distinguish it from the method's other cross-validations."""
        parts = [f"{self.params['data.seconds']} s"] * bool(self.params.get("data.seconds"))
        parts += ["extracted features"] * (self.params.get("data.features") == "extracted")
        parts += [f"copies: {self.copies}"] * bool(self.copies)
        parts += ["portable arithmetic"] * (self.params.get("cv.arithmetic") == PORTABLE)
        parts += ["nested search"] * (self.selection == "nested")
        if self.selection != "nested":
            parts += [f"{name}={value}" for name, value in self.changed.items()]
        return tuple(parts)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Its setting, and what a reader of its scores should know at once."""
        return (*self.setting, *["mixed arithmetic"] * self.is_mixed)

    @property
    def is_mixed(self) -> bool:
        """Whether its folds were computed with different arithmetic."""
        return MIXED_ARITHMETIC in self.tags

    @property
    def arithmetic(self) -> str:
        """What its folds were computed with; several where it is mixed, unknown in older runs."""
        if self.is_mixed:
            return "; ".join(mixture_words(self.tags[MIXED_ARITHMETIC]))
        return facts_words(read_facts(self.tags.get(ARITHMETIC)))

    @property
    def copies(self) -> str:
        """Transforms of training copies where they are not the method's own, else nothing."""
        keys = self.params.get("data.augmentations", "")
        own = get_method(self.method).augmentations if self.method in method_names() else ()
        if "data.augmentations" not in self.params or keys == " ".join(each.key for each in own):
            return ""
        return ", ".join(key.rpartition("-")[0] for key in keys.split()) or "none"

    @property
    def test_share(self) -> float | None:
        """Clips tested per clip trained on; None where all splits test the same clips."""
        if self.protocol in FIXED_SPLITS:
            return None
        return float(self.params.get("cv.test_share") or 1 / (self.n_splits - 1))

    @cached_property
    def folds(self) -> pd.DataFrame:
        """Table with a row a fold; empty where folds are missing."""
        return self._table("folds.parquet")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Table with a row for each fold's test clip; empty where folds are missing."""
        return self._table("predictions.parquet")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Table with a row for each fold's epoch; empty where there are none."""
        if self.folds.empty or not self.folds["n_epochs"].any():
            return pd.DataFrame()
        return self._table("epochs.parquet")

    def scores(self, name: str = "f1_macro") -> pd.Series[float]:
        """A score of every fold, with split ids as index."""
        return self.folds.set_index("split")[name].astype(np.float64)

    def summary(self, name: str = "f1_macro") -> Summary:
        """Mean, deviation and corrected interval of a score."""
        return summarise(
            np.asarray(self.scores(name), dtype=np.float64), test_share=self.test_share
        )

    def _table(self, name: str) -> pd.DataFrame:
        if not self.is_complete:
            return pd.DataFrame()
        address = f"{self.artifacts}/{name}"
        if urlsplit(address).scheme in LOCAL:
            path = local_file_uri_to_path(address)  # type: ignore[no-untyped-call]
            return pd.read_parquet(path)
        with scratch_folder() as folder:
            path = mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder))
            return pd.read_parquet(Path(path))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The cross-validations of a report.

    Attributes
    ----------
    validations : the latest of each identity and number of folds, by dataset, table and method
    n_runs : parent runs that were found
    n_set_aside : finished runs that another one of the same identity stands for
    """

    validations: tuple[Validation, ...]
    n_runs: int
    n_set_aside: int

    @property
    def complete(self) -> tuple[Validation, ...]:
        """Those that have all their folds."""
        return tuple(item for item in self.validations if item.is_complete)

    def fetch(self) -> None:
        """Read all tables now, several at a time: from a server, most of their time is waiting."""
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda item: (item.folds, item.predictions, item.epochs), self.complete))

    def labels(self) -> dict[str, str]:
        """Name of each cross-validation by run id: method, and what sets it apart in its frame.

        What nothing told sets apart, such as versions of the method, has the run's id.
        """
        by_title: dict[tuple[str, Frame], list[Validation]] = {}
        for item in self.validations:
            by_title.setdefault((item.title, item.frame), []).append(item)
        found = {}
        for (title, _), items in by_title.items():
            facts = [(*item.setting, f"{item.n_repeats} x {item.n_splits} folds") for item in items]
            shared = set.intersection(*map(set, facts))
            names = [
                ", ".join((title, *(fact for fact in each if fact not in shared))) for each in facts
            ]
            for item, name in zip(items, names, strict=True):
                is_alone = names.count(name) == 1
                found[item.run_id] = name if is_alone else f"{name}, run {item.run_id[:8]}"
        return found

    def frame_titles(self) -> dict[Frame, str]:
        """Name of each frame: the dataset's title, and what sets it apart from the others."""
        frames = {item.frame: item for item in self.validations}
        found = {}
        for frame, item in frames.items():
            others = [other for other in frames.values() if other.dataset == item.dataset]
            facts: dict[str, set[object]] = {
                f"{item.n_clips} clips": {other.n_clips for other in others},
                f"{item.n_splits} folds": {other.n_splits for other in others},
                f"{item.protocol} protocol": {other.protocol for other in others},
                f"seed {frame[-1]}": {other.frame[-1] for other in others},
                f"digest {frame[1]}": {
                    other.frame[1] for other in others if other.n_clips == item.n_clips
                },
            }
            told = [fact for fact, values in facts.items() if len(values) > 1]
            found[frame] = dataset_title(item.dataset) + (f" ({', '.join(told)})" if told else "")
        return found

    def by_frame(self) -> dict[Frame, list[Validation]]:
        """Complete cross-validations that can be compared fold by fold."""
        found: dict[Frame, list[Validation]] = {}
        for item in self.complete:
            found.setdefault(item.frame, []).append(item)
        return found


def dataset_title(name: str) -> str:
    """Dataset as tables print it."""
    return get_dataset(name).title if name in dataset_names() else name


def read_validations(
    client: MlflowClient,
    experiments: Sequence[str],
    *,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    protocol: str | None = None,
) -> Selection:
    """Read the cross-validations of experiments, without looking at their folds' runs.

    Parameters
    ----------
    client : of the tracking server
    experiments : ids
    methods, datasets, protocol : those to keep, by default all

    Returns
    -------
    of each identity the latest complete run, else the latest one; trials of searches are left out
    unless their setting was also trained by itself
    """
    runs = [run for experiment in experiments for run in _parents(client, experiment)]
    kept = [
        run
        for run in runs
        if (not methods or run.data.tags["mer.method"] in methods)
        and (not datasets or run.data.tags["mer.dataset"] in datasets)
        and (protocol is None or run.data.tags["mer.protocol"] == protocol)
    ]
    kept.sort(key=lambda run: (run.data.tags["mer.status"] == Status.COMPLETE, run.info.start_time))
    latest = {
        (run.data.tags["mer.identity"], run.data.tags["mer.folds_expected"]): run for run in kept
    }
    n_complete = sum(run.data.tags["mer.status"] == Status.COMPLETE for run in kept)
    validations = tuple(sorted((_validation(client, run) for run in latest.values()), key=_order))
    return Selection(
        validations=validations,
        n_runs=len(kept),
        n_set_aside=n_complete - sum(item.is_complete for item in validations),
    )


def _parents(client: MlflowClient, experiment: str) -> Iterator[Run]:
    for run in search(client, experiment, kind=Kind.PARENT):
        tags = run.data.tags
        is_trial_only = "mer.trial" in tags and "mer.trained" not in tags
        if tags.get("mer.status") in SHOWN and not is_trial_only:
            yield run


def _validation(client: MlflowClient, run: Run) -> Validation:
    tags = run.data.tags
    return Validation(
        run_id=str(run.info.run_id),
        experiment_id=str(run.info.experiment_id),
        artifacts=str(run.info.artifact_uri),
        method=tags["mer.method"],
        dataset=tags["mer.dataset"],
        protocol=tags["mer.protocol"],
        status=tags["mer.status"],
        identity=tags["mer.identity"],
        n_done=_n_done(client, run),
        n_expected=int(tags["mer.folds_expected"]),
        started=run.info.start_time / 1000,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=tags,
    )


def _n_done(client: MlflowClient, run: Run) -> int:
    """A partial run may have been killed before it counted its folds: they are counted here."""
    if run.data.tags["mer.status"] == Status.COMPLETE:
        return int(run.data.tags["mer.folds_expected"])
    identity, experiment = run.data.tags["mer.identity"], str(run.info.experiment_id)
    children = search(client, experiment, kind=Kind.FOLD, identity=identity)
    return sum(
        child.info.status == "FINISHED" and child.data.tags["mlflow.parentRunId"] == run.info.run_id
        for child in children
    )


def _order(item: Validation) -> tuple[Any, ...]:
    rank = ("original-4qaed", "new-4qaed-c", "new-4qaed-b")
    position = rank.index(item.dataset) if item.dataset in rank else len(rank)
    names = list(method_names())
    method = names.index(item.method) if item.method in names else len(names)
    return (position, item.dataset, item.table or 99, method, item.setting, item.started)
