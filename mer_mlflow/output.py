"""Output folders: a command replaces only files that it has written itself.

A hidden list in the folder contains the digest of each file that a command wrote. A file is
replaced or removed only if it has not changed since.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from mer_mlflow.errors import ParameterError

EARLIER = "earlier"
"""Folder for the files of an older version, which wrote no list."""
MOST_BYTES = 1 << 22
"""Maximum size of the list; a longer file is not a list."""
PATIENCE_SECONDS = 60.0
"""Time to wait for another command that writes to the same folder."""
PAUSE_SECONDS = 0.1

Written = dict[str, list[str]]
"""SHA-256 digests by name; two if a command was stopped while it replaced the file."""


def check_output(folder: Path, names: Collection[str], *, folders: Collection[str] = ()) -> None:
    """Create a folder, and check that files can be written there.

    Parameters
    ----------
    folder : as given by the user
    names : files to write, relative to the folder
    folders : folders of further files

    Raises
    ------
    ParameterError
        If the folder is not writable, or a link or a foreign file has one of the names.
    """
    with _one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        for name in folders:
            _check_folders(folder, PurePosixPath(name, "file"))
        for name in names:
            _check_kind(folder, name)


def replace_files(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    kind: str,
    keep: bool = False,
    earlier: Callable[[Path], Collection[str]] = lambda folder: (),
) -> Path | None:
    """Write files, and remove or replace those that the same command wrote before.

    All files are written to a temporary folder first. On any failure the old files are restored.

    Parameters
    ----------
    folder : an existing folder
    files : contents by name, relative to the folder
    kind : kind of the command; each kind has its own list of files
    keep : whether files with other names, which the same command wrote before, are kept
    earlier : function of the folder that returns the names of files written by a version without
        a list

    Returns
    -------
    folder to which the files of that version were moved; None if there were none

    Raises
    ------
    ParameterError
        If the folder is not writable or another command keeps it locked, or if a link or a foreign
        file has one of the names.
    """
    with _one_line(folder), _locked(folder) as is_alone:
        if is_alone:
            _sweep(folder, kind)
        written = _read_list(folder, kind)
        aside = _earlier(folder, kind, earlier) if written is None else []
        written = written or {}
        for name, content in files.items():
            if name not in aside:
                _check_own(folder, name, content, written)
        gone = [name for name in written if name not in files and not keep]
        stale = [name for name in gone if _is_own(folder, name, written)]
        with tempfile.TemporaryDirectory(dir=folder, prefix=_prefix(kind)) as temporary:
            swap = _Swap(folder, Path(temporary))
            listed = {name: [_digest(content)] for name, content in files.items()}
            both = {name: [*written.get(name, ()), *listed[name]] for name in listed}
            kept = written if keep else {}
            lists = [json.dumps({"files": each}) for each in (written | both, kept | listed)]
            swap.stage(files, lists)
            with swap.rollback_on_error():
                moved = swap.put_aside(aside)
                swap.replace(_list_name(kind), 0)
                for name in files:
                    swap.replace(name)
                for name in stale:
                    swap.remove(name)
                swap.replace(_list_name(kind), 1)
        for name in {str(PurePosixPath(name).parent) for name in stale} - {"."}:
            with contextlib.suppress(OSError):  # it contains other files
                (folder / name).rmdir()
        return moved


def add_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Add files to a folder; existing files must have the same contents.

    Parameters
    ----------
    folder : an existing folder
    files : contents by name, relative to the folder

    Raises
    ------
    ParameterError
        If the folder is not writable, or a different file has one of the names.
    """
    with _one_line(folder), _locked(folder):
        for name, content in files.items():
            _check_own(folder, name, content, {})
        with tempfile.TemporaryDirectory(dir=folder, prefix=_prefix("files")) as temporary:
            swap = _Swap(folder, Path(temporary))
            swap.stage(files, [])
            with swap.rollback_on_error():
                for name in files:
                    swap.replace(name)


class _Swap:
    """Replacement of several files as a transaction: all of them or none."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder, self._temporary = folder, temporary
        self._undo: list[Callable[[], object]] = []

    def stage(self, files: Mapping[str, bytes], lists: list[str]) -> None:
        for name, content in files.items():
            path = self._temporary / "new" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for i, text in enumerate(lists):
            (self._temporary / f"list-{i}").write_text(text)
        (self._temporary / "old").mkdir()

    @contextlib.contextmanager
    def rollback_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            for undo in reversed(self._undo):
                with contextlib.suppress(OSError):
                    undo()
            raise

    def put_aside(self, names: Collection[str]) -> Path | None:
        if not names:
            return None
        moved = _free(self._folder, EARLIER)
        moved.mkdir()
        self._undo.append(moved.rmdir)
        for name in names:
            source, target = self._folder / name, moved / name
            if target.parent != moved and not target.parent.is_dir():
                target.parent.mkdir(parents=True)
                self._undo.append(target.parent.rmdir)
            self._undo.append(partial(target.replace, source))
            source.replace(target)
        return moved

    def replace(self, name: str, number: int | None = None) -> None:
        path = self._folder / name
        new = self._temporary / ("new" if number is None else f"list-{number}")
        path.parent.mkdir(exist_ok=True)
        self._keep(path)
        (new / name if number is None else new).replace(path)

    def remove(self, name: str) -> None:
        path = self._folder / name
        self._keep(path)
        path.unlink()

    def _keep(self, path: Path) -> None:
        if not path.exists():
            self._undo.append(lambda: path.unlink(missing_ok=True))
            return
        copy = _free(self._temporary / "old", "file")
        shutil.copy2(path, copy)
        self._undo.append(lambda: copy.replace(path))


@contextlib.contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ParameterError(f"output={folder}: cannot be written ({reason})") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock the folder against other commands; the lock is released if this process dies.

    Yields
    ------
    whether the folder is locked: network file systems may not support it
    """
    handle = os.open(folder, os.O_RDONLY)
    end, is_alone = time.monotonic() + PATIENCE_SECONDS, True
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    message = "another command writes there; wait for it, or name another folder"
                    raise ParameterError(f"output={folder}: {message}") from error
            except OSError:
                is_alone = False
                break
            time.sleep(PAUSE_SECONDS)
        yield is_alone
    finally:
        os.close(handle)


def _sweep(folder: Path, kind: str) -> None:
    """Remove temporary folders of killed commands; the caller holds the lock."""
    for path in folder.glob(f"{_prefix(kind)}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _read_list(folder: Path, kind: str) -> Written | None:
    """Return the list of files that the command wrote; None if it is missing or damaged."""
    path = folder / _list_name(kind)
    if path.is_symlink():
        raise ParameterError(f"output={folder}: {path.name} is a link; remove it")
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        files = json.loads(path.read_bytes())["files"]
        written = {str(name): [str(digest) for digest in files[name]] for name in files}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return written if all(map(_is_inside, written)) else None


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _earlier(folder: Path, kind: str, names: Callable[[Path], Collection[str]]) -> list[str]:
    """Return the files of a version without a list, and the list if it is damaged."""
    found = [name for name in names(folder) if _is_file(folder, name)]
    return found + [_list_name(kind)] * _is_file(folder, _list_name(kind))


def _is_file(folder: Path, name: str) -> bool:
    parents = PurePosixPath(name).parents
    has_links = any((folder / parent).is_symlink() for parent in parents if parent.parts)
    path = folder / name
    return not has_links and not path.is_symlink() and path.is_file()


def _check_own(folder: Path, name: str, content: bytes, written: Written) -> None:
    _check_kind(folder, name)
    path = folder / name
    if not path.exists() or _is_own(folder, name, written) or _has(path, content):
        return
    what = "was changed since it was written" if name in written else "is there already"
    raise ParameterError(f"output={folder}: {name} {what}; move it away, or name another folder")


def _check_kind(folder: Path, name: str) -> None:
    _check_folders(folder, PurePosixPath(name))
    path = folder / name
    if path.is_symlink() or (path.exists() and not path.is_file()):
        what = "link" if path.is_symlink() else "folder" if path.is_dir() else "special file"
        raise ParameterError(
            f"output={folder}: {name} is a {what}; move it away, or name another folder"
        )


def _check_folders(folder: Path, name: PurePosixPath) -> None:
    for parent in (each for each in name.parents if each.parts):
        path = folder / parent
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            what = "link" if path.is_symlink() else "file"
            raise ParameterError(
                f"output={folder}: {parent} is a {what}; move it away, or name another folder"
            )


def _is_own(folder: Path, name: str, written: Written) -> bool:
    """Return whether a file was written by the command and has not changed since."""
    if not _is_file(folder, name) or name not in written:
        return False
    with (folder / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() in written[name]


def _has(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _free(folder: Path, name: str) -> Path:
    """Return a path that does not exist yet."""
    path, number = folder / name, 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{name}-{number}"
    return path


def _prefix(kind: str) -> str:
    return f".mer_{kind}-"


def _list_name(kind: str) -> str:
    return f".mer_{kind}.json"
