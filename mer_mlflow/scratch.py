"""Scratch folders: temporary files of a process, which are removed even if it is killed.

A killed process cannot remove its folders. Their names contain the process id, and the next
command removes those of processes that have ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".mer_mlflow-"
NAME = re.compile(
    rf"{re.escape(PREFIX)}(?P<host>.+)-(?P<pid>\d{{1,10}})-(?P<started>\d{{1,12}})-[^-]+"
)
SLACK_SECONDS = 2
"""Tolerance between two measurements of the start time of a process."""


@contextlib.contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """Create a folder that is removed at the end of the context.

    Parameters
    ----------
    within : parent folder, by default that of temporary files
    """
    import psutil

    started = int(psutil.Process().create_time())
    prefix = f"{PREFIX}{socket.gethostname()}-{os.getpid()}-{started}-"
    with tempfile.TemporaryDirectory(dir=within, prefix=prefix) as folder, _held(Path(folder)):
        yield Path(folder)


def remove_abandoned(within: Path | None = None) -> None:
    """Remove the scratch folders of this user's processes on this machine that have ended.

    Parameters
    ----------
    within : parent folder, by default that of temporary files
    """
    with contextlib.suppress(OSError), os.scandir(within or tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_abandoned(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    made = NAME.fullmatch(entry.name)
    if made is None or made["host"] != socket.gethostname():
        return False
    with contextlib.suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        return is_own and _has_ended(int(made["pid"]), int(made["started"])) and _is_free(entry)
    return False


def _has_ended(pid: int, started: int) -> bool:
    import psutil

    try:
        return abs(psutil.Process(pid).create_time() - started) > SLACK_SECONDS
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder. Containers that share it do not see each other's processes, so that process
    ids are not enough."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_free(entry: os.DirEntry[str]) -> bool:
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
    return True
