"""The executor that runs jobs on the workers of a Dask cluster.

Dask decides which worker runs a fold, notices lost workers and runs their folds again. The command
keeps what must not depend on machines: the order of the folds, events, retries of folds that fail.

References
----------
M. Rocklin, "Dask: parallel computation with blocked algorithms and task scheduling", SciPy 2015.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mer_mlflow._version import __version__
from mer_mlflow.crossval.executors import remote
from mer_mlflow.crossval.executors.events import (
    EpochEnded,
    Failure,
    FoldEvent,
    FoldFinished,
    FoldRetried,
    FoldStarted,
    Retries,
    finished,
    refuse_untrainable,
)
from mer_mlflow.crossval.executors.messages import BatchFinished, Message, Rehearsed
from mer_mlflow.crossval.executors.pool import TICK_SECONDS
from mer_mlflow.crossval.executors.preparation import (
    GPU,
    MEMORY,
    Outcome,
    Preparation,
    Prepared,
    Refused,
    WorkerLeft,
)
from mer_mlflow.crossval.executors.processes import require_registered
from mer_mlflow.crossval.executors.transfer import pack
from mer_mlflow.crossval.jobs import Batch, Epoch, Job, Task
from mer_mlflow.errors import ClusterError, ParameterError
from mer_mlflow.networks import backend_name
from mer_mlflow.packages import require_package

if TYPE_CHECKING:
    from distributed import Client, Future

SCHEMES = {"dask://": "tcp://", "dask+tls://": "tls://"}
"""Addresses of schedulers, as Dask writes them."""
HYPHEN = "\u2011"
"""Hyphen of names in Dask's dashboard, where an ordinary one ends the name."""
COLLECTORS = 4
"""Threads that fetch results."""
QUIET = (
    "distributed.batched",
    "distributed.client",
    "distributed.comm.tcp",
    "distributed.core",
    "distributed.utils",
    "tornado.application",
)
"""Loggers that report a lost connection in many lines; this executor does so in one."""


@dataclass(frozen=True, kw_only=True)
class DaskExecutor:
    """Runs jobs on the workers of a Dask cluster, which may come and go.

    Attributes
    ----------
    address : ``dask://host:port`` of the scheduler; ``dask+tls://host:port`` for an encrypted
        connection, whose certificates are those of Dask's configuration
    fold_timeout : float > 0 [s], time that a job may take, None for any
    resource : name of the Dask resource of which each fold takes one unit
    """

    address: str
    fold_timeout: float | None = None
    resource: str = field(default_factory=lambda: f"mer-{uuid.uuid4().hex[:8]}", repr=False)
    _peaks: list[float] = field(default_factory=list, repr=False, compare=False)

    def run(
        self, task: Task, batches: Sequence[Batch], *, on_event: Callable[[FoldEvent], None]
    ) -> None:
        """Run batches, see :class:`mer_mlflow.crossval.executors.Executor`.

        Raises
        ------
        ParameterError
            If the method is not registered, no scheduler answers, or every worker is refused.
        UntrainableError
            If no job can be run, however often it is tried.
        ClusterError
            If the connection to the scheduler is lost.
        """
        require_registered(task.method)
        if task.model_folder is not None:
            raise ParameterError(
                f"executor={self.address}: a model is fitted on this machine; use "
                "executor=processes"
            )
        with connected(self.address) as client:
            _require_same_version(client, self.address)
            run = _Run(client, task, batches, self, on_event)
            with contextlib.closing(run):
                run.finish()

    @property
    def peak(self) -> float | None:
        """Largest memory of a finished fold [MiB], None before the first."""
        return max(self._peaks, default=None)

    def note_peak(self, peak: float) -> None:
        """Note the memory of a finished fold [MiB]."""
        self._peaks[:] = [max([peak, *self._peaks])]


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """Connect to a scheduler, and print the address of its dashboard.

    Raises
    ------
    ParameterError
        If no scheduler answers, or the package ``distributed`` is missing.
    """
    require_package("distributed", needed_by=f"executor={address}")
    from distributed import Client

    scheme = next(each for each in SCHEMES if address.startswith(each))
    with without_logs(*QUIET):
        try:
            client = Client(address.replace(scheme, SCHEMES[scheme], 1), set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ParameterError(
                f"executor={address}: no scheduler answers ({error}); start one with `dask "
                "scheduler`, or use executor=processes"
            ) from error
        with contextlib.closing(client):
            say(f"dashboard of the cluster: {client.dashboard_link}")
            yield client


@contextlib.contextmanager
def without_logs(*names: str) -> Iterator[None]:
    """Silence loggers, by name."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _require_same_version(client: Client, address: str) -> None:
    """Check that the scheduler can read tasks: it loads the functions that they name."""
    try:
        version = client.run_on_scheduler(remote.installed_versions)["mer_mlflow"]
    except Exception as error:
        version = f"missing ({type(error).__name__}: {error})"
    if version != __version__:
        raise ParameterError(
            f"executor={address}: mer_mlflow of the scheduler is {version}, not {__version__}; "
            "start the scheduler where the same version is installed"
        )


@cache
def say(message: str) -> None:
    """Print a message once."""
    print(message, flush=True)


@dataclass(frozen=True, kw_only=True)
class _TaskEnded:
    """A Dask task ended; None if it was cancelled, as all are when the connection is lost."""

    key: str
    outcome: Message | Exception | None


@dataclass(frozen=True, kw_only=True)
class _Report:
    """A Dask worker reports a started batch, or an epoch of one of its jobs."""

    key: str
    worker: str
    position: int = 0
    epoch: Epoch | None = None


class _Run:
    """One call of the executor.

    Parameters
    ----------
    client : connected
    task, batches, on_event : of the executor's method
    executor : whose address and measured memory are used
    """

    def __init__(
        self,
        client: Client,
        task: Task,
        batches: Sequence[Batch],
        executor: DaskExecutor,
        on_event: Callable[[FoldEvent], None],
    ) -> None:
        self._client, self._task, self._executor = client, task, executor
        self._on_event = on_event
        self._waiting, self._retries = deque(batches), Retries()
        self._first = batches[0]
        self._submitted: dict[str, tuple[Batch, Future[Any]]] = {}
        self._rehearsals: set[str] = set()
        self._can_be_run = False
        self._started: dict[Batch, str] = {}
        self._epochs: dict[Job, int] = {}
        self._n_finished = 0
        self._was_without_slots = False
        self._inbox: SimpleQueue[Outcome | _Report | _TaskEnded] = SimpleQueue()
        self._collectors = ThreadPoolExecutor(COLLECTORS)
        packed = pack(task, batches)
        self._preparation = Preparation(
            client,
            packed,
            _needs(task, executor.fold_timeout, tuple(packed.files)),
            resource=executor.resource,
            uses_network=task.method.framework != "scikit-learn",
            on_outcome=self._inbox.put,
        )
        self._topic = str(client.id)  # Dask removes this topic after the client has gone
        self._listen()

    def finish(self) -> None:
        """Run all batches."""
        while self._waiting or self._submitted:
            self._require_connection()
            if self._client.status == "running":
                self._preparation.look(self._executor.peak)
                self._fill_slots()
            if not self._preparation.has_workers:
                say(f"waiting for workers of {self._executor.address}")
            self._was_without_slots |= not self._preparation.slots
            with contextlib.suppress(Empty):
                self._receive(self._inbox.get(timeout=TICK_SECONDS))

    def close(self) -> None:
        """Cancel what is running."""
        if self._client.status == "running":
            with contextlib.suppress(Exception):  # the connection may be lost meanwhile
                self._client.cancel([future for _, future in self._submitted.values()])
                self._preparation.end()
        self._collectors.shutdown(wait=False, cancel_futures=True)

    def _require_connection(self) -> None:
        if self._client.status in ("closed", "closing"):
            raise ClusterError(
                f"the scheduler {self._executor.address} is gone; {self._n_finished} folds that "
                "were finished are kept: start a scheduler with workers and give the same command "
                "again"
            )

    def _listen(self) -> None:
        self._client.subscribe_topic(self._topic, self._on_report)

    def _on_report(self, event: tuple[float, Any]) -> None:
        found = event[1]
        if isinstance(found, Mapping) and "key" in found and "worker" in found:
            epoch = Epoch(**found["epoch"]) if "epoch" in found else None
            self._inbox.put(_Report(**{**found, "epoch": epoch}))

    def _fill_slots(self) -> None:
        slots = sum(self._preparation.slots.values())
        if not self._can_be_run:
            for _ in range(len(self._submitted), min(slots, len(self._waiting))):
                key = self._submit(remote.rehearse, self._first, name="rehearsal")
                self._rehearsals.add(key)
            return
        while self._waiting and len(self._submitted) < slots + self._ahead(slots):
            batch = self._waiting.popleft()
            self._submit(remote.run_batch, batch, self._topic, name=_name(batch))

    def _ahead(self, slots: int) -> int:
        """Return how many folds are submitted before a worker is free for them.

        Each worker then starts its next fold at once. None are at the end of the run, where a fold
        must not wait for one worker while another one has nothing to do.
        """
        return len(self._preparation.slots) if len(self._waiting) > slots else 0

    def _submit(
        self, function: Callable[..., Message], batch: Batch, *further: str, name: str
    ) -> str:
        title = f"{self._task.title or self._task.method.name} · {name}"
        key = f"{title.replace('-', HYPHEN)}-{uuid.uuid4().hex[:8]}"
        future = self._client.submit(
            function,
            self._preparation.token,
            key,
            pickle.dumps(batch),
            *further,
            key=key,
            resources=self._resources(),
            pure=False,
        )
        self._submitted[key] = (batch, future)
        future.add_done_callback(lambda done: self._collectors.submit(self._collect, key, done))
        return key

    def _resources(self) -> dict[str, float]:
        wanted: dict[str, float] = {self._preparation.resource: 1}
        if GPU in self._preparation.declared and self._task.method.framework != "scikit-learn":
            wanted[GPU] = 1
        if MEMORY in self._preparation.declared and self._executor.peak is not None:
            wanted[MEMORY] = self._executor.peak * 2**20
        return wanted

    def _collect(self, key: str, future: Future[Any]) -> None:
        outcome: Message | Exception | None
        try:
            outcome = future.result()
        except CancelledError:
            outcome = None
        except Exception as error:
            outcome = error
        self._inbox.put(_TaskEnded(key=key, outcome=outcome))

    def _receive(self, found: Outcome | _Report | _TaskEnded) -> None:
        match found:
            case Prepared():
                self._preparation.note(found)
                self._resubmit()
            case Refused():
                self._preparation.note(found)
                self._refuse(found)
            case WorkerLeft():
                self._preparation.note(found)
            case _Report() if found.key in self._submitted:
                self._follow(self._submitted[found.key][0], found)
            case _TaskEnded() if found.key in self._submitted:
                batch, _ = self._submitted.pop(found.key)
                if found.key in self._rehearsals:
                    self._conclude_rehearsal(found.outcome)
                else:
                    self._note_outcome(batch, found.outcome)

    def _refuse(self, found: Refused) -> None:
        message = f"worker {found.worker} is not used: {found.reason}"
        if self._preparation.are_all_refused:
            raise ParameterError(f"executor={self._executor.address}: {message}")
        say(f"warning: {message}")

    def _resubmit(self) -> None:
        """Submit again what no worker could run: Dask does not notice that one can by now."""
        if self._was_without_slots:
            for key in list(self._submitted):
                batch, future = self._submitted.pop(key)
                future.cancel()
                if key not in self._rehearsals:
                    self._waiting.appendleft(batch)
        self._was_without_slots = False

    def _conclude_rehearsal(self, outcome: Message | Exception | None) -> None:
        if isinstance(outcome, Rehearsed) and not self._can_be_run:
            refuse_untrainable(self._task, outcome.reason)
        if outcome is not None:
            self._can_be_run = True

    def _follow(self, batch: Batch, report: _Report) -> None:
        if report.epoch is None:
            self._note_start(batch, report.worker)
        else:
            job = batch[report.position]
            self._epochs[job] = self._epochs.get(job, 0) + 1
            self._on_event(EpochEnded(job=job, epoch=report.epoch))

    def _note_start(self, batch: Batch, worker: str) -> None:
        earlier = self._started.get(batch)
        if earlier is not None:
            reason = f"worker {earlier} was lost"
            for job in batch:
                self._on_event(FoldRetried(job=job, reason=reason, traceback=reason))
        self._started[batch] = worker
        for job in batch:
            self._epochs[job] = 0
            self._on_event(FoldStarted(job=job))

    def _note_outcome(self, batch: Batch, outcome: Message | Exception | None) -> None:
        match outcome:
            case BatchFinished():
                self._finish(batch, outcome)
            case Failure():
                self._fail(batch, outcome)
            case remote.TaskMissingError():
                self._preparation.forget(str(outcome))
                self._waiting.appendleft(batch)
            case remote.TaskCancelledError():
                self._waiting.appendleft(batch)
            case Exception():
                reason = f"{type(outcome).__name__}: {outcome}"
                details = "".join(traceback.format_exception(outcome))
                self._fail(batch, Failure(reason=reason, traceback=details))
            case _:
                self._listen()  # a scheduler that was reached again does not know the topic
                self._waiting.appendleft(batch)

    def _finish(self, batch: Batch, outcome: BatchFinished) -> None:
        if batch not in self._started:
            self._note_start(batch, "")
        self._n_finished += len(batch)
        self._executor.note_peak(max(result.peak_memory for result in outcome.results))
        for event in finished(batch, outcome.results):
            if isinstance(event, FoldFinished):
                for epoch in event.result.epochs[self._epochs[event.job] :]:
                    self._on_event(EpochEnded(job=event.job, epoch=epoch))
            self._on_event(event)

    def _fail(self, batch: Batch, found: Failure) -> None:
        if batch not in self._started:
            self._note_start(batch, "")
        del self._started[batch]
        events, again = self._retries.after(batch, found)
        self._waiting.extendleft(reversed(again))
        for event in events:
            self._on_event(event)


def _needs(task: Task, fold_timeout: float | None, files: tuple[str, ...]) -> remote.Needs:
    return remote.Needs(
        method=task.method.name,
        versions=remote.installed_versions(),
        backend=backend_name(),
        arithmetic=task.arithmetic,
        threads=task.threads,
        fold_timeout=fold_timeout,
        files=files,
    )


def _name(batch: Batch) -> str:
    split = batch[0].split
    return f"r{split.repeat} f{split.fold}"
