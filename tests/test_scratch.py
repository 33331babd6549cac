"""Scratch folders: those of killed processes are removed, and nothing else ever is."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mer_mlflow.commands.command import run_command
from mer_mlflow.scratch import PREFIX, remove_abandoned, scratch_folder

KILLED = """
import os, sys
from mer_mlflow.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "sub").mkdir()
    (folder / "sub" / "audio.wav").write_bytes(bytes(9))
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed(place: Path) -> Path:
    """Folder that a killed process left."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "TMPDIR": str(place)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9
    folder = Path(done.stdout.strip())
    assert folder.parent == place and (folder / "sub" / "audio.wav").exists()
    return folder


def test_next_command_removes_what_a_killed_process_left(place: Path) -> None:
    folder = killed(place)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: 0)
    assert stop.value.code == 0
    assert not folder.exists()


def test_folder_of_a_living_process_stays(place: Path) -> None:
    with scratch_folder() as folder:
        remove_abandoned()
        assert folder.is_dir() and folder.parent == place
    assert not folder.exists()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_folder_that_a_process_out_of_sight_holds_stays(place: Path) -> None:
    folder = killed(place)
    with locked(folder):
        remove_abandoned()
        assert folder.is_dir()
    remove_abandoned()
    assert not folder.exists()


HOST = socket.gethostname()


@pytest.mark.parametrize(
    "name",
    [
        f"{PREFIX}another-{HOST}-999999999-1-abc",
        f"{PREFIX}{HOST}-999999999-abc",
        f"{PREFIX}{HOST}-x-1-abc",
        f"{PREFIX}notes",
        "tmpabcdefgh",
    ],
)
def test_other_folders_stay(place: Path, name: str) -> None:
    (place / name).mkdir()
    remove_abandoned()
    assert (place / name).is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_stays(place: Path) -> None:
    folder = killed(place)
    os.chown(folder, 12345, 12345)
    remove_abandoned()
    assert folder.is_dir()


def test_links_and_files_of_the_name_stay(place: Path) -> None:
    (place / "mine").mkdir()
    (place / f"{PREFIX}{HOST}-999999999-1-abc").symlink_to("mine")
    (place / f"{PREFIX}{HOST}-999999999-1-def").write_text("mine")
    remove_abandoned()
    assert len(list(place.iterdir())) == 3


def test_number_that_another_process_has_now_is_no_sign_of_life(place: Path) -> None:
    folder = place / f"{PREFIX}{HOST}-{os.getpid()}-1-abc"
    folder.mkdir()
    remove_abandoned()
    assert not folder.exists()


def test_export_removes_what_a_killed_one_left_beside_the_archive(place: Path) -> None:
    from mer_mlflow.archive.container import writing

    folder = killed(place)
    with writing(place / "a.zip"):
        assert not folder.exists()
