"""Representations of clips: computed together, which decodes each file once, and one by one.

Mel and waveform, mel and four synthesised copies and, if their weights are given, the statistics of
three frozen CRNNs are computed for clips of a dataset into empty stores. Both ways alternate in one
process, and processor time is counted, because other work on the machine does not lengthen it. The
entries are compared byte by byte.

    python benchmarks/decoding.py --data-root ~/data --clips 20 --weights ~/weights
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from mer_mlflow.augmentation import get_transforms, needed_for
from mer_mlflow.datasets import Clips, load_dataset
from mer_mlflow.representations import (
    Embedding,
    Input,
    Mel,
    Representation,
    Store,
    Waveform,
    with_weights,
)

NETWORKS = ("crnn_mtat", "crnn_jamendo", "crnn_msd")


def main() -> None:
    """Print the ratio of processor times for mel copies, and for frozen CRNNs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--dataset", default="original-4qaed")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    clips = load_dataset(given.dataset, given.data_root)
    clips = clips.take(np.linspace(0, len(clips) - 1, given.clips).astype(np.int64))
    inputs: tuple[Input, ...] = (Mel(), Waveform())
    compare("mel and waveform", clips, needed_for(inputs, (), seed=0))
    copies = get_transforms(["tfm", "sb", "rg", "td"])
    compare("mel and four copies", clips, needed_for((Mel(),), copies, seed=0))
    if given.weights:
        frozen = tuple(Embedding(network=name, layer="statistics") for name in NETWORKS)
        networks = needed_for(with_weights(frozen, given.weights), (), seed=0)
        compare("three frozen CRNNs", clips, networks)


def compare(title: str, clips: Clips, kinds: tuple[Representation, ...]) -> None:
    """Print how many times longer the representations take one by one."""
    first = clips.take(np.arange(2))
    seconds = np.zeros(2)
    with tempfile.TemporaryDirectory() as folder:
        Store(root=Path(folder) / "warm-up").fill_all(first, kinds)
        together, alone = (Store(root=Path(folder) / name) for name in ("together", "alone"))
        for i in range(0, len(clips), 2):
            block = clips.take(np.arange(i, min(i + 2, len(clips))))
            start = time.process_time()
            together.fill_all(block, kinds)
            middle = time.process_time()
            for kind in kinds:
                alone.fill(block, kind)
            seconds += (middle - start, time.process_time() - middle)
        same = [_entries(together, clips, kind) == _entries(alone, clips, kind) for kind in kinds]
    print(
        f"{title}: one by one {seconds[1] / seconds[0]:.2f} times as long; {sum(same)} of "
        f"{len(kinds)} representations are equal in all bytes",
        flush=True,
    )


def _entries(store: Store, clips: Clips, kind: Representation) -> list[bytes]:
    hashes = [content for content in clips.audio_hashes if content is not None]
    return [store.path(kind, content).read_bytes() for content in hashes]


if __name__ == "__main__":
    main()
