"""Pretrained weights: which files are needed, where they are looked for, what is known of them.

Weights are the user's. Nothing here downloads, and nothing ever takes the place of a missing file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mer_mlflow.errors import ParameterError, WeightsError

ROOT_VARIABLE = "MER_WEIGHTS_ROOT"
CHUNK_BYTES = 1 << 20

WON = "https://github.com/minzwon/sota-music-tagging-models"
ARTIST = "https://github.com/jongpillee/ismir2018-artist"
OPENL3 = "https://github.com/marl/openl3"


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
    """

    name: str
    path: str
    source: str
    licence: str
    sha256: tuple[str, ...] = ()
    package: str = ""


PUBLISHED = {
    each.name: each
    for each in (
        PublishedWeights(
            name="crnn_mtat",
            path="mtat/crnn/best_model.pth",
            source=WON,
            licence="MIT",
            sha256=("cd22fc70cafd06f8f2bfc7dd795abccb1f4b50d5b09094c39ad100baf87475a3",),
        ),
        PublishedWeights(
            name="crnn_jamendo",
            path="jamendo/crnn/best_model.pth",
            source=WON,
            licence="MIT",
            sha256=("0a558989c0793f488cb677d188464c91f47c007f7c70473230e55537ca598215",),
        ),
        PublishedWeights(
            name="crnn_msd",
            path="msd/crnn/best_model.pth",
            source=WON,
            licence="MIT",
            sha256=("ebb99855ed0c83f38845db9cfb383dd6fc70938bc58701dcb66e18af9ee7fbea",),
        ),
        PublishedWeights(
            name="artist_siamese",
            path="model_siamese_10000.h5",
            source=ARTIST,
            licence="MIT",
            sha256=("3b3ad09c321786c8ea388269ee3c35ab540734ce5209f40a430f1c9b0a25f753",),
        ),
        PublishedWeights(name="artist_basic", path="model_basic.h5", source=ARTIST, licence="MIT"),
        PublishedWeights(
            name="openl3_mel256",
            path="openl3_audio_mel256_music*.h5",
            source=OPENL3,
            licence="CC BY 4.0",
            package="openl3",
        ),
        PublishedWeights(
            name="openl3_mel128",
            path="openl3_audio_mel128_music*.h5",
            source=OPENL3,
            licence="CC BY 4.0",
            package="openl3",
        ),
    )
}
"""All weights by name."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights that was found.

    Attributes
    ----------
    name : of :data:`PUBLISHED`
    file : where it is
    digest : SHA-256 of its content, as hex
    is_known : whether that is a published file's
    """

    name: str
    file: Path
    digest: str
    is_known: bool


def find_weights(
    name: str, given: Path | str | None = None, *, allow_unverified: bool = False
) -> Weights:
    """Find a file of weights and check its digest.

    Parameters
    ----------
    name : of :data:`PUBLISHED`
    given : the file, or a folder that holds it at any depth; by default ``MER_WEIGHTS_ROOT``, then
        for OpenL3 the installed package
    allow_unverified : whether a file whose digest is not known is taken

    Raises
    ------
    ParameterError
        If what is given is not there.
    WeightsError
        If there is no such file, or its digest is not known.
    """
    wanted = PUBLISHED[name]
    file = _found(wanted, given)
    if file is None:
        root = given or os.environ.get(ROOT_VARIABLE)
        raise WeightsError(
            f"{name}: no weights{f' in {root}' if root else ''}; get {wanted.path} from "
            f"{wanted.source} ({wanted.licence}) and give its folder by weights= or {ROOT_VARIABLE}"
        )
    digest = _sha256(file, file.stat().st_mtime_ns)
    is_known = digest in wanted.sha256
    if not is_known and not allow_unverified:
        known = f"not that of {wanted.source}" if wanted.sha256 else "of no published file known"
        raise WeightsError(
            f"{name}: {file} has the SHA-256 {digest}, {known}; give "
            "allow_unverified_weights=true to use it all the same"
        )
    return Weights(name=name, file=file, digest=digest, is_known=is_known)


def _found(wanted: PublishedWeights, given: Path | str | None) -> Path | None:
    root = given or os.environ.get(ROOT_VARIABLE)
    if root:
        place = Path(root).expanduser()
        if not place.exists():
            raise ParameterError(
                f"{'weights=' if given else ROOT_VARIABLE + '='}{root}: does not exist"
            )
        if place.is_file():
            return place
        held = _held(place, wanted)
        if held is not None:
            return held
    folder = _package_folder(wanted.package)
    return _held(folder, wanted) if folder else None


def _held(folder: Path, wanted: PublishedWeights) -> Path | None:
    """The file below a folder whose path ends as published, packed or not; the first of several."""
    ends = (wanted.path, f"{wanted.path}.gz")
    return next((path for end in ends for path in sorted(folder.rglob(end))), None)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package) if package else None
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def _sha256(file: Path, changed: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
