"""cluster: a Dask cluster whose workers are jobs of a queueing system."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mer_mlflow.commands.command import OK
from mer_mlflow.commands.parameters import CLUSTER
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.text import pairs, parse
from mer_mlflow.paths import given_path

if TYPE_CHECKING:
    from mer_mlflow.crossval.executors.queues import RunningCluster

SYSTEM = "system"
LOOK_SECONDS = 1.0
"""Time between looks for workers that came, and for jobs that are to be submitted again."""


def cluster(
    *, system: str, config: str | None = None, dry_run: bool = False, jobs: int = 1, **job: Any
) -> int:
    """Start a scheduler in this process and submit its workers; Ctrl-C cancels them.

    Parameters
    ----------
    system : ``slurm``, ``pbs``, ``lsf`` or ``sge``
    config : YAML file of dask-jobqueue
    dry_run : whether to print the script of a job only
    jobs : number of jobs
    job : what a job needs, see :class:`mer_mlflow.crossval.executors.queues.Jobs`

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If dask-jobqueue or the queueing system is missing, or does not accept a value.
    """
    from mer_mlflow.crossval.executors.queues import Jobs, use_configuration

    if config is not None:
        use_configuration(given_path(config, name="config"), system)
    wanted = Jobs(system=system, n_jobs=jobs, **job)
    if dry_run:
        print(wanted.script(), end="", flush=True)
        return OK
    try:
        with wanted.submitted() as running:
            _announce(running, wanted.n_jobs)
            _watch(running, wanted.n_jobs)
    except KeyboardInterrupt:
        print(f"{jobs} jobs are cancelled", flush=True)
    return OK


def _announce(running: RunningCluster, n_jobs: int) -> None:
    print(f"scheduler: executor={running.address}")
    print(f"dashboard of the cluster: {running.dashboard}")
    if not running.is_encrypted:
        print(
            "warning: whoever reaches the scheduler can run programs on its workers; Dask's "
            "configuration can name certificates"
        )
    print(f"{n_jobs} jobs are submitted; Ctrl-C cancels them", flush=True)


def _watch(running: RunningCluster, n_jobs: int) -> None:
    """Report changes of the number of workers, until this process is interrupted."""
    before, fault = 0, ""
    while True:
        now = running.n_workers
        if now != before:
            print(f"workers: {now} of {n_jobs}", flush=True)
        before = now
        time.sleep(LOOK_SECONDS)
        try:
            running.submit_lost_jobs()
        except RuntimeError as error:
            if str(error) != fault:
                print(f"warning: a job is not accepted: {' '.join(str(error).split())}", flush=True)
            fault = str(error)


def main(arguments: Sequence[str]) -> int:
    """Run ``cluster``."""
    found = list(pairs(CLUSTER, arguments, bare=SYSTEM))
    given: dict[str, Any] = parse(CLUSTER, [f"--{name}={text}" for name, text in found])
    if given[SYSTEM] is None:
        raise ParameterError(f"{SYSTEM}: is required; `mer cluster --help` lists the parameters")
    return cluster(**given)
