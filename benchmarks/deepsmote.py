"""What an autoencoder and SMOTE add to a fold of the baseline CNN, in time and in memory.

One fold of `cnn` and one of `cnn_deepsmote` train in a fresh worker each, on generated spectrograms
that lie in files as the store's do. Seconds are told apart by when epochs end, so that a few epochs
are enough.

    python benchmarks/deepsmote.py [--clips 900] [--seconds 30] [--epochs 2]

prints how many epochs of `cnn` an epoch of the autoencoder, the oversampling with its decoding and
an epoch on all spectrograms take, what a whole fold takes at the default numbers of epochs, and the
largest resident size of both workers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mer_mlflow import get_method
from mer_mlflow.crossval.executors import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    ProcessExecutor,
)
from mer_mlflow.crossval.jobs import Job, Task
from mer_mlflow.crossval.splits import Split
from mer_mlflow.representations import Examples, Mel
from mer_mlflow.representations.store import StoredArray
from mer_mlflow.training import Value

BATCH_SIZE = 200


def main() -> None:
    """Run both folds and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=900, help="clips, a tenth is tested")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each clip")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each network")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples = generated(Path(folder), given.clips, Mel(duration=given.seconds))
        common = {"epochs": given.epochs, "batch_size": BATCH_SIZE, "stop_accuracy": 1.0}
        ends, memory = run("cnn", common, examples)
        plain = np.diff(ends).mean()
        others, both = run(
            "cnn_deepsmote", {**common, "autoencoder_epochs": given.epochs}, examples
        )
    encoding = np.diff(others[: given.epochs]).mean() / plain
    on_all = np.diff(others[given.epochs :]).mean() / plain
    making = (others[given.epochs] - others[given.epochs - 1]) / plain - on_all
    print(f"{given.clips} clips of {given.seconds:g} s, batches of {BATCH_SIZE}; epochs of cnn:")
    print(f"  an epoch of the autoencoder            {encoding:6.2f}")
    print(f"  encoding, oversampling and decoding    {making:6.2f}")
    print(f"  an epoch of the CNN on all             {on_all:6.2f}")
    defaults = get_method("cnn_deepsmote").defaults
    first, last = int(defaults["autoencoder_epochs"]), int(defaults["epochs"])
    whole = (first * encoding + making + last * on_all) / last
    print(f"a whole fold at {first} and {last} epochs: {whole:.2f} times that of cnn")
    print(f"largest resident size: cnn {memory:.0f} MiB, cnn_deepsmote {both:.0f} MiB")


def generated(folder: Path, n_clips: int, mel: Mel) -> Examples:
    """Spectrograms of noise whose level tells the quadrant, a file each."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_clips) % 4
    paths = tuple(folder / f"{clip}.npy" for clip in range(n_clips))
    for path, label in zip(paths, labels, strict=True):
        np.save(path, rng.normal(-50 + 5 * label, 15, size=mel.shape).astype(mel.dtype))
    return Examples(
        inputs=(StoredArray(paths=paths, item_shape=mel.shape),),
        positions=np.arange(n_clips),
        quadrants=labels,
    )


def run(
    name: str, hyperparameters: dict[str, Value], examples: Examples
) -> tuple[Sequence[float], float]:
    """Run one fold; the times at which epochs ended [s], and the largest resident size [MiB]."""
    method = get_method(name)
    order = np.random.default_rng(0).permutation(len(examples))
    n_test = len(examples) // 10
    split = Split(repeat=1, fold=1, train=order[n_test:], test=order[:n_test], seed=0)
    ends, memory = [], []

    def on_event(event: FoldEvent) -> None:
        match event:
            case EpochEnded():
                ends.append(time.perf_counter())
            case FoldFinished():
                memory.append(event.result.peak_memory)
            case FoldFailed():
                raise SystemExit(f"{name}: {event.reason}")

    job = Job(split=split, hyperparameters=method.resolve(hyperparameters))
    task = Task(method=method, examples=examples)
    ProcessExecutor(workers=1).run(task, [(job,)], on_event=on_event)
    return ends, memory[0]


if __name__ == "__main__":
    main()
