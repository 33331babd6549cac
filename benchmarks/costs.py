"""Cost of each methodology: processor time for one 30 s clip in one epoch, and for one step.

A methodology is fitted to random inputs of clips of 30 s in a process of its own, with one
arithmetic thread, as in a fold. The difference between fits of several epochs and of one, divided
by clips and epochs, does not contain the time to build a network. It is measured for two batch
sizes: what depends on them is the cost of a step, which dominates for small networks. Without
epochs, the cost is the time of a fit divided by the clips. Processor time is counted, because
other work on the machine does not lengthen it.

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
from collections.abc import Mapping
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
from mer_mlflow.training.hyperparameters import Role, values_of

TABLE = Path(__file__).with_name("costs.csv")
SECONDS = 30.0
N_FEATURES = {"top100": 100, "all": 1714}
N_CLIPS_OF_A_STUDY = 810
"""Training clips of a fold of Original-4QAED, for methodologies without epochs."""
BATCHES = (4, 32)
"""Batch sizes: that of the quick profile, and one that is large enough for others."""
Costs = tuple[float, float]
LEAST_SECONDS = 1.0
"""Least difference between two fits that is measured."""
MOST_EPOCHS = 20_000


def main() -> None:
    """Measure the given methodologies, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(method_names()))
    parser.add_argument("--in-this-process", action="store_true", help="print the costs as JSON")
    given = parser.parse_args()
    if given.in_this_process:
        (name,) = given.methods
        print(json.dumps(costs(get_method(name))))
        return
    found = _read_table()
    print(f"{'method':>20}{'clip [s]':>12}{'step [s]':>12}{'declared / measured':>21}")
    for name in given.methods:
        found[name] = measured(name)
        print(f"{name:>20}{found[name][0]:>12.2g}{found[name][1]:>12.2g}{_ratios(name, found):>21}")
        sys.stdout.flush()
        _write_table(found)


def _ratios(name: str, found: Mapping[str, Costs]) -> str:
    method = get_method(name)
    declared = (method.cost, method.step_cost)
    return ", ".join(f"{at(declared, b) / at(found[name], b):.2f}" for b in BATCHES)


def at(costs: Costs, batch: int) -> float:
    """Time of a clip in one epoch with a batch size [s]."""
    return costs[0] + costs[1] / batch


def measured(name: str) -> Costs:
    """Measure a methodology in a process of its own [s]."""
    command = [sys.executable, __file__, "--methods", name, "--in-this-process"]
    environment = {**os.environ, **worker_environment(1, NATIVE)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    clip, step = json.loads(done.stdout.splitlines()[-1])
    return clip, step


def costs(method: Method) -> Costs:
    """Processor time of a clip in one epoch, or in a fit without epochs, and of a step [s]."""
    if "epochs" not in method.defaults:
        examples = _examples(method, n_clips=N_CLIPS_OF_A_STUDY)
        return _fit_seconds(method, examples, {}) / len(examples), 0.0
    small, large = BATCHES
    short, long = (_clip_seconds(method, batch) for batch in BATCHES)
    step = max(0.0, short - long) / (1 / small - 1 / large)
    return long - step / large, step


def _clip_seconds(method: Method, batch: int) -> float:
    once = limited(method, {}, profile=get_profile("paper"), max_epochs=1)
    once |= dict.fromkeys(values_of(method.resolve(), Role.BATCH), batch)
    once |= {"stop_accuracy": 1.0} if "stop_accuracy" in method.defaults else {}
    examples = _examples(method, n_clips=max(BATCHES))

    def seconds(epochs: int) -> float:
        return _fit_seconds(method, examples, {**once, "epochs": epochs})

    seconds(1)  # libraries are imported
    first, more = seconds(1), 1
    while (difference := seconds(1 + more) - first) < LEAST_SECONDS and more < MOST_EPOCHS:
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


def _read_table() -> dict[str, Costs]:
    if not TABLE.exists():
        return {}
    with TABLE.open() as file:
        rows = csv.DictReader(file)
        return {row["method"]: (float(row["clip"]), float(row["step"])) for row in rows}


def _write_table(found: Mapping[str, Costs]) -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "clip", "step"))
        writer.writerows((name, *(f"{each:.3g}" for each in found[name])) for name in sorted(found))


if __name__ == "__main__":
    main()
