"""The archive: a zip file whose every byte is verified before anything is made of it.

A member for each run's values and for each of its artifacts, and a manifest with the size and the
SHA-256 of each of them. The zip's comment ends in the SHA-256 of all bytes before it: a manifest
cannot vouch for itself, nor for the zip's own tables.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mer_mlflow.archive.text import check_printable
from mer_mlflow.errors import ParameterError
from mer_mlflow.paths import FULL, given_path
from mer_mlflow.scratch import remove_left, scratch_folder

FORMAT = 1
CONTENT = "runs of mer_mlflow"
MANIFEST, RECORD, ARTIFACTS = "manifest.json", "run.json", "artifacts"
SEAL = b"mer_mlflow; SHA-256 of all before these digits: "
N_DIGITS = 64
BLOCK = 1 << 20
MOST_VALUES = 1 << 28
"""Bytes of a member that is read into memory; a run of a million figures has 50 MB of them."""
MOST_TIMES, HARMLESS = 200, 1 << 30
"""An archive that unpacks to more than so many times its own size, and to more than 1 GiB, is made
to fill disks: runs unpack to less than ten times."""
LONGEST_NAME = 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the same runs make the same members."""
PLAIN_FILE = 0o100644 << 16
FULL_IN_WORDS = re.compile(rf"#####\n\[Errno ({'|'.join(map(str, FULL))})\]")
"""How MLflow reports a full disk where it downloads in threads; what a server reports of its own
has other words before it."""
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
)
"""What reading a zip raises that was not written by this module."""
ODD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:")
"""What a name of a file cannot have on every system, or be encoded with."""
MEMBER = re.compile(rf"runs/([0-9a-f]{{32}})/(?:{RECORD}|{ARTIFACTS}/(.+))", re.DOTALL)

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of the archive.

    Attributes
    ----------
    size : in bytes
    sha256 : of its content
    """

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an archive holds and where it comes from.

    Attributes
    ----------
    software : versions of what wrote it
    exported : when, in ISO format
    tracking : address of the server, without credentials
    experiment, experiment_id : that the runs were read from
    counts : runs of each kind, artifacts
    runs : their ids, parents before children
    members : all files but the manifest, by name
    """

    software: Mapping[str, str]
    exported: str
    tracking: str
    experiment: str
    experiment_id: str
    counts: Mapping[str, int]
    runs: tuple[str, ...]
    members: Mapping[str, Member]


class ArchiveWriter:
    """Writes members one after the other, and then the manifest and the seal.

    Parameters
    ----------
    file : that is written, under a name that is not yet the archive's
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.members: dict[str, Member] = {}
        self._file = file
        self._zip = zipfile.ZipFile(file, "w")

    def add(self, name: str, source: IO[bytes], *, size: int) -> None:
        """Write a member.

        Parameters
        ----------
        name : with folders
        source : read to its end
        size : in bytes, as far as it is known

        Raises
        ------
        ParameterError
            If no file on another system could have this name.
        """
        problem = name_problem(name)
        if problem is not None:
            raise ParameterError(f"{problem}; rename the artifact, or delete its run")
        entry = zipfile.ZipInfo(name, date_time=EPOCH)
        entry.compress_type, entry.external_attr, entry.file_size = (
            zipfile.ZIP_DEFLATED,
            PLAIN_FILE,
            size,
        )
        digest, written = hashlib.sha256(), 0
        with self._zip.open(entry, "w") as target:
            while block := source.read(BLOCK):
                digest.update(block)
                written += target.write(block)
        if written > MOST_VALUES and name.endswith(f"/{RECORD}"):
            raise ParameterError(f"{name}: is too large to be a run's values; delete the run")
        self.members[name] = Member(size=written, sha256=digest.hexdigest())

    def close(self, manifest: Manifest) -> None:
        """Write the manifest, and seal what was written.

        Raises
        ------
        ParameterError
            If no import would take it.
        """
        text = json.dumps({"content": CONTENT, "format": FORMAT, **asdict(manifest)}, indent=1)
        size, unpacked = self._file.tell(), sum(each.size for each in self.members.values())
        if len(text) > MOST_VALUES or unpacked > max(HARMLESS, MOST_TIMES * size):
            raise ParameterError(
                f"{len(self.members)} files of {unpacked / 2**30:.1f} GiB in {size / 2**20:.1f} "
                "MiB would be refused by import; delete the runs whose artifacts are empty"
            )
        self._zip.writestr(zipfile.ZipInfo(MANIFEST, EPOCH), text, zipfile.ZIP_DEFLATED)
        self._zip.comment = SEAL + b"0" * N_DIGITS
        self._zip.close()
        seal(self._file)

    def abandon(self) -> None:
        """Write nothing more: a zip that is let go of writes its table, where it can."""
        self._zip.fp = None


def seal(file: IO[bytes]) -> None:
    """Write the SHA-256 of a zip over the last digits of its comment."""
    end = file.seek(-N_DIGITS, os.SEEK_END)
    digits = _digest(file, end)
    file.seek(end)
    file.write(digits.encode())
    file.flush()


@contextmanager
def writing(target: Path) -> Iterator[tuple[ArchiveWriter, Path]]:
    """Write an archive beside its place; it takes its place when all of it is on the disk.

    Parameters
    ----------
    target : the archive, which must not be there

    Yields
    ------
    the writer, and a folder for what waits to be written; both are gone at the end, however it ends

    Raises
    ------
    ParameterError
        If the file is there, or cannot be written.
    """
    check_target(target)
    try:
        remove_left(target.parent)
        with scratch_folder(target.parent) as folder:
            part = folder / "archive"
            staged = folder / "staged"
            staged.mkdir()
            with part.open("w+b") as file:
                writer = ArchiveWriter(file)
                try:
                    yield writer, staged
                finally:
                    writer.abandon()
                os.fsync(file.fileno())
            check_target(target)
            part.replace(target)
    except Exception as error:
        if not _is_full(error):
            raise
        words = f"archive={target}: the disk is full, nothing was left there; free disk space or name"
        raise ParameterError(f"{words} another folder") from error


def archive_path(given: str) -> Path:
    """The path that a user gave for an archive.

    Raises
    ------
    ParameterError
        If no archive can have it.
    """
    check_printable("archive", given)
    return given_path(given, name="archive")


def check_target(target: Path) -> None:
    """Make sure that an archive can be written.

    Raises
    ------
    ParameterError
        If it is there already, or its folder is not, or cannot be written to.
    """
    if target.exists() or target.is_symlink():
        words = "is there already and is never overwritten; move it, or name another"
        raise ParameterError(f"archive={target}: {words}")
    if not target.parent.is_dir():
        raise ParameterError(f"archive={target}: there is no folder {target.parent}; make it first")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            return
    except OSError as error:
        raise ParameterError(f"archive={target}: cannot be written ({error.strerror})") from error


def _is_full(error: BaseException) -> bool:
    """Whether the disk is full; MLflow says it in words where it downloads in threads."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return FULL_IN_WORDS.search(str(error.__cause__)) is not None


class Archive:
    """An archive that was verified.

    Parameters
    ----------
    file : open zip
    path : of the file, for errors
    manifest : of the archive
    """

    def __init__(self, file: zipfile.ZipFile, path: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._zip = file
        self._path = path
        self._of_run: dict[str, list[str]] = {run_id: [] for run_id in manifest.runs}
        for name in sorted(manifest.members):
            self._of_run[name.split("/")[1]].append(name)

    def record(self, run_id: str) -> Any:
        """A run's values, as JSON has them.

        Raises
        ------
        ParameterError
            If they are no JSON.
        """
        buffer = io.BytesIO()
        name = f"runs/{run_id}/{RECORD}"
        if self.manifest.members[name].size > MOST_VALUES:
            raise self.refused(f"{name} is too large to be a run's values")
        self.copy(name, buffer)
        return _parse_json(buffer.getvalue(), name, self._path)

    def refused(self, reason: str) -> ParameterError:
        """The error for an archive that cannot be used."""
        return _refused(self._path, reason)

    def artifacts(self, run_id: str) -> dict[str, str]:
        """Members that are artifacts of a run, by the artifact's path."""
        start = f"runs/{run_id}/{ARTIFACTS}/"
        return {
            name.removeprefix(start): name
            for name in self._of_run[run_id]
            if name.startswith(start)
        }

    def size(self, run_id: str) -> int:
        """Bytes of all that the archive has of a run."""
        return sum(self.manifest.members[name].size for name in self._of_run[run_id])

    def copy(self, name: str, target: IO[bytes] | None) -> None:
        """Unpack a member, which the zip does no further than the manifest says that it goes.

        Parameters
        ----------
        name : of the member
        target : written to; None to verify only

        Raises
        ------
        ParameterError
            If it is not what the manifest says.
        """
        expected = self.manifest.members[name]
        digest, size = hashlib.sha256(), 0
        try:
            with self._zip.open(name) as source:
                while block := source.read(BLOCK):
                    size += len(block)
                    digest.update(block)
                    if target is not None:
                        target.write(block)
        except BROKEN as error:
            raise self.refused(f"{name} cannot be unpacked ({error})") from error
        if (size, digest.hexdigest()) != (expected.size, expected.sha256):
            raise self.refused(f"{name} is not what the manifest says")


@contextmanager
def open_archive(
    path: Path, *, on_progress: OnProgress = lambda done, total: None
) -> Iterator[Archive]:
    """Open an archive, and verify all of it.

    Parameters
    ----------
    path : of the file
    on_progress : called with (done, total) files

    Yields
    ------
    the archive

    Raises
    ------
    ParameterError
        If there is no such file, or it is not as it was written, or written by other software.
    """
    if not path.is_file():
        raise ParameterError(f"archive={path}: there is no such file")
    try:
        file = path.open("rb")
    except OSError as error:
        raise ParameterError(f"archive={path}: cannot be read ({error.strerror})") from error
    with file:
        _check_seal(file, path)
        try:
            opened = zipfile.ZipFile(file)
        except BROKEN as error:
            raise _refused(path, f"it is no zip ({error})") from error
        with opened:
            manifest = _manifest(opened, path)
            _check_entries(opened, manifest, path)
            archive = Archive(opened, path, manifest)
            _check_contents(archive, on_progress)
            yield archive


def _refused(path: Path, reason: str) -> ParameterError:
    return ParameterError(
        f"archive={path}: {' '.join(reason.split())}; nothing was imported; copy or export it anew"
    )


def _parse_json(content: bytes, name: str, path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"{name} is no JSON ({error})") from error


def name_problem(name: str) -> str | None:
    """Why a member's name could lead out of its folder, or to no file; None where it is fine."""
    match = MEMBER.fullmatch(name)
    if match is None:
        return f"{name!r} is no place for a run's file"
    path = match[2] or RECORD
    parts = path.split("/")
    if ODD.search(path) or any(part in ("", ".", "..") for part in parts):
        return f"{name!r} is no name for a file"
    if len(name) > LONGEST_NAME:
        return f"{name[:80]!r}… is too long for a name"
    return None


def _digest(file: IO[bytes], end: int) -> str:
    digest, left = hashlib.sha256(), end
    file.seek(0)
    while left and (block := file.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _check_seal(file: IO[bytes], path: Path) -> None:
    size = file.seek(0, os.SEEK_END)
    end = size - N_DIGITS
    file.seek(max(0, end - len(SEAL)))
    said = file.read()
    if end < len(SEAL) or not said.startswith(SEAL):
        raise _refused(path, "it is no archive of the entry point export, or its end is missing")
    if _digest(file, end).encode() != said.removeprefix(SEAL):
        raise _refused(path, "it is damaged: its SHA-256 is not the one that it was written with")


def _manifest(file: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        with file.open(MANIFEST) as source:
            content = source.read(MOST_VALUES + 1)
    except KeyError:
        raise _refused(path, f"it has no {MANIFEST}") from None
    except BROKEN as error:
        raise _refused(path, f"{MANIFEST} cannot be unpacked ({error})") from error
    if len(content) > MOST_VALUES:
        raise _refused(path, f"{MANIFEST} is too large")
    data = _parse_json(content, MANIFEST, path)
    if not isinstance(data, dict) or data.get("content") != CONTENT:
        raise _refused(path, f"{MANIFEST} is not that of an archive of runs")
    if data.get("format") != FORMAT:
        words = f"format {data.get('format')!r} is not the one of this version ({FORMAT})"
        raise ParameterError(
            f"archive={path}: {words}; use the version of the project that wrote it"
        )
    try:
        return _parsed(data)
    except (KeyError, TypeError, ValueError, AttributeError, ParameterError) as error:
        raise _refused(
            path, f"{MANIFEST} is incomplete ({type(error).__name__}: {error})"
        ) from error


def _parsed(data: dict[str, Any]) -> Manifest:
    texts = {key: data[key] for key in ("exported", "tracking", "experiment", "experiment_id")}
    texts |= {f"software.{key}": value for key, value in data["software"].items()}
    wrong = [key for key, value in texts.items() if not isinstance(value, str)]
    if wrong or not all(type(count) is int for count in data["counts"].values()):
        raise ValueError(f"{(*wrong, 'counts')[0]} is of the wrong type")
    for key, value in texts.items():
        check_printable(key, value)
    members = {}
    for name, member in data["members"].items():
        size, digest = member["size"], member["sha256"]
        if type(size) is not int or size < 0 or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"size or digest of {name}")
        members[name] = Member(size=size, sha256=digest)
    runs = tuple(data["runs"])
    if len(set(runs)) != len(runs) or {f"runs/{run}/{RECORD}" for run in runs} - members.keys():
        raise ValueError("runs")
    return Manifest(
        software=data["software"],
        exported=data["exported"],
        tracking=data["tracking"],
        experiment=data["experiment"],
        experiment_id=data["experiment_id"],
        counts=data["counts"],
        runs=runs,
        members=members,
    )


def _check_entries(file: zipfile.ZipFile, manifest: Manifest, path: Path) -> None:
    """Compare the zip's own table with the manifest, before anything is unpacked."""
    entries = file.infolist()
    names = [entry.filename for entry in entries if entry.filename != MANIFEST]
    if len({entry.filename for entry in entries}) != len(entries):
        raise _refused(path, "it has two members of one name")
    missing, strange = manifest.members.keys() - set(names), set(names) - manifest.members.keys()
    if missing or strange:
        name = min(missing or strange)
        words = "is missing" if missing else "is not in the manifest"
        raise _refused(path, f"{name!r} {words}")
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    runs = set(manifest.runs)
    for name in names:
        problem = name_problem(name)
        if problem is None and name.split("/")[1] not in runs:
            problem = f"{name!r} is of no run of the manifest"
        if problem is None and name in folders:
            problem = f"{name!r} is both a file and a folder"
        if problem is not None:
            raise _refused(path, problem)
    packed, unpacked = 0, 0
    for entry in entries:
        known = manifest.members.get(entry.filename)
        if known is not None and entry.file_size != known.size:
            raise _refused(path, f"{entry.filename} has not the size that the manifest says")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, f"{entry.filename} is packed in an unknown way")
        packed += entry.compress_size
        unpacked += entry.file_size
    size = path.stat().st_size
    if packed > size or unpacked > max(HARMLESS, MOST_TIMES * size):
        raise _refused(path, f"it says that it unpacks to {unpacked / 2**30:.1f} GiB")


def _check_contents(archive: Archive, on_progress: OnProgress) -> None:
    names = list(archive.manifest.members)
    for done, name in enumerate(names, start=1):
        archive.copy(name, None)
        on_progress(done, len(names))
