"""Representations that are computed by the workers of a Dask cluster.

A worker returns the entries of a clip from its own store, or computes them from the audio below its
data root. A worker without the audio or the weights gets them from the command. What no worker
computes is left to :meth:`mer_mlflow.representations.Store.fill_all`.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_mlflow.arithmetic import Facts, describe, difference, is_in_effect
from mer_mlflow.crossval.executors import remote
from mer_mlflow.crossval.executors.cluster import connected, say
from mer_mlflow.crossval.executors.transfer import PackedTask, pack_value
from mer_mlflow.datasets import ROOT_VARIABLE, Clips
from mer_mlflow.datasets.quadrant_folders import content_hashes
from mer_mlflow.errors import AudioError, DatasetError, MerError
from mer_mlflow.representations import Representation, Store, open_store
from mer_mlflow.representations.pretrained import MODULES
from mer_mlflow.representations.store import entry_name, is_intact, write_content

if TYPE_CHECKING:
    from distributed import Client, Future

LIBRARIES = (*remote.LIBRARIES, "librosa", "soxr", "soundfile", "audioread")
"""Packages on which entries depend: those of folds, and those that decode and resample."""
AHEAD = 2
"""Clips that a thread of a worker has at once, so that it does not wait for the command."""
TICK_SECONDS, WAIT_SECONDS = 0.05, 1.0
"""Time between looks for answers, and for workers that were lost."""
RESULT_SECONDS = 30.0
"""Time to fetch a result that is there, or to send files."""
NO_WORKERS_SECONDS = 30.0
"""Time without a usable worker after which the command computes the rest itself."""


@dataclass(frozen=True, kw_only=True)
class RemoteClip:
    """A clip as a worker needs it.

    Attributes
    ----------
    name : path of its audio below the data root, else the file's name
    audio_hash : digest of the content of its audio
    arithmetic : arithmetic of the entries
    """

    name: str
    audio_hash: str
    arithmetic: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a worker has for a clip.

    Attributes
    ----------
    worker : address of the worker
    entries : content of the entries' files by name
    lacks_files : names of weights that the worker lacks
    lacks_audio : whether the worker has no audio of this content
    fault : why not all entries could be computed; empty if they could
    """

    worker: str
    entries: Mapping[str, bytes] = field(default_factory=dict)
    lacks_files: tuple[str, ...] = ()
    lacks_audio: bool = False
    fault: str = ""

    @property
    def lacks_any(self) -> bool:
        """Whether the worker lacks anything."""
        return bool(self.lacks_files) or self.lacks_audio


def fill_on_cluster(
    address: str,
    clips: Clips,
    representations: Sequence[Representation],
    *,
    store: Store,
    root: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Copy to the store what the workers of a cluster have or can compute.

    Parameters
    ----------
    address : ``dask://host:port`` of the scheduler, or ``dask+tls://host:port``
    clips : clips with audio
    representations : representations whose missing entries are wanted
    store : store of this machine
    root : data root of the clips; workers look for the same paths below their own
    on_progress : called with (number of answered clips, number of clips) after each clip

    Returns
    -------
    number of new entries

    Raises
    ------
    ParameterError
        If no scheduler answers.
    StoreError
        If an entry cannot be read or written.
    """
    kinds = {each.key: each for each in representations}
    wanted: dict[int, list[str]] = {}
    for key, representation in kinds.items():
        for i in store.missing(clips, representation):
            wanted.setdefault(i, []).append(key)
    if not wanted:
        return 0
    with connected(address) as client:
        filling = _Filling(client, clips, kinds, store, root)
        return sum(filling.run(wanted, lambda done: on_progress(done, len(wanted))))


class _Filling:
    """One call of :func:`fill_on_cluster`."""

    def __init__(
        self,
        client: Client,
        clips: Clips,
        kinds: Mapping[str, Representation],
        store: Store,
        root: Path | None,
    ) -> None:
        self._client, self._clips, self._kinds, self._store = client, clips, kinds, store
        self._files = clips.audio_files()
        self._root = root
        self._packed: dict[tuple[str, ...], PackedTask] = {}
        facts = tuple((name, describe(name)) for name in _frameworks(kinds.values()))
        self._expected = (remote.installed_versions(LIBRARIES), facts, store.arithmetic)
        self._asked: dict[str, Future[Any]] = {}
        self._usable: dict[str, int] = {}
        self._refused: set[str] = set()
        self._sent: dict[tuple[str, str], Future[Any]] = {}
        self._n_sent: Counter[int] = Counter()
        self._last_usable = time.monotonic()

    def run(
        self, wanted: Mapping[int, Sequence[str]], on_answer: Callable[[int], None]
    ) -> Iterator[int]:
        """Yield the number of new entries of each clip; ends early if no worker is left."""
        waiting = list(wanted)
        running: dict[Future[Any], int] = {}
        done = 0
        while waiting or running:
            workers = self._present()
            if not workers and self._is_late():
                print("no worker can be used: this machine computes the rest", flush=True)
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    self._client.cancel(list(running))
                return
            while waiting and len(running) < AHEAD * sum(workers.values()):
                i = waiting.pop(0)
                running[self._submit(i, wanted[i], tuple(workers))] = i
            for future in self._ended(list(running)):
                i = running.pop(future)
                answer = self._answer(future)
                if answer is not None and answer.lacks_any and workers and self._may_send(i):
                    running[self._submit_again(i, wanted[i], answer, tuple(workers))] = i
                    continue
                yield 0 if answer is None else self._write(i, wanted[i], answer)
                done += 1
                on_answer(done)

    def _examine(self, present: Mapping[str, Any]) -> None:
        """Examine workers that came, and note which compute the same entries as this machine."""
        for worker in present.keys() - self._asked.keys():
            self._asked[worker] = self._ask(worker, entries_fault, *self._expected)
        for worker in present.keys() - self._usable.keys() - self._refused:
            if not self._asked[worker].done():
                continue
            fault = _fault(self._asked[worker])
            if fault is None:
                self._usable[worker] = int(present[worker]["nthreads"])
            else:
                self._refused.add(worker)
                say(f"warning: worker {worker} is not used: {fault}")

    def _ask(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Submit a call to one worker."""
        key = f"{function.__name__}-{uuid.uuid4().hex[:8]}"
        return self._client.submit(function, *arguments, key=key, workers=[worker], pure=False)

    def _present(self) -> dict[str, int]:
        """Return the usable workers with their threads; none if the scheduler is gone."""
        present: Mapping[str, Any] = {}
        with contextlib.suppress(Exception):
            present = self._client.scheduler_info()["workers"]
            self._examine(present)
        workers = {name: n for name, n in self._usable.items() if name in present}
        if workers:
            self._last_usable = time.monotonic()
        elif present and present.keys() <= self._refused:
            self._last_usable = -math.inf
        return workers

    def _is_late(self) -> bool:
        return time.monotonic() - self._last_usable > NO_WORKERS_SECONDS

    def _ended(self, futures: Sequence[Future[Any]]) -> list[Future[Any]]:
        _wait(futures, seconds=WAIT_SECONDS)
        return [future for future in futures if future.done()]

    def _submit(
        self, i: int, keys: Sequence[str], workers: Sequence[str], content: bytes | None = None
    ) -> Future[Any]:
        packed = self._pack(tuple(keys))
        return self._client.submit(
            compute_entries,
            packed.content,
            tuple(packed.files),
            self._remote_clip(i),
            content,
            key=f"{self._clips.name} · {self._clips.ids[i]}-{uuid.uuid4().hex[:8]}",
            workers=list(workers),
            pure=False,
        )

    def _may_send(self, i: int) -> bool:
        """Return whether a clip is sent again: each worker may lack weights, and then the audio."""
        self._n_sent[i] += 1
        return self._n_sent[i] <= 2 * len(self._usable)

    def _submit_again(
        self, i: int, keys: Sequence[str], answer: Answer, workers: Sequence[str]
    ) -> Future[Any]:
        """Submit a clip with what the worker lacks."""
        files = self._pack(tuple(keys)).files
        for name in answer.lacks_files:
            place = (answer.worker, name)
            if place not in self._sent:
                content = [files[name].read_bytes()]
                self._sent[place] = self._ask(answer.worker, remote.write_files, [name], content)
            with contextlib.suppress(Exception):  # a worker without them answers so once more
                self._sent[place].result(timeout=RESULT_SECONDS)
        audio = self._files[i].read_bytes() if answer.lacks_audio else None
        return self._submit(i, keys, workers, audio)

    def _pack(self, keys: tuple[str, ...]) -> PackedTask:
        if keys not in self._packed:
            self._packed[keys] = pack_value([self._kinds[key] for key in keys])
        return self._packed[keys]

    def _remote_clip(self, i: int) -> RemoteClip:
        file, root = self._files[i], self._root
        is_below = root is not None and file.is_relative_to(root)
        return RemoteClip(
            name=file.relative_to(root).as_posix() if root and is_below else file.name,
            audio_hash=str(self._clips.audio_hashes[i]),
            arithmetic=self._store.arithmetic,
        )

    def _answer(self, future: Future[Any]) -> Answer | None:
        """Return an answer; None if the worker failed, so that this machine tries it."""
        try:
            answer: Answer = future.result(timeout=RESULT_SECONDS)
        except Exception as error:
            say(f"warning: a worker has failed ({type(error).__name__}: {error})")
            return None
        if answer.fault:
            say(f"warning: worker {answer.worker}: {answer.fault}")
        return answer

    def _write(self, i: int, keys: Sequence[str], answer: Answer) -> int:
        """Write the entries that were wanted and are intact; return their number."""
        n_written = 0
        for key in keys:
            path = self._store.path(self._kinds[key], str(self._clips.audio_hashes[i]))
            content = answer.entries.get(entry_name(path, arithmetic=self._store.arithmetic))
            if content is not None and is_intact(content):
                write_content(path, content)
                n_written += 1
        return n_written


def _wait(futures: Sequence[Future[Any]], *, seconds: float) -> None:
    """Wait until a task has ended, or for so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not any(each.done() for each in futures):
        time.sleep(TICK_SECONDS)


def _fault(future: Future[Any]) -> str | None:
    """Return why a worker that was examined cannot be used, None if it can."""
    try:
        fault: str | None = future.result(timeout=RESULT_SECONDS)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return fault


def _frameworks(representations: Iterable[Representation]) -> list[str]:
    """Return the frameworks on whose arithmetic representations depend."""
    named = {str(getattr(each, "network", None) or "") for each in representations}
    networks = [MODULES[name] for name in named if name in MODULES]
    return ["scikit-learn", *sorted({"keras" if each.ON_KERAS else "torch" for each in networks})]


def entries_fault(
    versions: Mapping[str, str], facts: Sequence[tuple[str, Facts]], arithmetic: str
) -> str | None:
    """Return why this Dask worker would compute other entries, None if it would not.

    Parameters
    ----------
    versions : versions of ``LIBRARIES`` on the machine of the command
    facts : arithmetic there, by framework
    arithmetic : arithmetic of the entries
    """
    fault = remote.version_fault(remote.installed_versions(LIBRARIES), versions)
    if fault is None and not is_in_effect(arithmetic):
        fault = f"arithmetic={arithmetic} is not in effect there"
    found = (difference(describe(name), expected) for name, expected in facts)
    return fault or next(filter(None, found), None)


def compute_entries(
    packed: bytes, files: Sequence[str], clip: RemoteClip, content: bytes | None
) -> Answer:
    """Return the entries of a clip, from the store of this Dask worker or computed.

    Parameters
    ----------
    packed : representations, from :func:`pack_value`
    files : names of the weights that they need
    clip : the clip
    content : its audio; None to look below the data root
    """
    from distributed import get_worker

    worker = str(get_worker().address)
    if lacking := remote.lacking_files(files):
        return Answer(worker=worker, lacks_files=lacking)
    representations: list[Representation] = pickle.loads(packed)  # noqa: S301, from the command
    store = open_store(arithmetic=clip.arithmetic)
    fault, entries = "", _entries(store, clip, representations)
    if len(entries) < len(representations):
        with _audio(clip, content) as path:
            if path is None:
                return Answer(worker=worker, lacks_audio=True)
            try:
                store.fill_all(_clips(clip, path), representations)
            except AudioError:  # the command names its own file
                pass
            except MerError as error:
                fault = str(error)
        entries = _entries(store, clip, representations)
    return Answer(worker=worker, entries=entries, fault=fault)


def _entries(
    store: Store, clip: RemoteClip, representations: Sequence[Representation]
) -> dict[str, bytes]:
    found = {}
    for representation in representations:
        path = store.path(representation, clip.audio_hash)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if is_intact(content):
                found[entry_name(path, arithmetic=clip.arithmetic)] = content
    return found


@contextlib.contextmanager
def _audio(clip: RemoteClip, content: bytes | None) -> Iterator[Path | None]:
    """Yield a file with the audio of a clip; None if there is none on this machine."""
    root = os.environ.get(ROOT_VARIABLE)
    own = Path(root, clip.name) if root else None
    if own is not None and _has_content(own, clip.audio_hash):
        yield own
    elif content is None:
        yield None
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(clip.name).name
            path.write_bytes(content)
            yield path


def _has_content(path: Path, audio_hash: str) -> bool:
    try:
        return content_hashes([path]) == (audio_hash,)
    except DatasetError:
        return False


def _clips(clip: RemoteClip, path: Path) -> Clips:
    return Clips(
        name="remote",
        ids=(clip.audio_hash,),
        quadrants=np.zeros(1, dtype=np.int64),
        audio=(path,),
        audio_hashes=(clip.audio_hash,),
        artists=(None,),
    )
