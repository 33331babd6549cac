"""Clips per second into a cold store: ``Store.fill`` with ``Mel()`` against a plain librosa loop.

Both ways turn a dataset's audio files into log-power mel spectrograms on disk, in turn over a few
blocks of clips, so that a busy machine slows both:

- ours: ``Store.fill``, on all cores, with checksums and atomic writes;
- librosa: ``librosa.load``, ``melspectrogram``, ``power_to_db``, ``numpy.save``, clip by clip.

Each way first does one clip that is not counted (imports, numba's compilation), and the audio files
have been read before, when the dataset was hashed: neither way waits for the disk.

    python benchmarks/mel.py --data-root FOLDER [--clips 200]

prints the clips per second of both ways, their ratio, and the largest difference between the two
results. They differ at the end of the excerpt: librosa cuts before it resamples, ours after.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow import MerError, load_dataset
from mer_mlflow.datasets import Clips
from mer_mlflow.representations import Mel, Store

BLOCKS = 4
MEL = Mel()
END_FRAMES = 3
"""Frames whose windows reach the samples that resampling changes at the end of the excerpt."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far the two results are apart.

    Attributes
    ----------
    everywhere : largest difference over the frames that both have [dB]
    clip, frame : where it is
    before_end : largest difference without the last frames [dB]
    n_shorter : clips for which librosa has fewer frames, where ours is padded with silence
    """

    everywhere: float
    clip: str
    frame: int
    before_end: float
    n_shorter: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--dataset", default="original-4qaed", help="default original-4qaed")
    parser.add_argument("--clips", type=int, help="number of clips (default all)")
    given = parser.parse_args()
    if given.clips is not None and given.clips < 1:
        parser.error(f"--clips {given.clips}: must be >= 1")
    try:
        clips = with_audio(load_dataset(given.dataset, given.data_root), given.clips)
    except MerError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        measure(clips, Path(folder))


def with_audio(clips: Clips, most: int | None) -> Clips:
    """Keep the clips that have audio, at most so many."""
    positions = [i for i, path in enumerate(clips.audio) if path is not None]
    return clips.take(np.array(positions[:most], dtype=np.int64))


def measure(clips: Clips, folder: Path) -> None:
    """Time both ways and print speeds and differences."""
    for name in ("warm-up", "measured"):
        (folder / name).mkdir()
    first = clips.take(np.array([0]))
    Store(root=folder / "warm-up" / "store").fill(first, MEL)
    librosa_loop(first, folder / "warm-up")

    store = Store(root=folder / "measured" / "store")
    ours = theirs = 0.0
    for positions in np.array_split(np.arange(len(clips)), min(BLOCKS, len(clips))):
        block = clips.take(positions)
        ours += seconds(partial(store.fill, block, MEL))
        theirs += seconds(partial(librosa_loop, block, folder / "measured"))
    print_speeds(clips, ours, theirs)
    print_difference(difference(clips, store, folder / "measured"))


def librosa_loop(clips: Clips, folder: Path) -> None:
    """Write each clip's spectrogram into a folder as a librosa tutorial would."""
    import librosa

    for clip, path in zip(clips.ids, clips.audio_files(), strict=True):
        samples, _ = librosa.load(path, sr=16000, duration=30)
        power = librosa.feature.melspectrogram(y=samples, sr=16000)
        np.save(folder / f"{clip}.npy", librosa.power_to_db(power))


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of some work [s]."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def difference(clips: Clips, store: Store, folder: Path) -> Difference:
    """Compare the spectrograms that both ways wrote."""
    stored = store.fill(clips, MEL)
    end = MEL.shape[1] - END_FRAMES
    worst, before_end, where, n_shorter = -1.0, 0.0, ("", 0), 0
    for i, clip in enumerate(clips.ids):
        theirs: NDArray[np.float32] = np.load(folder / f"{clip}.npy")
        ours = stored[np.array([i])][0][:, : theirs.shape[1]]
        by_frame = np.abs(ours - theirs).max(axis=0)
        n_shorter += theirs.shape[1] < MEL.shape[1]
        before_end = max(before_end, float(by_frame[:end].max()))
        if by_frame.max() > worst:
            worst, where = float(by_frame.max()), (clip, int(by_frame.argmax()))
    return Difference(
        everywhere=worst,
        clip=where[0],
        frame=where[1],
        before_end=before_end,
        n_shorter=n_shorter,
    )


def print_speeds(clips: Clips, ours: float, theirs: float) -> None:
    """Print clips per second and their ratio."""
    n = len(clips)
    print(f"{n} clips of {clips.name} into a cold store, after one clip each way to warm up")
    print("speeds depend on the machine and its load: only the ratio is meant to be quoted")
    print(f"{f'Store.fill, {os.cpu_count()} cores':<24}{n / ours:>8.1f} clips/s")
    print(f"{'librosa loop':<24}{n / theirs:>8.1f} clips/s")
    print(f"{'ratio':<24}{theirs / ours:>8.1f}")


def print_difference(found: Difference) -> None:
    """Print how far the results are apart."""
    print(
        f"largest difference: {found.everywhere:.2g} dB "
        f"(clip {found.clip}, frame {found.frame + 1} of {MEL.shape[1]}); "
        f"before the last {END_FRAMES} frames: {found.before_end:.2g} dB"
    )
    if found.n_shorter:
        print(
            f"{found.n_shorter} of the clips are shorter than {MEL.duration:g} s: compared over "
            "librosa's frames, ours go on in silence"
        )


if __name__ == "__main__":
    main()
