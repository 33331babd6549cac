"""A cluster of separate hosts: network namespaces of this computer, with TLS between them.

Each host has its own network, cache, home and working folder. The program itself and Python are
those of this computer.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client

from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.executors import (
    Executor,
    FoldEvent,
    FoldFinished,
    FoldRetried,
    FoldStarted,
    make_executor,
)
from mer_mlflow.crossval.jobs import Batch, Job, Task
from mer_mlflow.crossval.setting import gather, resolve_setting, task_of
from mer_mlflow.datasets import Clips
from mer_mlflow.methods import get_method
from mer_mlflow.representations import open_store

pytestmark = pytest.mark.platform

ROOT = Path(__file__).parents[2]
BRIDGE, SUBNET = "mer-bridge", "10.213.77"
HOSTS = ("mer-a", "mer-b")
PORT = 8786
COMM = "DASK_DISTRIBUTED__COMM"
START_SECONDS = 120.0
N_CUTS = int(os.environ.get("MER_FAULT_CLUSTER", "1"))
SUPERVISOR = 'while true; do "$@"; done'
"""Starts a worker again: one that was cut off ends when it reaches the scheduler again."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """A bridge, and a namespace for each host."""
    if shutil.which("ip") is None or os.geteuid():
        pytest.skip("network namespaces need ip and root")
    with ExitStack() as stack:

        def undo(*words: str) -> None:
            stack.callback(lambda: subprocess.run(["ip", *words], capture_output=True))

        try:
            undo("link", "del", BRIDGE)
            ip("link", "add", BRIDGE, "type", "bridge")
            ip("address", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
            ip("link", "set", BRIDGE, "up")
            for number, host in enumerate(HOSTS, start=2):
                undo("link", "del", host)
                undo("netns", "del", host)
                ip("netns", "add", host)
                ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", host)
                ip("link", "set", host, "master", BRIDGE, "up")
                ip("-n", host, "address", "add", f"{SUBNET}.{number}/24", "dev", "eth0")
                ip("-n", host, "link", "set", "eth0", "up")
                ip("-n", host, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            if b"not permitted" not in error.stderr:
                raise
            pytest.skip(f"network namespaces: {error.stderr.decode()}")
        yield


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of everything that takes part: one authority, one certificate, TLS only."""
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2"
    subprocess.run(
        ["openssl", *words.split(), "-subj", "/CN=mer-cluster"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    variables = {f"{COMM}__REQUIRE_ENCRYPTION": "True", f"{COMM}__TLS__CA_FILE": certificate}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables |= {
            f"{COMM}__TLS__{role}__CERT": certificate,
            f"{COMM}__TLS__{role}__KEY": key,
        }
    return variables


@pytest.fixture(scope="module")
def hosts(
    network: None, certificates: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """Folder of each host, with a running worker."""
    folders = {host: tmp_path_factory.mktemp(host) for host in HOSTS}
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s"}
    scheduler = f"tls://{SUBNET}.1:{PORT}"
    with ExitStack() as stack:

        def start(command: list[str], env: dict[str, str], folder: Path) -> None:
            log = stack.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen(
                ["sh", "-c", SUPERVISOR, "sh", *command],
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **certificates, **ttl, **env},
                cwd=folder,
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)

        options = [f"--host={SUBNET}.1", f"--port={PORT}", "--protocol=tls", "--no-dashboard"]
        module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        start([*module, *options], {}, tmp_path_factory.mktemp("scheduler"))
        for number, host in enumerate(HOSTS, start=2):
            own = {"MER_CACHE_ROOT": str(folders[host] / "cache"), "HOME": str(folders[host])}
            module = ["ip", "netns", "exec", host, sys.executable, "-m"]
            options = [f"--host={SUBNET}.{number}", "--nthreads=1", "--no-dashboard"]
            options += [f"--local-directory={folders[host]}", "--death-timeout=90"]
            start([*module, "distributed.cli.dask_worker", scheduler, *options], own, folders[host])
        with _security(certificates):
            wait_for(len(HOSTS))
            yield folders


def _security(variables: dict[str, str]) -> Any:
    names = {name.removeprefix("DASK_").replace("__", ".").lower(): name for name in variables}
    config = {
        key.replace("require_encryption", "require-encryption").replace("ca_file", "ca-file"): (
            variables[name] if "encryption" not in key else True
        )
        for key, name in names.items()
    }
    return dask.config.set(config)


def wait_for(n_workers: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), Client(f"tls://{SUBNET}.1:{PORT}", set_as_default=False) as client:
            if len(client.scheduler_info()["workers"]) == n_workers:
                return
        time.sleep(0.2)
    raise TimeoutError(f"there are not {n_workers} workers")


@pytest.fixture(scope="module")
def job(demo: Clips) -> tuple[Task, list[Batch]]:
    """The audio of the demo, of which workers have nothing."""
    plan = split_plan(demo, n_splits=3, n_repeats=1)
    method = get_method("cnn")
    setting = resolve_setting(
        method, demo, plan, duration=4.5, hyperparameters={"epochs": 1, "batch_size": 16}
    )
    examples = gather(setting, store=open_store())
    batches = [(Job(split=each, hyperparameters=setting.hyperparameters),) for each in plan.splits]
    return task_of(setting, examples), list(batches)


def run(
    executor: Executor,
    job: tuple[Task, list[Batch]],
    on_event: Callable[[FoldEvent], None] = lambda event: None,
) -> list[FoldEvent]:
    events: list[FoldEvent] = []

    def note(event: FoldEvent) -> None:
        events.append(event)
        on_event(event)

    executor.run(*job, on_event=note)
    return events


def probabilities(events: list[FoldEvent]) -> dict[str, Any]:
    return {
        each.result.split_id: each.result.prediction.probabilities
        for each in events
        if isinstance(each, FoldFinished)
    }


@pytest.fixture(scope="module")
def expected(job: tuple[Task, list[Batch]]) -> dict[str, Any]:
    """What this computer alone predicts."""
    return probabilities(run(make_executor(1), job))


@pytest.fixture
def executor() -> Executor:
    return make_executor(1, cluster=f"dask+tls://{SUBNET}.1:{PORT}")


def assert_all_once(found: list[FoldEvent], expected: dict[str, Any]) -> None:
    ends = [each.result.split_id for each in found if isinstance(each, FoldFinished)]
    assert sorted(ends) == sorted(expected)
    for key, values in probabilities(found).items():
        assert np.array_equal(values, expected[key])


def test_hosts_without_the_data_give_the_scores_of_one_computer(
    hosts: dict[str, Path],
    executor: Executor,
    job: tuple[Task, list[Batch]],
    expected: dict[str, Any],
) -> None:
    found = run(executor, job)
    assert_all_once(found, expected)
    assert sum(isinstance(event, FoldStarted) for event in found) == len(expected)
    n_entries = len(job[0].examples)
    for folder in hosts.values():
        entries = list((folder / "cache" / "store").rglob("*.npy"))
        assert len(entries) == n_entries


def test_unencrypted_connection_is_refused(hosts: dict[str, Path]) -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": False}),
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        pytest.raises(OSError),
    ):
        Client(f"tcp://{SUBNET}.1:{PORT}", set_as_default=False)


@pytest.mark.parametrize("number", range(N_CUTS))
def test_host_whose_link_is_cut_loses_its_fold_only(
    number: int,
    hosts: dict[str, Path],
    executor: Executor,
    job: tuple[Task, list[Batch]],
    expected: dict[str, Any],
) -> None:
    task, batches = job
    cut = threading.Event()

    def join() -> None:
        time.sleep(30)
        ip("link", "set", HOSTS[number % 2], "up")

    joining = threading.Thread(target=join)

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldStarted) and not cut.is_set():
            cut.set()
            ip("link", "set", HOSTS[number % 2], "down")
            joining.start()

    found = run(executor, (task, batches), on_event)
    joining.join()
    assert_all_once(found, expected)
    lost = [event for event in found if isinstance(event, FoldRetried)]
    assert len(lost) <= 1
    assert all(f"worker tls://{SUBNET}.{2 + number % 2}:" in event.reason for event in lost)
    wait_for(len(HOSTS))
    again = [(replace(batch[0]),) for batch in batches[:2]]
    found = run(executor, (task, again))
    assert_all_once(found, {each[0].split.id: expected[each[0].split.id] for each in again})
