"""A grid search of the SVM: settings that share work, against scikit-learn's ``GridSearchCV``.

Both score the method's 36 declared settings on the same folds, with as many jobs, and both
calibrate probabilities inside the training clips, as the method does. ``GridSearchCV`` fits a
pipeline with scikit-learn's own calibration; the search measures distances once per fold and makes
one kernel matrix per width. The tracking of the search's trials is left out: ``GridSearchCV``
tracks nothing.

    python benchmarks/search.py DATA_ROOT [--folds 10] [--jobs 2]

prints the ratio of the times and whether all predictions are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_mlflow import MerError, get_method, load_dataset, split_plan
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting
from mer_mlflow.methods.svm import CALIBRATION_FOLDS
from mer_mlflow.representations import open_store
from mer_mlflow.training.feature_selection import MostRelevant
from mer_mlflow.tuning.sharing import FoldsAhead
from mer_mlflow.tuning.space import declared_space, grid, point_key

ROUNDS = 3


def main() -> None:
    """Time both in turn, compare their predictions and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the dataset")
    parser.add_argument("--dataset", default="original-4qaed", help="default original-4qaed")
    parser.add_argument("--folds", type=int, default=10, help="folds (default 10)")
    parser.add_argument("--jobs", type=int, default=2, help="jobs of both (default 2)")
    given = parser.parse_args()
    try:
        clips = load_dataset(given.dataset, given.data_root)
        plan = split_plan(clips, n_splits=given.folds, n_repeats=1)
        setting = resolve_setting(get_method("svm"), clips, plan)
        examples = gather(setting, store=open_store())
    except MerError as error:
        parser.error(str(error))
    points = list(grid(declared_space(setting.method)))
    folds = [(split.train, split.test) for split in plan.splits]
    values = examples.read(0).astype(np.float64)
    ratios = []
    for _ in range(ROUNDS):
        clock = time.perf_counter()
        ours = shared(setting, examples, points, jobs=given.jobs)
        seconds = time.perf_counter() - clock
        clock = time.perf_counter()
        theirs = grid_search(values, examples.labels, folds, jobs=given.jobs)
        ratios.append((time.perf_counter() - clock) / seconds)
        same = sum(ours[key] == theirs[key] for key in ours)
    print(f"{len(clips)} clips, {len(points)} settings, {given.folds} folds, {given.jobs} jobs")
    print(f"settings with the same predictions in every fold: {same} of {len(points)}")
    each = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    print(f"GridSearchCV takes {np.median(ratios):.1f} times as long (rounds: {each})")


def shared(
    setting: Setting, examples: Any, points: list[Any], *, jobs: int
) -> dict[str, list[float]]:
    """Fingerprints of the predictions in each fold, by setting."""
    ahead = FoldsAhead(setting, examples, workers=jobs)
    found = {}
    for point in points:
        results = ahead.take(point, lambda: points)
        found[point_key(point)] = [
            fingerprint(results[split.id].prediction.quadrants) for split in setting.plan.splits
        ]
    return found


def grid_search(
    values: NDArray[np.float64], labels: NDArray[np.int64], folds: Any, *, jobs: int
) -> dict[str, list[float]]:
    """Fingerprints of the predictions in each fold, by setting."""
    space = declared_space(get_method("svm"))
    machine = make_pipeline(MostRelevant(n_features=100), StandardScaler(), SVC(break_ties=True))
    calibrated = CalibratedClassifierCV(
        machine, method="temperature", ensemble=False, cv=CALIBRATION_FOLDS
    )
    search = GridSearchCV(
        calibrated,
        {f"estimator__svc__{name}": list(listed) for name, listed in space.items()},
        scoring=judge,
        cv=folds,
        n_jobs=jobs,
        refit=False,
    ).fit(values, labels)
    table = search.cv_results_
    return {
        point_key({name: params[f"estimator__svc__{name}"] for name in space}): [
            table[f"split{fold}_test_predictions"][i] for fold in range(len(folds))
        ]
        for i, params in enumerate(table["params"])
    }


def judge(machine: Any, values: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Score a fold as a search would, and say which predictions were made."""
    predicted = machine.predict(values)
    score = float(f1_score(labels, predicted, average="macro"))
    return {"f1_macro": score, "predictions": fingerprint(predicted)}


def fingerprint(quadrants: NDArray[np.int64]) -> float:
    """Whole number that tells predictions apart."""
    digest = hashlib.sha256(quadrants.astype("<i8").tobytes()).digest()
    return float(int.from_bytes(digest[:6], "little"))


if __name__ == "__main__":
    main()
