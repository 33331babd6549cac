"""Time that a search spends on each trial besides its folds, for searches of more and more trials.

Grids of different sizes are searched with a score that costs nothing, each in an sqlite database of
its own. If nothing grows with the number of trials, the time of a trial is the same for all sizes.

    python benchmarks/trials.py [--sizes 125 250 500]

prints the processor time of a trial by size of the search, as ratios to the smallest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from mer_mlflow.tuning.study import SearchSetting, open_study, run_study


def main() -> None:
    """Search each grid and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[125, 250, 500])
    sizes: list[int] = parser.parse_args().sizes
    costs = {size: seconds_of_trial(size) for size in sizes}
    smallest = costs[sizes[0]]
    for size, seconds in costs.items():
        ratio = f"{seconds / smallest:.2f} times that of {sizes[0]}"
        print(f"{size:>6} trials: {1000 * seconds:.1f} ms of processor time a trial, {ratio}")


def seconds_of_trial(n_trials: int) -> float:
    """Processor time of a trial [s]."""
    search = SearchSetting(
        name="made",
        strategy="grid",
        space={"C": tuple(float(i) for i in range(n_trials))},
        start={"C": 0.0},
        n_trials=n_trials,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        study = open_study(search, f"sqlite:///{Path(folder) / 'optuna.db'}")
        clock = time.process_time()
        run_study(study, search, lambda trial, point: float(point["C"]))
        return (time.process_time() - clock) / n_trials


if __name__ == "__main__":
    main()
