"""Backups that prove themselves, and restores after which the platform is as before or restored."""

from __future__ import annotations

import io
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.platform

ROOT = Path(__file__).parents[2]
PARTS = ("mlflow.dump", "optuna.dump", "artifacts.tar", "counts.txt")
CHECK_TABLES = "db upgrade"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def docker(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("docker")
    return {**platform.docker(folder), "CALLS": str(folder / "calls")}


@pytest.fixture(scope="module")
def call(docker: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of server/, in a process group of its own."""

    def run(name: str, *words: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
        Path(docker["CALLS"]).write_text("")
        return subprocess.run(
            ["bash", "-c", 'GROUP=$$ exec "$@"', "sh", str(ROOT / "server" / name), *words],
            env={**docker, **changes},
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="module")
def query(platform: Any) -> Callable[..., list[Any]]:
    def run(database: str, words: str) -> list[Any]:
        given = platform.superuser("optuna-postgres" if database == "optuna" else "postgres")
        with psycopg.connect(
            host=given["PGHOST"],
            user="postgres",
            password=given["PGPASSWORD"],
            dbname=database,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(words)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture(scope="module")
def store(platform: Any) -> Any:
    return platform.s3()


@pytest.fixture(scope="module")
def state(query: Callable[..., list[Any]], store: Any) -> Callable[[], tuple[Any, ...]]:
    """What a restore may not change unless it succeeds, and all that it may leave."""

    def read() -> tuple[Any, ...]:
        items = store.list_objects_v2(Bucket="mlflow").get("Contents", ())
        return (
            query("mlflow", "SELECT experiment_id, name FROM experiments ORDER BY 1"),
            query("mlflow", "SELECT username, password_hash FROM users ORDER BY 1"),
            query("optuna", "SELECT study_id, study_name FROM studies ORDER BY 1"),
            sorted((item["Key"], item["Size"], item["ETag"]) for item in items),
            *(
                query(database, "SELECT datname, datallowconn, datacl::text FROM pg_database"
                      " WHERE NOT datistemplate ORDER BY 1")
                for database in ("mlflow", "optuna")
            ),
        )  # fmt: skip

    return read


@pytest.fixture(scope="module")
def change(query: Callable[..., list[Any]], store: Any) -> Callable[[str], None]:
    """Give both databases and the object store something more, and something else."""

    def put(name: str) -> None:
        query("mlflow", f"INSERT INTO experiments (name, workspace) VALUES ('{name}', 'default')")
        query("optuna", f"INSERT INTO studies (study_name) VALUES ('{name}')")
        for key in ("0/changed", f"0/{name}"):
            store.put_object(Bucket="mlflow", Key=key, Body=name.encode())

    return put


@pytest.fixture(scope="module")
def backup(
    call: Any, change: Any, state: Any, store: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A backup, since which everything has changed."""
    change("before")
    store.put_object(Bucket="mlflow", Key="0/lost", Body=b"lost")
    folder = tmp_path_factory.mktemp("backup") / "backup"
    done = call("backup", folder)
    assert done.returncode == 0, done.stderr
    change("after")
    store.delete_object(Bucket="mlflow", Key="0/lost")
    yield folder


@pytest.fixture
def damaged(backup: Path, tmp_path: Path) -> Path:
    """A copy of the backup to damage."""
    return Path(shutil.copytree(backup, tmp_path / "damaged"))


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: "), done.stderr
    for each in words:
        assert each in done.stderr


def calls(docker: dict[str, str]) -> list[str]:
    return Path(docker["CALLS"]).read_text().splitlines()


def test_backup_has_checksums_and_counts(backup: Path, query: Any) -> None:
    assert {path.name for path in backup.iterdir()} == {*PARTS, "SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=backup, check=True)
    counts = dict(line.split() for line in (backup / "counts.txt").read_text().splitlines())
    assert counts["mlflow.experiments"] == "2" and counts["optuna.studies"] == "1"
    assert (counts["artifacts.objects"], counts["artifacts.bytes"]) == ("3", "16")
    for database in ("mlflow", "optuna"):
        assert query(database, "SELECT 1 FROM pg_database WHERE datname ~ 'check'") == []


@pytest.mark.parametrize(
    "fault",
    [
        "cut:pg_dump",
        "cut:objects.py export",
        "fail:pg_restore",
        "interrupt:pg_dump",
        "interrupt:objects.py export",
    ],
)
def test_backup_that_would_not_restore_is_not_written(
    call: Any, state: Any, tmp_path: Path, fault: str
) -> None:
    before = state()
    done = call("backup", tmp_path / "backup", FAULT=fault)
    assert done.returncode not in (0, 2) and "error: no backup was written" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert state() == before


def test_backup_keeps_a_folder_that_is_there(call: Any, backup: Path, tmp_path: Path) -> None:
    assert_refused(call("backup", backup), "already")
    (tmp_path / "new.part").mkdir()
    assert_refused(call("backup", tmp_path / "new"), "new.part")
    assert_refused(call("backup", tmp_path / "new", tmp_path), "FOLDER")


def test_platform_that_does_not_run_is_one_line(call: Any, backup: Path, tmp_path: Path) -> None:
    assert_refused(call("backup", tmp_path / "new", FAULT="fail:0"), "postgres does not run")
    assert_refused(call("restore", backup, "--replace", FAULT="fail:0"), "docker compose up")
    assert list(tmp_path.iterdir()) == []


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 16
    path.write_bytes(content)


def cut(path: Path, place: float) -> None:
    os.truncate(path, int(place * path.stat().st_size))


@pytest.mark.parametrize("name", [*PARTS, "SHA256SUMS"])
@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_backup_changes_nothing(
    call: Any, state: Any, docker: dict[str, str], damaged: Path, name: str, damage: Any
) -> None:
    before = state()
    for place in (0.0, 0.3, random.Random(name).random(), 0.99):
        content = (damaged / name).read_bytes()
        damage(damaged / name, place)
        assert_refused(call("restore", damaged, "--replace"), str(damaged))
        assert calls(docker) == [], "nothing is stopped before the files are verified"
        (damaged / name).write_bytes(content)
    assert state() == before


@pytest.mark.parametrize("name", PARTS)
def test_backup_that_lacks_a_file_changes_nothing(
    call: Any, docker: dict[str, str], damaged: Path, name: str
) -> None:
    (damaged / name).unlink()
    assert_refused(call("restore", damaged, "--replace"), str(damaged))
    sums = damaged / "SHA256SUMS"
    sums.write_text("".join(x for x in sums.read_text().splitlines(True) if name not in x))
    assert_refused(call("restore", damaged, "--replace"), name)
    assert calls(docker) == []


def test_backup_of_an_older_version_must_be_meant(
    call: Any, state: Any, docker: dict[str, str], damaged: Path
) -> None:
    (damaged / "SHA256SUMS").unlink()
    (damaged / "counts.txt").unlink()
    before = state()
    assert_refused(call("restore", damaged, "--replace"), "neither", "verified; --unverified")
    for name, damage in (("mlflow.dump", cut), ("optuna.dump", cut), ("artifacts.tar", cut)):
        content = (damaged / name).read_bytes()
        damage(damaged / name, 0.3)  # the last part of a small dump is an unused list of contents
        done = call("restore", damaged, "--replace", "--unverified", SKIP=CHECK_TABLES)
        assert done.returncode != 0 and "the platform is as it was" in done.stderr, name
        assert state() == before
        assert not any(" stop " in line for line in calls(docker))
        (damaged / name).write_bytes(content)


def test_counts_that_differ_stop_the_restore(call: Any, state: Any, damaged: Path) -> None:
    before = state()
    counts = damaged / "counts.txt"
    counts.write_text(re.sub(r"(mlflow.experiments) \d+", r"\1 7", counts.read_text()))
    sums = subprocess.run(["sha256sum", *PARTS], cwd=damaged, capture_output=True, check=True)
    (damaged / "SHA256SUMS").write_bytes(sums.stdout)
    done = call("restore", damaged, "--replace")
    assert done.returncode == 2 and "mlflow.experiments 7" in done.stderr
    assert state() == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--replace",),
        ("{}",),
        ("--undo", "{}"),
        ("{}", "{}", "--replace"),
        ("--forget", "--undo"),
        ("{}", "--replace", "--unverifed"),
        ("--undo", "--unverified"),
        ("/nowhere", "--replace"),
    ],
)
def test_command_lines_that_are_wrong(
    call: Any, docker: dict[str, str], backup: Path, words: tuple[str, ...]
) -> None:
    assert_refused(call("restore", *(word.format(backup) for word in words)))
    assert calls(docker) == []


def restore_calls(call: Any, docker: dict[str, str], backup: Path) -> list[str]:
    done = call("restore", backup, "--replace")
    assert done.returncode == 0, done.stderr
    return calls(docker)


def test_restore_undo_and_forget(
    call: Any, state: Any, query: Any, store: Any, docker: dict[str, str], backup: Path
) -> None:
    before = state()
    lines = restore_calls(call, docker, backup)
    stops = [number for number, line in enumerate(lines) if " stop " in line]
    assert len(stops) == 1
    assert not any("pg_restore" in x or "stage" in x or "upgrade" in x for x in lines[stops[0] :])
    assert any(" up --detach --wait" in line for line in lines[stops[0] :])
    names = "SELECT name FROM experiments ORDER BY 1"
    assert query("mlflow", names) == [("Default",), ("before",)]
    assert query("optuna", "SELECT study_name FROM studies") == [("before",)]
    for key, content in (("changed", b"before"), ("lost", b"lost"), ("after", b"after")):
        assert store.get_object(Bucket="mlflow", Key=f"0/{key}")["Body"].read() == content
    for name in ("mlflow", "optuna"):
        words = f"SELECT has_database_privilege('pg_monitor', '{name}', 'CONNECT')"
        assert query(name, words) == [(False,)], "the public may not connect"

    assert call("backup", backup.parent / "next").returncode == 0
    counts = (backup.parent / "next" / "counts.txt").read_text()
    assert "artifacts.objects 4\n" in counts, "what was replaced is in no backup"

    done = call("restore", "--undo")
    assert done.returncode == 0, done.stderr
    assert state()[:4] == before[:4]
    done = call("restore", "--forget")
    assert done.returncode == 0, done.stderr
    assert state() == before
    assert_refused(call("restore", "--undo"), "no restore can be undone")


FAULTS = [
    "fail:pg_restore",
    "interrupt:pg_restore",
    "fail:objects.py stage",
    "interrupt:objects.py stage",
    "fail:db upgrade",
    "fail: stop ",
    "interrupt: stop ",
    "fail:objects.py commit",
    "interrupt:objects.py commit",
    "fail: up ",
    "interrupt: up ",
]
"""Steps of a restore that fail as on a full disk, or at which Ctrl-C is pressed.
MER_FAULT_STEPS=N: each of the first N calls of docker."""
FAULTS += [
    f"{kind}:{number}"
    for number in range(3, int(os.environ.get("MER_FAULT_STEPS", "0")))
    for kind in ("fail", "interrupt")
]


@pytest.mark.parametrize("fault", FAULTS)
def test_restore_that_fails_leaves_the_platform_as_it_was(
    call: Any, state: Any, docker: dict[str, str], backup: Path, fault: str
) -> None:
    before = state()
    skip = "nothing" if "upgrade" in fault else CHECK_TABLES
    done = call("restore", backup, "--replace", FAULT=fault, SKIP=skip)
    if done.returncode == 0:
        assert int(fault.partition(":")[2]) >= len(calls(docker)), "the fault came too late"
        assert call("restore", "--undo").returncode == 0
        assert call("restore", "--forget").returncode == 0
        return
    assert done.returncode == (130 if "interrupt" in fault else 1), done.stderr
    assert "the platform is as it was" in done.stderr
    assert state() == before
    stopped = [number for number, line in enumerate(calls(docker)) if " stop " in line]
    if stopped:
        assert any(" up --detach --wait" in line for line in calls(docker)[stopped[0] :])


def test_restore_that_is_killed_can_be_undone(
    call: Any, state: Any, docker: dict[str, str], backup: Path
) -> None:
    before = state()
    done = call("restore", backup, "--replace", FAULT="kill:objects.py commit", SKIP=CHECK_TABLES)
    assert done.returncode == -9
    for words in ("--undo", "--forget"):
        done = call("restore", words)
        assert done.returncode == 0, done.stderr
    assert state() == before


def objects(
    platform: Any, *words: str, source: Any = subprocess.DEVNULL, target: Any = subprocess.DEVNULL
) -> tuple[int, bytes, int]:
    """Run objects.py; its exit status, errors and largest memory in bytes."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server" / "objects.py"), *words],
        env=platform.environment("mlflow"),
        stdin=source,
        stdout=target,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr as errors:
        said = errors.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, usage.ru_maxrss * resource.getpagesize() // 4


def test_objects_are_streamed(platform: Any, store: Any, tmp_path: Path) -> None:
    size = 160 * MEBIBYTE
    big = tmp_path / "big"
    with big.open("wb") as file:
        for number in range(size // MEBIBYTE):
            file.write(bytes([number]) * MEBIBYTE)
    with tarfile.open(tmp_path / "big.tar", "w") as archive:
        archive.add(big, "9/big")
    (tmp_path / "empty.tar").write_bytes(bytes(tarfile.RECORDSIZE))
    with (tmp_path / "empty.tar").open("rb") as source:
        _, _, least = objects(platform, "check", source=source)
    with (tmp_path / "big.tar").open("rb") as source:
        code, said, staging = objects(platform, "stage", "t", source=source)
    assert code == 0, said
    code, said, committing = objects(platform, "commit", "t")
    assert code == 0, said
    with (tmp_path / "out.tar").open("wb") as target:
        code, said, exporting = objects(platform, "export", target=target)
    assert code == 0, said
    with tarfile.open(tmp_path / "out.tar") as archive:
        found = archive.extractfile("9/big")
        assert found is not None
        for number in range(size // MEBIBYTE):
            assert found.read(MEBIBYTE) == bytes([number]) * MEBIBYTE
    assert max(staging, committing, exporting) < least + 80 * MEBIBYTE
    store.delete_object(Bucket="mlflow", Key="9/big")
    objects(platform, "forget")


def test_archive_that_was_cut_or_damaged_is_noticed(platform: Any, tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w|") as archive:
        for number in range(4):
            info = tarfile.TarInfo(f"9/{number}")
            info.size = 700
            archive.addfile(info, io.BytesIO(bytes([number + 1]) * 700))
    whole, path = content.getvalue(), tmp_path / "a.tar"
    headers = [number * 1536 for number in range(4)]
    bad = [whole[:end] for end in (0, 1536, 1600, 2100, 3 * 1536, 4 * 1536, 4 * 1536 + 512)]
    bad += [whole[:at] + b"\xff" + whole[at + 1 :] for at in headers]
    for each, good in [(whole, True), *((one, False) for one in bad)]:
        path.write_bytes(each)
        with path.open("rb") as source:
            code, said, _ = objects(platform, "check", source=source)
        assert (code == 0) == good, said
        assert good or said.startswith(b"error: artifacts.tar: ")
