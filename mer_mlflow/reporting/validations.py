"""Cross-validations of a tracking server: their parent runs and tables, read and validated."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.arithmetic import PORTABLE, read_facts, readable_facts
from mer_mlflow.crossval.metrics import SCORES, Summary, summarise
from mer_mlflow.crossval.splits import LARGEST_SEED, MOST_REPEATS, is_fixed
from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.errors import ParameterError, RunDataError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.reporting.tables import TOLERANCE, Shape, Tables, read_tables
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import Kind, Status, check_store, reading, schema, search
from mer_mlflow.tracking.items import readable_mixture
from mer_mlflow.tracking.outage import is_outage, outage_in_one_line, reason
from mer_mlflow.tracking.runs import live_run
from mer_mlflow.training import converted

SHOWN = (Status.COMPLETE, Status.INCOMPLETE, Status.INTERRUPTED, Status.RUNNING)
"""Values of ``mer.status`` of finished runs that a report can use. Other runs have no folds, or
another run contains their folds."""

READERS = 8
"""Number of runs whose tables are downloaded in parallel."""
PARAMS = (schema.HP, schema.CV, schema.DATA, schema.NESTED)
"""Prefixes of the parameters that are read."""
IDENTITY = re.compile(r"[\w .:-]+", re.ASCII)
"""Pattern of an identity; none of its characters is special in a search filter."""
MOST_CLIPS, MOST_SECONDS = 1_000_000, 1e6
LONGEST_VALUE = 500
"""Maximum number of characters of a hyperparameter."""
FOLD_F1 = "f1_macro"
"""Metric of a fold that a partial run is ranked by."""
REQUIRED = ("f1_macro_mean", "fit_seconds_total")
"""Metrics that every complete run has."""
FIGURES = (
    *REQUIRED,
    *(f"{name}_{each}" for name in SCORES for each in ("mean", "std", "low", "high")),
)
"""Metrics that are read."""
ALLOWED = "columns allowed in spite of a check, so that the score may be meaningless"
MOST_SHOWN = 80
"""Maximum number of characters of column names in a remark."""

Frame = tuple[str, str, str, int, int]
"""Dataset, its digest, protocol, folds and seed: runs of the same frame have the same splits."""

STUDY_FOLDS = (10, 10)
STUDY_SECONDS = "30"
STUDY_PROFILE = "paper"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A run that is not reported.

    Attributes
    ----------
    run_id : id of the run
    why : reason
    """

    run_id: str
    why: str

    def __str__(self) -> str:
        return f"run {self.run_id} is left out: {self.why}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """A cross-validation with validated values; texts have no control characters.

    Attributes
    ----------
    run_id, experiment_id : ids of its parent run and experiment
    artifacts : address of the run's artifacts
    method, dataset, protocol : names of method, dataset and protocol
    status : value of the tag ``mer.status``
    identity : equal for runs whose folds have the same predictions
    n_done, n_expected : number of finished and of all folds
    started : Unix time [s]
    params, metrics, tags : those of the parent run that a report uses
    packages : versions by name, empty if unknown
    folds, predictions, epochs : its tables; empty if folds are missing
    so_far : macro F1 of the finished folds of a partial run [shape=(n_done,)]
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
    packages: Mapping[str, str] = field(default_factory=dict)
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs: pd.DataFrame = field(default_factory=pd.DataFrame)
    so_far: tuple[float, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every fold has a result."""
        return self.status == Status.COMPLETE

    @property
    def frame(self) -> Frame:
        """Frame; cross-validations of the same frame can be compared fold by fold."""
        params = self.params
        return (
            self.dataset,
            params.get(schema.DIGEST, ""),
            self.protocol,
            int(params.get(schema.N_SPLITS, 0)),
            int(params.get(schema.SEED, 0)),
        )

    @property
    def n_repeats(self) -> int:
        """Number of repetitions of the protocol."""
        return int(self.params.get(schema.N_REPEATS, 1))

    @property
    def n_splits(self) -> int:
        """Number of folds of a repetition."""
        return int(self.params.get(schema.N_SPLITS, 0))

    @property
    def n_clips(self) -> int:
        """Number of clips of the dataset."""
        return int(self.params.get(schema.N_CLIPS, 0))

    @property
    def title(self) -> str:
        """Title of the method in tables."""
        return get_method(self.method).title if self.method in method_names() else self.method

    @property
    def table(self) -> int | None:
        """Number of the study's table that reports the method."""
        return get_method(self.method).table if self.method in method_names() else None

    @property
    def published_f1(self) -> float | None:
        """The study's macro F1 in per cent, None if there is none."""
        scores = None
        if self.method in method_names():
            scores = get_method(self.method).published.get(self.dataset)
        return None if scores is None else scores.f1

    @property
    def selection(self) -> str:
        """Source of the hyperparameters: ``default``, ``given``, ``tuned`` or ``nested``."""
        if self.tags.get(schema.SELECTION) == "nested":
            return "nested"
        if schema.TUNED_BY in self.tags:
            return "tuned"
        return "given" if self.changed else "default"

    @property
    def changed(self) -> dict[str, str]:
        """Hyperparameters that differ from the method's defaults."""
        defaults = get_method(self.method).defaults if self.method in method_names() else {}
        return {
            name: self.params[f"{schema.HP}{name}"]
            for name, default in defaults.items()
            if self.params.get(f"{schema.HP}{name}", str(default)) != str(default)
        }

    @property
    def setting(self) -> tuple[str, ...]:
        """Facts that may distinguish it from other cross-validations of the method."""
        parts = [f"{self.params[schema.SECONDS]} s"] * bool(self.params.get(schema.SECONDS))
        parts += ["extracted features"] * (self.params.get(schema.FEATURES) == "extracted")
        parts += [f"copies: {self.copies}"] * bool(self.copies)
        parts += ["portable arithmetic"] * (self.params.get(schema.CV_ARITHMETIC) == PORTABLE)
        parts += ["nested search"] * (self.selection == "nested")
        if self.selection != "nested":
            parts += [f"{name}={value}" for name, value in self.changed.items()]
        return tuple(parts)

    @property
    def departures(self) -> tuple[str, ...]:
        """Differences of the setting from the study's; tuned hyperparameters are none."""
        profile = self.tags.get(schema.PROFILE, STUDY_PROFILE)
        folds = f"{self.n_repeats} x {self.n_splits} folds"
        parts = [f"{profile} profile"] * (profile != STUDY_PROFILE)
        parts += [folds] * ((self.n_repeats, self.n_splits) != STUDY_FOLDS)
        hidden = {f"{STUDY_SECONDS} s", "portable arithmetic"}
        if self.selection == "tuned":
            hidden |= {f"{name}={value}" for name, value in self.changed.items()}
        return (*parts, *(fact for fact in self.setting if fact not in hidden))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Warnings about its scores."""
        allowed = printable(self.allowed_columns, most=MOST_SHOWN)
        return (
            *["mixed arithmetic"] * self.is_mixed,
            *[f"{ALLOWED}: {allowed}"] * bool(allowed),
        )

    @property
    def allowed_columns(self) -> str:
        """Columns of feature tables that a check reported and the user allowed; empty for none."""
        return self.tags.get(schema.ALLOWED_COLUMNS, "")

    @property
    def is_mixed(self) -> bool:
        """Whether its folds were computed with different arithmetic."""
        return schema.MIXED_ARITHMETIC in self.tags

    @property
    def arithmetic(self) -> str:
        """Arithmetic of its folds; several if it is mixed, unknown for older runs."""
        if self.is_mixed:
            return printable("; ".join(readable_mixture(self.tags[schema.MIXED_ARITHMETIC])))
        return printable(readable_facts(read_facts(self.tags.get(schema.ARITHMETIC))))

    @property
    def copies(self) -> str:
        """Augmentations if they differ from the method's, else empty."""
        keys = self.params.get(schema.AUGMENTATIONS, "")
        own = get_method(self.method).augmentations if self.method in method_names() else ()
        if schema.AUGMENTATIONS not in self.params or keys == " ".join(each.key for each in own):
            return ""
        return ", ".join(key.rpartition("-")[0] for key in keys.split()) or "none"

    @property
    def test_share(self) -> float | None:
        """Ratio of test clips to training clips; None if all splits have the same test clips."""
        if is_fixed(self.protocol):
            return None
        return float(self.params.get(schema.TEST_SHARE) or 1 / (self.n_splits - 1))

    def scores(self, name: str = "f1_macro") -> pd.Series[float]:
        """Return a score of each fold, with split ids as index."""
        return self.folds.set_index("split")[name].astype(np.float64)

    def summary(self, name: str = "f1_macro") -> Summary:
        """Return mean, standard deviation and corrected interval of a score, within 0 to 1."""
        return _within_scale(self.scores(name), self.test_share)

    def summary_so_far(self) -> Summary | None:
        """Return the summary of macro F1 over the finished folds; None if there are none."""
        return _within_scale(self.so_far, self.test_share) if self.so_far else None

    def contains(self, other: Validation) -> bool:
        """Return whether the splits of another one are some of its own, in the same setting."""
        is_same = self.identity == other.identity  # it leaves out the number of repetitions
        return is_same and other.n_repeats < self.n_repeats and self.is_complete


def _within_scale(scores: Sequence[float] | pd.Series[float], share: float | None) -> Summary:
    """Summarise scores; Student's interval may be wider than the scale of 0 to 1."""
    found = summarise(np.asarray(scores, dtype=np.float64), test_share=share)
    low, high = found.bounds
    return replace(found, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The cross-validations of a report.

    Attributes
    ----------
    validations : the latest of each identity, by dataset, table and method
    n_runs : number of parent runs found
    n_set_aside : number of finished runs that repeat another one of the same identity
    left_out : runs that cannot be read, or contradict themselves or others
    parts : pairs of (smaller, larger): cross-validations whose splits are some of those of a larger
        one of the same setting, which is the only one in ``validations``
    """

    validations: tuple[Validation, ...]
    n_runs: int
    n_set_aside: int
    left_out: tuple[LeftOut, ...] = ()
    parts: tuple[tuple[Validation, Validation], ...] = ()

    @property
    def complete(self) -> tuple[Validation, ...]:
        """The cross-validations with all folds."""
        return tuple(item for item in self.validations if item.is_complete)

    def labels(self) -> dict[str, str]:
        """Label of each cross-validation by run id.

        A label is the method with all differences from the study's setting, and with further facts
        that distinguish it within its frame. If no fact distinguishes two of them, such as versions
        of the method, the run id is added.
        """
        by_title: dict[tuple[str, Frame], list[Validation]] = {}
        for item in self.validations:
            by_title.setdefault((item.title, item.frame), []).append(item)
        found = {}
        for (title, _), items in by_title.items():
            facts = [(*item.setting, f"{item.n_repeats} x {item.n_splits} folds") for item in items]
            shared = set.intersection(*map(set, facts))
            names = [
                ", ".join(
                    dict.fromkeys(
                        (title, *item.departures, *(fact for fact in each if fact not in shared))
                    )
                )
                for item, each in zip(items, facts, strict=True)
            ]
            for item, name in zip(items, names, strict=True):
                is_alone = names.count(name) == 1
                found[item.run_id] = name if is_alone else f"{name}, run {item.run_id[:8]}"
        return found

    def frame_titles(self) -> dict[Frame, str]:
        """Title of each frame: the dataset's title, and differences from the other frames."""
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
            facts_that_differ = [fact for fact, values in facts.items() if len(values) > 1]
            found[frame] = dataset_title(item.dataset) + (
                f" ({', '.join(facts_that_differ)})" if facts_that_differ else ""
            )
        return found

    def by_frame(self) -> dict[Frame, list[Validation]]:
        """Complete cross-validations by frame."""
        found: dict[Frame, list[Validation]] = {}
        for item in self.complete:
            found.setdefault(item.frame, []).append(item)
        return found


def dataset_title(name: str) -> str:
    """Return the title of a dataset in tables."""
    return get_dataset(name).title if name in dataset_names() else name


def read_validations(
    client: MlflowClient,
    experiments: Sequence[str],
    *,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    protocol: str | None = None,
    known: Mapping[str, Validation] = MappingProxyType({}),
) -> Selection:
    """Read the cross-validations of experiments with their tables, but not the runs of folds.

    A run that cannot be read is listed as left out, and does not affect the others.

    Parameters
    ----------
    client : client of the tracking server
    experiments : experiment ids
    methods, datasets, protocol : values to select, by default all
    known : complete cross-validations that were read before, by run id; they do not change

    Returns
    -------
    the latest complete run of each identity, else the latest one; trials of searches are ignored,
    unless their setting was also trained outside of a search

    Raises
    ------
    TrackingError
        If the server does not respond.
    """
    with outage_in_one_line():
        return _read(
            client,
            experiments,
            {schema.METHOD: methods, schema.DATASET: datasets, schema.PROTOCOL: (protocol,)},
            known,
        )


def _read(
    client: MlflowClient,
    experiments: Sequence[str],
    wanted: Mapping[str, Sequence[str | None]],
    known: Mapping[str, Validation],
) -> Selection:
    runs = [run for experiment in experiments for run in _parents(client, experiment)]
    kept = [run for run in runs if all(_is_wanted(run, *each) for each in wanted.items())]
    left_out: list[LeftOut] = []
    by_identity: dict[tuple[str, int], list[Validation]] = {}
    for run in kept:
        try:
            item = _validation(run)
        except RunDataError as error:
            left_out.append(_left_out(run, error))
        else:
            by_identity.setdefault((item.identity, item.n_expected), []).append(item)
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda items: _latest(client, items, known), by_identity.values()))
    left_out += [each for _, without, _ in found for each in without]
    read = sorted((item for item, _, _ in found if item is not None), key=_order)
    validations, others = _agreeing(read)
    parts = dict(_parts(validations))
    return Selection(
        validations=tuple(item for item in validations if item not in parts),
        n_runs=len(kept),
        n_set_aside=sum(n_others for _, _, n_others in found),
        left_out=(*left_out, *others),
        parts=tuple(parts.items()),
    )


def read_validation(client: MlflowClient, run_id: str) -> Validation:
    """Read one complete cross-validation with its tables.

    Parameters
    ----------
    client : client of the tracking server
    run_id : id of its parent run

    Raises
    ------
    RunDataError
        If the run was deleted, is not complete or cannot be read.
    """
    run = live_run(client, run_id)
    if run is None:
        raise RunDataError(f"run {printable(run_id, most=MOST_SHOWN)} was deleted")
    item = _validation(run)
    if not item.is_complete:
        raise RunDataError(f"run {item.run_id} is not complete")
    return _with_tables(item)


def _parents(client: MlflowClient, experiment: str) -> Iterator[Run]:
    for run in search(client, experiment, kind=Kind.PARENT):
        tags = run.data.tags
        is_trial_only = schema.TRIAL in tags and schema.TRAINED not in tags
        is_elsewhere = tags.get(schema.STATUS) in set(Status) - set(SHOWN)
        if not is_elsewhere and not is_trial_only:
            yield run


def _is_wanted(run: Run, tag: str, names: Sequence[str | None]) -> bool:
    """Return whether a filter selects a run; runs without the tag are selected, to be reported."""
    return not any(names) or run.data.tags.get(tag) in (None, *names)


def _left_out(run: Run, error: RunDataError) -> LeftOut:
    return LeftOut(run_id=printable(run.info.run_id, most=reading.LONGEST_NAME), why=str(error))


def _validation(run: Run) -> Validation:
    """Read the values of a parent run; a complete run must have all of them."""
    tags, params = run.data.tags, reading.parent_params(run.data.params)
    metrics = reading.parent_metrics(run.data.metrics)
    method, dataset, protocol, identity, status = (
        reading.text(tags, key, most=reading.LONGEST_NAME)
        for key in (schema.METHOD, schema.DATASET, schema.PROTOCOL, schema.IDENTITY, schema.STATUS)
    )
    if status not in SHOWN:
        raise RunDataError(f"mer.status={printable(status, most=MOST_SHOWN)}: is unknown")
    n_expected = reading.whole(tags, schema.FOLDS_EXPECTED, low=1, high=reading.MOST_FOLDS)
    is_complete = status == Status.COMPLETE
    if not IDENTITY.fullmatch(identity):
        raise RunDataError(f"mer.identity={identity}: is not an identity")
    started = (run.info.start_time or 0) / 1000
    if not 0 <= started <= reading.LATEST:
        raise RunDataError(f"start time {started:g} s: is not a valid time")
    _check_params(params, protocol=protocol, n_expected=n_expected, is_complete=is_complete)
    _check_hyperparameters(params, method)
    figures = [key for key in FIGURES if key in metrics or key in REQUIRED] if is_complete else ()
    return Validation(
        run_id=printable(run.info.run_id, most=reading.LONGEST_NAME),
        experiment_id=printable(run.info.experiment_id, most=reading.LONGEST_NAME),
        artifacts=str(run.info.artifact_uri),
        method=method,
        dataset=dataset,
        protocol=protocol,
        status=status,
        identity=identity,
        n_done=n_expected if is_complete else 0,
        n_expected=n_expected,
        started=started,
        params=_texts(params, PARAMS),
        metrics={key: reading.figure(metrics, key) for key in figures},
        tags=_texts(tags, (schema.TAGS,)),
        packages=reading.facts(tags, schema.PACKAGES),
    )


def _texts(values: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {
        printable(key, most=reading.LONGEST_NAME): reading.text(values, key)
        for key in values
        if key.startswith(prefixes)
    }


def _check_params(
    params: Mapping[str, str], *, protocol: str, n_expected: int, is_complete: bool
) -> None:
    """Check the numbers of the protocol and the dataset; a partial run may lack them."""
    default = None if is_complete else 1
    n_splits, n_repeats, _ = (
        reading.whole(params, key, low=1, high=high, default=default)
        for key, high in (
            (schema.N_SPLITS, reading.MOST_FOLDS),
            (schema.N_REPEATS, MOST_REPEATS),
            (schema.N_CLIPS, MOST_CLIPS),
        )
    )
    reading.whole(params, schema.SEED, low=0, high=LARGEST_SEED, default=0)
    reading.number(params, schema.SECONDS, low=0, high=MOST_SECONDS, default=0)
    if not is_fixed(protocol):
        reading.number(params, schema.TEST_SHARE, low=0, high=MOST_CLIPS, default=1)
    if not is_complete:
        return
    if not is_fixed(protocol) and n_splits < 2:
        raise RunDataError(f"cv.n_splits={n_splits}: protocol {protocol} has at least 2")
    if n_splits * n_repeats != n_expected:
        raise RunDataError(
            f"mer.folds_expected={n_expected}: the protocol has {n_repeats} x {n_splits} folds"
        )


def _check_hyperparameters(params: Mapping[str, str], method: str) -> None:
    defaults = get_method(method).defaults if method in method_names() else {}
    for key in (key for key in params if key.startswith(schema.HP)):
        value = reading.text(params, key, most=LONGEST_VALUE)
        default = defaults.get(key.removeprefix(schema.HP))
        if value == schema.CHOSEN or not isinstance(default, int | float):
            continue
        try:
            number = converted(key, value, type(default))
        except ParameterError as error:
            raise RunDataError(str(error)) from error
        if not abs(number) <= reading.LARGEST:
            raise RunDataError(f"{key}={value}: must be at most {reading.LARGEST:g}")


def _latest(
    client: MlflowClient, items: Sequence[Validation], known: Mapping[str, Validation]
) -> tuple[Validation | None, list[LeftOut], int]:
    """Select a run among those of the same identity.

    Returns
    -------
    the latest complete run with readable tables, else the latest one; runs that cannot be read;
    number of other complete runs
    """
    latest_first = sorted(items, key=lambda item: (item.is_complete, item.started), reverse=True)
    n_complete = sum(item.is_complete for item in items)
    left_out: list[LeftOut] = []
    for i, item in enumerate(latest_first, start=1):
        try:
            if item.is_complete:
                read = known.get(item.run_id) or _with_tables(item)
            else:
                read = _with_finished_folds(client, item)
        except RunDataError as error:
            left_out.append(LeftOut(run_id=item.run_id, why=str(error)))
        else:
            return read, left_out, max(0, n_complete - i)
    return None, left_out, 0


def _with_tables(item: Validation) -> Validation:
    shape = Shape(
        protocol=item.protocol,
        n_splits=item.n_splits,
        n_repeats=item.n_repeats,
        n_clips=item.n_clips,
    )
    tables = _fetched(item, shape)
    for name in (name for name in SCORES if f"{name}_mean" in item.metrics):
        mean = float(tables.folds[name].mean())
        if not math.isclose(mean, item.metrics[f"{name}_mean"], rel_tol=0, abs_tol=TOLERANCE):
            raise RunDataError(f"metric {name}_mean is not the mean of folds.parquet")
    return replace(item, folds=tables.folds, predictions=tables.predictions, epochs=tables.epochs)


def _fetched(item: Validation, shape: Shape) -> Tables:
    try:
        return read_tables(item.artifacts, shape)
    except RunDataError:
        raise
    except Exception as error:  # artifact stores raise different exceptions
        if is_outage(error):
            check_store()
        raise RunDataError(f"its tables cannot be fetched ({reason(error)})") from error


def _with_finished_folds(client: MlflowClient, item: Validation) -> Validation:
    """Read the folds of a partial run, which may have been killed before it counted them."""
    finished = [
        reading.fold_metrics(child.data.metrics)
        for child in search(client, item.experiment_id, kind=Kind.FOLD, identity=item.identity)
        if child.info.status == "FINISHED"
        and child.data.tags.get("mlflow.parentRunId") == item.run_id
    ]
    scores = [reading.figure(metrics, FOLD_F1) for metrics in finished if FOLD_F1 in metrics]
    return replace(item, n_done=len(finished), so_far=tuple(scores))


def _parts(items: Sequence[Validation]) -> Iterator[tuple[Validation, Validation]]:
    """Yield each cross-validation that is part of a larger one, with the largest of them."""
    largest_first = sorted(items, key=lambda item: -item.n_repeats)
    for item in items:
        larger = next((other for other in largest_first if other.contains(item)), None)
        if larger is not None:
            yield item, larger


def _agreeing(items: Sequence[Validation]) -> tuple[list[Validation], list[LeftOut]]:
    """Leave out runs whose test clips or labels differ from most others of their frame.

    In a tie, the earlier ones in order are kept.
    """
    votes: dict[tuple[Frame, str], Counter[int]] = {}
    digests = {item.run_id: _digests(item) for item in items}
    for item in items:
        for split, digest in digests[item.run_id].items():
            votes.setdefault((item.frame, split), Counter())[digest] += 1
    kept, left_out = [], []
    for item in items:
        odd = [
            split
            for split, digest in digests[item.run_id].items()
            if votes[item.frame, split].most_common(1)[0][0] != digest
        ]
        if odd:
            why = f"clips or labels of split {odd[0]} differ from other runs of the dataset"
            left_out.append(LeftOut(run_id=item.run_id, why=why))
        else:
            kept.append(item)
    return kept, left_out


def _digests(item: Validation) -> dict[str, int]:
    """Return a checksum of the test clips and labels of each split."""
    if not item.is_complete:
        return {}
    rows = item.predictions
    hashes = pd.util.hash_pandas_object(rows[["clip", "quadrant"]], index=False)
    return {str(split): int(each) for split, each in hashes.groupby(rows["split"]).sum().items()}


def _order(item: Validation) -> tuple[Any, ...]:
    rank = ("original-4qaed", "new-4qaed-c", "new-4qaed-b")
    position = rank.index(item.dataset) if item.dataset in rank else len(rank)
    names = list(method_names())
    method = names.index(item.method) if item.method in names else len(names)
    return (position, item.dataset, item.table or 99, method, item.setting, item.started)
