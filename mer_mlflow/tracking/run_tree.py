"""Run tree: a parent run for a cross-validation, a child run for each of its folds.

A new parent continues an interrupted parent of the same identity: finished children get the new
parent, unfinished ones are closed, and the old parent is marked as superseded. Children of a
complete parent are copied instead, as are those whose clips had other ids in an earlier version.

Read requests are repeated while the server is unavailable. Writes are appended to a journal, and
delivered to the server as soon as possible.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_USER

from mer_mlflow.access import redacted, user_name
from mer_mlflow.crossval.executors import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    FoldStarted,
)
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import (
    DeletedError,
    JournalError,
    RunInProgressError,
    UndeliveredError,
)
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.adoption import AdoptedFold, EarlierRuns, compare_arithmetic, find_earlier
from mer_mlflow.tracking.dataset_input import dataset_input
from mer_mlflow.tracking.delivery import (
    IDENTITY,
    NAME,
    PARENT,
    SERVER,
    DeliveryThread,
    deliver_journal,
    server_name,
)
from mer_mlflow.tracking.environment import (
    HEARTBEAT_SECONDS,
    SOURCE_TAGS,
    hardware_tags,
    is_alive,
    process_tags,
    software_tags,
)
from mer_mlflow.tracking.findings import finding_tags
from mer_mlflow.tracking.items import (
    File,
    Item,
    Metric,
    Tag,
    arithmetic_tags,
    epoch_metrics,
    fold_items,
    plan_file,
    setting_params,
    validation_items,
)
from mer_mlflow.tracking.journal import (
    SUFFIX,
    Close,
    Create,
    Entry,
    Journal,
    JournalGoneError,
    JournalInUseError,
    Write,
    journal_root,
    journals,
    new_journal,
    now,
)
from mer_mlflow.tracking.notes import (
    continued_note,
    duplicate_note,
    pruned_note,
    run_name,
    started_note,
    validation_note,
    with_own_text,
)
from mer_mlflow.tracking.outage import patience, retry, without_client_retries
from mer_mlflow.tracking.readback import (
    LostWriteError,
    content_of,
    lacking,
)
from mer_mlflow.tracking.runs import Kind, Status, is_missing, open_run
from mer_mlflow.tracking.writer import batch, send, write
from mer_mlflow.training import Illustration

FLUSH_SECONDS = 5.0
"""Time between writes of finished epochs."""
LEAVING_SECONDS = 10.0
"""Time to wait for the server if the run is stopped anyway."""


class RunTree(AbstractContextManager["RunTree"]):
    """The runs of one cross-validation, as a context manager.

    It records folds as a listener of :func:`mer_mlflow.crossval.validation.validate`.

    Parameters
    ----------
    setting : setting of the cross-validation
    tags : further tags of the parent run
    source : location of the dataset
    is_main : whether the parent is the run created by ``mlflow run``, or an additional one

    Attributes
    ----------
    on_fold : optional callback after each fold: (finished, expected, result or failure)
    on_epoch : optional callback after each epoch of a fold: (finished folds, expected, epoch)
    """

    def __init__(
        self,
        setting: Setting,
        *,
        tags: dict[str, str],
        source: str,
        is_main: bool = True,
    ) -> None:
        self.on_fold: Callable[[int, int, FoldFinished | FoldFailed], None] = lambda *_: None
        self.on_epoch: Callable[[int, int, EpochEnded], None] = lambda *_: None
        self.known: dict[str, FoldResult] = {}
        self.duplicate_of: str | None = None
        self.n_adopted = 0
        self.n_of_other_software = 0
        self.n_of_other_arithmetic = 0
        self._setting = setting
        self._settings = (setting, *([] if setting.earlier is None else [setting.earlier]))
        self._tags = tags
        self._source = source
        self._is_main = is_main
        self._client = MlflowClient()
        self._user = user_name()
        self._software = software_tags()
        self._differences = ""
        self._process: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._children: dict[str, str] = {}
        self._n_children = 0
        self._epochs: dict[str, list[Metric]] = {}
        self._n_finished = 0
        self._status = Status.INTERRUPTED

    @property
    def run_id(self) -> str:
        """Id of the parent run."""
        return str(self._run.info.run_id)

    @property
    def experiment_id(self) -> str:
        """Id of its experiment."""
        return str(self._run.info.experiment_id)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about folds of earlier runs that are reused."""
        found = []
        if self.n_of_other_software:
            found.append(
                f"{self.n_of_other_software} of them were run with another version of the code or "
                "its packages (see their tags)"
            )
        if self.n_of_other_arithmetic:
            found.append(
                f"{self.n_of_other_arithmetic} of them were run with different arithmetic "
                f"({self._differences}), which changes scores; -P arithmetic=portable gives "
                "equal results on all x86-64 processors with AVX2"
            )
        return tuple(found)

    @property
    def n_run(self) -> int:
        """Number of folds that were run, not read from earlier runs."""
        return self._n_finished - len(self.known)

    def __enter__(self) -> Self:
        self._patience = patience()
        root = journal_root()
        with ExitStack() as stack:
            stack.enter_context(without_client_retries())
            self._run = open_run(
                self._client, name=run_name(self._setting, self._tags), is_main=self._is_main
            )
            try:
                retry(self._announce)
                held = self._deliver_left(root)
                earlier = retry(self._find_earlier)
                _refuse_undelivered({each for each in held if self._has_ended(each, earlier)})
                name = f"{self._setting.identity}-{self.run_id}{SUFFIX}"
                self._journal = new_journal(root / name, self._facts())
            except BaseException as error:
                self._abandon_at_once(error)
                raise
            self._delivery_thread = DeliveryThread(self._client, self._journal)
            self._pulse = threading.Thread(target=self._keep_alive, daemon=True)
            self._pulse.start()
            stack.push(self._leave)
            self._continue_earlier(earlier)
            self._n_finished = len(self.known)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    def on_event(self, event: FoldEvent) -> None:
        """Record an event of a fold."""
        items = self._items(event)
        with self._lock:
            match event:
                case FoldStarted():
                    self._create_child(event.job.split)
                case EpochEnded():
                    self._epochs.setdefault(event.job.split.id, []).extend(
                        epoch_metrics(event.epoch)
                    )
                case FoldFinished():
                    self._finish_child(event.job.split, items, "FINISHED")
                case FoldRetried() | FoldFailed():
                    self._finish_child(event.job.split, items, "FAILED")
        if isinstance(event, EpochEnded):
            self.on_epoch(self._n_finished, len(self._setting.plan.splits), event)
        if isinstance(event, FoldFinished | FoldFailed):
            self._n_finished += isinstance(event, FoldFinished)
            self.on_fold(self._n_finished, len(self._setting.plan.splits), event)

    def conclude(self, validation: CrossValidation, *, with_figures: bool = True) -> None:
        """Write the summary of a cross-validation; scores only if every fold has a result."""
        items: list[Item] = list(arithmetic_tags(validation.results))
        note = validation_note(validation, experiment=self.experiment_id, run_id=self.run_id)
        items.append(Tag(key=MLFLOW_RUN_NOTE, value=with_own_text(note, self._present_tags())))
        if validation.is_complete:
            items += validation_items(validation)
            items += _figures(validation) if with_figures else ()
        items.append(Metric(key=schema.FOLDS_DONE, value=float(len(validation.results))))
        self._append(Write(run=self.run_id, batch=batch(items)))
        self._status = Status.COMPLETE if validation.is_complete else Status.INCOMPLETE

    def _present_tags(self) -> dict[str, str]:
        """Return the tags of the parent on the server; none if it does not answer."""
        with without_client_retries(), contextlib.suppress(Exception):
            return dict(self._client.get_run(self.run_id).data.tags)
        return {}

    def illustrate(self, validation: CrossValidation) -> None:
        """Add the figures that the complete run of this setting lacks, as those of trials do."""
        run_id = self.duplicate_of
        if run_id and not retry(lambda: self._client.list_artifacts(run_id, "figures")):
            self._append(Write(run=run_id, batch=batch(_figures(validation))))

    def give_up(self) -> None:
        """Close the parent without a result at the end of the context, also without an error."""
        self._status = Status.PRUNED
        note = pruned_note(self._n_finished, len(self._setting.plan.splits))
        items: list[Item] = [
            Tag(key=MLFLOW_RUN_NOTE, value=note),
            Metric(key=schema.FOLDS_DONE, value=float(self._n_finished)),
        ]
        self._append(Write(run=self.run_id, batch=batch(items)))

    def _announce(self) -> None:
        setting, self._process = self._setting, process_tags()
        tags = {
            schema.KIND: Kind.PARENT,
            schema.STATUS: Status.RUNNING,
            schema.IDENTITY: setting.identity,
            schema.METHOD: setting.method.name,
            schema.DATASET: setting.clips.name,
            schema.PROTOCOL: setting.plan.protocol,
            schema.FOLDS_EXPECTED: str(len(setting.plan.splits)),
            MLFLOW_RUN_NOTE: started_note(len(setting.plan.splits)),
            **_weights_tags(setting),
            **finding_tags(setting.findings),
            **self._tags,
            **self._process,
            **self._software,
            **hardware_tags(),
        }
        items: list[Item] = [Tag(key=key, value=str(value)) for key, value in tags.items()]
        content = batch([*items, *setting_params(setting), plan_file(setting)])
        send(self._client, self.run_id, content)
        self._client.log_inputs(self.run_id, [dataset_input(setting.clips, source=self._source)])
        run = self._client.get_run(self.run_id)
        missing = lacking(self._client, run, content_of([content]))
        if run.inputs is None or not run.inputs.dataset_inputs:
            missing.append("dataset")
        if missing:
            raise LostWriteError(f"run {self.run_id} lacks {', '.join(missing)}")

    def _facts(self) -> dict[str, str]:
        return {
            SERVER: server_name(self._client.tracking_uri),
            PARENT: self.run_id,
            IDENTITY: self._setting.identity,
            NAME: run_name(self._setting, self._tags),
            # heartbeats would not be updated, but suggest a living process
            **{key: value for key, value in self._process.items() if key != schema.HEARTBEAT},
        }

    def _deliver_left(self, root: Path) -> set[str]:
        """Deliver the journals of earlier processes of this cross-validation.

        Return the runs whose journals are locked by another process.
        """
        server, held = server_name(self._client.tracking_uri), set()
        left = (journals(root, prefix=setting.identity) for setting in self._settings)
        for path in chain.from_iterable(left):
            try:
                journal = Journal(path)
            except JournalGoneError:
                continue
            except JournalInUseError:
                held.add(path.stem.rpartition("-")[2])
                continue
            if is_alive(journal.facts) or journal.facts[SERVER] != server:
                journal.close()
                continue
            try:
                deliver_journal(self._client, journal, new_experiment=self.experiment_id)
            except DeletedError as error:  # of another experiment: not needed here
                print(f"warning: {error}", flush=True)
                journal.close()
        return held

    def _find_earlier(self) -> EarlierRuns:
        return find_earlier(
            self._client,
            self._settings,
            experiment_id=self.experiment_id,
            run_id=self.run_id,
            process=self._process,
        )

    def _has_ended(self, run_id: str, earlier: EarlierRuns) -> bool:
        """Return whether an earlier run, which may be deleted, is not running here."""
        if run_id in earlier.parents:
            return True
        try:
            run = retry(lambda: self._client.get_run(run_id))
        except MlflowException as error:
            if not is_missing(error):
                raise
            return False
        is_here = run.info.experiment_id == self.experiment_id
        return bool(is_here and run.info.lifecycle_stage != LifecycleStage.ACTIVE)

    def _continue_earlier(self, earlier: EarlierRuns) -> None:
        folds = earlier.folds
        self.known = {each.split.id: each.result for each in folds}
        self.n_adopted = len(folds)
        self.n_of_other_software = sum(
            any(each.run.data.tags.get(key) != value for key, value in self._software.items())
            for each in folds
        )
        results = [each.result for each in folds]
        self.n_of_other_arithmetic, self._differences = compare_arithmetic(self._setting, results)
        self.duplicate_of = earlier.duplicate_of(self._setting)
        if self.duplicate_of is not None:
            self._status = Status.DUPLICATE
            self._flag(self.duplicate_of)
        else:
            for each in folds:
                self._take_over(each, complete=earlier.complete)
        for parent in earlier.unfinished:
            self._append(*self._superseding(parent))

    def _take_over(self, fold: AdoptedFold, *, complete: Set[str]) -> None:
        """Move a fold to this parent; copy it if its parent is complete or of other ids."""
        tags = fold.run.data.tags
        is_own = tags[schema.IDENTITY] == self._setting.identity
        if not is_own or tags.get(MLFLOW_PARENT_RUN_ID) in complete:
            self._copy(fold.run, fold.split, fold.result)
        else:
            tag = Tag(key=MLFLOW_PARENT_RUN_ID, value=self.run_id)
            self._append(Write(run=fold.run.info.run_id, batch=batch([tag])))

    def _flag(self, run_id: str) -> None:
        """Add the findings of checks to the complete run of this setting."""
        tags = finding_tags(self._setting.findings)
        if tags:
            items = [Tag(key=key, value=value) for key, value in tags.items()]
            self._append(Write(run=run_id, batch=batch(items)))

    def _copy(self, child: Run, split: Split, result: FoldResult) -> None:
        self._create_child(split, started=result.started)
        items = list(fold_items(self._setting, split, result))
        items += [metric for epoch in result.epochs for metric in epoch_metrics(epoch)]
        items += [Tag(key=key, value=child.data.tags.get(key, "")) for key in self._software]
        items.append(Tag(key=schema.COPIED_FROM, value=child.info.run_id))
        self._finish_child(split, items, "FINISHED")

    def _superseding(self, earlier: Run) -> Iterator[Entry]:
        run_id = earlier.info.run_id
        note = continued_note(self.experiment_id, self.run_id)
        tags = {
            schema.STATUS: Status.SUPERSEDED,
            schema.SUPERSEDED_BY: self.run_id,
            MLFLOW_RUN_NOTE: with_own_text(note, earlier.data.tags),
        }
        items = [Tag(key=key, value=str(tags[key])) for key in tags]
        yield Write(run=run_id, batch=batch(items))
        if earlier.info.status == "RUNNING":
            yield Close(run=run_id, status="KILLED", end_time=now(), tags={})

    def _items(self, event: FoldEvent) -> list[Item]:
        match event:
            case FoldFinished():
                return self._fold_items(event.job.split, event.result)
            case FoldRetried() | FoldFailed():
                details = File(name=schema.TRACEBACK, content=event.traceback.encode())
                return [Tag(key=schema.ERROR, value=event.reason), details]
        return []

    def _fold_items(self, split: Split, result: FoldResult) -> list[Item]:
        ids = [self._setting.clips.ids[i] for i in result.test]
        figures = _spectrograms(result.illustration, ids)
        return [*fold_items(self._setting, split, result), *figures]

    def _append(self, *entries: Entry) -> None:
        self._journal.append(*entries)
        self._delivery_thread.call()

    def _create_child(self, split: Split, *, started: float | None = None) -> None:
        setting = self._setting
        tags = {
            MLFLOW_PARENT_RUN_ID: self.run_id,
            MLFLOW_USER: self._user,
            **SOURCE_TAGS,
            schema.KIND: Kind.FOLD,
            schema.IDENTITY: setting.identity,
            schema.SPLIT: split.id,
            schema.METHOD: setting.method.name,
            schema.DATASET: setting.clips.name,
            **self._software,
        }
        self._n_children += 1
        run = f"{split.id} {self._n_children}"
        create = Create(
            run=run,
            experiment_id=self.experiment_id,
            name=split.id,
            start_time=int((started or time.time()) * 1000),
            tags={key: str(value) for key, value in tags.items()},
        )
        self._append(create)
        self._children[split.id] = run

    def _finish_child(self, split: Split, items: Iterable[Item], status: str) -> None:
        run = self._children[split.id]
        content = batch([*self._epochs.pop(split.id, []), *items])
        close = Close(run=run, status=status, end_time=now(), tags={})
        self._append(Write(run=run, batch=content), close)
        del self._children[split.id]

    def _keep_alive(self) -> None:
        last_beat = time.monotonic()
        while not self._stop.wait(FLUSH_SECONDS):
            with contextlib.suppress(
                Exception
            ):  # it is tried again later; the end of a fold must succeed
                self._flush_epochs()
                if time.monotonic() - last_beat >= HEARTBEAT_SECONDS:
                    self._client.set_tag(self.run_id, schema.HEARTBEAT, str(time.time()))
                    last_beat = time.monotonic()

    def _flush_epochs(self) -> None:
        with self._lock:
            for split_id in list(self._epochs):
                content = batch(self._epochs[split_id])
                self._append(Write(run=self._children[split_id], batch=content))
                del self._epochs[split_id]

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._pulse.join(timeout=FLUSH_SECONDS)  # its last heartbeat may wait for a response
        is_planned = error is None or self._status == Status.PRUNED
        tags = {}
        if error is not None and not is_planned:
            self._status = _status_after(error)
            tags = {schema.ERROR: _describe_error(error)}
        try:
            with self._lock:
                self._append(*self._closing(tags))
            most = self._patience if is_planned else LEAVING_SECONDS
            self._delivery_thread.finish(patience=min(self._patience, most))
            self._journal.remove()
        except JournalError as full:
            self._delivery_thread.stop()
            self._abandon_at_once(error or full)
            if is_planned:
                raise
        except (DeletedError, UndeliveredError) as undelivered:
            if is_planned:
                raise
            print(undelivered, flush=True)
        finally:
            self._delivery_thread.stop()
            self._journal.close()

    def _closing(self, tags: dict[str, str]) -> Iterator[Close]:
        for known in self._journal.runs():
            if known.is_open:
                yield Close(run=known.run, status="KILLED", end_time=now(), tags={})
        if self.duplicate_of is not None:
            note = duplicate_note(self.experiment_id, self.duplicate_of)
            tags = {**tags, schema.DUPLICATE_OF: self.duplicate_of, MLFLOW_RUN_NOTE: note}
        done = self._status in (Status.COMPLETE, Status.DUPLICATE)
        yield Close(
            run=self.run_id,
            status="FINISHED" if done else "FAILED",
            end_time=now(),
            tags={**tags, schema.STATUS: str(self._status)},
        )

    def _abandon_at_once(self, error: BaseException) -> None:
        """Close the parent if there is no journal yet."""
        tags = {schema.ERROR: _describe_error(error), schema.STATUS: _status_after(error)}
        with contextlib.suppress(MlflowException):
            self._client.set_terminated(self.run_id, "FAILED")
            write(self._client, self.run_id, [Tag(key=key, value=tags[key]) for key in tags])


def _refuse_undelivered(held: Set[str]) -> None:
    if held:
        raise RunInProgressError(
            f"results of run {min(held)} are being delivered by another process; wait for it, and "
            "give the same command again"
        )


def _figures(validation: CrossValidation) -> Iterator[File]:
    from mer_mlflow.tracking.figures import figure_files  # Matplotlib takes long to import

    return figure_files(validation)


def _spectrograms(illustration: Illustration, clip_ids: Sequence[str]) -> Iterator[File]:
    if illustration.reconstructed is None and illustration.synthesised is None:
        return iter(())
    from mer_mlflow.tracking.figures import illustration_files

    return illustration_files(illustration, clip_ids)


def _describe_error(error: BaseException) -> str:
    return redacted(f"{type(error).__name__}: {error}")


def _status_after(error: BaseException) -> Status:
    return Status.FAILED if isinstance(error, Exception) else Status.INTERRUPTED


def _weights_tags(setting: Setting) -> dict[str, str]:
    """Return the names of pretrained weights with digests, and of those with unknown digests."""
    found = {
        schema.WEIGHTS: [f"{each.name}:{each.digest[:12]}" for each in setting.weights],
        schema.UNVERIFIED_WEIGHTS: [each.name for each in setting.weights if not each.is_known],
    }
    return {tag: " ".join(names) for tag, names in found.items() if names}
