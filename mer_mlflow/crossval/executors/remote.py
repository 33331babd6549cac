"""Functions that run on Dask workers.

A Dask worker runs no fold itself. It keeps a worker process for each fold that it runs at once,
started and replaced as on the machine of the command: with the task's arithmetic and threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from mer_mlflow._version import __version__
from mer_mlflow.arithmetic import check_arithmetic
from mer_mlflow.cache import cache_root
from mer_mlflow.crossval.executors.messages import BatchEpoch, Message
from mer_mlflow.crossval.executors.pool import (
    JOBS_PER_WORKER,
    Pool,
    WorkerProcess,
    worker_environment,
)
from mer_mlflow.crossval.executors.transfer import FileCache
from mer_mlflow.crossval.jobs import Batch
from mer_mlflow.errors import MerError
from mer_mlflow.methods import get_method
from mer_mlflow.networks import backend_name
from mer_mlflow.training import require_framework

if TYPE_CHECKING:
    from distributed import Worker

IDLE_SECONDS = 60.0
"""Time after which a process that runs nothing is ended, and gives back its memory."""
LIBRARIES = ("numpy", "scipy", "scikit-learn", "keras", "tensorflow", "torch")
"""Packages whose version changes scores, and which runs record as those of the command."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the jobs of a task need of a Dask worker.

    Attributes
    ----------
    method : name of the methodology
    versions : of this package and of those that it computes with, by name
    backend : of Keras
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`
    threads : int >= 1, arithmetic threads of a process
    fold_timeout : seconds that a job may take, None for any
    files : names of the files that the task reads
    """

    method: str
    versions: Mapping[str, str]
    backend: str
    arithmetic: str
    threads: int
    fold_timeout: float | None
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a Dask worker has: why it cannot run jobs, None if it can, and the files it lacks."""

    fault: str | None
    lacking: tuple[str, ...] = ()


class TaskMissingError(RuntimeError):
    """This Dask worker does not have the task."""


class TaskCancelledError(RuntimeError):
    """The result of a job is not wanted any more."""


def installed_versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of this package and of libraries that are installed, by name.

    Parameters
    ----------
    libraries : names of packages, by default those on which folds depend
    """
    versions = {"mer_mlflow": __version__}
    for library in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return versions


def examine(needs: Needs) -> Examined:
    """Return whether this Dask worker can run the jobs of a task, and which files it lacks.

    Parameters
    ----------
    needs : what the jobs need
    """
    fault = _fault(needs)
    if fault is not None:
        return Examined(fault=fault)
    return Examined(fault=None, lacking=lacking_files(needs.files))


def version_fault(here: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """Return how the versions of this Dask worker differ, None if they do not.

    Parameters
    ----------
    here, expected : versions on this machine and on that of the command, by name
    """
    others = [
        f"{name} {here.get(name, 'is missing')}, not {expected.get(name, 'none')}"
        for name in sorted(expected.keys() | here.keys(), key=lambda name: "_" not in name)
        if here.get(name) != expected.get(name)
    ]
    return ", ".join(others) or None


def _fault(needs: Needs) -> str | None:
    fault = version_fault(installed_versions(), needs.versions)
    if fault is not None:
        return fault
    if needs.backend != backend_name():
        return f"KERAS_BACKEND {backend_name()}, not {needs.backend}"
    try:
        require_framework(get_method(needs.method))
        check_arithmetic(needs.arithmetic)
    except MerError as error:
        return str(error)
    return None


def lacking_files(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the files that this Dask worker lacks."""
    return tuple(_file_cache().lacking(names))


def read_files(names: Sequence[str]) -> list[bytes]:
    """Return the content of files of this Dask worker, for another one."""
    return _file_cache().read(names)


def write_files(names: Sequence[str], contents: Sequence[bytes]) -> None:
    """Write files that this Dask worker lacks."""
    _file_cache().write(names, contents)


def receive_task(token: str, needs: Needs, content: bytes) -> None:
    """Make a task known to this Dask worker.

    Parameters
    ----------
    token : name of the task
    needs : what its jobs need
    content : the packed task
    """
    with _LOCK:
        if token not in _RECEIVED:
            _RECEIVED[token] = _ReceivedTask(needs, content)


def run_batch(token: str, key: str, packed_batch: bytes, topic: str) -> Message:
    """Run a batch in a worker process; its start and its epochs are reported at once.

    Parameters
    ----------
    token : name of the task
    key : name of the batch in reports, that of the Dask task
    packed_batch : pickle of the batch
    topic : Dask topic for reports

    Raises
    ------
    TaskMissingError
        If this Dask worker does not have the task.
    TaskCancelledError
        If the Dask task was cancelled meanwhile.
    """
    from distributed import get_worker

    batch: Batch = pickle.loads(packed_batch)  # noqa: S301, the command wrote it
    dask_worker = get_worker()
    received = _received(token, dask_worker)
    report = {"key": key, "worker": dask_worker.address}
    dask_worker.log_event(topic, report)

    def on_epoch(found: BatchEpoch) -> None:
        epoch = {"position": found.position, "epoch": asdict(found.epoch)}
        dask_worker.log_event(topic, report | epoch)

    return received.answer(
        lambda pool, worker: pool.start(worker, batch),
        on_epoch=on_epoch,
        on_tick=lambda: _require_wanted(dask_worker, key),
    )


def rehearse(token: str, key: str, packed_batch: bytes) -> Message:
    """Rehearse the first job of a batch, see :mod:`mer_mlflow.crossval.rehearsal`."""
    from distributed import get_worker

    batch: Batch = pickle.loads(packed_batch)  # noqa: S301, the command wrote it
    dask_worker = get_worker()
    return _received(token, dask_worker).answer(
        lambda pool, worker: pool.rehearse(worker, batch[0]),
        on_epoch=lambda found: None,
        on_tick=lambda: _require_wanted(dask_worker, key),
    )


async def set_slots(resource: str, slots: int, dask_worker: Worker) -> None:
    """Set the number of folds that this Dask worker runs at once.

    Parameters
    ----------
    resource : name of the Dask resource of which each fold takes one unit
    slots : int >= 0
    """
    await dask_worker.set_resources(**{resource: slots})


async def forget_task(token: str, resource: str, dask_worker: Worker) -> None:
    """Forget a task, and end the processes that run its jobs."""
    await set_slots(resource, 0, dask_worker)
    with _LOCK:
        received = _RECEIVED.pop(token, None)
    if received is not None:
        await asyncio.to_thread(received.close)


def _received(token: str, dask_worker: Worker) -> _ReceivedTask:
    with _LOCK:
        received = _RECEIVED.get(token)
    if received is None:
        raise TaskMissingError(dask_worker.address)
    return received


def _require_wanted(dask_worker: Worker, key: str) -> None:
    """Raise an error if a Dask task was cancelled: Dask itself does not end what is running."""
    state = dask_worker.state.tasks.get(key)
    if state is None or state.state not in ("executing", "long-running"):
        raise TaskCancelledError(key)


@cache
def _file_cache() -> FileCache:
    return FileCache(cache_root())


class _ReceivedTask:
    """A task on this Dask worker, and the processes that run its jobs.

    Parameters
    ----------
    needs : what the jobs need
    content : the packed task, kept in a file that has no name
    """

    def __init__(self, needs: Needs, content: bytes) -> None:
        self._variables = worker_environment(needs.threads, needs.arithmetic)
        self._fold_timeout = needs.fold_timeout
        self._most_jobs = JOBS_PER_WORKER[get_method(needs.method).framework]
        self._idle: list[Pool] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(IDLE_SECONDS, self._end_idle)
        self._is_closed = False
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the task
        self._file.write(content)
        self._file.flush()

    def answer(
        self,
        order: Callable[[Pool, WorkerProcess], None],
        *,
        on_epoch: Callable[[BatchEpoch], None],
        on_tick: Callable[[], None],
    ) -> Message:
        """Send an order to a process, and return its answer.

        Parameters
        ----------
        order : called with the pool that has one process, and the process
        on_epoch : called after every epoch
        on_tick : called again and again while nothing is received
        """

        def check() -> None:
            if self._is_closed:
                raise TaskCancelledError
            on_tick()

        with self._process() as (pool, worker):
            order(pool, worker)
            while True:
                _, message = pool.receive(check)
                if not isinstance(message, BatchEpoch):
                    return message
                on_epoch(message)

    def close(self) -> None:
        """End all processes; those that run jobs end within a tick."""
        self._is_closed = True
        self._end_idle()
        self._file.close()

    @contextlib.contextmanager
    def _process(self) -> Iterator[tuple[Pool, WorkerProcess]]:
        with self._lock:
            pool = self._idle.pop() if self._idle else None
        if pool is None:
            pool = Pool(self._file, self._variables, fold_timeout=self._fold_timeout)
            pool.start_worker()
        with contextlib.ExitStack() as stack:
            stack.push(pool)
            (worker,) = pool.workers
            yield pool, worker
            if not (self._is_closed or worker.must_be_replaced(self._most_jobs)):
                stack.pop_all()
                self._keep(pool, worker)

    def _keep(self, pool: Pool, worker: WorkerProcess) -> None:
        worker.deadline = float("inf")
        worker.batch = ()
        with self._lock:
            self._idle.append(pool)
            self._timer.cancel()
            self._timer = threading.Timer(IDLE_SECONDS, self._end_idle)
            self._timer.daemon = True
            self._timer.start()

    def _end_idle(self) -> None:
        with self._lock:
            self._timer.cancel()
            idle, self._idle = self._idle, []
        for pool in idle:
            pool.__exit__(None, None, None)


_RECEIVED: dict[str, _ReceivedTask] = {}
_LOCK = threading.Lock()
