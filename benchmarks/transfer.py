"""What computing frozen layers once saves: folds on stored embeddings against the whole network.

Both train the same new output on Won's CRNN, with random weights, on generated audio: one computes
the frozen layers in every step, as the obvious way does, the other once for each clip.

    python benchmarks/transfer.py [--clips 24] [--epochs 2]

prints how many times as long an epoch of the whole network takes, what the one computation of all
clips costs in such epochs, and what 100 folds of 200 epochs come to.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mer_mlflow.networks.won_crnn import WonCRNN, trunk_above
from mer_mlflow.representations import Embedding, Examples
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.training.torch_transfer import train_transfer
from mer_mlflow.weights import Weights

FOLDS, EPOCHS, TRAINED = 100, 200, 0.9


def main() -> None:
    """Time both and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=24, help="clips of 29.1 s")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the whole network")
    given = parser.parse_args()
    torch.manual_seed(0)
    network = WonCRNN().eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "best_model.pth"
        torch.save(network.state_dict(), file)
        weights = find_weights("crnn_mtat", file, allow_unverified=True)
        mel, _ = embedded(given.clips, "mel", weights)
        steps, once = embedded(given.clips, "gru", weights)
    whole = seconds_of_epoch(mel, "mel", trunk_above("mel", network), given.epochs)
    stored = seconds_of_epoch(steps, "gru", nn.Identity(), 50 * given.epochs)
    print(f"{given.clips} clips: an epoch of the whole network takes {whole / stored:.0f} times")
    print(f"as long as one on stored embeddings; computing them: {once / whole:.2f} such epochs")
    n_epochs = FOLDS * EPOCHS * TRAINED
    saved = n_epochs * whole / (once + n_epochs * stored)
    print(f"{FOLDS} folds of {EPOCHS} epochs: {saved:.0f} times as long")


def embedded(n_clips: int, layer: str, weights: Weights) -> tuple[Examples, float]:
    """Examples of one layer, and what computing them took [s]."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_clips) % 4
    item = Embedding(network="crnn_mtat", layer=layer, weights=weights)
    clips = [
        Audio(samples=rng.normal(0, 0.1, 30 * 16_000).astype(np.float32), sr=16_000, n_channels=1)
        for _ in labels
    ]
    item.compute(clips[0])
    clock = time.perf_counter()
    values = np.stack([item.compute(clip) for clip in clips])
    seconds = time.perf_counter() - clock
    examples = Examples(inputs=(values,), positions=np.arange(n_clips), quadrants=labels)
    return examples, seconds


def seconds_of_epoch(examples: Examples, layer: str, trunk: nn.Module, n_epochs: int) -> float:
    """Time of one epoch, the mean of several [s]."""
    clock = time.perf_counter()
    train_transfer(
        examples,
        layer=layer,
        trunk=lambda: trunk,
        is_frozen=True,
        dropout=0.5,
        learning_rate=0.001,
        batch_size=16,
        epochs=n_epochs,
        stop_accuracy=1.1,
        seed=0,
        on_epoch=lambda record, predict: None,
    )
    return (time.perf_counter() - clock) / n_epochs


if __name__ == "__main__":
    main()
