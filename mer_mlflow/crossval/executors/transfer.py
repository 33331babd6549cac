"""Tasks for other machines: files that a task reads are named, not located.

The pickle of a task holds no path of the machine that wrote it. Entries of the store and pretrained
weights are called by names below the cache folder, which each machine completes by its own.
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_mlflow.cache import cache_root
from mer_mlflow.crossval.executors.pool import task_content
from mer_mlflow.crossval.jobs import Batch, Task
from mer_mlflow.errors import StoreError
from mer_mlflow.representations import StoredArray, open_store
from mer_mlflow.representations.store import entry_name, is_intact, write_whole
from mer_mlflow.weights import Weights

STORE, WEIGHTS = "store", "weights"
"""First part of the names of entries of the store, and of pretrained weights."""

Stamp = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PackedTask:
    """A task as bytes, and the files that it reads.

    Attributes
    ----------
    content : pickle of :func:`mer_mlflow.crossval.executors.pool.task_content`
    files : path on this machine by name
    """

    content: bytes
    files: Mapping[str, Path]


def pack(task: Task, batches: Sequence[Batch]) -> PackedTask:
    """Pickle a task; whoever unpickles it reads its files from an own cache folder.

    Parameters
    ----------
    task : what the jobs share
    batches : the jobs
    """
    files: dict[str, Path] = {}

    def reduce_array(array: StoredArray) -> tuple[Callable[..., StoredArray], tuple[Any, ...]]:
        names = [entry_name(path, arithmetic=task.arithmetic) for path in array.paths]
        files.update(
            {f"{STORE}/{name}": path for name, path in zip(names, array.paths, strict=True)}
        )
        return _array_here, (names, array.item_shape)

    content = _pickled(task_content(task, batches), files, {StoredArray: reduce_array})
    return PackedTask(content=content, files=files)


def pack_value(value: Any) -> PackedTask:
    """Pickle a value whose only files are pretrained weights, see :func:`pack`."""
    files: dict[str, Path] = {}
    return PackedTask(content=_pickled(value, files, {}), files=files)


def _pickled(
    value: Any, files: dict[str, Path], reducers: Mapping[type, Callable[[Any], Any]]
) -> bytes:
    """Pickle a value, and add the files that it names."""

    def reduce_weights(weights: Weights) -> tuple[Callable[..., Weights], tuple[Any, ...]]:
        name = f"{WEIGHTS}/{weights.digest}/{weights.file.name}"
        files[name] = weights.file
        return _weights_here, (name, weights.name, weights.digest, weights.is_known)

    content = io.BytesIO()
    pickler = pickle.Pickler(content)
    pickler.dispatch_table = copyreg.dispatch_table | {Weights: reduce_weights} | dict(reducers)
    pickler.dump(value)
    return content.getvalue()


def _array_here(names: Sequence[str], item_shape: tuple[int, ...]) -> StoredArray:
    root = open_store().root
    return StoredArray(paths=tuple(root / name for name in names), item_shape=item_shape)


def _weights_here(name: str, network: str, digest: str, is_known: bool) -> Weights:
    return Weights(name=network, file=cache_root() / name, digest=digest, is_known=is_known)


def blocks(files: Mapping[str, Path], names: Iterable[str], *, size: int) -> Iterator[list[str]]:
    """Divide names into groups whose files are sent together.

    Parameters
    ----------
    files : path of each file by name
    names : the names to divide
    size : bytes after which a group is complete
    """
    group, total = list[str](), 0
    for name in names:
        group.append(name)
        total += files[name].stat().st_size
        if total >= size:
            yield group
            group, total = [], 0
    if group:
        yield group


class FileCache:
    """Files of the cache folder by name, each verified once.

    Parameters
    ----------
    root : the cache folder
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: dict[str, Stamp] = {}

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return the names of the files that are absent or damaged."""
        return [name for name in names if not self._is_valid(name)]

    def read(self, names: Iterable[str]) -> list[bytes]:
        """Read files.

        Raises
        ------
        OSError
            If one cannot be read.
        """
        return [(self._root / name).read_bytes() for name in names]

    def write(self, names: Iterable[str], contents: Iterable[bytes]) -> None:
        """Write files that another machine sent, each completely or not at all.

        Raises
        ------
        StoreError
            If a content is damaged, or cannot be written.
        """
        for name, content in zip(names, contents, strict=True):
            path = self._root / name
            if not _matches(name, content):
                raise StoreError(f"{path}: was received with a wrong checksum")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
            except OSError as error:
                raise StoreError(f"{path.parent}: cannot be written ({error.strerror})") from error
            self._verified[name] = _stamp(path)

    def _is_valid(self, name: str) -> bool:
        path = self._root / name
        try:
            stamp = _stamp(path)
            if self._verified.get(name) != stamp:
                if not _matches(name, path.read_bytes()):
                    return False
                self._verified[name] = stamp
        except OSError:
            return False
        return True


def _matches(name: str, content: bytes) -> bool:
    kind, *rest = name.split("/")
    if kind == STORE:
        return is_intact(content)
    return hashlib.sha256(content).hexdigest() == rest[0]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
