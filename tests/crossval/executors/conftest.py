"""A Dask cluster on this computer, whose workers have their own caches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client


def python(*arguments: str, env: dict[str, str] | None = None) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A scheduler and workers, each a process with one thread and a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.workers: list[psutil.Popen] = []
        self.start_scheduler()

    @property
    def address(self) -> str:
        return f"dask://127.0.0.1:{self.port}"

    @property
    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def cache(self, number: int) -> Path:
        return self.folder / f"cache-{number}"

    def start_scheduler(self, **env: str) -> None:
        options = ["--host=127.0.0.1", f"--port={self.port}", "--dashboard-address=:0"]
        self.scheduler = python("distributed.cli.dask_scheduler", *options, env=env)
        while True:
            with suppress(ConnectionRefusedError), socket.create_connection(self.place):
                return
            time.sleep(0.05)

    def start_worker(self, **env: str) -> psutil.Popen:
        number = len(self.workers)
        scheduler = f"tcp://127.0.0.1:{self.port}"
        options = ["--nthreads=1", "--no-nanny", "--no-dashboard", "--host=127.0.0.1"]
        options.append(f"--local-directory={self.folder}")
        own = {"MER_CACHE_ROOT": str(self.cache(number)), **env}
        self.workers.append(python("distributed.cli.dask_worker", scheduler, *options, env=own))
        return self.workers[-1]

    def wait(self, n_workers: int) -> None:
        with Client(f"tcp://127.0.0.1:{self.port}", set_as_default=False) as client:
            while len(client.scheduler_info()["workers"]) != n_workers:
                time.sleep(0.05)

    def running(self) -> list[psutil.Process]:
        """Processes that run folds, of all workers."""
        found: list[psutil.Process] = []
        for worker in self.workers:
            with suppress(psutil.NoSuchProcess):
                found += worker.children()
        return found

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            with suppress(psutil.NoSuchProcess):  # it ended by itself
                process.kill()
            process.wait()


@pytest.fixture(scope="session", autouse=True)
def quick_connections() -> Iterator[None]:
    """Connections that are lost are given up soon."""
    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}):
        yield


@pytest.fixture(scope="module")
def make_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Cluster]]:
    """Function that starts a scheduler without workers."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Cluster(tmp_path_factory.mktemp("cluster"))))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers."""
    with ExitStack() as stack:
        made = stack.enter_context(closing(Cluster(tmp_path_factory.mktemp("cluster"))))
        made.start_worker()
        made.start_worker()
        made.wait(2)
        yield made


@pytest.fixture
def small_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """No worker yet."""
    with closing(Cluster(tmp_path)) as made:
        yield made
