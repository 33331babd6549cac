"""What files of weights may unpack to: a small file can announce more than any memory holds."""

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
"""Of all arrays of a file; those of the published networks have up to 20 MiB."""


def unpacked(content: bytes) -> bytes:
    """Unpack a file that gzip packed.

    Raises
    ------
    ValueError
        If it holds more than ``MOST_BYTES``.
    OSError, EOFError, zlib.error
        If it is cut off or damaged.
    """
    with gzip.open(io.BytesIO(content)) as file:
        whole = file.read(MOST_BYTES + 1)
    if len(whole) > MOST_BYTES:
        raise ValueError(_too_large())
    return whole


def array_reader() -> Callable[[Any], NDArray[np.float32]]:
    """Return what reads one array of an HDF5 file after the other, none that would fill memory.

    It raises ``ValueError`` for what is no array of numbers, is packed inside the file, or has
    with those before it more than ``MOST_BYTES``.
    """
    left = MOST_BYTES

    def read(dataset: Any) -> NDArray[np.float32]:
        nonlocal left
        shape = getattr(dataset, "shape", None)
        if shape is None or dataset.dtype.kind != "f":
            raise ValueError(f"{getattr(dataset, 'name', 'an entry')} is no array of numbers")
        if dataset.id.get_create_plist().get_nfilters():
            raise ValueError(f"{dataset.name} is packed inside the file")
        chunk = math.prod(dataset.chunks or ())
        left -= max(math.prod(shape), chunk) * dataset.dtype.itemsize
        if left < 0:
            raise ValueError(_too_large())
        return np.asarray(dataset)

    return read


def refuse_large_zip(content: bytes) -> None:
    """Check what a file unpacks to, where it is a zip file as PyTorch saves them.

    Raises
    ------
    ValueError
        If it holds more than ``MOST_BYTES``, or is damaged.
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
