"""Preparation of Dask workers: each is examined, and gets the files that it lacks and the task."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mer_mlflow.crossval.executors import remote
from mer_mlflow.crossval.executors.transfer import PackedTask, blocks
from mer_mlflow.crossval.rehearsal import failure_reason

if TYPE_CHECKING:
    from distributed import Client, Future

LOOK_SECONDS = 1.0
"""Time between looks for workers that came or went."""
WAIT_SECONDS = 1.0
RESULT_SECONDS = 30.0
"""Time that a result of a few bytes may take once it is there."""
BLOCK_BYTES = 1 << 25
"""Size of the groups of files that are sent together."""
FIRST = 10
"""Dask priority of a preparation, so that it does not wait for folds."""
GPU, MEMORY = "GPU", "MEMORY"
"""Dask resources that a worker may declare: a number, and bytes."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A Dask worker has all that jobs need, and runs so many folds at once."""

    worker: str
    slots: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A Dask worker cannot run jobs, for a reason of one line."""

    worker: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkerLeft:
    """A Dask worker left while it was prepared, or is not needed any more."""

    worker: str


Outcome = Prepared | Refused | WorkerLeft


class WorkerLeftError(Exception):
    """See :class:`WorkerLeft`."""


class Preparation:
    """Prepares all Dask workers for a task, each in a thread of its own.

    A prepared worker has units of a Dask resource: Dask gives it as many folds at once.

    Parameters
    ----------
    client : connected
    packed : the task
    needs : what its jobs need
    resource : name of the Dask resource
    uses_network : whether the method trains a network
    on_outcome : called from other threads with every outcome
    """

    def __init__(
        self,
        client: Client,
        packed: PackedTask,
        needs: remote.Needs,
        *,
        resource: str,
        uses_network: bool,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self.token = uuid.uuid4().hex[:8]
        self.resource = resource
        self.slots: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self._client, self._packed, self._needs = client, packed, needs
        self._uses_network = uses_network
        self._on_outcome = on_outcome
        self._present: dict[str, Mapping[str, Any]] = {}
        self._pending: set[str] = set()
        self._next_look = 0.0
        self._is_closed = False

    @property
    def are_all_refused(self) -> bool:
        """Whether every worker of the cluster was refused."""
        return bool(self._present) and self._present.keys() <= self.refused.keys()

    @property
    def has_workers(self) -> bool:
        """Whether the cluster has any worker."""
        return bool(self._present)

    @property
    def declared(self) -> set[str]:
        """Names of the Dask resources that workers declare."""
        return {name for each in self._present.values() for name in each["resources"]}

    def look(self, peak: float | None) -> None:
        """Find workers that came or went, at most once a second; prepare those that came.

        Parameters
        ----------
        peak : memory of a fold [MiB], None where it is not known yet
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._present = dict(self._client.scheduler_info()["workers"])
        self.slots = {key: value for key, value in self.slots.items() if key in self._present}
        self._update_slots(peak)
        for worker in self._present.keys() - self.slots.keys() - self.refused.keys():
            if worker not in self._pending and self._slots_of(worker, peak):
                self._pending.add(worker)
                threading.Thread(target=self._prepare, args=(worker, peak), daemon=True).start()

    def note(self, outcome: Outcome) -> None:
        """Take note of an outcome, in the thread that uses this object."""
        self._pending.discard(outcome.worker)
        match outcome:
            case Prepared():
                self.slots[outcome.worker] = outcome.slots
            case Refused():
                self.refused[outcome.worker] = outcome.reason

    def forget(self, worker: str) -> None:
        """Prepare a worker again, which does not have the task."""
        self.slots.pop(worker, None)

    def end(self) -> None:
        """End the processes of all workers; one that does not answer is not waited for."""
        self._is_closed = True
        thread = threading.Thread(target=self._end, daemon=True)
        thread.start()
        thread.join(RESULT_SECONDS / 10)

    def _end(self) -> None:
        self._client.run(remote.forget_task, self.token, self.resource, on_error="ignore")

    def _slots_of(self, worker: str, peak: float | None) -> int:
        """Return how many folds a worker can run at once.

        As long as the memory of a fold is not known, a worker trains one network at a time.
        """
        facts = self._present[worker]
        slots, limit = int(facts["nthreads"]), facts["memory_limit"]
        if self._uses_network and peak is None:
            slots = min(slots, 1)
        if peak and limit:
            slots = min(slots, max(1, int(limit / 2**20 / peak)))
        if self._uses_network and GPU in self.declared:
            slots = min(slots, int(facts["resources"].get(GPU, 0)))
        return slots

    def _update_slots(self, peak: float | None) -> None:
        for worker, slots in self.slots.items():
            now = self._slots_of(worker, peak)
            if now != slots:
                self.slots[worker] = now
                self._set_slots(worker, now)

    def _set_slots(self, worker: str, slots: int) -> None:
        self._client.run(
            remote.set_slots, self.resource, slots, workers=[worker], on_error="ignore"
        )

    def _prepare(self, worker: str, peak: float | None) -> None:
        outcome: Outcome = WorkerLeft(worker=worker)
        try:
            examined: remote.Examined = self._call(worker, remote.examine, self._needs)
            if examined.fault is None:
                self._send_files(worker, examined.lacking)
                content = self._client.scatter(self._packed.content, workers=[worker], hash=False)
                self._call(worker, remote.receive_task, self.token, self._needs, content)
                slots = self._slots_of(worker, peak)
                self._set_slots(worker, slots)
                outcome = Prepared(worker=worker, slots=slots)
            else:
                outcome = Refused(worker=worker, reason=examined.fault)
        except (WorkerLeftError, CancelledError, KeyError):
            pass
        except Exception as error:
            outcome = Refused(worker=worker, reason=failure_reason(error))
        self._on_outcome(outcome)

    def _send_files(self, worker: str, names: tuple[str, ...]) -> None:
        """Send files to a worker: from another one, or from this machine."""
        for group in blocks(self._packed.files, names, size=BLOCK_BYTES):
            sources = [each for each in self.slots if each != worker]
            try:
                if not sources:
                    raise WorkerLeftError
                contents = self._submit(random.choice(sources), remote.read_files, group)  # noqa: S311
                self._result(worker, self._submit(worker, remote.write_files, group, contents))
            except Exception:
                own = [self._packed.files[name].read_bytes() for name in group]
                contents = self._client.scatter([own], workers=[worker], hash=False)[0]
                self._call(worker, remote.write_files, group, contents)

    def _call(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._result(worker, self._submit(worker, function, *arguments))

    def _submit(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._client.submit(
            function,
            *arguments,
            key=f"{function.__name__}-{uuid.uuid4().hex[:8]}",
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            priority=FIRST,
        )

    def _result(self, worker: str, future: Future[Any]) -> Any:
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        while not ended.wait(WAIT_SECONDS):
            if self._is_closed or worker not in self._present:
                future.cancel()
                raise WorkerLeftError
        return future.result(timeout=RESULT_SECONDS)
