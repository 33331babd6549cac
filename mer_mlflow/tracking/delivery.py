"""Delivery of a journal's entries to the tracking server, each once and in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from mer_mlflow.access import redacted
from mer_mlflow.deletions import deleted
from mer_mlflow.errors import (
    DeletedError,
    JournalError,
    MerError,
    TrackingError,
    UndeliveredError,
)
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.journal import Close, Create, Entry, Journal, Write
from mer_mlflow.tracking.outage import SILENT_TRIES, is_outage, pauses, reason, retry
from mer_mlflow.tracking.readback import LostWriteError, content_of, lacking, lacking_tags
from mer_mlflow.tracking.runs import SQLITE, Status, is_missing, live_run, require_experiment
from mer_mlflow.tracking.writer import make_run, marked_runs, send

SERVER, PARENT, IDENTITY, NAME = "server", "parent", "identity", "name"
"""Keys of a journal's facts."""


class Delivery:
    """Delivery of a journal's entries to the server, one after the other.

    A run is read back from the server when it is closed. Missing values are delivered again, and
    its entries are removed only if nothing is missing.

    Parameters
    ----------
    client : client of the tracking server
    journal : journal to deliver
    is_superseded : whether another run has taken over the folds of the journal's run; entries
        about runs that the journal has not created are ignored then
    """

    def __init__(
        self, client: MlflowClient, journal: Journal, *, is_superseded: bool = False
    ) -> None:
        self._client = client
        self._journal = journal
        self._parent = journal.facts[PARENT]
        self._is_superseded = is_superseded
        self._last = 0
        self._tried: set[int] = set()
        known = journal.runs()
        self._ids = {each.run: each.run_id for each in known if each.run_id is not None}
        self._doubtful = {each.run: each.number for each in known}

    def deliver_next(self) -> bool:
        """Deliver the next entry; return False if there is none.

        Raises
        ------
        DeletedError
            If the journal's run or experiment was deleted.
        LostWriteError
            If the server has lost a write that it had confirmed; it is delivered again.
        """
        waiting = self._journal.after(self._last)
        if waiting is None:
            return False
        number, entry = waiting
        try:
            self._deliver(number, entry)
        except MlflowException as error:
            if is_outage(error):
                raise
            number = self._skip_deleted(number, entry, error)
        self._last = number
        return True

    def close_open_runs(self) -> None:
        """Close the runs for which the journal has no entry that closes them."""
        for known in self._journal.runs():
            if known.is_open and known.run_id is not None:
                self._remove_duplicates(known.run_id, known.number)
                run = live_run(self._client, known.run_id)
                if run is not None and run.info.status == "RUNNING":
                    self._client.set_terminated(known.run_id, "KILLED")
                    self._require_whole(known.run, status="KILLED")

    def confirm_left(self) -> None:
        """Read back the runs with entries, and remove the entries of complete ones.

        Raises
        ------
        LostWriteError
            If a run is incomplete; its entries are delivered again.
        """
        self._confirm(self._journal.written_runs())

    def _confirm(self, names: Iterable[str]) -> None:
        lost = []
        for name in names:
            try:
                self._require_whole(name)
            except LostWriteError as error:
                lost.append(error)
            else:
                self._journal.forget(name)
        if lost:
            raise lost[0]

    def _deliver(self, number: int, entry: Entry) -> None:
        if isinstance(entry, Create):
            if entry.run not in self._ids:
                self._ids[entry.run] = self._create(number, entry)
                self._journal.note_run(entry.run, self._ids[entry.run])
        elif isinstance(entry, Write):
            if not self._is_void(entry.run):
                send(self._client, self._ids.get(entry.run, entry.run), entry.batch)
        else:
            if entry.run == self._parent:
                self._look_at_parent()
                own = {self._parent, *self._ids}
                self._confirm(set(self._journal.written_runs(until=number)) - own)
            if not self._is_void(entry.run):
                self._close(self._ids.get(entry.run, entry.run), entry)
            self._journal.forget(entry.run)
            self._ids.pop(entry.run, None)

    def _look_at_parent(self) -> None:
        """Check whether another run has taken over the folds in the meantime."""
        if not self._is_superseded:
            self._is_superseded = _is_superseded(self._client.get_run(self._parent))

    def _is_void(self, name: str) -> bool:
        return self._is_superseded and name not in self._ids

    def _skip_deleted(self, number: int, entry: Entry, error: MlflowException) -> int:
        """Return the number of the entry after which delivery continues, if a run was deleted."""
        if isinstance(entry, Create):
            require_experiment(self._client, entry.experiment_id)
            raise error
        run_id = self._ids.get(entry.run, entry.run)
        if live_run(self._client, run_id) is not None:
            raise error
        if entry.run == self._parent:
            raise _deleted_parent(self._client, self._journal) from error
        if entry.run not in self._ids:  # of an earlier cross-validation: skipped
            self._journal.forget(entry.run)
            return number
        del self._ids[entry.run]
        self._journal.note_run(entry.run, None)
        (made,) = (each.number for each in self._journal.runs() if each.run == entry.run)
        return made - 1  # the run is created and delivered again

    def _require_whole(self, name: str, *, status: str | None = None) -> None:
        """Read a run back, and deliver missing values again."""
        run = None if self._is_void(name) else live_run(self._client, self._ids.get(name, name))
        if run is None:
            return
        batches = [entry.batch for entry in self._journal.writes(name)]
        missing = lacking(self._client, run, content_of(batches))
        if missing:
            for each in batches:
                send(self._client, run.info.run_id, each)
        if status not in (None, run.info.status):
            missing.append(f"status {status}")
        if missing:
            raise LostWriteError(f"run {run.info.run_id} lacks {', '.join(missing)}")

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
        if entry.run in self._doubtful:
            self._remove_duplicates(run_id, self._doubtful[entry.run])
        self._client.set_terminated(run_id, entry.status, end_time=entry.end_time)
        self._require_whole(entry.run, status=entry.status)
        for key, value in entry.tags.items():
            self._client.set_tag(run_id, key, value)
        lost = lacking_tags(self._client.get_run(run_id), entry.tags) if entry.tags else []
        if lost:
            raise LostWriteError(f"run {run_id} lacks its tags {', '.join(lost)}")

    def _remove_duplicates(self, run_id: str, number: int) -> None:
        """Remove runs that the server created after the timeout of a request."""
        experiment = self._client.get_run(run_id).info.experiment_id
        for duplicate in marked_runs(self._client, experiment, self._mark(number)):
            if duplicate != run_id:
                self._client.delete_run(duplicate)

    def _mark(self, number: int) -> str:
        return f"{self._journal.facts[PARENT]}/{number}"


class DeliveryThread:
    """Thread that delivers a journal, with unlimited retries.

    Parameters
    ----------
    client : client of the tracking server
    journal : journal to deliver
    """

    def __init__(self, client: MlflowClient, journal: Journal) -> None:
        self._journal = journal
        self._delivery = Delivery(client, journal)
        self._pauses = pauses()
        self._n_delivered = 0
        self._n_failures = 0
        self._trouble: Exception | None = None
        self._changed = threading.Condition()
        self._work = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def call(self) -> None:
        """Notify the thread of new entries."""
        self._work.set()

    def finish(self, *, patience: float) -> None:
        """Wait until everything is delivered, and end the thread.

        Parameters
        ----------
        patience : maximum time without a success [s]; the rest stays in the journal

        Raises
        ------
        DeletedError
            If the rest stays in the journal because its run or experiment was deleted.
        JournalError
            If the journal cannot be updated.
        UndeliveredError
            If the rest stays in the journal for another reason.
        """
        n_delivered, end = self._n_delivered, time.monotonic() + patience
        while (n_left := len(self._journal)) and time.monotonic() < end and not self._is_refused():
            with self._changed:
                self._changed.wait(timeout=0.2)
            if self._n_delivered > n_delivered:
                n_delivered, end = self._n_delivered, time.monotonic() + patience
        self.stop()
        if n_left and isinstance(self._trouble, DeletedError | JournalError):
            raise self._trouble
        if n_left:
            raise self._undelivered(n_left)
        self._thread.join()

    def stop(self) -> None:
        """End the thread after its current request; remaining entries stay in the journal."""
        self._stop.set()
        self._work.set()

    def _is_refused(self) -> bool:
        return self._trouble is not None and not is_outage(self._trouble)

    def _undelivered(self, n_left: int) -> UndeliveredError:
        why = reason(self._trouble) if self._trouble is not None else "it is slow"
        return UndeliveredError(
            f"the tracking server has not accepted {n_left} writes ({why}); they are kept in "
            f"{self._journal.path}, and `mlflow run . -e sync` delivers them"
        )

    def _run(self) -> None:
        while True:
            self._work.clear()  # before the check, so that no later notification is lost
            if self._stop.is_set():
                return
            try:
                was_idle = not self._delivery.deliver_next()
            except Exception as error:
                self._note_failure(error)
                self._stop.wait(next(self._pauses))
                continue
            self._note_success()
            self._n_delivered += not was_idle
            if was_idle:
                self._work.wait()

    def _note_failure(self, error: Exception) -> None:
        self._trouble = error
        self._n_failures += 1
        if self._n_failures == SILENT_TRIES:
            print(
                f"the tracking server does not accept results ({reason(error)}): they are kept in "
                f"{self._journal.path}",
                flush=True,
            )

    def _note_success(self) -> None:
        if self._n_failures >= SILENT_TRIES:
            print("the tracking server accepts results again", flush=True)
        if self._n_failures:
            self._n_failures, self._pauses = 0, pauses()
        self._trouble = None
        with self._changed:
            self._changed.notify_all()


def server_name(uri: str) -> str:
    """Return a name of a tracking store for journals, without password and relative paths."""
    if uri.startswith(SQLITE):
        path, separator, options = uri.removeprefix(SQLITE).partition("?")
        return f"{SQLITE}{Path(path).resolve()}{separator}{options}"
    return redacted(uri).rstrip("/") if "://" in uri else str(Path(uri).resolve())


def deliver_journal(
    client: MlflowClient,
    journal: Journal,
    *,
    new_experiment: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Deliver the journal of an ended process, close its runs, and remove the journal.

    Parameters
    ----------
    client : client of the tracking server
    journal : journal of a process that has ended
    new_experiment : experiment with a new run of the same cross-validation, which takes over the
        folds if the journal's run was deleted
    on_progress : called with (delivered, to deliver) after each write

    Returns
    -------
    number of writes that were delivered

    Raises
    ------
    DeletedError
        If the journal's run or experiment was deleted, and no other run takes over the folds.
    TrackingError
        If the server is unavailable.
    UndeliveredError
        If the server rejects a write, does not know the journal's run, or has lost a write that it
        had confirmed.
    """
    n_waiting = len(journal)
    try:
        parent = retry(lambda: _parent_of(client, journal, new_experiment))
        is_superseded = parent is None or _is_superseded(parent)
        delivery = Delivery(client, journal, is_superseded=is_superseded)
        n_delivered = 0
        while retry(delivery.deliver_next):
            n_delivered = min(n_delivered + 1, n_waiting)
            on_progress(n_delivered, n_waiting)
        retry(delivery.close_open_runs)
        retry(delivery.confirm_left)
        if parent is not None:
            retry(lambda: _close_left_parent(client, journal.facts[PARENT]))
    except DeletedError:
        raise
    except MerError as error:
        kind = UndeliveredError if isinstance(error.__cause__, LostWriteError) else TrackingError
        raise kind(f"{error}; {journal.path} is kept") from error
    except Exception as error:
        raise UndeliveredError(
            f"the tracking server rejects {journal.path} ({reason(error)}); move it away, "
            "and folds that only it contains will be run again"
        ) from error
    journal.remove()
    return n_waiting


def _parent_of(client: MlflowClient, journal: Journal, new_experiment: str | None) -> Run | None:
    """Return the journal's run; None if it was deleted, and ``new_experiment`` has a new one."""
    try:
        parent = client.get_run(journal.facts[PARENT])
    except MlflowException as error:
        is_replaced = new_experiment is not None and journal.experiments() == {new_experiment}
        if not is_missing(error) or not is_replaced:
            raise
        return None
    if parent.info.lifecycle_stage == LifecycleStage.ACTIVE:
        return parent
    if parent.info.experiment_id != new_experiment:
        raise _deleted_parent(client, journal)
    return None


def _deleted_parent(client: MlflowClient, journal: Journal) -> DeletedError:
    """Return an error for a journal whose run or experiment was deleted."""
    run_id = journal.facts[PARENT]
    waiting = f"{len(journal)} writes are kept in {journal.path}"
    try:
        require_experiment(client, client.get_run(run_id).info.experiment_id)
    except DeletedError as error:
        return DeletedError(f"{error}, and give the same command again; {waiting}")
    except MlflowException:
        return DeletedError(
            f"run {run_id} is no longer on the tracking server; give the same command again to "
            f"continue in a new run; {waiting}"
        )
    return DeletedError(
        f"{deleted('run', run_id)} and `mlflow run . -e sync` delivers its results, or give the "
        f"same command again to continue in a new run with the same folds; {waiting}"
    )


def _is_superseded(parent: Run) -> bool:
    return parent.data.tags.get(schema.STATUS) == Status.SUPERSEDED


def _close_left_parent(client: MlflowClient, run_id: str) -> None:
    if client.get_run(run_id).data.tags.get(schema.STATUS) == Status.RUNNING:
        client.set_terminated(run_id, "FAILED")
        client.set_tag(run_id, schema.STATUS, Status.INTERRUPTED)
        if client.get_run(run_id).data.tags.get(schema.STATUS) == Status.RUNNING:
            raise LostWriteError(f"run {run_id} lacks its tag mer.status")
