"""Share of a cross-validation's time that its journal costs, and what a fold waits for without one.

A cross-validation of the demo is run as ``train`` runs it, on a fresh sqlite database, with a clock
around every call to the journal, whichever thread makes it. The clock counts processor time, which
other work on the machine does not lengthen; over that of the whole run with its workers, it is the
journal's share. The same entries are then timed in turn: appended to a journal, and sent to the
tracking store at once, which is what a fold would wait for without one.

    python benchmarks/journal.py --methods svm cnn

prints for each method the folds, the share [%], and the milliseconds that a fold waits
both ways with their ratio. Folds of svm take a fraction of a second: no methodology has a larger
share.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import mlflow
from mlflow import MlflowClient

from mer_mlflow import get_method, load_dataset, split_plan
from mer_mlflow.crossval.executors import make_executor, resolve_workers
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting
from mer_mlflow.crossval.validation import validate
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments.profiles import get_profile, limited
from mer_mlflow.representations import open_store
from mer_mlflow.tracking import RunTree
from mer_mlflow.tracking.delivery import Delivery
from mer_mlflow.tracking.journal import Close, Create, Journal, Write, new_journal

CALLS = ("append", "first", "discard", "made", "__len__", "close", "remove")
SECONDS = 10.0
"""Excerpt of each clip."""


def main() -> None:
    """Measure each method and print a row for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["svm", "cnn"], help="default: svm cnn")
    methods: list[str] = parser.parse_args().methods
    clips = load_dataset("demo")
    print("share: of the run's processor time that its journal takes")
    print("waits: median ms that a fold waits for its results to be safe, the ways in turn")
    titles = ("method", "folds", "CPU [s]", "share [%]", "journal", "direct", "ratio")
    print("".join(f"{title:>11}" for title in titles), flush=True)
    for method in methods:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
            os.environ["MER_JOURNAL_ROOT"] = f"{folder}/journals"
            with redirect_stdout(StringIO()):
                MlflowClient().search_experiments()
                row = measure(method, clips, Path(folder))
            print(f"{method:>11}" + "".join(f"{value:>11.4g}" for value in row), flush=True)


def measure(method: str, clips: Clips, folder: Path) -> tuple[float, ...]:
    """The numbers of a row: folds, processor time [s], share [%], waits both ways [ms], ratio."""
    declared = get_method(method)
    setting = resolve_setting(
        declared,
        clips,
        split_plan(clips, n_splits=10, n_repeats=2 if method != "svm" else 10),
        hyperparameters=limited(declared, {}, profile=get_profile("quick"), max_epochs=None),
        duration=SECONDS,
    )
    spent, entries = [0.0], list[Any]()
    with timed(spent, entries):
        seconds = cross_validate(setting)
    ours, direct = waits(entries, folder)
    share = 100 * spent[0] / seconds
    return len(setting.plan.splits), seconds, share, ours, direct, direct / ours


@contextmanager
def timed(spent: list[float], entries: list[Any]) -> Iterator[None]:
    """Add up the seconds in all calls to journals, and keep what is appended."""

    def with_clock(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            begin = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                spent[0] += time.thread_time() - begin
                if call.__name__ == "append":
                    entries.append(arguments[1:])

        return wrapper

    clocks = {name: with_clock(getattr(Journal, name)) for name in CALLS}
    with (
        mock.patch.multiple(Journal, **clocks),
        mock.patch("mer_mlflow.tracking.run_tree.new_journal", with_clock(new_journal)),
    ):
        yield


def cross_validate(setting: Setting) -> float:
    """Cross-validate and track, as ``train`` does; processor time that it takes [s]."""
    examples = gather(setting, store=open_store())
    executor = make_executor(resolve_workers(None))
    before = processor_seconds()
    with RunTree(setting, tags={}, source="benchmark") as runs:
        runs.conclude(validate(setting, examples, executor=executor, listener=runs))
    return processor_seconds() - before


def processor_seconds() -> float:
    """Processor time of this process and of workers that have ended [s]."""
    return sum(os.times()[:4])


def waits(entries: list[Any], folder: Path) -> tuple[float, float]:
    """Median milliseconds that the end of a fold takes: appended, and sent at once."""
    client = MlflowClient()
    journal = new_journal(folder / "waiting.journal", {})
    sent = new_journal(folder / "sent.journal", {})
    delivery = Delivery(client, sent)
    ours, direct = [], []
    for several in entries:
        is_end = len(several) == 2 and isinstance(several[0], Write)
        if not (is_end or isinstance(several[0], Create)):
            continue
        begin = time.perf_counter()
        journal.append(*several)
        middle = time.perf_counter()
        sent.append(*several)
        after = time.perf_counter()
        while delivery.deliver_next():
            pass
        if is_end and isinstance(several[1], Close):
            ours.append(1000 * (middle - begin))
            direct.append(1000 * (time.perf_counter() - after))
    journal.close()
    sent.remove()
    return median(ours), median(direct)


if __name__ == "__main__":
    main()
