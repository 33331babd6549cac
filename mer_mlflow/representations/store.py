"""The store: every clip's representation, computed once, memory-mapped by whoever reads it.

An entry is one ``.npy`` file followed by a checksum of its bytes, named by the content of the
audio and the key of the representation. It appears by an atomic rename, so that several processes
may fill one store at once and a killed one leaves nothing half-written.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.cache import cache_root
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import AudioError, StoreError, listing
from mer_mlflow.representations.audio import decode
from mer_mlflow.representations.representation import Representation

CHECKSUM_BYTES = 4
TEMPORARY_PREFIX = ".writing-"
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """The arrays of many clips, read from the store as they are asked for.

    Indexed as a NumPy array is by integer arrays: ``array[clips]``, ``array[clips, parts]``.

    Attributes
    ----------
    paths : entry of each clip
    item_shape : shape of one clip's array
    """

    paths: tuple[Path, ...]
    item_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_clips, *item_shape)."""
        return (len(self.paths), *self.item_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Any) -> NDArray[np.floating]:
        """Arrays of the clips at these positions, or with a pair of positions their parts.

        No entry stays open: thousands of maps would pass a process's limit of files, and count to
        its memory.
        """
        if isinstance(key, tuple):
            pairs = zip(*key, strict=True)
            return np.stack(
                [np.load(self.paths[i], mmap_mode="r")[part].copy() for i, part in pairs]
            )
        return np.stack([np.load(self.paths[i]) for i in key])


@dataclass(frozen=True, kw_only=True)
class Store:
    """Content-addressed store of representations.

    Attributes
    ----------
    root : folder of the store, created as needed
    """

    root: Path

    def path(self, representation: Representation, audio_hash: str) -> Path:
        """File of one clip's entry."""
        return self.root / representation.key / audio_hash[:2] / f"{audio_hash}.npy"

    def missing(self, clips: Clips, representation: Representation) -> tuple[int, ...]:
        """Positions of the clips without an intact entry; every entry is read and checked."""
        paths = self._paths(clips, representation)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return tuple(i for i, intact in enumerate(pool.map(_is_intact, paths)) if not intact)

    def fill(
        self,
        clips: Clips,
        representation: Representation,
        *,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> StoredArray:
        """Compute the entries that are missing, on all cores, and open all.

        Parameters
        ----------
        clips : clips with audio
        representation : what to compute
        on_progress : called with (computed, to compute) after each clip

        Returns
        -------
        arrays of all clips [shape=(n_clips, *representation.shape)]

        Raises
        ------
        AudioError
            If audio files cannot be decoded; every such file is named or counted.
        DatasetError
            If a clip has no audio file.
        """
        files = clips.audio_files()
        paths = self._paths(clips, representation)
        todo = self.missing(clips, representation)
        self._sweep(representation)
        failures = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = pool.map(lambda i: _compute_entry(files[i], paths[i], representation), todo)
            for done, failure in enumerate(outcomes, start=1):
                if failure is not None:
                    failures.append(str(failure))
                on_progress(done, len(todo))
        if failures:
            raise AudioError(
                f"{len(failures)} of {len(clips)} audio files cannot be used: "
                f"{listing(failures, most=3)}"
            )
        return StoredArray(paths=paths, item_shape=representation.shape)

    def _paths(self, clips: Clips, representation: Representation) -> tuple[Path, ...]:
        clips.audio_files()
        hashes = [content for content in clips.audio_hashes if content is not None]
        return tuple(self.path(representation, content) for content in hashes)

    def _sweep(self, representation: Representation) -> None:
        too_old = time.time() - ABANDONED_SECONDS
        for path in (self.root / representation.key).glob(f"*/{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < too_old:
                    path.unlink()


def write_entry(path: Path, array: NDArray[np.floating]) -> None:
    """Write an array and its checksum so that the file appears whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little"))
    except OSError as error:
        raise StoreError(
            f"{path.parent}: the store cannot be written ({error.strerror}); make room there, or "
            "set MER_CACHE_ROOT to another folder, and give the same command again"
        ) from error


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _is_intact(path: Path) -> bool:
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return False
    checksum = int.from_bytes(content[-CHECKSUM_BYTES:], "little")
    return len(content) > CHECKSUM_BYTES and zlib.crc32(content[:-CHECKSUM_BYTES]) == checksum


def _compute_entry(file: Path, path: Path, representation: Representation) -> AudioError | None:
    try:
        array = representation.compute(decode(file, seconds=representation.heard))
    except AudioError as error:
        return error
    if not np.isfinite(array).all():
        return AudioError(f"{file}: gives numbers that are not finite; its samples are too large")
    write_entry(path, array)
    return None


def open_store(root: Path | None = None) -> Store:
    """Open a store.

    Parameters
    ----------
    root : folder of the store, by default one below the cache folder
    """
    return Store(root=root or cache_root() / "store")
