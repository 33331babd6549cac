"""Import of librosa, by one process at a time.

librosa's modules compile some functions with numba when they are imported. numba caches the result
on disk in two files, which must come from the same compilation. Two processes that compile at the
same time can leave files of different compilations; every process that reads them ends with a
segmentation fault.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

COMPILING = (
    "librosa.util.utils",
    "librosa.core.pitch",
    "librosa.beat",
)
"""Modules that compile functions at their import."""


@cache
def import_librosa() -> Any:
    """Import librosa with the modules that compile functions.

    Returns
    -------
    the package
    """
    with _locked(Path(tempfile.gettempdir()) / f"mer_mlflow-librosa-{os.getuid()}.lock"):
        for name in COMPILING:
            import_module(name)
    return import_module("librosa")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file; without it where the file cannot be made."""
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
