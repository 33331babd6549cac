"""The store: every clip's representation, computed once, memory-mapped by whoever reads it.

An entry is one ``.npy`` file followed by a checksum of its bytes, named by the content of the
audio and the key of the representation. It appears by an atomic rename, so that several processes
may fill one store at once and a killed one leaves nothing half-written. What is read is checked: an
entry that is not what its representation gives is named and computed anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.arithmetic import NATIVE, require
from mer_mlflow.cache import cache_root
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import AudioError, StoreError, listing
from mer_mlflow.paths import draft_name, remedy
from mer_mlflow.representations.audio import decode
from mer_mlflow.representations.representation import Representation

CHECKSUM_BYTES = 4
LONGEST_HEADER = 1 << 16
"""Bytes before an array's values in the ``.npy`` format, at most."""
ABSENT, ZEROS = "absent", "nothing but zeros"
"""Faults of entries: not there, and all zeros though the clip is not known to be silent."""
TEMPORARY_PREFIX = ".writing-"
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """The arrays of many clips, read from the store when they are indexed.

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
            return np.stack([self._opened(i, mmap_mode="r")[part].copy() for i, part in pairs])
        return np.stack([self._opened(i) for i in key])

    def _opened(self, i: int, **options: Any) -> NDArray[np.floating]:
        path = self.paths[i]
        try:
            array: NDArray[np.floating] = np.load(path, **options)
        except (OSError, ValueError, EOFError) as error:
            raise _unreadable(path, error) from error
        if array.shape != self.item_shape:
            raise StoreError(
                f"{path}: has become an array of shape {array.shape}, not {self.item_shape}; give "
                "the same command again to compute it anew"
            )
        return array


@dataclass(frozen=True, kw_only=True)
class Store:
    """Content-addressed store of representations.

    Attributes
    ----------
    root : folder of the store, created as needed
    arithmetic : of its entries, one of :data:`mer_mlflow.arithmetic.ARITHMETICS`; those of the same
        root are kept apart by it
    """

    root: Path
    arithmetic: str = NATIVE

    def path(self, representation: Representation, audio_hash: str) -> Path:
        """File of one clip's entry."""
        return self._folder(representation) / audio_hash[:2] / f"{audio_hash}.npy"

    def missing(self, clips: Clips, representation: Representation) -> tuple[int, ...]:
        """Positions of the clips without an entry to rely on; every entry is read and checked.

        An entry of zeros is among them: a clip may be silent, but that takes a look at its audio.

        Raises
        ------
        StoreError
            If an entry may not be read.
        """
        return tuple(self._faults(clips, representation))

    def _faults(self, clips: Clips, representation: Representation) -> dict[int, str]:
        """What is wrong with entries, by the clips' positions."""
        paths = self._paths(clips, representation)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = pool.map(lambda path: _fault(path, representation), paths)
            return {i: fault for i, fault in enumerate(faults) if fault is not None}

    def fill(
        self,
        clips: Clips,
        representation: Representation,
        *,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> StoredArray:
        """Compute the entries that are missing or damaged, on all cores, and open all.

        A line is printed for each entry that was there and was not what its audio gives.

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
        StoreError
            If an entry may not be read, or cannot be written.
        NotInEffectError
            If entries are missing, and this process was not started for the store's arithmetic.
        """
        files = clips.audio_files()
        paths = self._paths(clips, representation)
        faults = self._faults(clips, representation)
        if faults:
            require(self.arithmetic)
        self._sweep(representation)
        failures, damages = [], []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = pool.map(
                lambda i: _compute_entry(files[i], paths[i], representation, faults[i]), faults
            )
            for done, (i, outcome) in enumerate(zip(faults, outcomes, strict=True), start=1):
                if isinstance(outcome, AudioError):
                    failures.append(str(outcome))
                elif faults[i] != ABSENT and outcome:
                    damages.append(f"{paths[i]} ({faults[i]})")
                on_progress(done, len(faults))
        if damages:
            print(f"damaged in the store, computed anew: {listing(damages, most=3)}", flush=True)
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

    def _folder(self, representation: Representation) -> Path:
        own = () if self.arithmetic == NATIVE else (self.arithmetic,)
        return self.root.joinpath(*own, representation.key)

    def _sweep(self, representation: Representation) -> None:
        too_old = time.time() - ABANDONED_SECONDS
        for path in self._folder(representation).glob(f"*/{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(OSError):  # it may be another user's, or gone
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
            f"{path.parent}: the store cannot be written ({error.strerror}); {remedy(error)} "
            "there, or set MER_CACHE_ROOT to another folder, and give the same command again"
        ) from error


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.parent / draft_name(TEMPORARY_PREFIX)
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fault(path: Path, representation: Representation) -> str | None:
    """What is wrong with an entry, None where nothing is."""
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        raise _unreadable(path, error) from error
    checksum = int.from_bytes(content[-CHECKSUM_BYTES:], "little")
    if len(content) <= CHECKSUM_BYTES or zlib.crc32(content[:-CHECKSUM_BYTES]) != checksum:
        return "its checksum is another"
    try:
        array = _array(content[:-CHECKSUM_BYTES])
    except (ValueError, TypeError) as error:
        return f"no array: {error}"
    if (array.shape, array.dtype) != (representation.shape, np.dtype(representation.dtype)):
        wanted = f"{representation.dtype} {representation.shape}"
        return f"{array.dtype} {array.shape} where {wanted} belongs"
    if not np.isfinite(array).all():
        return "numbers that are not finite"
    return None if array.any() else ZEROS


def _array(content: memoryview) -> NDArray[Any]:
    """Array of an entry, not copied."""
    header = io.BytesIO(content[:LONGEST_HEADER])
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("another format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
    values = np.frombuffer(content[header.tell() :], dtype=dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")


def _unreadable(path: Path, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(
        f"{path}: the store cannot be read ({reason}); get the right to read it, or set "
        "MER_CACHE_ROOT to another folder, and give the same command again"
    )


def _compute_entry(
    file: Path, path: Path, representation: Representation, fault: str
) -> AudioError | bool:
    """Compute an entry, and write it where it is not the one that is there.

    Returns whether it was written, or what is wrong with the audio file.
    """
    try:
        array = representation.compute(decode(file, seconds=representation.heard))
    except AudioError as error:
        return error
    if not np.isfinite(array).all():
        return AudioError(f"{file}: gives numbers that are not finite; its samples are too large")
    if (array.shape, array.dtype) != (representation.shape, np.dtype(representation.dtype)):
        raise ValueError(f"{representation.key} gives {array.dtype} {array.shape}, as not declared")
    if fault == ZEROS and not array.any():
        return False
    write_entry(path, array)
    return True


def open_store(root: Path | None = None, *, arithmetic: str = NATIVE) -> Store:
    """Open a store.

    Parameters
    ----------
    root : folder of the store, by default one below the cache folder
    arithmetic : of its entries
    """
    return Store(root=root or cache_root() / "store", arithmetic=arithmetic)
