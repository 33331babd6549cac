"""Pretrained weights: which files are needed, where they are searched, and their known digests.

Users provide the weights. Nothing is downloaded, and a missing file is never replaced by another.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mer_mlflow.errors import ParameterError, WeightsError
from mer_mlflow.paths import given_path, whence

ROOT_VARIABLE = "MER_WEIGHTS_ROOT"
UNVERIFIED_VARIABLE = "MER_ALLOW_UNVERIFIED_WEIGHTS"
CHUNK_BYTES = 1 << 20
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MOST_CHARACTERS = 200
"""Maximum length of a library's message about a file."""
MOST_BYTES = 1 << 28
"""Maximum size of a file; the published ones have up to 20 MiB."""


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A published file of weights.

    Attributes
    ----------
    name : name of the network, for inputs and messages
    path : end of the file's path, as it was published; ``*`` stands for a version
    alternatives : ends of the paths of other files with weights of the same network, which are used
        if there is no such file
    source : where it was published
    licence : its licence
    sha256 : hex digests of the known files; empty if none is known
    package : installed package whose folder may contain it; empty for none
    may_be_packed : whether it was published in gzip format too
    """

    name: str
    path: str
    source: str
    licence: str
    sha256: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    package: str = ""
    may_be_packed: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights that was found.

    Attributes
    ----------
    name : name of the network
    file : path of the file
    digest : SHA-256 of its content, as hex
    is_known : whether the digest is that of a published file
    """

    name: str
    file: Path
    digest: str
    is_known: bool

    def read(self) -> bytes:
        """Read the content of the file.

        Raises
        ------
        WeightsError
            If it cannot be read, or has changed since it was found.
        """
        try:
            with self.file.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _unreadable(self.file, error) from error
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise WeightsError(f"{self.file}: has changed since the run began; start it again")
        return content


def find_published(
    wanted: PublishedWeights,
    given: Path | str | None,
    *,
    published: Iterable[PublishedWeights],
    allow_unverified: bool,
) -> Weights:
    """Find a file of weights and verify its digest.

    Parameters
    ----------
    wanted : the published file
    given : path of the file, or of a folder that contains it at any depth; by default
        ``MER_WEIGHTS_ROOT``, then the folder of the package that contains it
    published : all known files; the file of another network is rejected
    allow_unverified : whether a file with an unknown digest is accepted; also if
        ``MER_ALLOW_UNVERIFIED_WEIGHTS`` is ``true``

    Raises
    ------
    ParameterError
        If the given path does not exist.
    WeightsError
        If there is no such file, or its digest is unknown.
    """
    name, file = wanted.name, _found(wanted, given)
    if file is None:
        root = given or os.environ.get(ROOT_VARIABLE)
        raise WeightsError(
            f"{name}: no weights{f' in {root}' if root else ''}; get {wanted.path} from "
            f"{wanted.source} ({wanted.licence}) and give its folder by weights= or {ROOT_VARIABLE}"
        )
    digest = _digest_of(file)
    if _is_pointer(file):
        raise WeightsError(
            f"{name}: {file} is a pointer of Git LFS, not the weights; run `git lfs pull` in its "
            "repository"
        )
    is_known = digest in wanted.sha256
    other = next((each.name for each in published if digest in each.sha256), name)
    if other != name:
        raise WeightsError(f"{name}: {file} has the weights of {other}")
    if not (is_known or allow_unverified or os.environ.get(UNVERIFIED_VARIABLE) == "true"):
        known = f"not that of {wanted.source}" if wanted.sha256 else "which is of no known file"
        raise WeightsError(
            f"{name}: {file} has the SHA-256 {digest}, {known}; give "
            "allow_unverified_weights=true to use it anyway"
        )
    return Weights(name=name, file=file, digest=digest, is_known=is_known)


def not_weights_of(network: str, weights: Weights, error: Exception) -> WeightsError:
    """Return the error for a file whose content is not that of a network.

    Parameters
    ----------
    network : the network, for the message
    weights : the file
    error : why it cannot be read or assigned
    """
    reason = " ".join(str(error).split())[:MOST_CHARACTERS] or type(error).__name__
    return WeightsError(
        f"{weights.file}: not the weights of {network} ({reason}); get the file again"
    )


def _found(wanted: PublishedWeights, given: Path | str | None) -> Path | None:
    root = given or os.environ.get(ROOT_VARIABLE)
    if root:
        name = "weights" if given else ROOT_VARIABLE
        place = given_path(root, name=name)
        if not place.exists():
            raise ParameterError(f"{name}={root}: does not exist{whence(place)}")
        if place.is_file():
            return place
        held = _held(place, wanted)
        if held is not None:
            return held
    folder = _package_folder(wanted.package)
    return _held(folder, wanted) if folder else None


def _held(folder: Path, wanted: PublishedWeights) -> Path | None:
    """Return the file below a folder whose path ends as published; of several, a known one."""
    ends = [wanted.path, *[f"{wanted.path}.gz"] * wanted.may_be_packed, *wanted.alternatives]
    found = [path for end in ends for path in sorted(folder.rglob(end)) if path.is_file()]
    known = (path for path in found if len(found) > 1 and _digest_of(path) in wanted.sha256)
    return next(known, found[0] if found else None)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package) if package else None
    return Path(spec.origin).parent if spec and spec.origin else None


def _digest_of(file: Path) -> str:
    try:
        status = file.stat()
        if status.st_size > MOST_BYTES:
            raise WeightsError(
                f"{file}: has {status.st_size >> 20} MiB; the maximum is {MOST_BYTES >> 20} MiB"
            )
        return _sha256(file, status.st_mtime_ns)
    except OSError as error:
        raise _unreadable(file, error) from error


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(LFS_POINTER)) == LFS_POINTER


def _unreadable(file: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{file}: cannot be read ({error.strerror}); give another file by weights=")


@cache
def _sha256(file: Path, changed: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
