"""How far scores move: training seeds against arithmetic, and what portable arithmetic costs.

Every method is cross-validated on the same splits, once for each training seed and each kind of
arithmetic: ``native`` with one thread, ``portable``, and ``native`` with two threads. Each
cross-validation runs in a process of its own, all kinds in turn.

    python benchmarks/arithmetic.py [--methods svm cnn] [--seeds 3] [--data_root DIR]

prints, for each method, the standard deviation of its macro F1 over seeds (in points), the
mean absolute difference between two kinds of arithmetic with the same seed, and the ratio of
the times that trainings took.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_mlflow import cross_validate, get_method, load_dataset, split_plan
from mer_mlflow.arithmetic import NATIVE, PORTABLE, environment
from mer_mlflow.crossval.splits import SplitPlan
from mer_mlflow.experiments.profiles import PROFILES, limited

KINDS = {"native": (NATIVE, 1), "portable": (PORTABLE, 1), "two threads": (NATIVE, 2)}
"""Arithmetic and threads by name."""


def main() -> None:
    """Run all cross-validations and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["svm", "dnn_100", "cnn", "crnn"])
    parser.add_argument("--seeds", type=int, default=3, help="training seeds (default 3)")
    parser.add_argument("--dataset", default="demo", help="default demo")
    parser.add_argument("--data_root", type=Path, help="folder of the dataset")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        method, kind, seed = given.one
        print(json.dumps(outcome(given.dataset, given.data_root, method, kind, int(seed))))
        return
    print(f"macro F1 on {given.dataset}, {given.seeds} training seeds, quick profile, points")
    print(f"{'method':12} {'mean':>6} {'seeds':>6} {'portable':>9} {'threads':>8} {'time':>6}")
    for method in given.methods:
        print(row(given, method), flush=True)


def row(given: argparse.Namespace, method: str) -> str:
    """One method's line of the table."""
    scores = {kind: np.zeros(given.seeds) for kind in KINDS}
    seconds = {kind: np.zeros(given.seeds) for kind in KINDS}
    for seed, kind in itertools.product(range(given.seeds), KINDS):
        scores[kind][seed], seconds[kind][seed] = started(method, kind, seed)
    native = scores["native"]
    moved = {kind: np.abs(found - native).mean() for kind, found in scores.items()}
    price = np.median(seconds["portable"] / seconds["native"])
    return (
        f"{method:12} {native.mean():6.2f} {native.std(ddof=1):6.2f} "
        f"{moved['portable']:9.2f} {moved['two threads']:8.2f} {price:6.2f}"
    )


def started(method: str, kind: str, seed: int) -> tuple[float, float]:
    """Macro F1 [%] and time [s] of the trainings of one cross-validation, by a new process."""
    done = subprocess.run(
        [sys.executable, *sys.argv, "--one", method, kind, str(seed)],
        env=environment(KINDS[kind][0]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    score, seconds = json.loads(done.stdout.splitlines()[-1])
    return score, seconds


def outcome(
    dataset: str, data_root: Path | None, method: str, kind: str, seed: int
) -> tuple[float, float]:
    """Cross-validate in this process's arithmetic, with a worker."""
    arithmetic, threads = KINDS[kind]
    profile = PROFILES["quick"]
    clips = load_dataset(dataset, data_root)
    plan = split_plan(clips, n_splits=profile.n_splits, n_repeats=profile.n_repeats)
    declared = get_method(method)
    result = cross_validate(
        declared,
        clips,
        plan=with_training_seed(plan, seed),
        hyperparameters=limited(declared, {}, profile=profile, max_epochs=None),
        duration=profile.duration,
        workers=1,
        threads=threads,
        arithmetic=arithmetic,
    )
    seconds = sum(fold.fit_seconds for fold in result.results)
    return 100 * result.summary["f1_macro"].mean, seconds


def with_training_seed(plan: SplitPlan, seed: int) -> SplitPlan:
    """The same splits, with other seeds of the training."""
    splits = tuple(replace(split, seed=split.seed + 1000 * seed) for split in plan.splits)
    return replace(plan, splits=splits)


if __name__ == "__main__":
    main()
