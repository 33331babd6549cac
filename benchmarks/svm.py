"""Processor time of ``mer search`` and ``mer train`` with the SVM, against scikit-learn untracked.

Each command is run as a user runs it, in a process of its own, with imports and tracking in a fresh
sqlite database. It is compared with the obvious way in scikit-learn, which tracks nothing:

- search: ``GridSearchCV`` over the same settings and folds, with calibrated probabilities as the
  method has them, and without any;
- train: the same calibrated pipeline, fitted and scored fold by fold.

Processor time of all processes is compared, because other work on the machine does not lengthen it.

    python benchmarks/svm.py --data_root FOLDER [--folds 10] [--repeats 10]

prints the ratios.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    """Run all ways in turn and print their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data_root", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--dataset", default="original-4qaed", help="default original-4qaed")
    parser.add_argument("--folds", type=int, default=10, help="folds (default 10)")
    parser.add_argument("--repeats", type=int, default=10, help="repetitions of train (default 10)")
    parser.add_argument("--way", choices=WAYS, help="run one way in this process")
    given = parser.parse_args()
    if given.way is not None:
        WAYS[given.way](given)
        return
    seconds = {}
    for way in WAYS:
        own = (*sys.argv[1:], f"--data_root={given.data_root.resolve()}", f"--way={way}")
        seconds[way] = seconds_of([sys.executable, str(Path(__file__).resolve()), *own])
        print(f"{way}: {seconds[way]:.1f} s of processor time", flush=True)
    searched, trained = seconds["mer search"], seconds["mer train"]
    print(f"search / GridSearchCV, calibrated: {searched / seconds['calibrated search']:.2f}")
    print(f"search / GridSearchCV, plain: {searched / seconds['plain search']:.2f}")
    print(f"train / scikit-learn: {trained / seconds['calibrated folds']:.2f}")


def seconds_of(command: list[str]) -> float:
    """Processor time of a command and its children in an empty folder [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
            "MER_OPTUNA_STORAGE": "sqlite:///optuna.db",
            "MER_JOURNAL_ROOT": f"{folder}/journals",
        }
        environment = {**os.environ, **ONE_THREAD, **own}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command(name: str, given: argparse.Namespace, *, repeats: int, more: tuple[str, ...]) -> None:
    """Run a command of the project in this process."""
    from mer_mlflow.commands.main import main as run

    root, size = given.data_root.resolve(), (f"--folds={given.folds}", f"--repeats={repeats}")
    sys.argv = ["mer", name, "--method=svm", f"--dataset={given.dataset}", f"--data_root={root}"]
    sys.argv += [*size, *more]
    run()


def plan_and_values(given: argparse.Namespace, *, repeats: int) -> tuple[Any, Any, Any]:
    """Return the folds, the features and the quadrants."""
    from mer_mlflow import load_dataset, split_plan

    clips = load_dataset(given.dataset, given.data_root)
    plan = split_plan(clips, n_splits=given.folds, n_repeats=repeats)
    folds = [(split.train, split.test) for split in plan.splits]
    return folds, clips.features["top100"].values, clips.quadrants


def machine(**values: float) -> Any:
    """Return a pipeline of scaler and SVM."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(break_ties=True, **values))


def calibrated(estimator: Any) -> Any:
    """Return a classifier with the calibration of the method."""
    from sklearn.calibration import CalibratedClassifierCV

    from mer_mlflow.methods.svm import CALIBRATION_FOLDS

    return CalibratedClassifierCV(
        estimator, method="temperature", ensemble=False, cv=CALIBRATION_FOLDS
    )


def grid_search(given: argparse.Namespace, *, estimator: Any, prefix: str) -> None:
    """Search the declared settings with scikit-learn."""
    from sklearn.model_selection import GridSearchCV

    from mer_mlflow import get_method
    from mer_mlflow.tuning.space import declared_space

    folds, values, quadrants = plan_and_values(given, repeats=1)
    space = declared_space(get_method("svm"))
    grid = {f"{prefix}svc__{name}": list(listed) for name, listed in space.items()}
    GridSearchCV(estimator, grid, scoring="f1_macro", cv=folds, refit=False).fit(values, quadrants)


def calibrated_folds(given: argparse.Namespace) -> None:
    """Cross-validate the method's defaults with scikit-learn."""
    from sklearn.metrics import f1_score

    from mer_mlflow import get_method

    defaults = {name: float(get_method("svm").defaults[name]) for name in ("C", "gamma")}
    folds, values, quadrants = plan_and_values(given, repeats=given.repeats)
    for train, test in folds:
        fitted = calibrated(machine(**defaults)).fit(values[train], quadrants[train])
        f1_score(quadrants[test], fitted.predict_proba(values[test]).argmax(1), average="macro")


WAYS: dict[str, Callable[[argparse.Namespace], None]] = {
    "mer search": lambda given: command("search", given, repeats=1, more=("--strategy=grid",)),
    "calibrated search": lambda given: grid_search(
        given, estimator=calibrated(machine()), prefix="estimator__"
    ),
    "plain search": lambda given: grid_search(given, estimator=machine(), prefix=""),
    "mer train": lambda given: command("train", given, repeats=given.repeats, more=()),
    "calibrated folds": calibrated_folds,
}


if __name__ == "__main__":
    main()
