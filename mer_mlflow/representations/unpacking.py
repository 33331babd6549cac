"""Size limits of unpacked weights: a small compressed file must not exhaust the memory."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 28
"""Maximum size of all arrays of a file; those of the published networks have up to 20 MiB."""


def unpacked(content: bytes) -> bytes:
    """Decompress a gzip file.

    Raises
    ------
    ValueError
        If its content is larger than ``MOST_BYTES``.
    OSError, EOFError, zlib.error
        If it is truncated or damaged.
    """
    with gzip.open(io.BytesIO(content)) as file:
        whole = file.read(MOST_BYTES + 1)
    if len(whole) > MOST_BYTES:
        raise ValueError(_too_large())
    return whole


def array_reader() -> Callable[[Any], NDArray[np.float32]]:
    """Return a function that reads arrays of one HDF5 file within a memory limit.

    It raises ``ValueError`` if an entry is not an array of numbers, if it is compressed inside the
    file, or if all arrays read so far are larger than ``MOST_BYTES``.
    """
    left = MOST_BYTES

    def read(dataset: Any) -> NDArray[np.float32]:
        nonlocal left
        shape = getattr(dataset, "shape", None)
        if shape is None or dataset.dtype.kind != "f":
            raise ValueError(f"{getattr(dataset, 'name', 'an entry')} is not an array of numbers")
        if dataset.id.get_create_plist().get_nfilters():
            raise ValueError(f"{dataset.name} is compressed inside the file")
        chunk = math.prod(dataset.chunks or ())
        left -= max(math.prod(shape), chunk) * dataset.dtype.itemsize
        if left < 0:
            raise ValueError(_too_large())
        return np.asarray(dataset)

    return read


def refuse_large_zip(content: bytes) -> None:
    """Check the unpacked size of a file, if it is a zip file as written by PyTorch.

    Raises
    ------
    ValueError
        If its content is larger than ``MOST_BYTES``, or it is damaged.
    """
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if size > MOST_BYTES:
        raise ValueError(_too_large())


def _too_large() -> str:
    return f"unpacked, it has more than {MOST_BYTES >> 20} MiB"
