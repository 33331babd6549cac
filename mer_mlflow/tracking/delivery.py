"""Delivery: a journal's entries reach the tracking server, each once and in their order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient

from mer_mlflow.access import shown
from mer_mlflow.errors import JournalError, MerError, TrackingError, UndeliveredError
from mer_mlflow.tracking.journal import Close, Create, Journal, Write
from mer_mlflow.tracking.outage import SILENT_TRIES, is_outage, patiently, pauses, reason
from mer_mlflow.tracking.runs import SQLITE, Status
from mer_mlflow.tracking.writer import make_run, marked_runs, send

SERVER, PARENT, IDENTITY, NAME = "server", "parent", "identity", "name"
"""Names of a journal's facts."""


class Delivery:
    """Gives a journal's entries to the server, one after the other.

    Parameters
    ----------
    client : of the tracking server
    journal : whose entries are delivered
    is_superseded : whether another run has taken the folds of the journal's run: what the journal
        has to say of runs that it has not made is void then
    """

    def __init__(
        self, client: MlflowClient, journal: Journal, *, is_superseded: bool = False
    ) -> None:
        self._client = client
        self._journal = journal
        self._is_superseded = is_superseded
        self._tried: set[int] = set()
        known = journal.runs()
        self._ids = {each.run: each.run_id for each in known if each.run_id is not None}
        self._doubtful = {each.run: each.number for each in known}

    def deliver_next(self) -> bool:
        """Deliver the entry that is next; False where nothing waits."""
        waiting = self._journal.first()
        if waiting is None:
            return False
        number, entry = waiting
        if isinstance(entry, Create):
            run_id = self._create(number, entry)
            self._journal.discard(number, entry, run_id=run_id)
            self._ids[entry.run] = run_id
            return True
        run_id = self._ids.get(entry.run, entry.run)
        is_void = self._is_superseded and entry.run not in self._ids
        if not is_void and isinstance(entry, Write):
            send(self._client, run_id, entry.batch)
        elif not is_void and isinstance(entry, Close):
            self._close(run_id, entry)
        self._journal.discard(number, entry)
        if isinstance(entry, Close):
            self._ids.pop(entry.run, None)
        return True

    def kill_left(self) -> None:
        """Close the runs that nothing in the journal closes."""
        for known in self._journal.runs():
            if known.is_open and known.run_id is not None:
                self._remove_twins(known.run_id, known.number)
                if self._client.get_run(known.run_id).info.status == "RUNNING":
                    self._client.set_terminated(known.run_id, "KILLED")

    def _create(self, number: int, entry: Create) -> str:
        was_tried = number in self._tried or self._journal.was_left
        if was_tried:
            self._doubtful[entry.run] = number
        self._tried.add(number)
        return make_run(
            self._client,
            entry.experiment_id,
            name=entry.name,
            start_time=entry.start_time,
            tags=entry.tags,
            mark=self._mark(number),
            was_tried=was_tried,
        )

    def _close(self, run_id: str, entry: Close) -> None:
        run = self._client.get_run(run_id) if entry.tags else None
        if run is not None and run.data.tags.get("mer.status") == Status.SUPERSEDED:
            return  # another run has taken its folds: it must not become complete
        if entry.run in self._doubtful:
            self._remove_twins(run_id, self._doubtful[entry.run])
        self._client.set_terminated(run_id, entry.status, end_time=entry.end_time)
        for key, value in entry.tags.items():
            self._client.set_tag(run_id, key, value)

    def _remove_twins(self, run_id: str, number: int) -> None:
        """Remove runs that the server made when its answer had been given up."""
        experiment = self._client.get_run(run_id).info.experiment_id
        for twin in marked_runs(self._client, experiment, self._mark(number)):
            if twin != run_id:
                self._client.delete_run(twin)

    def _mark(self, number: int) -> str:
        return f"{self._journal.facts[PARENT]}/{number}"


class Courier:
    """Delivers a journal in a thread of its own, trying again for as long as it takes.

    Parameters
    ----------
    client : of the tracking server
    journal : whose entries are delivered
    """

    def __init__(self, client: MlflowClient, journal: Journal) -> None:
        self._journal = journal
        self._delivery = Delivery(client, journal)
        self._pauses = pauses()
        self._n_failures = 0
        self._trouble: Exception | None = None
        self._changed = threading.Condition()
        self._work = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def call(self) -> None:
        """Say that the journal has something new."""
        self._work.set()

    def finish(self, *, patience: float) -> None:
        """Wait until everything is delivered, and end the thread.

        Parameters
        ----------
        patience : seconds without a success after which the rest stays in the journal

        Raises
        ------
        JournalError
            If the journal does not take what has become of its entries.
        UndeliveredError
            If the rest stays in the journal.
        """
        n_left, end = len(self._journal), time.monotonic() + patience
        while n_left and time.monotonic() < end and not self._is_refused():
            with self._changed:
                self._changed.wait(timeout=0.2)
            if (n_now := len(self._journal)) < n_left:
                n_left, end = n_now, time.monotonic() + patience
        self.stop()
        if n_left and isinstance(self._trouble, JournalError):
            raise self._trouble
        if n_left:
            raise self._undelivered(n_left)
        self._thread.join()

    def stop(self) -> None:
        """End the thread as soon as it has its answer; what waits stays in the journal."""
        self._stop.set()
        self._work.set()

    def _is_refused(self) -> bool:
        return self._trouble is not None and not is_outage(self._trouble)

    def _undelivered(self, n_left: int) -> UndeliveredError:
        why = reason(self._trouble) if self._trouble is not None else "it is slow"
        return UndeliveredError(
            f"the tracking server has not taken {n_left} writes ({why}); they wait in "
            f"{self._journal.path}, and `mlflow run . -e sync` delivers them"
        )

    def _run(self) -> None:
        while True:
            self._work.clear()  # before looking: what is said afterwards is not missed
            if self._stop.is_set():
                return
            try:
                was_idle = not self._delivery.deliver_next()
            except Exception as error:
                self._note_failure(error)
                self._stop.wait(next(self._pauses))
                continue
            self._note_success()
            if was_idle:
                self._work.wait()

    def _note_failure(self, error: Exception) -> None:
        self._trouble = error
        self._n_failures += 1
        if self._n_failures == SILENT_TRIES:
            print(
                f"the tracking server does not take results ({reason(error)}): they wait in "
                f"{self._journal.path}",
                flush=True,
            )

    def _note_success(self) -> None:
        if self._n_failures >= SILENT_TRIES:
            print("the tracking server takes results again", flush=True)
        if self._n_failures:
            self._n_failures, self._pauses = 0, pauses()
        self._trouble = None
        with self._changed:
            self._changed.notify_all()


def server_name(uri: str) -> str:
    """Name of a tracking store by which a journal finds it again: no password, no relative path."""
    if uri.startswith(SQLITE):
        path, separator, options = uri.removeprefix(SQLITE).partition("?")
        return f"{SQLITE}{Path(path).resolve()}{separator}{options}"
    return shown(uri).rstrip("/") if "://" in uri else str(Path(uri).resolve())


def deliver_left(
    client: MlflowClient,
    journal: Journal,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Deliver what an ended process left, close its runs, and remove its journal.

    Parameters
    ----------
    client : of the tracking server
    journal : of a process that has ended
    on_progress : called with (delivered, to deliver) after each write

    Returns
    -------
    number of writes that were delivered

    Raises
    ------
    TrackingError
        If the server is away.
    UndeliveredError
        If it refuses, or does not know the journal's run.
    """
    n_waiting = len(journal)
    try:
        parent = patiently(lambda: client.get_run(journal.facts[PARENT]))
        is_superseded = parent.data.tags.get("mer.status") == Status.SUPERSEDED
        delivery = Delivery(client, journal, is_superseded=is_superseded)
        for n_delivered in range(1, n_waiting + 1):
            patiently(delivery.deliver_next)
            on_progress(n_delivered, n_waiting)
        patiently(delivery.kill_left)
        patiently(lambda: _close_left_parent(client, journal.facts[PARENT]))
    except MerError as error:
        raise TrackingError(f"{error}; {journal.path} waits") from error
    except Exception as error:
        raise UndeliveredError(
            f"the tracking server does not take {journal.path} ({reason(error)}); move it away, "
            "and folds that only it has will be run again"
        ) from error
    journal.remove()
    return n_waiting


def _close_left_parent(client: MlflowClient, run_id: str) -> None:
    if client.get_run(run_id).data.tags.get("mer.status") == Status.RUNNING:
        client.set_terminated(run_id, "FAILED")
        client.set_tag(run_id, "mer.status", Status.INTERRUPTED)
