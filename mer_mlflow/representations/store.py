"""Store: cache of representations, which are computed once and memory-mapped by readers.

An entry is one ``.npy`` file followed by a checksum of its bytes. Its name depends on the content
of the audio and the key of the representation. Entries are written by an atomic rename, so that
several processes can fill the same store, and a killed process leaves no incomplete entry. Entries
are verified before use; a damaged entry is reported and computed again.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.arithmetic import NATIVE, require
from mer_mlflow.cache import cache_root
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import AudioError, StoreError, listing
from mer_mlflow.paths import draft_name, remedy
from mer_mlflow.representations.audio import Audio, decode, shortfalls
from mer_mlflow.representations.representation import Representation

CHECKSUM_BYTES = 4
LONGEST_HEADER = 1 << 16
"""Maximum size of the header in the ``.npy`` format, in bytes."""
ABSENT, ZEROS = "absent", "nothing but zeros"
"""Faults of entries: missing, or all zeros although the clip is not known to be silent."""
TEMPORARY_PREFIX = ".writing-"
ABANDONED_SECONDS = 3600.0
HEADER_LOCK = threading.Lock()
"""Held while a header is parsed: NumPy parses it by :mod:`ast`, which fails at random in Python
before 3.11.8 if two threads use it at once (https://github.com/python/cpython/issues/106905)."""


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """Arrays of many clips, read from the store when they are indexed.

    They are indexed like NumPy arrays by integer arrays: ``array[clips]``, ``array[clips, parts]``.

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
        """Return the arrays at these positions; parts of them for a pair of positions.

        No entry stays open: thousands of memory maps would exceed the limit of open files, and
        would count as memory of the process.
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
                f"{path}: changed to an array of shape {array.shape}, not {self.item_shape}; give "
                "the same command again to compute it again"
            )
        return array


@dataclass(frozen=True, kw_only=True)
class Store:
    """Content-addressed store of representations.

    Attributes
    ----------
    root : folder of the store, created as needed
    arithmetic : arithmetic of its entries, one of :data:`mer_mlflow.arithmetic.ARITHMETICS`;
        each arithmetic has a separate folder
    """

    root: Path
    arithmetic: str = NATIVE

    def path(self, representation: Representation, audio_hash: str) -> Path:
        """Return the file of one clip's entry."""
        return self._folder(representation) / audio_hash[:2] / f"{audio_hash}.npy"

    def missing(self, clips: Clips, representation: Representation) -> tuple[int, ...]:
        """Return the positions of the clips without a valid entry; every entry is verified.

        An entry of zeros counts as invalid, because only the audio shows whether a clip is silent.

        Raises
        ------
        StoreError
            If an entry cannot be read.
        """
        return tuple(self._faults(clips, representation))

    def n_absent(self, clips: Clips, representation: Representation) -> int:
        """Return the number of clips without an entry; entries are not verified."""
        return sum(not path.exists() for path in set(self._paths(clips, representation)))

    def _faults(self, clips: Clips, representation: Representation) -> dict[int, str]:
        """Return the faults of entries, by the clips' positions."""
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
        on_warning: Callable[[str], None] = lambda words: None,
    ) -> StoredArray:
        """Compute missing or damaged entries on all cores, and return the arrays of all clips.

        The same as :meth:`fill_all` for one representation.
        """
        (filled,) = self.fill_all(
            clips, (representation,), on_progress=on_progress, on_warning=on_warning
        ).values()
        return filled

    def fill_all(
        self,
        clips: Clips,
        representations: Sequence[Representation],
        *,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        on_warning: Callable[[str], None] = lambda words: None,
    ) -> dict[str, StoredArray]:
        """Compute missing or damaged entries on all cores, and return the arrays of all clips.

        Each file is decoded once for all its missing entries. A representation that fails is
        computed for no further clip; the others are completed before the error is raised. Damaged
        entries are reported in one printed line.

        Parameters
        ----------
        clips : clips with audio
        representations : representations to compute
        on_progress : called with (number computed, number to compute) after each entry; an entry
            is one representation of one clip
        on_warning : called with a warning about files that decode shorter than they say

        Returns
        -------
        arrays of all clips by the representation's key [shape=(n_clips, *representation.shape)]

        Raises
        ------
        AudioError
            If audio files cannot be decoded; the message names or counts them.
        DatasetError
            If a clip has no audio file.
        StoreError
            If an entry cannot be read or written.
        NotInEffectError
            If entries are missing, and this process does not use the store's arithmetic.
        """
        kinds = {representation.key: representation for representation in representations}
        if not kinds:
            return {}
        missing = self._missing_entries(clips, tuple(kinds.values()))
        total = sum(map(len, missing.values()))
        if missing:
            require(self.arithmetic)
        for kind in kinds.values():
            self._sweep(kind)
        outcomes = _computed(clips.audio_files(), missing)
        _Findings().collect(clips, outcomes, total, on_progress=on_progress, on_warning=on_warning)
        return {
            key: StoredArray(paths=self._paths(clips, kind), item_shape=kind.shape)
            for key, kind in kinds.items()
        }

    def _missing_entries(
        self, clips: Clips, representations: Sequence[Representation]
    ) -> dict[int, list[_Entry]]:
        """Return the entries to compute by the clips' positions."""
        found: dict[int, list[_Entry]] = {}
        for representation in representations:
            paths = self._paths(clips, representation)
            for i, fault in self._faults(clips, representation).items():
                entry = _Entry(path=paths[i], representation=representation, fault=fault)
                found.setdefault(i, []).append(entry)
        return found

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
            with contextlib.suppress(OSError):  # it may belong to another user, or be removed
                if path.stat().st_mtime < too_old:
                    path.unlink()


def write_entry(path: Path, array: NDArray[np.floating]) -> None:
    """Write an array and its checksum to a file, completely or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = buffer.getvalue()
    write_content(path, content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little"))


def write_content(path: Path, content: bytes) -> None:
    """Write the content of an entry's file, completely or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise StoreError(
            f"{path.parent}: the store cannot be written ({error.strerror}); {remedy(error)} "
            "there, or set MER_CACHE_ROOT to another folder, and give the same command again"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in an existing folder, completely or not at all."""
    temporary = path.parent / draft_name(TEMPORARY_PREFIX)
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fault(path: Path, representation: Representation) -> str | None:
    """Return the fault of an entry, None if it is valid."""
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_intact(content):
        return "its checksum is wrong"
    try:
        array = _array(content[:-CHECKSUM_BYTES])
    except (ValueError, TypeError) as error:
        return f"not an array: {error}"
    if (array.shape, array.dtype) != (representation.shape, np.dtype(representation.dtype)):
        wanted = f"{representation.dtype} {representation.shape}"
        return f"{array.dtype} {array.shape} instead of {wanted}"
    if not np.isfinite(array).all():
        return "numbers that are not finite"
    return None if array.any() else ZEROS


def is_intact(content: bytes | memoryview) -> bool:
    """Return whether the content of an entry's file matches its checksum."""
    checksum = int.from_bytes(content[-CHECKSUM_BYTES:], "little")
    return len(content) > CHECKSUM_BYTES and zlib.crc32(content[:-CHECKSUM_BYTES]) == checksum


def entry_name(path: Path, *, arithmetic: str) -> str:
    """Return the path of an entry below the root of its store, which is the same in every store.

    Parameters
    ----------
    path : file of the entry, from :meth:`Store.path`
    arithmetic : arithmetic of the store
    """
    n_parts = 3 if arithmetic == NATIVE else 4
    return "/".join(path.parts[-n_parts:])


def _array(content: memoryview) -> NDArray[Any]:
    """Return the array of an entry without a copy."""
    header = io.BytesIO(content[:LONGEST_HEADER])
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("another format")
    with HEADER_LOCK:
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
    values = np.frombuffer(content[header.tell() :], dtype=dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")


def _unreadable(path: Path, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(
        f"{path}: the store cannot be read ({reason}); get read permission, or set "
        "MER_CACHE_ROOT to another folder, and give the same command again"
    )


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """An entry to compute: its file, its representation, and why it is computed."""

    path: Path
    representation: Representation
    fault: str


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of an entry; both are None or False if its representation was given up."""

    entry: _Entry
    error: Exception | None = None
    is_written: bool = False
    shortfall: str | None = None


@dataclass(kw_only=True)
class _Findings:
    """Errors and warnings of entries, by clip."""

    broken: dict[int, str] = field(default_factory=dict)
    damages: list[str] = field(default_factory=list)
    short: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    def collect(
        self,
        clips: Clips,
        outcomes: Iterable[tuple[int, list[_Outcome]]],
        total: int,
        *,
        on_progress: Callable[[int, int], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """Wait for all outcomes, report them, and raise the first error."""
        done = 0
        for i, of_clip in outcomes:
            for outcome in of_clip:
                done += 1
                on_progress(done, total)
                self._add(i, clips.ids[i], outcome)
        if self.damages:
            most = listing(self.damages, most=3)
            print(f"damaged in the store, computed again: {most}", flush=True)
        if self.short:
            on_warning(shortfalls(self.short))
        if self.error is not None:
            raise self.error
        if self.broken:
            raise AudioError(
                f"{len(self.broken)} of {len(clips)} audio files cannot be used: "
                f"{listing(list(self.broken.values()), most=3)}"
            )

    def _add(self, i: int, clip: str, outcome: _Outcome) -> None:
        if isinstance(outcome.error, AudioError):
            self.broken.setdefault(i, str(outcome.error))
        elif outcome.error is not None:
            self.error = self.error or outcome.error
        if outcome.is_written and outcome.entry.fault != ABSENT:
            self.damages.append(f"{outcome.entry.path} ({outcome.entry.fault})")
        if outcome.shortfall is not None:
            self.short[clip] = outcome.shortfall


def _computed(
    files: Sequence[Path], missing: Mapping[int, Sequence[_Entry]]
) -> Iterator[tuple[int, list[_Outcome]]]:
    """Compute and write the missing entries of clips on all cores, in the order of the clips."""
    given_up: set[str] = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda i: _compute_entries(files[i], missing[i], given_up), missing)
        yield from zip(missing, outcomes, strict=True)


def _compute_entries(file: Path, entries: Sequence[_Entry], given_up: set[str]) -> list[_Outcome]:
    """Compute the entries of one clip from one decoding.

    Parameters
    ----------
    file : audio file
    entries : entries to compute
    given_up : keys of representations that have failed, to which others are added
    """
    wanted = [entry for entry in entries if entry.representation.key not in given_up]
    if not wanted:
        return [_Outcome(entry=entry) for entry in entries]
    try:
        audio = decode(file, seconds=max(each.representation.required_seconds for each in wanted))
    except AudioError as error:
        return [_Outcome(entry=entry, error=error) for entry in entries]
    lengths = {each.representation.required_seconds for each in wanted}
    excerpts = {seconds: audio.beginning(seconds) for seconds in lengths}
    return [_compute_entry(file, excerpts, entry, given_up) for entry in entries]


def _compute_entry(
    file: Path, excerpts: Mapping[float, Audio], entry: _Entry, given_up: set[str]
) -> _Outcome:
    """Compute an entry, and write it unless it equals the existing one."""
    kind = entry.representation
    if kind.key in given_up:
        return _Outcome(entry=entry)
    audio = excerpts[kind.required_seconds]
    try:
        is_written = _write_computed(file, audio, entry)
    except AudioError as error:
        return _Outcome(entry=entry, error=error)
    except Exception as error:  # raised when the other representations are complete
        given_up.add(kind.key)
        return _Outcome(entry=entry, error=error)
    return _Outcome(entry=entry, is_written=is_written, shortfall=audio.shortfall)


def _write_computed(file: Path, audio: Audio, entry: _Entry) -> bool:
    """Compute an entry and return whether it was written."""
    kind = entry.representation
    array = kind.compute(audio)
    if not np.isfinite(array).all():
        raise AudioError(f"{file}: its representation is not finite; its samples are too large")
    if (array.shape, array.dtype) != (kind.shape, np.dtype(kind.dtype)):
        raise ValueError(f"{kind.key} gives {array.dtype} {array.shape}, not as declared")
    is_known = entry.fault == ZEROS and not array.any()
    if not is_known:
        write_entry(entry.path, array)
    return not is_known


def open_store(root: Path | None = None, *, arithmetic: str = NATIVE) -> Store:
    """Open a store.

    Parameters
    ----------
    root : folder of the store, by default a subfolder of the cache folder
    arithmetic : arithmetic of its entries, one of :data:`mer_mlflow.arithmetic.ARITHMETICS`

    Examples
    --------
    >>> from mer_mlflow.representations.mel import Mel
    >>> store = open_store()  # doctest: +SKIP
    >>> store.fill(clips, Mel(duration=10.0)).shape  # doctest: +SKIP
    (160, 128, 313)
    """
    return Store(root=root or cache_root() / "store", arithmetic=arithmetic)
