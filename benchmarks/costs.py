"""Cost of each methodology: processor time to train one 30 s clip for one epoch.

A methodology is fitted to random inputs of clips of 30 s in a process of its own, with one
arithmetic thread, as in a fold. Its cost is the difference between fits of many epochs and of one,
divided by clips and epochs, so that the time to build a network does not count; without epochs, it
is the time of a fit divided by the clips. Processor time is counted, because other work
on the machine does not lengthen it.

    python benchmarks/costs.py

measures all methodologies, prints each cost with its ratio to the declared one, and writes
``benchmarks/costs.csv``. A test compares the declarations with this table.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.arithmetic import NATIVE
from mer_mlflow.crossval.executors import worker_environment
from mer_mlflow.datasets import QUADRANTS
from mer_mlflow.experiments.profiles import get_profile, limited
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations import Examples, Input, with_duration
from mer_mlflow.training import Method

TABLE = Path(__file__).with_name("costs.csv")
SECONDS = 30.0
N_FEATURES = {"top100": 100, "all": 1714}
N_CLIPS_OF_A_STUDY = 810
"""Training clips of a fold of Original-4QAED, for methodologies without epochs."""
FEWEST = 24
LEAST_SECONDS = 1.0
"""Least difference between two fits that is measured."""
MOST_EPOCHS = 20_000


def main() -> None:
    """Measure the given methodologies, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(method_names()))
    parser.add_argument("--in-this-process", action="store_true", help="print the cost as JSON")
    given = parser.parse_args()
    if given.in_this_process:
        (name,) = given.methods
        print(json.dumps(cost(get_method(name))))
        return
    found = _read_table()
    print(f"{'method':>20}{'measured [s]':>14}{'declared [s]':>14}{'declared / measured':>21}")
    for name in given.methods:
        found[name] = measured(name)
        declared = get_method(name).cost
        print(f"{name:>20}{found[name]:>14.2g}{declared:>14.2g}{declared / found[name]:>21.2f}")
        sys.stdout.flush()
        _write_table(found)


def measured(name: str) -> float:
    """Measure a methodology in a process of its own [s]."""
    command = [sys.executable, __file__, "--methods", name, "--in-this-process"]
    environment = {**os.environ, **worker_environment(1, NATIVE)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def cost(method: Method) -> float:
    """Processor time to train one clip for one epoch, or for one fit without epochs [s]."""
    quick = limited(method, {}, profile=get_profile("quick"), max_epochs=1)
    has_epochs = "epochs" in method.defaults
    batch = int(method.defaults.get("batch_size", FEWEST))
    examples = _examples(method, n_clips=max(FEWEST, batch) if has_epochs else N_CLIPS_OF_A_STUDY)
    if not has_epochs:
        return _fit_seconds(method, examples, quick) / len(examples)

    def seconds(epochs: int) -> float:
        until_the_end = {"stop_accuracy": 1.0} if "stop_accuracy" in method.defaults else {}
        return _fit_seconds(method, examples, {**quick, **until_the_end, "epochs": epochs})

    seconds(1)  # libraries are imported
    short, more = seconds(1), 3
    while (difference := seconds(1 + more) - short) < LEAST_SECONDS and more < MOST_EPOCHS:
        more *= 4
    return difference / more / len(examples)


def _fit_seconds(method: Method, examples: Examples, values: dict[str, Any]) -> float:
    start = time.process_time()
    method.fit(examples, method.resolve(values), 0, lambda record, predict: None)
    return time.process_time() - start


def _examples(method: Method, *, n_clips: int) -> Examples:
    """Return examples in which each clip occurs twice, with another quadrant.

    No training reaches the accuracy at which it would stop early.
    """
    random = np.random.default_rng(0)
    labels = np.arange(n_clips) % len(QUADRANTS)
    inputs = with_duration(method.inputs_for(method.resolve()), SECONDS)
    return Examples(
        inputs=tuple(_noise(item, n_clips, random) for item in inputs),
        positions=np.arange(n_clips),
        quadrants=labels,
    )


def _noise(item: Input, n_clips: int, random: np.random.Generator) -> NDArray[np.float32]:
    shape = item.shape if item.table is None else (N_FEATURES[item.table],)
    half = random.standard_normal(((n_clips + 1) // 2, *shape), dtype=np.float32)
    return np.repeat(half, 2, axis=0)[:n_clips]


def _read_table() -> dict[str, float]:
    if not TABLE.exists():
        return {}
    with TABLE.open() as file:
        return {row["method"]: float(row["seconds"]) for row in csv.DictReader(file)}


def _write_table(found: dict[str, float]) -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "seconds"))
        writer.writerows((name, f"{found[name]:.3g}") for name in sorted(found))


if __name__ == "__main__":
    main()
