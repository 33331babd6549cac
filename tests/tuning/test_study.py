"""Studies: shared by processes, continued after anything, every point once."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, inspect, text

from mer_mlflow.errors import IncompleteError, TrackingError, UntrainableError
from mer_mlflow.tracking import check_store
from mer_mlflow.tracking.addresses import with_driver
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tuning import study as module
from mer_mlflow.tuning.space import Point, grid, point_key
from mer_mlflow.tuning.study import SearchSetting, best_trial, open_study, run_study, scores

SPACE = {"C": (1.0, 2.0, 4.0, 8.0), "units": (10, 20, 30)}


def make_search(strategy: str = "grid", *, n_trials: int = 8) -> SearchSetting:
    return SearchSetting(
        name=f"made {strategy}",
        strategy=strategy,
        space=SPACE,
        start={"C": 1.0, "units": 10},
        n_trials=n_trials,
        seed=0,
    )


def score(point: Point) -> float:
    return 1.0 - abs(float(point["C"]) - 4.0) / 10 - abs(float(point["units"]) - 20) / 100


def run(search: SearchSetting, storage: str) -> tuple[optuna.Study, list[Point]]:
    study, seen = open_study(search, storage), []

    def evaluate(trial: optuna.Trial, point: Point) -> float:
        seen.append(dict(point))
        return score(point)

    run_study(study, search, evaluate)
    return study, seen


@pytest.mark.parametrize("strategy", ["grid", "neighbour"])
def test_points_are_evaluated_once_and_the_best_is_found(strategy: str, storage: str) -> None:
    study, seen = run(make_search(strategy), storage)
    assert len({point_key(point) for point in seen}) == len(seen)
    assert len(seen) == 12 if strategy == "grid" else len(seen) < 12
    best = best_trial(study)
    assert best is not None
    assert best.params == {"C": 4.0, "units": 20}
    assert run(make_search(strategy), storage)[1] == []


def test_tpe_runs_as_many_trials_as_asked_and_repeats_itself(tmp_path: Path) -> None:
    runs = [run(make_search("tpe"), f"sqlite:///{tmp_path / name}")[1] for name in ("a.db", "b.db")]
    assert len(runs[0]) == 8
    assert runs[0] == runs[1]
    assert all(1.0 <= float(point["C"]) <= 8.0 for point in runs[0])


def test_failed_points_lose_and_are_not_tried_again(storage: str) -> None:
    search = make_search()
    study = open_study(search, storage)
    calls: Counter[str] = Counter()

    def evaluate(trial: optuna.Trial, point: Point) -> float:
        calls[point_key(point)] += 1
        if point == {"C": 4.0, "units": 20}:
            raise IncompleteError("3 of 4 folds have a result")
        return score(point)

    run_study(study, search, evaluate)
    assert set(calls.values()) == {1}
    best = best_trial(study)
    assert best is not None
    assert best.params == {"C": 4.0, "units": 10}
    assert min(scores(study).values()) == -float("inf")


def test_interrupted_search_goes_on_where_it_was(storage: str) -> None:
    search = make_search()
    seen: list[str] = []

    def evaluate(trial: optuna.Trial, point: Point) -> float:
        if len(seen) == 5:
            seen.append("interrupted")
            raise KeyboardInterrupt
        seen.append(point_key(point))
        return score(point)

    with pytest.raises(KeyboardInterrupt):
        run_study(open_study(search, storage), search, evaluate)
    run_study(open_study(search, storage), search, evaluate)
    assert sorted(seen) == sorted(["interrupted", *map(point_key, grid(SPACE))])


def test_same_point_queued_twice_is_evaluated_once(storage: str) -> None:
    search = make_search()
    study = open_study(search, storage)
    for _ in range(2):
        for point in grid(SPACE):
            study.enqueue_trial(point)
    _, seen = run(search, storage)
    assert len(seen) == 12
    states = Counter(trial.state for trial in study.get_trials())
    assert states[TrialState.COMPLETE] == 12


def start(code: str, *arguments: str) -> BaseProcess:
    """Start a process that has this code's imports already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mer_mlflow.tuning.study"])
    process = context.Process(target=exec, args=(code, {"arguments": arguments}))
    process.start()
    return process


def exit_codes(*processes: BaseProcess) -> list[int | None]:
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_two_processes_share_a_study(storage: str, tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from mer_mlflow.tuning.study import SearchSetting, open_study, run_study\n"
        "search = SearchSetting(name='shared', strategy='grid', space={'C': tuple(range(1, 21))},\n"
        "                start={'C': 1}, n_trials=1, seed=0)\n"
        "def evaluate(trial, point):\n"
        "    time.sleep(0.05)\n"
        "    with Path(arguments[1]).open('a') as file:\n"
        "        file.write(f'{point[\"C\"]}\\n')\n"
        "    return 1.0 / point['C']\n"
        "run_study(open_study(search, arguments[0]), search, evaluate)\n"
    )
    files = [tmp_path / "one", tmp_path / "other"]
    assert exit_codes(*[start(code, storage, str(file)) for file in files]) == [0, 0]
    seen = [int(word) for file in files if file.exists() for word in file.read_text().split()]
    assert sorted(seen) == list(range(1, 21))


def test_one_of_two_processes_is_killed_and_every_point_ends_once(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(module, "GRACE_SECONDS", 2)
    code = (
        "import os, time\n"
        "from optuna.trial import TrialState\n"
        "from mer_mlflow.tuning import study\n"
        "study.HEARTBEAT_SECONDS, study.GRACE_SECONDS = 1, 2\n"
        "search = study.SearchSetting(name='made grid', strategy='grid', n_trials=1, seed=0,\n"
        "    space={'C': (1.0, 2.0, 4.0, 8.0), 'units': (10, 20, 30)}, start={})\n"
        "def evaluate(trial, point):\n"
        "    while arguments[1] == 'doomed':\n"
        "        running = trial.study.get_trials(False, (TrialState.RUNNING,))\n"
        "        if any(other.number != trial.number for other in running):\n"
        "            os.kill(os.getpid(), 9)\n"
        "        time.sleep(0.05)\n"
        "    time.sleep(0.3)\n"
        "    return 0.5\n"
        "study.run_study(study.open_study(search, arguments[0]), search, evaluate)\n"
    )
    open_study(make_search(), storage)
    processes = [start(code, storage, fate) for fate in ("doomed", "lucky")]
    assert exit_codes(*processes) == [-9, 0]
    study = open_study(make_search(), storage)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert len({point_key(trial.params) for trial in complete}) == len(complete) == 12
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    assert len(study.get_trials(states=(TrialState.FAIL,))) >= 1


@pytest.mark.timeout(90)
def test_trial_that_died_before_its_first_sign_of_life_is_run_again(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(module, "GRACE_SECONDS", 1)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.3)
    study = open_study(make_search(), storage)
    study.enqueue_trial({"C": 1.0, "units": 10})
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask()  # takes the point and is never heard of again
    run_study(study, make_search(), lambda trial, point: 0.5)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert "1.0" in {str(trial.params["C"]) for trial in complete}
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    assert len(study.get_trials(states=(TrialState.FAIL,))) == 1


KILLED_SEARCH = """
import os
from mer_mlflow.tuning import study
search = study.SearchSetting(name='made ' + arguments[1], strategy=arguments[1], n_trials=8, seed=0,
    space={'C': (1.0, 2.0, 4.0, 8.0), 'units': (10, 20, 30)}, start={'C': 1.0, 'units': 10})
def evaluate(trial, point):
    if trial.number == 2:
        os.kill(os.getpid(), 9)
    return 0.5
study.run_study(study.open_study(search, arguments[0]), search, evaluate)
"""


@pytest.mark.parametrize("strategy", ["grid", "tpe"])
def test_trial_of_a_process_killed_here_is_run_again_at_once(strategy: str, storage: str) -> None:
    assert exit_codes(start(KILLED_SEARCH, storage, strategy)) == [-9]
    search = make_search(strategy)
    (left,) = open_study(search, storage).get_trials(states=(TrialState.RUNNING,))
    study, seen = run(search, storage)
    assert left.params in seen
    states = Counter(trial.state for trial in study.get_trials())
    assert states == {TrialState.COMPLETE: 12 if strategy == "grid" else 8, TrialState.FAIL: 1}


def test_trial_of_a_killed_process_is_ended_where_nothing_is_left_to_do(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    assert exit_codes(start(KILLED_SEARCH, storage, "tpe")) == [-9]
    study, seen = run(make_search("tpe", n_trials=2), storage)
    assert seen == []
    states = Counter(trial.state for trial in study.get_trials())
    assert states == {TrialState.COMPLETE: 2, TrialState.FAIL: 1}


def test_trial_that_fell_silent_elsewhere_is_ended_where_nothing_is_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 1)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = make_search("tpe", n_trials=0)
    study = open_study(search, storage)
    study.enqueue_trial({"C": 1.0, "units": 10})
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = study.ask()
    study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    for _ in range(2):  # looking at it is no sign of life
        time.sleep(2.5)
        run(search, storage)
    assert study.get_trials()[trial.number].state == TrialState.FAIL


@pytest.mark.parametrize("other", [{}, {"mer.process.host": "elsewhere"}, {"trial": 99}])
def test_trial_whose_process_may_be_alive_is_left_alone(
    tmp_path: Path, other: dict[str, object]
) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = make_search("tpe", n_trials=1)
    study = open_study(search, storage)
    study.enqueue_trial({"C": 1.0, "units": 10})
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = study.ask()
    alive: dict[str, object] = {"trial": trial.number, **process_tags()}
    dead = {"mer.process.pid": "999999999"} if other else {}
    trial.set_user_attr(module.PROCESS, json.dumps(alive | dead | other))
    run(search, storage)
    assert study.get_trials(states=(TrialState.RUNNING,))[0].number == trial.number


def test_storage_that_cannot_be_used_is_named() -> None:
    with pytest.raises(TrackingError, match="storage=nonsense: cannot be used"):
        open_study(make_search(), "nonsense")


def tables_of(url: str) -> set[str]:
    engine = create_engine(with_driver(url))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_database_of_mlflow_is_refused_before_a_table_is_made(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", storage)
    with pytest.raises(TrackingError, match=r"storage=.*: is the database of MLflow") as raised:
        open_study(make_search(), storage)
    assert len(str(raised.value).splitlines()) == 1
    assert tables_of(storage) == set()


def test_tables_of_mlflow_are_recognised_whatever_the_address(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    engine = create_engine(with_driver(storage))
    with engine.begin() as connection:
        for name in ("alembic_version", "experiments", "runs"):
            connection.execute(text(f"CREATE TABLE {name} (version_num TEXT)"))
    engine.dispose()
    with pytest.raises(TrackingError, match="has the tables of MLflow"):
        open_study(make_search(), storage)
    assert tables_of(storage) == {"alembic_version", "experiments", "runs"}


def test_tracking_store_with_tables_of_optuna_is_refused(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_study(make_search(), storage)
    before = tables_of(storage)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", storage)
    with pytest.raises(TrackingError, match="has the tables of Optuna"):
        check_store()
    assert tables_of(storage) == before


def test_point_that_cannot_be_trained_ends_a_search_without_a_score(tmp_path: Path) -> None:
    search, storage = make_search(), f"sqlite:///{tmp_path / 'optuna.db'}"

    def refuse(trial: optuna.Trial, point: Point) -> float:
        raise UntrainableError("its pooling leaves nothing")

    study = open_study(search, storage)
    with pytest.raises(UntrainableError, match=r"C=.*, units=.*: its pooling leaves nothing"):
        run_study(study, search, refuse)
    assert [trial.state for trial in study.get_trials()].count(TrialState.FAIL) == 1


def test_point_that_cannot_be_trained_loses_where_others_have_scores(tmp_path: Path) -> None:
    search, storage = make_search(), f"sqlite:///{tmp_path / 'optuna.db'}"
    calls: Counter[str] = Counter()

    def evaluate(trial: optuna.Trial, point: Point) -> float:
        calls[point_key(point)] += 1
        if point == {"C": 4.0, "units": 20}:
            raise UntrainableError("its pooling leaves nothing")
        return score(point)

    study = open_study(search, storage)
    run_study(study, search, evaluate)
    assert set(calls.values()) == {1}
    best = best_trial(study)
    assert best is not None and best.params != {"C": 4.0, "units": 20}
