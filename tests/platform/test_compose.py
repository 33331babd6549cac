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
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ONE_SHOT = {"studies", "users", "worker", "worker-cuda"}
"""Services that end by themselves: others wait for their end, not for their health."""
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")


def test_file_follows_the_schema_of_compose() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, "-m", *check, str(ROOT / "docker-compose.yml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        tag = service["image"].partition("@")[0].rpartition(":")[2]
        assert tag not in ("", "latest") and "/" not in tag, name
    for path in (ROOT / "Dockerfile", ROOT / "server" / "Dockerfile"):
        (image,) = re.findall(r"^FROM (\S+)$", path.read_text(), re.M)
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+(@sha256:\w{64})?", image)


def test_every_lasting_service_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) != (name in ONE_SHOT), name
        for other, wait in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert wait["condition"] == expected, name


def test_ports_are_few_and_bound_to_this_computer(services: dict[str, Any]) -> None:
    ports = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert ports == {
        "mlflow": ["127.0.0.1:5000:5000"],
        "optuna-dashboard": ["127.0.0.1:8080:8080"],
    }
    assert not any("network_mode" in each for each in services.values())


def test_volumes_are_named_and_folders_are_read_only(compose: dict[str, Any]) -> None:
    mounted = [each for item in compose["services"].values() for each in item.get("volumes", ())]
    named = {each.split(":")[0] for each in mounted if re.match(r"\w+:", each)}
    assert named == set(compose["volumes"])
    folder = re.compile(r"(\./server/|\$\{MER_\w+:-\./server/empty\}).*:ro")
    assert all(re.match(r"\w+:/", each) or folder.fullmatch(each) for each in mounted)


def test_no_password_is_written_down(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", str(value)), f"{name}: {variable}"
    auth = configparser.ConfigParser()
    auth.read(ROOT / "server" / "basic_auth.ini")
    assert "admin_password" not in auth["mlflow"]
    store = tomllib.loads((ROOT / "server" / "garage.toml").read_text())
    assert "rpc_secret" not in store and "admin" not in store


def test_no_password_is_on_a_command_line(
    services: dict[str, Any], settings: dict[str, str]
) -> None:
    for service in services.values():
        check = service.get("healthcheck", {"test": ()})["test"]
        words = " ".join([*service.get("command", ()), *check])
        assert not any(value in words for value in settings.values())


def test_compose_stops_where_a_password_is_missing(
    resolve: Callable[[dict[str, str]], dict[str, Any]], settings: dict[str, str]
) -> None:
    for name in settings:
        with pytest.raises(LookupError, match=f"{name}: run server/new-env"):
            resolve({**settings, name: ""})


def test_env_example_lists_what_compose_reads(settings: dict[str, str]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    read = set(re.findall(r"\$\{(\w+)", text))
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    listed = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.M)
    assert set(listed) == read
    assert set(settings) == needed
    assert len(set(settings.values())) == len(settings)
    assert all(len(value) >= 32 for value in settings.values())


def test_new_env_keeps_an_env_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / ".env.example").write_text("A_PASSWORD=\n")
    script = tmp_path / "server" / "new-env"
    script.write_text((ROOT / "server" / "new-env").read_text())
    script.chmod(0o755)
    assert subprocess.run([script], capture_output=True).returncode == 0
    first = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    again = subprocess.run([script], capture_output=True, text=True)
    assert again.returncode == 2 and "already" in again.stderr
    assert (tmp_path / ".env").read_text() == first


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
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
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

    def told() -> str:
        return run([script, "--pull", "worker"], environment)

    assert told() == "unknown compose build --pull worker"
    git("init")
    git("add", "server/build")
    git("commit", "--message=first")
    git("tag", "--annotate", "--message=first", "v1")
    head = git("rev-parse", "HEAD")
    assert told() == f"{head} compose build --pull worker"
    script.write_text(f"{script.read_text()}\n")
    assert told() == f"{head}-changed compose build --pull worker"


def run(command: Sequence[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["backup", "build", "databases.sh", "new-env", "pin", "restore"])
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
    assert {".env", "backups/"} <= set((ROOT / ".gitignore").read_text().splitlines())
