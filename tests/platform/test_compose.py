"""docker-compose.yml, read: valid, pinned, closed, without passwords."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "docker-compose.tls.yml")
ONE_SHOT = {"studies", "users", "worker", "worker-cuda"}
"""Services that end by themselves: others wait for their end, not for their health."""
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")


@pytest.fixture(scope="session")
def tls() -> dict[str, Any]:
    """What docker-compose.tls.yml adds."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.tls.yml").read_text())
    return content


@pytest.fixture(scope="session")
def every(compose: dict[str, Any], tls: dict[str, Any]) -> dict[str, Any]:
    """The services of both files that have an image."""
    return {**compose["services"], "caddy": tls["services"]["caddy"]}


@pytest.mark.parametrize("name", FILES)
def test_file_follows_the_schema_of_compose(name: str) -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, "-m", *check, str(ROOT / name)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_is_pinned(every: dict[str, Any]) -> None:
    for name, service in every.items():
        tag = service["image"].partition("@")[0].rpartition(":")[2]
        assert tag not in ("", "latest") and "/" not in tag, name
    for path in (ROOT / "Dockerfile", ROOT / "server" / "Dockerfile"):
        (image,) = re.findall(r"^FROM (\S+)$", path.read_text(), re.M)
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+(@sha256:\w{64})?", image)


def test_every_lasting_service_has_a_health_check(every: dict[str, Any]) -> None:
    for name, service in every.items():
        assert ("healthcheck" in service) != (name in ONE_SHOT), name
        for other, wait in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert wait["condition"] == expected, name


def test_ports_are_few_and_bound_to_this_computer(services: dict[str, Any]) -> None:
    ports = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert ports == {
        "mlflow": ["127.0.0.1:5000:5000"],
        "optuna-dashboard": ["127.0.0.1:8080:8080"],
        "page": ["127.0.0.1:7860:7860"],
        "dask-scheduler": ["127.0.0.1:8787:8787"],
    }
    assert not any("network_mode" in each for each in services.values())


CAPABILITIES = {
    "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
    "optuna-postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
    "garage": {"DAC_OVERRIDE"},
    "caddy": {"NET_BIND_SERVICE"},
}


def test_every_container_is_confined(every: dict[str, Any]) -> None:
    for name, service in every.items():
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", ())) == CAPABILITIES.get(name, set()), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert service["logging"]["driver"] == "json-file", name
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys(), name
        if service["image"].startswith("mer-mlflow-"):
            assert service["user"] == "${MER_UID:-1000}:${MER_GID:-1000}", name
            mounts = [*service.get("tmpfs", ()), *service.get("volumes", ())]
            assert any(mount.partition(":")[0] == "/tmp" for mount in mounts), name


def test_limits_are_numbers_that_every_computer_has(
    resolve: Callable[[dict[str, str]], dict[str, Any]],
) -> None:
    for service in resolve({}).values():
        assert float(service["cpus"]) <= 1, "Docker refuses more processors than there are"
        assert re.fullmatch(r"\d+[gm]", service["mem_limit"])


def test_workers_do_not_reach_the_database_of_mlflow(
    compose: dict[str, Any], tls: dict[str, Any]
) -> None:
    networks = {name: set(each["networks"]) for name, each in compose["services"].items()}
    known = {"front", "back", "cluster"}
    assert set(compose["networks"]) == known == set.union(*networks.values())
    assert compose["networks"]["back"]["internal"] is True
    assert {name for name, each in networks.items() if "back" in each} == {
        "postgres",
        "garage",
        "mlflow",
    }
    assert networks["postgres"] == networks["garage"] == {"back"}
    for name in ("worker", "worker-cuda"):
        assert networks[name] == {"front", "cluster"}
        assert compose["services"][name]["environment"]["PGHOST"] == "optuna-postgres"
    for name in ("dask-scheduler", "dask-worker"):  # they run what anyone on their network sends
        assert networks[name] == {"cluster"}
        assert compose["services"][name]["secrets"] == []
    assert tls["services"]["caddy"]["networks"] == ["front"]


def test_volumes_are_named_and_folders_are_read_only(
    compose: dict[str, Any], tls: dict[str, Any], every: dict[str, Any]
) -> None:
    mounted = [each for item in every.values() for each in item.get("volumes", ())]
    named = {each.split(":")[0] for each in mounted if re.match(r"[\w-]+:", each)}
    assert named == set(compose["volumes"]) | set(tls["volumes"])
    folder = re.compile(r"(\./server/|\$\{MER_\w+:-\./server/empty\}).*:ro")
    without_name = "/tmp"
    for each in mounted:
        assert each == without_name or re.match(r"[\w-]+:/", each) or folder.fullmatch(each), each


def test_secrets_are_files(
    compose: dict[str, Any], every: dict[str, Any], secrets: dict[str, str]
) -> None:
    """Each service has the files that it reads, and no other; all are made by server/new-env."""
    declared = {name: each["file"] for name, each in compose["secrets"].items()}
    assert declared == {name: f"./secrets/{name}" for name in secrets}
    used = set()
    for name, service in every.items():
        read = set()
        for variable, value in service.get("environment", {}).items():
            if match := re.fullmatch("/run/secrets/(.+)", str(value)):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                read.add(match[1])
            else:
                assert not SECRET.search(variable), f"{name}: {variable}"
        assert set(service.get("secrets", ())) == read, name
        used |= read
    assert used == set(secrets)
    for name in ("worker", "worker-cuda"):
        worker = {"mlflow_writer_password", "optuna_database_password"}
        assert set(compose["services"][name]["secrets"]) == worker


def test_page_only_reads_from_mlflow(compose: dict[str, Any]) -> None:
    page = compose["services"]["page"]
    assert page["environment"]["MLFLOW_TRACKING_USERNAME"] == "reader"
    assert page["secrets"] == ["mlflow_reader_password"]
    assert "PGHOST" not in page["environment"] and page["networks"] == ["front"]


def test_no_password_is_written_down() -> None:
    auth = configparser.ConfigParser()
    auth.read(ROOT / "server" / "basic_auth.ini")
    assert "admin_password" not in auth["mlflow"]
    store = tomllib.loads((ROOT / "server" / "garage.toml").read_text())
    assert "rpc_secret" not in store and "admin" not in store


def test_no_password_is_on_a_command_line(
    services: dict[str, Any], secrets: dict[str, str]
) -> None:
    for service in services.values():
        check = service.get("healthcheck", {"test": ()})["test"]
        words = " ".join([*service.get("command", ()), *check])
        assert not any(value in words for value in secrets.values())


def test_env_example_lists_what_compose_reads() -> None:
    read = {"COMPOSE_FILE"}
    for name in FILES:
        read |= set(re.findall(r"\$\{(\w+)", (ROOT / name).read_text()))
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^# ([A-Z][A-Z0-9_]*)=", text, re.M)) == read
    assert re.findall(r"^[^#\n]", text, re.M) == [], "a setting that is not set has a default"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what server/new-env needs."""
    (tmp_path / "server").mkdir()
    for name in (".env.example", "server/new-env"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def new_env(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([project / "server" / "new-env"], capture_output=True, text=True)


def read_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_new_env_makes_secrets_that_only_the_owner_reads(project: Path) -> None:
    done = new_env(project)
    assert done.returncode == 0, done.stderr
    folder = project / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    owner = os.getuid() or 1000
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_uid == owner, "containers do not run as root"
    found = read_files(folder)
    garage = found.pop("garage.env")
    assert len(set(found.values())) == len(found)
    assert all(len(value) >= 32 and value.isalnum() for value in found.values())
    for name, file in (("ACCESS", "s3_access_key"), ("SECRET", "s3_secret_key")):
        assert f"GARAGE_DEFAULT_{name}_KEY='{found[file]}'\n" in garage
    text = (project / ".env").read_text()
    assert f"\nMER_UID={owner}\n" in text
    assert re.search(rf"^WORKER_CPUS={os.cpu_count()}$", text, re.M)
    assert re.search(r"^WORKER_MEMORY=\d+m$", text, re.M)
    assert not any(value in text for value in found.values())


def test_new_env_keeps_what_is_there(project: Path) -> None:
    assert new_env(project).returncode == 0
    first = read_files(project / "secrets"), (project / ".env").read_text()
    again = new_env(project)
    assert again.returncode == 2 and "already" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    assert (read_files(project / "secrets"), (project / ".env").read_text()) == first


def test_new_env_moves_the_passwords_of_an_older_env(project: Path) -> None:
    (project / ".env").write_text(
        "# my platform\nPOSTGRES_PASSWORD=pp\nMLFLOW_ADMIN_PASSWORD='a$ b'\n"
        'MLFLOW_READER_PASSWORD="r r"\nS3_ACCESS_KEY=GK1\nMLFLOW_PORT=5001\nWORKER_CPUS=3\n'
    )
    done = new_env(project)
    assert done.returncode == 0, done.stderr
    found = read_files(project / "secrets")
    assert found["postgres_password"] == "pp"
    assert found["mlflow_admin_password"] == "a$ b"
    assert found["mlflow_reader_password"] == "r r"
    assert found["s3_access_key"] == "GK1" and "'GK1'" in found["garage.env"]
    assert len(found["mlflow_writer_password"]) == 48
    text = (project / ".env").read_text()
    assert text.startswith("# my platform\nMLFLOW_PORT=5001\nWORKER_CPUS=3\n")
    assert "PASSWORD" not in text and "KEY" not in text and "WORKER_MEMORY" not in text


@pytest.mark.parametrize("line", ["POSTGRES_PASSWORD=a$b", 'S3_SECRET_KEY="a\\nb"'])
def test_new_env_does_not_guess_what_compose_made_of_a_password(project: Path, line: str) -> None:
    (project / ".env").write_text(f"{line}\n")
    done = new_env(project)
    assert done.returncode == 2 and line.partition("=")[0] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (project / ".env").read_text() == f"{line}\n"
    assert not [path for path in project.iterdir() if "secrets" in path.name]


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "server" / "start", *words]
    given = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True)


def test_start_reads_secrets_from_files(tmp_path: Path) -> None:
    for name, text in (("one", "a'\"$(b) \\n c\n"), ("two", "2")):
        (tmp_path / name).write_text(text)
    given = {
        "SECRETS_ROOT": str(tmp_path),
        "PGPASSWORD_FILE": f"{tmp_path}/one",
        "AWS_SECRET_ACCESS_KEY_FILE": f"{tmp_path}/two",
        "SSL_CERT_FILE": "/etc/other",
    }
    shown = start("env", **given).stdout
    assert "\nPGPASSWORD=a'\"$(b) \\n c\n" in f"\n{shown}"
    assert "AWS_SECRET_ACCESS_KEY=2\n" in shown and "SSL_CERT_FILE=/etc/other\n" in shown
    assert "PGPASSWORD_FILE" not in shown and "SSL_CERT=" not in shown
    shown = start("env", PGPASSWORD="given", **given).stdout
    assert "PGPASSWORD=given\n" in shown and "PGPASSWORD_FILE" not in shown


@pytest.mark.parametrize("text", [None, ""])
def test_start_names_a_secret_that_it_cannot_read(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "one").write_text(text)
    done = start("env", SECRETS_ROOT=str(tmp_path), PGPASSWORD_FILE=f"{tmp_path}/one")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and f"{tmp_path}/one" in done.stderr


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("127.example.org", False),
        ("mer.example.org", False),
    ],
)
def test_passwords_do_not_leave_this_computer_in_clear(address: str, allowed: bool) -> None:
    done = start("echo", "started", BIND_ADDRESS=address)
    if allowed:
        assert (done.returncode, done.stdout) == (0, "started\n")
        return
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert address in done.stderr and "docker-compose.tls.yml" in done.stderr


def test_mlflow_checks_its_address_unless_caddy_serves(
    compose: dict[str, Any], tls: dict[str, Any]
) -> None:
    given = compose["services"]["mlflow"]["environment"]
    assert given["BIND_ADDRESS"] == "${BIND_ADDRESS:-127.0.0.1}"
    added = tls["services"]["mlflow"]
    assert added["environment"]["BIND_ADDRESS"] == "127.0.0.1" and "ports" not in added
    ports = tls["services"]["caddy"]["ports"]
    assert {port.rpartition(":")[2] for port in ports} == {"80", "443"}


def test_tls_needs_a_name(tls: dict[str, Any], fill: Callable[..., Any]) -> None:
    with pytest.raises(LookupError, match="MER_HOST"):
        fill(tls, {})
    given = fill(tls, {"MER_HOST": "mer.example.org"})["services"]
    hosts = given["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"mlflow:5000", "mer.example.org"} <= set(hosts)
    origin = given["mlflow"]["environment"]["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]
    assert origin == given["worker"]["environment"]["MER_PAGES"] == "https://mer.example.org"


@pytest.mark.skipif(not shutil.which("caddy"), reason="Caddy is not installed")
@pytest.mark.parametrize("certificate", ["", "ada@example.org"])
def test_caddy_takes_its_file(certificate: str) -> None:
    given = {"MER_HOST": "mer.example.org", **({"MER_TLS": certificate} if certificate else {})}
    done = subprocess.run(
        ["caddy", "adapt", "--adapter=caddyfile", f"--config={ROOT / 'server' / 'Caddyfile'}"],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "mlflow:5000" in done.stdout and "mer.example.org" in done.stdout


def test_images_pin_what_the_project_pins() -> None:
    own = pins(ROOT / "requirements.txt")
    for name, pin in pins(ROOT / "server" / "requirements.txt").items():
        assert own.get(name, pin) == pin, name
    server = pins(ROOT / "server" / "requirements.txt")["mlflow"]
    assert (
        f"mer-mlflow-server:{server.removeprefix('==')}\n"
        in (ROOT / "docker-compose.yml").read_text()
    )


def pins(path: Path) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    found = [Requirement(line) for line in lines if line]
    return {item.name: str(item.specifier) for item in found}


def test_images_take_no_more_than_they_need() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert kept == {name for line in copied for name in line.split()}
    for path in (ROOT / "Dockerfile", ROOT / "server" / "Dockerfile"):
        assert re.findall(r"^USER (\w+)$", path.read_text(), re.M) == ["mer"]
    text = (ROOT / "server" / "Dockerfile").read_text()
    (line,) = re.findall(r"^COPY (.*\.py) /server/$", text, re.M)
    assert set(line.split()) >= {path.name for path in (ROOT / "server").glob("*.py")}


def test_workers_know_the_commit_that_they_are_built_from(
    resolve: Callable[[dict[str, str]], dict[str, Any]], settings: dict[str, str]
) -> None:
    for given, expected in (({}, "unknown"), ({"MER_GIT_COMMIT": "0123abc"}, "0123abc")):
        services = resolve({**settings, **given})
        for name in ("worker", "worker-cuda"):
            assert services[name]["build"]["args"]["GIT_COMMIT"] == expected
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG GIT_COMMIT=unknown\nENV MER_GIT_COMMIT=\$GIT_COMMIT$", text, re.M)


def test_build_tells_compose_the_commit(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    script = Path(shutil.copy(ROOT / "server" / "build", tmp_path / "server"))
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text('#!/bin/sh\necho "$MER_GIT_COMMIT" "$@"\n')
    docker.chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
    }

    def git(*arguments: str) -> str:
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        return run(["git", "-C", str(tmp_path), *author, *arguments], environment)

    def printed() -> str:
        return run([script, "--pull", "worker"], environment)

    assert printed() == "unknown compose build --pull worker"
    git("init")
    git("add", "server/build")
    git("commit", "--message=first")
    git("tag", "--annotate", "--message=first", "v1")
    head = git("rev-parse", "HEAD")
    assert printed() == f"{head} compose build --pull worker"
    script.write_text(f"{script.read_text()}\n")
    assert printed() == f"{head}-changed compose build --pull worker"


def run(command: Sequence[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name", ["backup", "build", "databases.sh", "new-env", "pin", "restore", "start"]
)
def test_scripts_are_valid_and_may_be_run(name: str) -> None:
    path = ROOT / "server" / name
    assert os.access(path, os.X_OK)
    shell = path.read_text().splitlines()[0].rpartition("/")[2].split()[-1]
    subprocess.run([shell, "-n", path], check=True)


def test_restore_asks_to_be_told_that_it_replaces(tmp_path: Path) -> None:
    script = ROOT / "server" / "restore"
    for arguments, words in (([tmp_path], "--replace"), ([tmp_path, "--replace"], "no backup")):
        done = subprocess.run([script, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr


def test_git_keeps_no_secrets_and_no_backups() -> None:
    assert {".env*", "secrets*/", "backups/"} <= set((ROOT / ".gitignore").read_text().splitlines())
