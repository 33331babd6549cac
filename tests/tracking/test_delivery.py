"""Delivery: whatever fails and however often, the server ends with each run once, and whole."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from mer_mlflow.errors import DeletedError, JournalError, UndeliveredError
from mer_mlflow.tracking import outage
from mer_mlflow.tracking.delivery import (
    PARENT,
    SERVER,
    Delivery,
    DeliveryThread,
    deliver_journal,
    server_name,
)
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tracking.items import File, Metric, Param, Tag
from mer_mlflow.tracking.journal import Close, Create, Entry, Journal, Write, new_journal
from mer_mlflow.tracking.readback import LostWriteError
from mer_mlflow.tracking.writer import batch

pytestmark = pytest.mark.usefixtures("store")
N_FOLDS, N_EPOCHS = 4, 3
LOST = MlflowException("connection lost")
WRITES = ("create_run", "log_batch", "log_artifacts", "set_terminated", "set_tag")
DEAD = {**process_tags(), "mer.process.pid": "999999999"}


class Unreliable:
    """A client whose calls fail now and then: before the server does them, or after."""

    def __init__(self, *, seed: int, share: float) -> None:
        self._client = MlflowClient()
        self._random = random.Random(seed)
        self._share = share
        self.order: list[str] = []

    def __getattr__(self, name: str) -> Any:
        call: Callable[..., Any] = getattr(self._client, name)

        def fail_or_call(*arguments: Any, **named: Any) -> Any:
            if self._random.random() < self._share:
                raise LOST
            answer = call(*arguments, **named)
            if name in WRITES:
                self.order.append(name)
            if self._random.random() < self._share:
                raise LOST
            return answer

        return fail_or_call


@pytest.fixture
def parent() -> str:
    run = MlflowClient().create_run("0", tags={"mer.status": "running"})
    return str(run.info.run_id)


@pytest.fixture
def journal(tmp_path: Path, parent: str) -> Journal:
    facts = {PARENT: parent, SERVER: server_name(MlflowClient().tracking_uri), **DEAD}
    return new_journal(tmp_path / "a.journal", facts)


def fold(name: str, parent: str) -> list[Entry]:
    tags = {"mlflow.parentRunId": parent, "split": name}
    losses = [Metric(key="loss", value=1 / step, step=step) for step in range(1, N_EPOCHS + 1)]
    items = [Param(key="C", value="8"), Tag(key="t", value="u")]
    table = File(name="folder/table.csv", content=name.encode())
    return [
        Create(run=name, experiment_id="0", name=name, start_time=7, tags=tags),
        Write(run=name, batch=batch(losses)),
        Write(run=name, batch=batch([*losses, *items, table])),
        Close(run=name, status="FINISHED", end_time=9, tags={}),
    ]


def append_all(journal: Journal, parent: str) -> None:
    for i in range(N_FOLDS):
        journal.append(*fold(f"fold {i}", parent))
    journal.append(
        Close(run=parent, status="FINISHED", end_time=9, tags={"mer.status": "complete"})
    )


def assert_delivered(parent: str, folder: Path) -> None:
    client = MlflowClient()
    runs = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(run.data.tags["split"] for run in runs) == [f"fold {i}" for i in range(N_FOLDS)]
    for run in runs:
        assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 7, 9)
        history = client.get_metric_history(run.info.run_id, "loss")
        assert {(metric.step, metric.value) for metric in history} == {
            (step, 1 / step) for step in range(1, N_EPOCHS + 1)
        }
        assert run.data.params == {"C": "8"}
        path = client.download_artifacts(run.info.run_id, "folder/table.csv", str(folder))
        assert Path(path).read_text() == run.data.tags["split"]
    assert client.get_run(parent).data.tags["mer.status"] == "complete"
    assert client.get_run(parent).info.status == "FINISHED"


@pytest.mark.parametrize("seed", range(6))
def test_calls_that_fail_are_made_again_until_each_run_is_there_once(
    journal: Journal, parent: str, tmp_path: Path, seed: int
) -> None:
    append_all(journal, parent)
    delivery = Delivery(Unreliable(seed=seed, share=0.3), journal)  # type: ignore[arg-type]
    n_failures, is_left = 0, True
    while is_left:
        try:
            is_left = delivery.deliver_next()
        except MlflowException:
            n_failures += 1
    assert n_failures > N_FOLDS
    assert_delivered(parent, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_process_that_dies_again_and_again_delivers_each_run_once(
    journal: Journal, parent: str, tmp_path: Path, seed: int
) -> None:
    append_all(journal, parent)
    n_deaths, is_left = 0, True
    client: Any = Unreliable(seed=seed, share=0.2)
    while is_left:
        delivery = Delivery(client, journal)
        try:
            while is_left:
                is_left = delivery.deliver_next()
        except MlflowException:
            n_deaths += 1
            journal.close()
            journal = Journal(journal.path)
    assert n_deaths > N_FOLDS
    assert_delivered(parent, tmp_path)


def test_entries_reach_the_server_in_their_order(journal: Journal, parent: str) -> None:
    client: Any = Unreliable(seed=0, share=0.0)
    append_all(journal, parent)
    delivery = Delivery(client, journal)
    while delivery.deliver_next():
        pass
    a_fold = ["create_run", "log_batch", "log_batch", "log_artifacts", "set_terminated"]
    assert client.order == [*(N_FOLDS * a_fold), "set_terminated", "set_tag"]


def test_run_whose_answer_came_too_late_has_no_twin(journal: Journal, parent: str) -> None:
    """The server makes the first run after the client has given up, and made a second one."""
    client: Any = Unreliable(seed=0, share=0.0)
    late: list[Callable[[], Any]] = []
    create = client.create_run

    def create_late(*arguments: Any, **named: Any) -> Any:
        if late:
            return create(*arguments, **named)
        late.append(lambda: create(*arguments, **named))
        raise LOST

    client.create_run = create_late
    journal.append(*fold("fold 0", parent))
    delivery = Delivery(client, journal)
    with pytest.raises(MlflowException):
        delivery.deliver_next()
    assert delivery.deliver_next()
    late[0]()
    found = f"tags.`mlflow.parentRunId` = '{parent}'"
    assert len(MlflowClient().search_runs(["0"], found)) == 2
    while delivery.deliver_next():
        pass
    (run,) = MlflowClient().search_runs(["0"], found)
    assert run.info.status == "FINISHED"


def test_superseded_run_does_not_become_complete(journal: Journal, parent: str) -> None:
    append_all(journal, parent)
    MlflowClient().set_tag(parent, "mer.status", "superseded")
    deliver_journal(MlflowClient(), journal)
    assert MlflowClient().get_run(parent).data.tags["mer.status"] == "superseded"


def test_courier_delivers_while_the_journal_grows(
    journal: Journal, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    delivery_thread = DeliveryThread(Unreliable(seed=3, share=0.2), journal)  # type: ignore[arg-type]
    for i in range(N_FOLDS):
        journal.append(*fold(f"fold {i}", parent))
        delivery_thread.call()
    end = Close(run=parent, status="FINISHED", end_time=9, tags={"mer.status": "complete"})
    journal.append(end)
    delivery_thread.call()
    delivery_thread.finish(patience=60)
    assert len(journal) == 0
    assert_delivered(parent, tmp_path)


class Away:
    """A client whose server is away, or refuses, until it comes back."""

    def __init__(self, error: Exception) -> None:
        self._client = MlflowClient()
        self._error = error
        self.is_back = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if not self.is_back.is_set():
            raise self._error
        return getattr(self._client, name)


def test_courier_says_that_results_wait_and_that_they_are_taken_again(
    journal: Journal,
    parent: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.01)
    client = Away(requests.ConnectionError("refused"))
    delivery_thread = DeliveryThread(client, journal)  # type: ignore[arg-type]
    append_all(journal, parent)
    delivery_thread.call()
    threading.Timer(0.5, client.is_back.set).start()
    delivery_thread.finish(patience=60)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "the tracking server does not accept results (no connection): they are kept in "
        f"{journal.path}",
        "the tracking server accepts results again",
    ]
    assert_delivered(parent, tmp_path)


@pytest.mark.parametrize(
    ("error", "patience", "reason"),
    [
        (requests.ConnectionError("refused"), 0.3, "no connection"),
        (MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST), 60, "no such run"),
    ],
)
def test_courier_gives_up_and_says_where_the_rest_is(
    journal: Journal, parent: str, tmp_path: Path, error: Exception, patience: float, reason: str
) -> None:
    client = Away(error)
    delivery_thread = DeliveryThread(client, journal)  # type: ignore[arg-type]
    append_all(journal, parent)
    delivery_thread.call()
    with pytest.raises(UndeliveredError, match=f"accepted 17 writes .{reason}.*a.journal.*-e sync"):
        delivery_thread.finish(patience=patience)
    client.is_back.set()
    journal.close()
    left = Journal(journal.path)
    assert deliver_journal(MlflowClient(), left) == 17
    assert not left.path.exists()
    assert_delivered(parent, tmp_path)


def test_courier_names_a_journal_that_takes_nothing_any_more(
    journal: Journal, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: str, run_id: str | None) -> None:
        raise JournalError("journal a.journal cannot be written (disk is full)")

    monkeypatch.setattr(journal, "note_run", full)
    delivery_thread = DeliveryThread(MlflowClient(), journal)
    append_all(journal, parent)
    delivery_thread.call()
    with pytest.raises(JournalError, match="disk is full"):
        delivery_thread.finish(patience=60)


def test_runs_that_a_dead_process_left_open_are_closed(journal: Journal, parent: str) -> None:
    journal.append(*fold("done", parent), *fold("half", parent)[:2])
    assert deliver_journal(MlflowClient(), journal) == 6
    runs = MlflowClient().search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    status = {run.data.tags["split"]: run.info.status for run in runs}
    assert status == {"done": "FINISHED", "half": "KILLED"}
    assert MlflowClient().get_run(parent).info.status == "FAILED"
    assert MlflowClient().get_run(parent).data.tags["mer.status"] == "interrupted"


def test_server_that_does_not_know_the_run_gets_nothing(
    journal: Journal, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_all(journal, parent)
    n_waiting = len(journal)
    other = MlflowClient(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(UndeliveredError, match=r"rejects .*a\.journal"):
        deliver_journal(other, journal)
    assert len(journal) == n_waiting
    assert len(other.search_runs(["0"])) == 0
    deliver_journal(MlflowClient(), journal)
    assert_delivered(parent, tmp_path)


def test_superseded_run_takes_nothing_back(journal: Journal, parent: str) -> None:
    """Its folds were moved to it, the move waits, and another run has taken them since."""
    client = MlflowClient()
    winner = client.create_run("0").info.run_id
    child = client.create_run("0", tags={"mlflow.parentRunId": winner}).info.run_id
    client.set_tag(parent, "mer.status", "superseded")
    move = batch([Tag(key="mlflow.parentRunId", value=parent)])
    journal.append(Write(run=child, batch=move), *fold("mine", parent))
    deliver_journal(client, journal)
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == winner
    (mine,) = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert mine.info.status == "FINISHED"


class Forgetful:
    """A client whose writes are answered as done, and now and then are not, or in part."""

    def __init__(self, *, seed: int, share: float, names: tuple[str, ...] = WRITES[1:]) -> None:
        self._client = MlflowClient()
        self._random = random.Random(seed)
        self._share = share
        self._names = names
        self.n_lost = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in self._names or self._random.random() >= self._share:
            return call
        self.n_lost += 1
        return self._log_half if name == "log_artifacts" else lambda *_, **named: None

    def _log_half(self, run_id: str, folder: str) -> None:
        for path in Path(folder).rglob("*.csv"):
            path.write_bytes(path.read_bytes()[:3])
        self._client.log_artifacts(run_id, folder)


@pytest.mark.parametrize("seed", range(4))
def test_what_the_server_did_not_keep_is_delivered_again(
    journal: Journal, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.01)
    client: Any = Forgetful(seed=seed, share=0.3)
    delivery_thread = DeliveryThread(client, journal)
    append_all(journal, parent)
    delivery_thread.call()
    delivery_thread.finish(patience=60)
    assert client.n_lost > 0
    assert len(journal) == 0
    assert_delivered(parent, tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_what_the_server_did_not_keep_is_delivered_by_another_process(
    journal: Journal, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_SECONDS", 0.01)
    client: Any = Forgetful(seed=seed, share=0.3)
    append_all(journal, parent)
    journal.append(*fold("half", parent)[:2])
    deliver_journal(client, journal)
    assert client.n_lost > 0
    assert not journal.path.exists()
    (half,) = MlflowClient().search_runs(["0"], "tags.split = 'half'")
    assert half.info.status == "KILLED"
    assert half.data.metrics.keys() == {"loss"}
    MlflowClient().delete_run(half.info.run_id)
    assert_delivered(parent, tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log_artifacts", "1 of 1 artifacts"),
        ("log_batch", "1 of 1 metrics, 1 of 1 parameters, 1 of 1 tags"),
        ("set_terminated", "status FINISHED"),
    ],
)
def test_journal_stays_where_the_server_never_keeps_it(
    journal: Journal,
    parent: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    words: str,
) -> None:
    monkeypatch.setenv("MER_TRACKING_PATIENCE", "0.5")
    append_all(journal, parent)
    client: Any = Forgetful(seed=0, share=1.0, names=(name,))
    delivery_thread = DeliveryThread(client, journal)
    with pytest.raises(UndeliveredError, match=rf"run \w+ lacks {words}.*a\.journal.*-e sync"):
        delivery_thread.finish(patience=0.5)
    journal.close()
    left = Journal(journal.path)
    with pytest.raises(UndeliveredError, match=rf"run \w+ lacks {words}.*a\.journal is kept"):
        deliver_journal(client, left)
    assert left.path.exists()
    deliver_journal(MlflowClient(), left)
    assert_delivered(parent, tmp_path)


def test_lost_point_of_a_curve_is_noticed(journal: Journal, parent: str, tmp_path: Path) -> None:
    """A later write of the same metric hides that an earlier one is not there."""
    client: Any = Forgetful(seed=0, share=0.0)
    names, items = iter(("log_batch", "")), fold("fold 0", parent)
    first = [Metric(key="other", value=1.0, step=1)]
    second = [Metric(key="other", value=1.0, step=2)]
    journal.append(items[0], Write(run="fold 0", batch=batch(first)))
    journal.append(Write(run="fold 0", batch=batch(second)), items[-1])
    delivery = Delivery(client, journal)
    assert delivery.deliver_next()
    client._names, client._share = (next(names),), 1.0
    assert delivery.deliver_next()
    client._share = 0.0
    assert delivery.deliver_next()
    with pytest.raises(LostWriteError, match="1 of 1 metrics"):
        delivery.deliver_next()
    assert delivery.deliver_next()
    (run,) = MlflowClient().search_runs(["0"], "tags.split = 'fold 0'")
    history = MlflowClient().get_metric_history(run.info.run_id, "other")
    assert {point.step for point in history} == {1, 2}


def test_deleted_fold_run_is_made_anew(journal: Journal, parent: str, tmp_path: Path) -> None:
    append_all(journal, parent)
    delivery = Delivery(MlflowClient(), journal)
    for _ in range(6):  # one fold, and half of the next
        assert delivery.deliver_next()
    (half,) = MlflowClient().search_runs(["0"], "tags.split = 'fold 1'")
    MlflowClient().delete_run(half.info.run_id)
    while delivery.deliver_next():
        pass
    assert len(journal) == 0
    assert_delivered(parent, tmp_path)


def test_deleted_parent_is_named_with_the_ways_to_go_on(
    journal: Journal, parent: str, tmp_path: Path
) -> None:
    client = MlflowClient()
    append_all(journal, parent)
    client.delete_run(parent)
    words = rf"run {parent} was deleted .*`mlflow runs restore --run-id {parent}`.*-e sync.*a\.jou"
    delivery_thread = DeliveryThread(client, journal)
    delivery_thread.call()
    with pytest.raises(DeletedError, match=words):
        delivery_thread.finish(patience=60)
    journal.close()
    left = Journal(journal.path)
    with pytest.raises(DeletedError, match=words):
        deliver_journal(client, left)
    with pytest.raises(DeletedError, match=words):
        deliver_journal(client, left, new_experiment="another")
    client.restore_run(parent)
    deliver_journal(client, left)
    assert_delivered(parent, tmp_path)


@pytest.mark.parametrize("is_gone", [False, True])
def test_new_run_takes_the_folds_of_a_deleted_one(
    journal: Journal, parent: str, is_gone: bool
) -> None:
    client = MlflowClient()
    append_all(journal, parent)
    client.delete_run(parent)
    if is_gone:
        _purge(parent)
    deliver_journal(client, journal, new_experiment="0")
    assert not journal.path.exists()
    runs = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [run.info.status for run in runs] == N_FOLDS * ["FINISHED"]
    assert all(run.data.metrics for run in runs)


def _purge(run_id: str) -> None:
    """Delete a run for good, as ``mlflow gc`` does."""
    MlflowClient()._tracking_client.store._hard_delete_run(run_id)


def test_deleted_experiment_is_named_and_nothing_is_lost(
    journal: Journal, parent: str, tmp_path: Path
) -> None:
    client = MlflowClient()
    append_all(journal, parent)
    delivery = Delivery(client, journal)
    for _ in range(6):
        assert delivery.deliver_next()
    client.delete_experiment("0")
    delivery_thread = DeliveryThread(client, journal)
    delivery_thread.call()
    words = r"experiment 0 was deleted .*`mlflow experiments restore --experiment-id 0`"
    with pytest.raises(DeletedError, match=words):
        delivery_thread.finish(patience=60)
    journal.close()
    left = Journal(journal.path)
    for new_experiment in (None, "1"):
        with pytest.raises(DeletedError, match=rf"{words}.*a\.journal"):
            deliver_journal(client, left, new_experiment=new_experiment)
    client.restore_experiment("0")
    deliver_journal(client, left)
    assert_delivered(parent, tmp_path)


def test_deleted_run_of_an_earlier_parent_is_passed_over(
    journal: Journal, parent: str, tmp_path: Path
) -> None:
    client = MlflowClient()
    earlier = client.create_run("0").info.run_id
    tag = batch([Tag(key="mer.status", value="superseded")])
    journal.append(Write(run=earlier, batch=tag))
    journal.append(Close(run=earlier, status="KILLED", end_time=9, tags={}))
    append_all(journal, parent)
    client.delete_run(earlier)
    deliver_journal(client, journal)
    assert_delivered(parent, tmp_path)


def test_any_refusal_is_told_as_one(journal: Journal, parent: str) -> None:
    response = requests.Response()
    response.status_code = 413
    client = Away(requests.HTTPError("413 too large", response=response))
    with pytest.raises(UndeliveredError, match="413 too large"):
        deliver_journal(client, journal)  # type: ignore[arg-type]


def test_server_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert server_name("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert server_name(f"sqlite:///{tmp_path}/mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert server_name("mlruns") == str(tmp_path / "mlruns")
    assert server_name("http://host:5000/") == server_name("http://host:5000")
    assert "secret" not in server_name("https://ada:secret@host:5000")
