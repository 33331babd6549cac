"""A search as an Optuna study that any number of processes may work on.

Strategies return the points that are needed. They are queued as trials, and a free process takes
one. Storage numbers trials one by one, so if two processes queue the same point, both see which
trial came first, and the other is not run.

References
----------
T. Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mlflow
import optuna
from optuna.exceptions import (
    ExperimentalWarning,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mer_mlflow.access import redacted
from mer_mlflow.errors import IncompleteError, TrackingError, UntrainableError
from mer_mlflow.tracking.addresses import is_same_database, with_driver
from mer_mlflow.tracking.database import OPTUNA, Schema, prepare_database, refuse_foreign
from mer_mlflow.tracking.environment import has_ended_here, process_tags
from mer_mlflow.training import Value
from mer_mlflow.tuning.pruning import FORGIVING, is_forgiven
from mer_mlflow.tuning.space import Point, SearchSpace, point_key
from mer_mlflow.tuning.strategies import STRATEGIES

HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""Silence after which a trial's process counts as dead, and the trial is queued again."""
MOST_RETRIES = 3
P_THRESHOLD = 0.1
"""Probability, by Wilcoxon's signed-rank test over folds, under which a point counts as worse."""
STARTUP_FOLDS = 4
"""Folds that every point runs: fewer can hardly differ significantly."""
OPEN_ATTEMPTS, OPEN_PAUSE_SECONDS = 5, 0.5
"""Tries to open a storage: two processes that make its tables at once are in each other's way."""
WAIT_SECONDS = 2.0
"""Time between looks at a study whose remaining trials others are running."""
MOST_QUEUED, FEW_QUEUED = 16, 4
"""Points that wait in the queue: at most, and when more are queued."""
OBJECTIVE_NAME = "macro F1"
INCOMPLETE = "incomplete"
CALLED_OFF = "called_off"
PROCESS = "process"
"""Where a trial keeps which process works on it."""
FIXED = "fixed_params"
"""Where Optuna keeps the parameters of a queued trial."""
LOG_FROM = 10.0
"""Ratio of the largest to the smallest value from which a number is searched logarithmically."""

Evaluate = Callable[[optuna.Trial, Point], float]


@dataclass(frozen=True, kw_only=True)
class SearchSetting:
    """What is searched, and how.

    Attributes
    ----------
    name : of the study: searches of the same name are one
    strategy : ``"grid"``, ``"neighbour"`` or ``"tpe"``
    space : values by hyperparameter
    start : point that a neighbour search begins at
    n_trials : trials after which ``"tpe"`` ends
    prune : ``"wilcoxon"`` or ``"forgiving"`` to stop a point when its folds are worse than the best
        point's, ``""`` to run all folds of all points
    seed : of what is random
    facts : what the dashboard shows of the search
    """

    name: str
    strategy: str
    space: SearchSpace
    start: Point
    n_trials: int
    seed: int
    prune: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


def open_study(search: SearchSetting, storage: str) -> optuna.Study:
    """Open a study, making it where there is none.

    Parameters
    ----------
    search : what is searched
    storage : URL of a relational database

    Raises
    ------
    TrackingError
        If the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    check_storage(storage)
    prepare_database(storage, SCHEMA)
    for attempt in range(1, OPEN_ATTEMPTS + 1):
        try:
            return _create_or_load(search, storage)
        except (DBAPIError, StorageInternalError) as error:
            if attempt == OPEN_ATTEMPTS:
                raise _unusable(storage, error) from error
            time.sleep(OPEN_PAUSE_SECONDS)
        except Exception as error:
            raise _unusable(storage, error) from error
    raise AssertionError("the last attempt returns or raises")


def check_storage(storage: str) -> None:
    """Make sure that a storage is not a database of MLflow, before anything is written.

    Parameters
    ----------
    storage : URL of a relational database

    Raises
    ------
    TrackingError
        If it is.
    """
    for own in dict.fromkeys((mlflow.get_tracking_uri(), mlflow.get_registry_uri())):
        if is_same_database(storage, own):
            raise TrackingError(
                f"storage={redacted(storage)}: is the database of MLflow ({redacted(own)}), "
                f"which cannot hold searches too; name another database by {SCHEMA.setting}"
            )
    refuse_foreign(storage, SCHEMA)


def _create_or_load(search: SearchSetting, storage: str) -> optuna.Study:
    study = optuna.create_study(
        study_name=search.name,
        storage=_open_storage(storage),
        direction="maximize",
        load_if_exists=True,
    )
    for key, value in search.facts.items():
        study.set_user_attr(key, value)
    with warnings.catch_warnings():  # names of objectives have been experimental since 2023
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([OBJECTIVE_NAME])
    return study


def _unusable(storage: str, error: Exception) -> TrackingError:
    reason = redacted(str(error).splitlines()[0].replace(storage, redacted(storage)))
    return TrackingError(
        f"storage={redacted(storage)}: cannot be used ({reason}); give the URL of a database"
    )


def _make_tables(url: str) -> None:
    RDBStorage(url, engine_kwargs={"poolclass": NullPool}).engine.dispose()


def _has_tables(database: sqlite3.Connection) -> bool:
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if not {*BaseModel.metadata.tables, "alembic_version"} <= {name for (name,) in found}:
        return False
    query = "SELECT 1 FROM alembic_version, version_info"
    return database.execute(query).fetchone() is not None


SCHEMA = Schema(
    make=_make_tables,
    is_complete=_has_tables,
    own_rows={"alembic_version": "true", "version_info": "true"},
    library=OPTUNA,
    upgrade="optuna storage upgrade --storage",
    setting="storage= or MER_OPTUNA_STORAGE",
)


def _open_storage(url: str) -> RDBStorage:
    with warnings.catch_warnings():  # heartbeats and retries have been experimental since 2021
        warnings.simplefilter("ignore", ExperimentalWarning)
        kept = RDBStorage(
            with_driver(url),
            engine_kwargs={"poolclass": NullPool},  # trials outlast idle connections
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MOST_RETRIES),
        )
    if kept.engine.dialect.name == "sqlite":
        _one_at_a_time(kept.engine)
    return kept


def _one_at_a_time(engine: Engine) -> None:
    """Lock sqlite when a transaction begins: it has no lock of rows, so that two processes could
    both find a trial waiting and both take it.
    """

    def leave_transactions_to_us(connection: Any, record: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", leave_transactions_to_us)
    event.listen(engine, "begin", begin)


def run_study(
    study: optuna.Study,
    search: SearchSetting,
    evaluate: Evaluate,
    *,
    on_trial: Callable[[int, int], None] = lambda done, expected: None,
) -> None:
    """Run trials until the search needs no more; other processes may do the same at the same time.

    Parameters
    ----------
    study : from :func:`open_study`
    search : what is searched
    evaluate : score of a point; raises ``IncompleteError`` where folds fail, ``TrialPruned`` where
        the study's pruner gave it up, ``UntrainableError`` where no fold can be run
    on_trial : called after each trial with (finished, known to be needed)

    Raises
    ------
    UntrainableError
        If a point cannot be trained and none has a score yet.
    """
    study.pruner = _pruner(search.prune)
    seen_running: set[int] = set()
    _fail_the_dead(study, is_wanted=bool(wanted_points(study, search)))
    _fail_the_silent(study)
    while wanted := wanted_points(study, search):
        finished = len(scores(study))
        on_trial(finished, finished + len(wanted))
        _queue(study, wanted)
        if search.strategy != "tpe" and not study.get_trials(False, (TrialState.WAITING,)):
            time.sleep(WAIT_SECONDS)
            _requeue_the_silent(study, seen_running)
            continue
        seed = search.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        study.optimize(
            lambda trial: _objective(study, search, trial, evaluate),
            n_trials=1,
            catch=(IncompleteError,),
        )
    on_trial(len(scores(study)), len(scores(study)))


def _pruner(name: str) -> optuna.pruners.BasePruner:
    if not name:
        return optuna.pruners.NopPruner()
    if name == FORGIVING:
        return ForgivingPruner()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner(p_threshold=P_THRESHOLD, n_startup_steps=STARTUP_FOLDS)


class ForgivingPruner(optuna.pruners.BasePruner):
    """Optuna's interface of :func:`mer_mlflow.tuning.pruning.is_forgiven`."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial whose last fold was just reported is to be stopped."""
        best = best_trial(study)
        incumbent = {} if best is None else best.intermediate_values
        so_far = trial.intermediate_values.values()
        return bool(incumbent) and not is_forgiven(so_far, incumbent.values())


def wanted_points(study: optuna.Study, search: SearchSetting) -> list[Point]:
    """Points that the search needs and does not have; ``tpe`` chooses its own as it goes."""
    done = scores(study)
    if search.strategy == "tpe":
        missing = search.n_trials - len(_finished(study))
        return [{}] * max(0, missing)
    return STRATEGIES[search.strategy](search.space, search.start, done)


def unclaimed_points(study: optuna.Study, search: SearchSetting) -> list[Point]:
    """Points that the search needs and that no process is at work on."""
    running = study.get_trials(False, (TrialState.RUNNING,))
    claimed = {point_key(_point(trial)) for trial in running}
    wanted = [point for point in wanted_points(study, search) if point]
    return [point for point in wanted if point_key(point) not in claimed]


def scores(study: optuna.Study) -> dict[str, float]:
    """Score of each finished point by its key; minus infinity where it failed or was pruned."""
    found: dict[str, float] = {}
    for trial in _finished(study):
        is_scored = trial.state == TrialState.COMPLETE
        score = float(trial.value) if is_scored and trial.value is not None else -math.inf
        key = point_key(trial.params)
        found[key] = max(score, found.get(key, -math.inf))
    return found


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the largest score, the earlier of equals; None where none has a score."""
    scored = [trial for trial in _finished(study) if trial.state == TrialState.COMPLETE]
    return max(scored, key=lambda trial: (trial.value, -trial.number), default=None)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or trial.user_attrs.get(INCOMPLETE)
    ]


def _fail_the_dead(study: optuna.Study, *, is_wanted: bool) -> None:
    """End the trials of processes that were killed on this machine, without waiting for silence.

    Parameters
    ----------
    study : from :func:`open_study`
    is_wanted : whether they are queued again
    """
    requeue = study._storage.get_heartbeat_stale_trial_callback()  # type: ignore[attr-defined]
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        process = json.loads(trial.user_attrs.get(PROCESS, "{}"))
        is_own = process.get("trial") == trial.number  # one that is tried again has a copy
        if not is_own or not has_ended_here(process):
            continue
        try:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:  # another process did it
            continue
        if is_wanted:
            requeue(study, trial)


def _fail_the_silent(study: optuna.Study) -> None:
    """End the trials, here or elsewhere, that have given no sign of life for long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def _requeue_the_silent(study: optuna.Study, seen: set[int]) -> None:
    """Queue trials again whose process gives no sign of life.

    Optuna never calls a trial dead whose process was killed before its first sign. So that its
    silence counts too, a first sign is given for each trial when it is seen at work.
    """
    _fail_the_silent(study)
    for trial in study.get_trials(False, (TrialState.RUNNING,)):
        if trial._trial_id not in seen:
            seen.add(trial._trial_id)
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]


def _queue(study: optuna.Study, wanted: list[Point]) -> None:
    """Queue the next points, if few are left: Optuna reads all that wait at each trial."""
    alive = study.get_trials(False, (TrialState.WAITING, TrialState.RUNNING))
    n_waiting = sum(trial.state == TrialState.WAITING for trial in alive)
    if n_waiting > FEW_QUEUED:
        return
    queued = {point_key(_point(trial)) for trial in alive}
    new = (point for point in wanted if point and point_key(point) not in queued)
    for point in itertools.islice(new, MOST_QUEUED - n_waiting):
        study.enqueue_trial(point)


def _objective(
    study: optuna.Study, search: SearchSetting, trial: optuna.Trial, evaluate: Evaluate
) -> float:
    trial.set_user_attr(PROCESS, json.dumps({"trial": trial.number, **process_tags()}))
    if not _may_run(study, search, trial):
        trial.set_user_attr(CALLED_OFF, True)
        return math.nan
    point = {name: _suggest(trial, name, values) for name, values in search.space.items()}
    try:
        return evaluate(trial, point)
    except IncompleteError as error:
        trial.set_user_attr(INCOMPLETE, str(error))
        raise
    except UntrainableError as error:
        if best_trial(study) is None:  # what is wrong may be wrong with all points
            words = ", ".join(f"{name}={value}" for name, value in point.items())
            raise UntrainableError(f"{words}: {error}") from error
        trial.set_user_attr(INCOMPLETE, str(error))
        raise IncompleteError(str(error)) from error


def _may_run(study: optuna.Study, search: SearchSetting, trial: optuna.Trial) -> bool:
    if search.strategy == "tpe":
        return True
    *earlier, mine = study.get_trials(deepcopy=False)[: trial.number + 1]
    alive = [each for each in earlier if each.state != TrialState.FAIL]
    was_queued = FIXED in mine.system_attrs
    return was_queued and point_key(_point(mine)) not in {point_key(_point(t)) for t in alive}


def _point(trial: FrozenTrial) -> Point:
    point: Point = trial.system_attrs.get(FIXED, trial.params)
    return point


def _suggest(trial: optuna.Trial, name: str, values: tuple[Value, ...]) -> Any:
    lowest, highest = values[0], values[-1]
    if isinstance(lowest, str) or isinstance(highest, str):
        return trial.suggest_categorical(name, values)
    log = lowest > 0 and highest / lowest >= LOG_FROM
    if isinstance(lowest, int):
        return trial.suggest_int(name, lowest, int(highest), log=log)
    return trial.suggest_float(name, lowest, highest, log=log)
