"""Clusters whose Dask workers are jobs of a queueing system, such as SLURM.

The scheduler runs in this process, and its workers are submitted by dask-jobqueue.

References
----------
J. Hamman, M. Rocklin et al., "dask-jobqueue: deploy Dask on job queuing systems", 2018.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from mer_mlflow.crossval.executors.cluster import QUIET, SCHEMES, without_logs
from mer_mlflow.errors import ClusterError, ParameterError
from mer_mlflow.packages import require_package

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster

ADDRESS_LATER = "tcp://ADDRESS-OF-THE-SCHEDULER"
"""In a job script that is only printed."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queueing system.

    Attributes
    ----------
    cluster : class of dask-jobqueue
    account : its parameter for the account that pays for the jobs
    """

    cluster: str
    account: str


QUEUES = {
    "slurm": Queue(cluster="SLURMCluster", account="account"),
    "pbs": Queue(cluster="PBSCluster", account="account"),
    "lsf": Queue(cluster="LSFCluster", account="project"),
    "sge": Queue(cluster="SGECluster", account="project"),
}
"""All queueing systems by name, which is also their section of dask-jobqueue's configuration."""


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Equal jobs of a queueing system, each with one Dask worker.

    Attributes
    ----------
    system : one of :data:`QUEUES`
    n_jobs : int >= 1
    cores : int >= 1, cores of a job, which are the folds that it runs at once
    memory : memory of a job, such as ``16GB``
    time : time of a job, as the queueing system writes it
    partition : partition or queue
    account : account that pays for the jobs
    port : port of the scheduler, 0 for a free one

    What is None is taken from dask-jobqueue's configuration.
    """

    system: str
    n_jobs: int = 1
    cores: int | None = None
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    port: int = 0

    def script(self) -> str:
        """Return the script of a job, with a placeholder for the scheduler's address.

        Raises
        ------
        ParameterError
            If dask-jobqueue is missing, or does not accept a value.
        """
        job = self._class().job_cls
        options = self._options()
        for name in ("cores", "memory"):
            if name not in options:
                raise ParameterError(
                    f"{name}: is required, here or in a configuration of dask-jobqueue"
                )
        try:
            made = job(ADDRESS_LATER, name=self.system, **options)
        except (ValueError, TypeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ParameterError(f"cluster {self.system}: {reason}") from error
        return str(made.job_script())

    @contextlib.contextmanager
    def submitted(self) -> Iterator[RunningCluster]:
        """Start a scheduler and submit the jobs; all are cancelled at the end.

        Raises
        ------
        ParameterError
            If dask-jobqueue or the queueing system is missing, or does not accept a value.
        ClusterError
            If the scheduler cannot be started, or the jobs are not accepted.
        """
        import dask

        self.script()
        self._require_programs()
        section = dask.config.get(f"jobqueue.{self.system}.scheduler-options", {})
        own = {"port": self.port} if self.port else {}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Port .* is already in use")
                cluster = self._class()(
                    **self._options(), protocol=_protocol(), scheduler_options={**section, **own}
                )
        except (RuntimeError, OSError) as error:
            raise ClusterError(f"the scheduler cannot be started: {_last_line(error)}") from error
        with without_logs(*QUIET, "asyncio", "distributed.scheduler"), contextlib.closing(cluster):
            cluster.scale(jobs=self.n_jobs)
            running = RunningCluster(cluster)
            try:
                running.submit_lost_jobs()
            except RuntimeError as error:
                raise ClusterError(f"the jobs are not accepted: {_last_line(error)}") from error
            yield running

    def _class(self) -> Any:
        return getattr(_dask_jobqueue(self.system), QUEUES[self.system].cluster)

    def _options(self) -> dict[str, Any]:
        """Return the options of dask-jobqueue; without a value, a worker has all cores of a job."""
        import dask

        _dask_jobqueue(self.system)
        section = dask.config.get(f"jobqueue.{self.system}")
        options = {
            "cores": self.cores or section.get("cores"),
            "memory": self.memory or section.get("memory"),
            "walltime": self.time,
            "queue": self.partition,
            QUEUES[self.system].account: self.account,
            "processes": section.get("processes") or 1,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _require_programs(self) -> None:
        job = self._class().job_cls
        for program in (job.submit_command, job.cancel_command):
            if shutil.which(program) is None:
                raise ParameterError(
                    f"cluster {self.system}: there is no program {program} here; give the command "
                    f"where jobs of {self.system.upper()} are submitted, or dry_run=true"
                )


class RunningCluster:
    """A scheduler in this process, and its jobs.

    Parameters
    ----------
    cluster : of dask-jobqueue
    """

    def __init__(self, cluster: JobQueueCluster) -> None:
        self._cluster = cluster

    @property
    def address(self) -> str:
        """Value of ``executor`` for the commands that use it."""
        found: str = self._cluster.scheduler_address
        schemes = {theirs: ours for ours, theirs in SCHEMES.items()}
        scheme = next(each for each in schemes if found.startswith(each))
        return found.replace(scheme, schemes[scheme], 1)

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are encrypted, and only those with a certificate are accepted."""
        return str(self._cluster.scheduler_address).startswith(SCHEMES["dask+tls://"])

    @property
    def dashboard(self) -> str:
        """Address of Dask's dashboard."""
        return str(self._cluster.dashboard_link)

    @property
    def n_workers(self) -> int:
        """Number of workers that have started."""
        return len(self._cluster.scheduler_info["workers"])

    def submit_lost_jobs(self) -> None:
        """Submit again the jobs whose workers have been lost, for example at the end of their time.

        Raises
        ------
        RuntimeError
            If the queueing system does not accept them.
        """
        from distributed import Status

        jobs: dict[str, Any] = self._cluster.workers

        async def submit() -> None:
            with contextlib.suppress(RuntimeError):
                await self._cluster
            created = [name for name, job in jobs.items() if job.status == Status.created]
            refused = {name: jobs.pop(name) for name in created}
            for job in refused.values():  # dask-jobqueue would not submit them again
                job.status = Status.failed
            for name, job in refused.items():
                await job.start()
                jobs[name] = job

        self._cluster.sync(submit)


def use_configuration(file: Path, system: str) -> None:
    """Use a YAML file of dask-jobqueue.

    Parameters
    ----------
    file : file with a mapping ``jobqueue``
    system : one of :data:`QUEUES`, whose section it must have

    Raises
    ------
    ParameterError
        If dask-jobqueue is missing, or the file cannot be used.
    """
    _dask_jobqueue(system)
    import dask

    try:
        read = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"config={file}: {' '.join(str(error).split())}") from error
    jobqueue = read.get("jobqueue") if isinstance(read, Mapping) else None
    if not isinstance(jobqueue, Mapping) or not isinstance(jobqueue.get(system), Mapping):
        raise ParameterError(
            f"config={file}: has no section jobqueue: {system}:, see the configuration of "
            "dask-jobqueue"
        )
    dask.config.update(dask.config.config, read, priority="new")


def _dask_jobqueue(system: str) -> ModuleType:
    """Import dask-jobqueue, which replaces the handlers of signals when it is imported."""
    require_package("dask_jobqueue", needed_by=f"cluster {system}")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    import dask_jobqueue

    for number, handler in handlers.items():
        signal.signal(number, handler)
    return dask_jobqueue


def _protocol() -> str | None:
    """Return ``tls://`` where Dask's configuration has certificates."""
    import dask

    has_certificates = dask.config.get("distributed.comm.tls.ca-file", None) is not None
    return SCHEMES["dask+tls://"] if has_certificates else None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.endswith(":")), "")
