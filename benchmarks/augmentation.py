"""What each transform costs: a synthesised mel spectrogram against the recording's own.

Both are computed of the same decoded clips in turn, so that the ratio is what a copy costs beside
the original. Decoding is left out: it is the same for both.

    python benchmarks/augmentation.py FOLDER [--clips 20] [--noise_root FOLDER]

reads audio files of a folder, at any depth, and prints the median ratio of each transform and the
quarter points over clips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mer_mlflow import MerError
from mer_mlflow.augmentation import TRANSFORMS, Synthesised, draw_noise_from
from mer_mlflow.representations import Mel
from mer_mlflow.representations.audio import Audio, decode

SUFFIXES = (".mp3", ".wav", ".flac", ".ogg")


def main() -> None:
    """Time all transforms and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of audio files")
    parser.add_argument("--clips", type=int, default=20, help="clips (default 20)")
    parser.add_argument("--noise_root", type=Path, help="recordings for bg, else synthesised")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        parser.error(f"{given.folder}: holds no audio file")
    transforms = dict(TRANSFORMS)
    try:
        if given.noise_root:
            (transforms["bg"],) = draw_noise_from([transforms["bg"]], given.noise_root)
        clips = [decode(file) for file in files[:: max(1, len(files) // given.clips)]]
    except MerError as error:
        parser.error(str(error))
    clips = clips[: given.clips]
    mel = Mel()
    mel.compute(clips[0])
    print(f"{len(clips)} clips; a synthesised mel takes so many times as long as the recording's")
    for name, transform in transforms.items():
        copy = Synthesised(of=mel, by=transform, seed=0)
        copy.compute(clips[0])
        ratios = [seconds(copy.compute, clip) / seconds(mel.compute, clip) for clip in clips]
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        print(f"{name:<14}{middle:6.1f}  ({low:.1f} to {high:.1f})", flush=True)


def seconds(compute: Callable[[Audio], object], clip: Audio) -> float:
    """Time of one computation [s]."""
    clock = time.perf_counter()
    compute(clip)
    return time.perf_counter() - clock


if __name__ == "__main__":
    main()
