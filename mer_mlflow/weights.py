"""Pretrained weights: which files are needed, where they are looked for, what is known of them.

Weights are the user's. Nothing here downloads, and nothing ever takes the place of a missing file.
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
from mer_mlflow.paths import given_path

ROOT_VARIABLE = "MER_WEIGHTS_ROOT"
UNVERIFIED_VARIABLE = "MER_ALLOW_UNVERIFIED_WEIGHTS"
CHUNK_BYTES = 1 << 20
MOST_BYTES = 1 << 28
"""Of a file; the published ones have up to 20 MiB."""


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file of weights that somebody published.

    Attributes
    ----------
    name : as inputs and errors call it
    path : end of the file's path, as it was published; ``*`` stands for a version
    source : where it was published
    licence : its licence
    sha256 : hex digests of the files that are known, empty where none is
    package : installed package whose folder may hold it, empty for none
    may_be_packed : whether it is published packed by gzip too
    """

    name: str
    path: str
    source: str
    licence: str
    sha256: tuple[str, ...] = ()
    package: str = ""
    may_be_packed: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights that was found.

    Attributes
    ----------
    name : of the network
    file : where it is
    digest : SHA-256 of its content, as hex
    is_known : whether that is a published file's
    """

    name: str
    file: Path
    digest: str
    is_known: bool

    def read(self) -> bytes:
        """Content of the file.

        Raises
        ------
        WeightsError
            If it cannot be read, or is no longer what was found.
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
    """Find a file of weights and check its digest.

    Parameters
    ----------
    wanted : the file
    given : the file, or a folder that holds it at any depth; by default ``MER_WEIGHTS_ROOT``, then
        the folder of the package that holds it
    published : all files that are known: one of another network is refused
    allow_unverified : whether a file whose digest is not known is taken; also where
        ``MER_ALLOW_UNVERIFIED_WEIGHTS`` is ``true``

    Raises
    ------
    ParameterError
        If what is given is not there.
    WeightsError
        If there is no such file, or its digest is not known.
    """
    name, file = wanted.name, _found(wanted, given)
    if file is None:
        root = given or os.environ.get(ROOT_VARIABLE)
        raise WeightsError(
            f"{name}: no weights{f' in {root}' if root else ''}; get {wanted.path} from "
            f"{wanted.source} ({wanted.licence}) and give its folder by weights= or {ROOT_VARIABLE}"
        )
    digest = _digest_of(file)
    is_known = digest in wanted.sha256
    other = next((each.name for each in published if digest in each.sha256), name)
    if other != name:
        raise WeightsError(f"{name}: {file} has the weights of {other}")
    if not (is_known or allow_unverified or os.environ.get(UNVERIFIED_VARIABLE) == "true"):
        known = f"not that of {wanted.source}" if wanted.sha256 else "of no published file known"
        raise WeightsError(
            f"{name}: {file} has the SHA-256 {digest}, {known}; give "
            "allow_unverified_weights=true to use it all the same"
        )
    return Weights(name=name, file=file, digest=digest, is_known=is_known)


def _found(wanted: PublishedWeights, given: Path | str | None) -> Path | None:
    root = given or os.environ.get(ROOT_VARIABLE)
    if root:
        name = "weights" if given else ROOT_VARIABLE
        place = given_path(root, name=name)
        if not place.exists():
            raise ParameterError(f"{name}={root}: does not exist")
        if place.is_file():
            return place
        held = _held(place, wanted)
        if held is not None:
            return held
    folder = _package_folder(wanted.package)
    return _held(folder, wanted) if folder else None


def _held(folder: Path, wanted: PublishedWeights) -> Path | None:
    """The file below a folder whose path ends as published; of several one that is known."""
    ends = [wanted.path, *[f"{wanted.path}.gz"] * wanted.may_be_packed]
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
                f"{file}: has {status.st_size >> 20} MiB; weights have at most {MOST_BYTES >> 20}"
            )
        return _sha256(file, status.st_mtime_ns)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{file}: cannot be read ({error.strerror}); give another file by weights=")


@cache
def _sha256(file: Path, changed: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
