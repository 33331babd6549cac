"""Archive: a zip file that is verified completely before it is used.

There is a member for the values of each run and each logged model, one for each of their artifacts,
and a manifest with size and SHA-256 of each of them. The zip's comment ends with the SHA-256 of all
bytes before it, because the manifest cannot contain the checksum of itself and of the zip's
directory.
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
from mer_mlflow.paths import FULL, given_path, whence
from mer_mlflow.scratch import remove_abandoned, scratch_folder

FORMAT, WITHOUT_MODELS = 2, 1
"""Formats of archives with and without models. An archive without models is written as by versions
that know only runs, so that they can import it; they refuse the other format by its number."""
CONTENT = "runs of mer_mlflow"
MANIFEST, RECORD, MODEL, ARTIFACTS = "manifest.json", "run.json", "model.json", "artifacts"
MODEL_ID = "m-"
"""Start of the ids of logged models; ids of runs have no such start."""
SEAL = b"mer_mlflow; SHA-256 of all before these digits: "
N_DIGITS = 64
BLOCK = 1 << 20
MOST_VALUES = 1 << 28
"""Maximum size of a member that is read into memory; a run with a million metrics has 50 MB."""
MOST_TIMES, HARMLESS = 200, 1 << 30
"""Limits of the compression ratio and of the unpacked size; an archive that exceeds both is
rejected as a zip bomb. The ratio of runs is below ten."""
LONGEST_NAME = 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Modification time of every member, constant for reproducible archives."""
PLAIN_FILE = 0o100644 << 16
FULL_IN_WORDS = re.compile(rf"#####\n\[Errno ({'|'.join(map(str, FULL))})\]")
"""MLflow's message for a full disk during a download in threads; errors of servers have another
prefix."""
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
"""Exceptions for an invalid zip file."""
ODD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:")
"""Characters that are not allowed in file names on every system, or cannot be encoded."""
RUN_PLACE, MODEL_PLACE = "runs/[0-9a-f]{32}", f"models/{MODEL_ID}[0-9a-f]{{32}}"
MEMBER = re.compile(
    rf"{RUN_PLACE}/{RECORD}|{MODEL_PLACE}/{MODEL}"
    rf"|(?:{RUN_PLACE}|{MODEL_PLACE})/{ARTIFACTS}/(?P<artifact>.+)",
    re.DOTALL,
)

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of the archive.

    Attributes
    ----------
    size : size in bytes
    sha256 : digest of its content
    """

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Content and origin of an archive.

    Attributes
    ----------
    software : versions of the software that wrote it
    exported : time of the export, in ISO format
    tracking : address of the server, without credentials
    experiment, experiment_id : name and id of the exported experiment
    counts : number of runs of each kind, and of artifacts
    runs : ids of the runs, parents before children
    models : ids of the logged models
    members : all files except the manifest, by name
    """

    software: Mapping[str, str]
    exported: str
    tracking: str
    experiment: str
    experiment_id: str
    counts: Mapping[str, int]
    runs: tuple[str, ...]
    models: tuple[str, ...]
    members: Mapping[str, Member]


def place_of(owner: str) -> str:
    """Return the folder of a run or model in an archive, by its id."""
    return f"{'models' if owner.startswith(MODEL_ID) else 'runs'}/{owner}"


def record_name(owner: str) -> str:
    """Return the name of the member with the values of a run or model, by its id."""
    return f"{place_of(owner)}/{MODEL if owner.startswith(MODEL_ID) else RECORD}"


class ArchiveWriter:
    """Writer of members, followed by manifest and checksum.

    Parameters
    ----------
    file : file to write, with a temporary name
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.members: dict[str, Member] = {}
        self._file = file
        self._zip = zipfile.ZipFile(file, "w")

    def add(self, name: str, source: IO[bytes], *, size: int) -> None:
        """Write a member.

        Parameters
        ----------
        name : name with folders
        source : file to read until its end
        size : expected size in bytes

        Raises
        ------
        ParameterError
            If the name is not valid on every system.
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
        if written > MOST_VALUES and _artifact_name(name) is None:
            raise ParameterError(f"{name}: is too large to be a run's values; delete the run")
        self.members[name] = Member(size=written, sha256=digest.hexdigest())

    def close(self, manifest: Manifest) -> None:
        """Write the manifest and the checksum.

        Raises
        ------
        ParameterError
            If an import would reject the archive.
        """
        text = json.dumps(_facts(manifest), indent=1)
        size, unpacked = self._file.tell(), sum(each.size for each in self.members.values())
        if len(text) > MOST_VALUES or unpacked > max(HARMLESS, MOST_TIMES * size):
            raise ParameterError(
                f"{len(self.members)} files of {unpacked / 2**30:.1f} GiB in {size / 2**20:.1f} "
                "MiB would be rejected by import; delete the runs whose artifacts are empty"
            )
        self._zip.writestr(zipfile.ZipInfo(MANIFEST, EPOCH), text, zipfile.ZIP_DEFLATED)
        self._zip.comment = SEAL + b"0" * N_DIGITS
        self._zip.close()
        seal(self._file)

    def abandon(self) -> None:
        """Stop writing: a zip file that is closed would write its directory."""
        self._zip.fp = None


def seal(file: IO[bytes]) -> None:
    """Write the SHA-256 of a zip into the end of its comment."""
    end = file.seek(-N_DIGITS, os.SEEK_END)
    digits = _digest(file, end)
    file.seek(end)
    file.write(digits.encode())
    file.flush()


@contextmanager
def writing(target: Path) -> Iterator[tuple[ArchiveWriter, Path]]:
    """Write an archive to a temporary file, which is renamed when it is complete.

    Parameters
    ----------
    target : path of the archive, which must not exist

    Yields
    ------
    the writer, and a folder for temporary files; temporary files are removed in any case

    Raises
    ------
    ParameterError
        If the file exists, or cannot be written.
    """
    check_target(target)
    try:
        remove_abandoned(target.parent)
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
        message = "the disk is full, no file was left there; free disk space or name another folder"
        raise ParameterError(f"archive={target}: {message}") from error


def archive_path(given: str) -> Path:
    """Return the path of an archive, as given by a user.

    Raises
    ------
    ParameterError
        If it is not valid.
    """
    check_printable("archive", given)
    return given_path(given, name="archive")


def check_target(target: Path) -> None:
    """Check that an archive can be written.

    Raises
    ------
    ParameterError
        If it exists already, or its folder does not exist or is not writable.
    """
    if target.exists() or target.is_symlink():
        message = "exists already and is never overwritten; move it, or name another"
        raise ParameterError(f"archive={target}: {message}")
    if not target.parent.is_dir():
        raise ParameterError(
            f"archive={target}: folder {target.parent} does not exist; create it first"
        )
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            return
    except OSError as error:
        raise ParameterError(f"archive={target}: cannot be written ({error.strerror})") from error


def _is_full(error: BaseException) -> bool:
    """Return whether the disk is full; MLflow has only a message if it downloads in threads."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return FULL_IN_WORDS.search(str(error.__cause__)) is not None


class Archive:
    """A verified archive.

    Parameters
    ----------
    file : open zip file
    path : path of the file, for error messages
    manifest : manifest of the archive
    """

    def __init__(self, file: zipfile.ZipFile, path: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._zip = file
        self._path = path
        self._owned: dict[str, list[str]] = {
            owner: [] for owner in (*manifest.runs, *manifest.models)
        }
        for name in sorted(manifest.members):
            self._owned[name.split("/")[1]].append(name)

    def record(self, owner: str) -> Any:
        """Return the values of a run or model, by its id, as parsed JSON.

        Raises
        ------
        ParameterError
            If they are not valid JSON.
        """
        buffer = io.BytesIO()
        name = record_name(owner)
        if self.manifest.members[name].size > MOST_VALUES:
            raise self.refused(f"{name} is too large to be a run's values")
        self.copy(name, buffer)
        return _parse_json(buffer.getvalue(), name, self._path)

    def refused(self, reason: str) -> ParameterError:
        """Return an error for an archive that cannot be used."""
        return _refused(self._path, reason)

    def artifacts(self, owner: str) -> dict[str, str]:
        """Return the names of members that are artifacts of a run or model, by their paths."""
        start = f"{place_of(owner)}/{ARTIFACTS}/"
        return {
            name.removeprefix(start): name for name in self._owned[owner] if name.startswith(start)
        }

    def size(self, owner: str) -> int:
        """Return the size of a run or model in the archive, in bytes."""
        return sum(self.manifest.members[name].size for name in self._owned[owner])

    def copy(self, name: str, target: IO[bytes] | None) -> None:
        """Unpack a member, at most to the size in the manifest.

        Parameters
        ----------
        name : name of the member
        target : file to write; None to verify only

        Raises
        ------
        ParameterError
            If it differs from the manifest.
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
            raise self.refused(f"{name} differs from the manifest")


@contextmanager
def open_archive(
    path: Path, *, on_progress: OnProgress = lambda done, total: None
) -> Iterator[Archive]:
    """Open an archive, and verify it completely.

    Parameters
    ----------
    path : path of the file
    on_progress : called with (done, total) files

    Yields
    ------
    the archive

    Raises
    ------
    ParameterError
        If the file does not exist, was changed, or was written by other software.
    """
    if not path.is_file():
        raise ParameterError(f"archive={path}: no such file{whence(path)}")
    try:
        file = path.open("rb")
    except OSError as error:
        raise ParameterError(f"archive={path}: cannot be read ({error.strerror})") from error
    with file:
        _check_seal(file, path)
        try:
            opened = zipfile.ZipFile(file)
        except BROKEN as error:
            raise _refused(path, f"it is not a zip file ({error})") from error
        with opened:
            manifest = _manifest(opened, path)
            _check_entries(opened, manifest, path)
            archive = Archive(opened, path, manifest)
            _check_contents(archive, on_progress)
            yield archive


def _refused(path: Path, reason: str) -> ParameterError:
    return ParameterError(
        f"archive={path}: {' '.join(reason.split())}; nothing was imported; copy or export it again"
    )


def _parse_json(content: bytes, name: str, path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"{name} is not JSON ({error})") from error


def name_problem(name: str) -> str | None:
    """Return why a member's name is not a valid path inside its folder; None if it is."""
    if not MEMBER.fullmatch(name):
        return f"{name!r} is not a valid path of a file of a run or model"
    path = _artifact_name(name) or RECORD
    parts = path.split("/")
    if ODD.search(path) or any(part in ("", ".", "..") for part in parts):
        return f"{name!r} is not a valid file name"
    if len(name) > LONGEST_NAME:
        return f"{name[:80]!r}… is too long for a name"
    return None


def _artifact_name(member: str) -> str | None:
    match = MEMBER.fullmatch(member)
    return match and match["artifact"]


def _facts(manifest: Manifest) -> dict[str, Any]:
    facts = asdict(manifest)
    if not manifest.models:
        del facts["models"]
    format_ = FORMAT if manifest.models else WITHOUT_MODELS
    return {"content": CONTENT, "format": format_, **facts}


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
    comment = file.read()
    if end < len(SEAL) or not comment.startswith(SEAL):
        raise _refused(path, "it is not an archive of the entry point export, or is truncated")
    if _digest(file, end).encode() != comment.removeprefix(SEAL):
        raise _refused(path, "it is damaged: its SHA-256 is wrong")


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
    if data.get("format") not in (FORMAT, WITHOUT_MODELS):
        message = f"format {data.get('format')!r} is not that of this version ({FORMAT})"
        raise ParameterError(
            f"archive={path}: {message}; use the version of the project that wrote it"
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
    models = tuple(data["models"]) if data["format"] == FORMAT else ()
    for kind, owners in (("runs", runs), ("models", models)):
        if len(set(owners)) != len(owners) or set(map(record_name, owners)) - members.keys():
            raise ValueError(kind)
    return Manifest(
        software=data["software"],
        exported=data["exported"],
        tracking=data["tracking"],
        experiment=data["experiment"],
        experiment_id=data["experiment_id"],
        counts=data["counts"],
        runs=runs,
        models=models,
        members=members,
    )


def _check_entries(file: zipfile.ZipFile, manifest: Manifest, path: Path) -> None:
    """Compare the zip's directory with the manifest, before anything is unpacked."""
    entries = file.infolist()
    names = [entry.filename for entry in entries if entry.filename != MANIFEST]
    if len({entry.filename for entry in entries}) != len(entries):
        raise _refused(path, "it has two members with the same name")
    missing, strange = manifest.members.keys() - set(names), set(names) - manifest.members.keys()
    if missing or strange:
        name = min(missing or strange)
        fault = "is missing" if missing else "is not in the manifest"
        raise _refused(path, f"{name!r} {fault}")
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    owners = {*manifest.runs, *manifest.models}
    for name in names:
        problem = name_problem(name)
        if problem is None and name.split("/")[1] not in owners:
            kind = "model" if name.startswith("models/") else "run"
            problem = f"{name!r} belongs to no {kind} of the manifest"
        if problem is None and name in folders:
            problem = f"{name!r} is both a file and a folder"
        if problem is not None:
            raise _refused(path, problem)
    packed, unpacked = 0, 0
    for entry in entries:
        known = manifest.members.get(entry.filename)
        if known is not None and entry.file_size != known.size:
            raise _refused(path, f"{entry.filename} has another size than in the manifest")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, f"{entry.filename} has an unknown compression")
        packed += entry.compress_size
        unpacked += entry.file_size
    size = path.stat().st_size
    if packed > size or unpacked > max(HARMLESS, MOST_TIMES * size):
        raise _refused(path, f"it would be unpacked to {unpacked / 2**30:.1f} GiB")


def _check_contents(archive: Archive, on_progress: OnProgress) -> None:
    names = list(archive.manifest.members)
    for done, name in enumerate(names, start=1):
        archive.copy(name, None)
        on_progress(done, len(names))
