"""Handcrafted features side by side: how well an SVM tells the quadrants from them.

Four sets of features of the same clips, on the same splits (``split_plan``, the study's protocol):

- the published 100 of the dataset's table;
- 190 statistics: mean and deviation of 95 of librosa's descriptors;
- all that ``Handcrafted`` extracts;
- 100 of these, chosen inside each training fold by ``MostRelevant``, as the method ``svm`` does.

The SVM has an RBF kernel on standardised features. Scores pool a repetition's folds; the deviation
is that of the repetitions. Clips without audio are left out. The published 100 were ranked with the
labels of all 900 clips, the other sets without any test label.

    python benchmarks/features.py DATA_ROOT [--repeats 10]

prints the scores, and how long our extraction takes relative to the 190 statistics', both measured
clip by clip in turn without the decoding.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow import MerError, load_dataset, split_plan
from mer_mlflow.crossval import SplitPlan
from mer_mlflow.datasets import Clips
from mer_mlflow.representations import Handcrafted
from mer_mlflow.representations.audio import Audio, decode, resample

SR = 22_050
DURATION = 30.0
N_CHOSEN = 100

Values = NDArray[np.float64]


def main() -> None:
    """Extract, cross-validate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the dataset")
    parser.add_argument("--dataset", default="original-4qaed", help="default original-4qaed")
    parser.add_argument("--repeats", type=int, default=10, help="repetitions (default 10)")
    parser.add_argument("--folds", type=int, default=10, help="folds (default 10)")
    parser.add_argument("--C", type=float, default=4.0, help="penalty of the SVM (default 4)")
    parser.add_argument("--gamma", default="scale", help='a number, or "scale" (default)')
    given = parser.parse_args()
    gamma = given.gamma if given.gamma == "scale" else float(given.gamma)
    try:
        clips = with_audio(load_dataset(given.dataset, given.data_root))
        plan = split_plan(clips, n_splits=given.folds, n_repeats=given.repeats)
        ours, theirs, ratio = extract(clips)
    except MerError as error:
        parser.error(str(error))
    print(
        f"{len(clips)} clips, {given.repeats} x {given.folds} folds, C={given.C:g}, gamma={gamma}"
    )
    print(f"{'features':<28}{'number':>8}{'macro F1':>16}{'arousal':>10}{'valence':>10}")
    sets = [
        ("librosa statistics", theirs, None),
        ("extracted", ours, None),
        (f"extracted, {N_CHOSEN} chosen", ours, N_CHOSEN),
    ]
    if "top100" in clips.features:
        sets.insert(0, ("published", clips.feature_values("top100"), None))
    for name, values, n_chosen in sets:
        machine = classifier(n_chosen=n_chosen, C=given.C, gamma=gamma)
        line = scores(predictions(machine, values, clips, plan), clips.quadrants)
        print(f"{name:<28}{n_chosen or values.shape[1]:>8}{line}", flush=True)
    print(f"extraction takes {ratio:.1f} times as long as the librosa statistics'")


def with_audio(clips: Clips) -> Clips:
    """Keep the clips that have audio."""
    return clips.take(np.flatnonzero([path is not None for path in clips.audio]))


def extract(clips: Clips) -> tuple[Values, Values, float]:
    """Our features, librosa's statistics, and the ratio of their times; the first clip warms up."""
    features = Handcrafted(duration=DURATION)
    files = clips.audio_files()
    rows: tuple[list[Values], list[Values]] = ([], [])
    seconds = np.zeros(2)
    for compute in (features.compute, librosa_statistics):
        compute(decode(files[0]))
    for file in files:
        audio = decode(file)
        for i, compute in enumerate((features.compute, librosa_statistics)):
            start = time.perf_counter()
            rows[i].append(np.asarray(compute(audio), dtype=np.float64))
            seconds[i] += time.perf_counter() - start
    return np.stack(rows[0]), np.stack(rows[1]), float(seconds[0] / seconds[1])


def librosa_statistics(audio: Audio) -> Values:
    """Mean and deviation of 95 descriptors with librosa's defaults [shape=(190,)]."""
    import librosa

    feature = librosa.feature
    y = resample(audio, sr=SR, duration=min(DURATION, audio.seconds))
    S = np.abs(librosa.stft(y))
    mel_db = librosa.power_to_db(feature.melspectrogram(S=S**2, sr=SR))
    mfcc = feature.mfcc(S=mel_db, n_mfcc=20)
    chroma = feature.chroma_stft(S=S**2, sr=SR)
    onsets = librosa.onset.onset_strength(S=mel_db, sr=SR)
    descriptors = [
        *(mfcc, feature.delta(mfcc), feature.delta(mfcc, order=2)),
        *(chroma, feature.tonnetz(chroma=chroma, sr=SR)),
        feature.spectral_contrast(S=S, sr=SR),
        feature.spectral_centroid(S=S, sr=SR),
        feature.spectral_bandwidth(S=S, sr=SR),
        feature.spectral_rolloff(S=S, sr=SR),
        feature.spectral_flatness(S=S),
        feature.poly_features(S=S, sr=SR, order=1),
        feature.zero_crossing_rate(y),
        feature.rms(S=S),
        onsets[np.newaxis],
        feature.tempo(onset_envelope=onsets, sr=SR, aggregate=None)[np.newaxis],
    ]
    rows = np.vstack(descriptors)
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


def classifier(*, n_chosen: int | None, C: float, gamma: str | float) -> Any:
    """Standardisation, choice of features where a number is given, and SVM."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    from mer_mlflow.training.feature_selection import MostRelevant

    choice = [] if n_chosen is None else [MostRelevant(n_features=n_chosen)]
    return make_pipeline(StandardScaler(), *choice, SVC(C=C, gamma=gamma))


def predictions(machine: Any, values: Values, clips: Clips, plan: SplitPlan) -> NDArray[np.int64]:
    """Quadrant that every clip is given in every repetition [shape=(n_repeats, n_clips)]."""
    predicted = np.zeros((plan.n_repeats, len(clips)), dtype=np.int64)
    for split in plan.splits:
        machine.fit(values[split.train], clips.quadrants[split.train])
        predicted[split.repeat - 1, split.test] = machine.predict(values[split.test])
    return predicted


def scores(predicted: NDArray[np.int64], quadrants: NDArray[np.int64]) -> str:
    """Macro F1 with its deviation, and accuracies of arousal and valence alone, in per cent."""
    from sklearn.metrics import f1_score

    f1 = 100.0 * np.array([f1_score(quadrants, row, average="macro") for row in predicted])
    arousal = 100.0 * np.mean((predicted < 2) == (quadrants < 2))
    positive = np.isin(predicted, (0, 3)) == np.isin(quadrants, (0, 3))
    return f"{f1.mean():>9.1f} ± {f1.std():.1f}{arousal:>12.1f}{100.0 * positive.mean():>10.1f}"


if __name__ == "__main__":
    main()
