"""Folds that the forgiving rule saves in a grid search of the SVM; whether its winner is the same.

For each seed, all folds of the 36 declared settings are scored; the rule is then applied to the
scores as a search applies it, setting after setting and fold after fold.

    python benchmarks/pruning.py --data_root FOLDER [--seeds 20]

prints the share of folds saved, for how many seeds the best setting is the same, and how much the
scores of different ones differ.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow import MerError, get_method, load_dataset, split_plan
from mer_mlflow.crossval.jobs import batched, run_jobs
from mer_mlflow.crossval.metrics import score
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting, task_of
from mer_mlflow.representations import Examples, open_store
from mer_mlflow.tuning.pruning import FORGIVING, fold_order, is_forgiven
from mer_mlflow.tuning.space import declared_space, grid


def main() -> None:
    """Score all folds of each seed, apply the rule, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data_root", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--dataset", default="original-4qaed", help="default original-4qaed")
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds (default 20)")
    given = parser.parse_args()
    try:
        clips = load_dataset(given.dataset, given.data_root)
    except MerError as error:
        parser.error(str(error))
    saved, losses = [], []
    for seed in range(given.seeds):
        plan = split_plan(clips, n_splits=10, n_repeats=1, seed=seed)
        setting = resolve_setting(get_method("svm"), clips, plan)
        scores = scores_of_folds(setting, gather(setting, store=open_store()))
        n_run, winner = forgiving(scores)
        best = int(scores.mean(axis=1).argmax())
        saved.append(1 - n_run / scores.size)
        losses.append(float(scores.mean(axis=1)[best] - scores.mean(axis=1)[winner]))
        print(f"seed {seed}: {saved[-1]:.0%} of folds saved, loss {losses[-1]:.2%}", flush=True)
    n_same = sum(loss == 0 for loss in losses)
    print(f"{len(clips)} clips, {len(scores)} settings, 10 folds, {given.seeds} seeds")
    print(f"folds saved: {np.mean(saved):.0%} (from {min(saved):.0%} to {max(saved):.0%})")
    print(f"same winner: {n_same} of {given.seeds}; largest loss of macro F1: {max(losses):.2%}")


def scores_of_folds(setting: Setting, examples: Examples) -> NDArray[np.float64]:
    """Macro F1 of each setting and fold, in the order of a search [shape=(n_settings, n_folds)]."""
    task = task_of(replace(setting, only_quadrants=True), examples)
    points = grid(declared_space(setting.method))
    settings = [setting.method.resolve(point) for point in points]
    columns = []
    for split in fold_order(setting.plan, FORGIVING):
        (batch,) = batched(setting.method, split, settings)
        results = run_jobs(task, batch)
        columns.append(
            [score(each.true, each.prediction.quadrants)["f1_macro"] for each in results]
        )
    return np.array(columns).T


def forgiving(scores: NDArray[np.float64]) -> tuple[int, int]:
    """Number of folds that a search runs with the rule, and the position of its best setting."""
    n_run, best = 0, -1
    for i, folds in enumerate(scores):
        for n in range(1, len(folds) + 1):
            n_run += 1
            if n < len(folds) and best >= 0 and not is_forgiven(folds[:n], scores[best]):
                break
        else:
            best = i if best < 0 or folds.mean() > scores[best].mean() else best
    return n_run, best


if __name__ == "__main__":
    main()
