"""Musicnn: layers and front end of the original, computed here another way too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.musicnn import log_mel, musicnn
from mer_mlflow.representations import Embedding
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.representations.pretrained import musicnn as pretrained
from mer_mlflow.weights import Weights

SR = 16_000
Arrays = Mapping[str, NDArray[np.float32]]
KERNELS = (
    *((7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)),
    *((7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)),
)
NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)


def of(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


@pytest.fixture(scope="module")
def arrays() -> dict[str, NDArray[np.float32]]:
    """Arrays by the names of the published checkpoints, two of the optimiser with each."""
    rng = np.random.default_rng(0)
    drawn: dict[str, NDArray[np.float64]] = {}
    kernels = {of("conv2d", i): shape for i, shape in enumerate(KERNELS)}
    kernels |= {"dense": (1506, 200), "dense_1": (200, 50)}
    for name, shape in kernels.items():
        drawn[f"{name}/kernel"] = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        drawn[f"{name}/bias"] = rng.normal(0, 0.1, shape[-1])
    for number, size in enumerate(NORMS):
        name = of("batch_normalization", number)
        drawn[f"{name}/gamma"] = rng.normal(1, 0.5, size)
        drawn[f"{name}/beta"] = rng.normal(0, 0.2, size)
    trained = {
        f"{name}/{part}": np.zeros_like(array)
        for name, array in drawn.items()
        for part in ("Adam", "Adam_1")
    }
    for number, size in enumerate(NORMS):
        name = of("batch_normalization", number)
        drawn[f"{name}/moving_mean"] = rng.normal(0.3, 0.1, size)
        drawn[f"{name}/moving_variance"] = rng.uniform(0.5, 1.5, size)
    powers = {f"beta{i}_power": np.zeros(()) for i in (1, 2)}
    return {
        name: array.astype(np.float32)
        for name, array in sorted({**drawn, **trained, **powers}.items())
    }


def write(file: Path, arrays: Arrays) -> Weights:
    file.write_bytes(b"".join(array.tobytes() for array in arrays.values()))
    return find_weights("musicnn_mtt", file, allow_unverified=True)


def by_hand(arrays: Arrays, patches: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Penultimate layer and means of c1 to c3 and the front end, by loops over kernels' rows."""

    def normalised(values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        name = of("batch_normalization", number)
        gamma, beta, mean, variance = (
            arrays[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def convolved(image: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Convolve over time with padding; of all places in frequency."""
        name = of("conv2d", number)
        kernel = arrays[f"{name}/kernel"][:, :, 0].astype(np.float64)
        before = (len(kernel) - 1) // 2
        padded = np.pad(image, ((0, 0), (before, len(kernel) - 1 - before), (0, 0)))
        bands = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1], axis=2)
        n_frames = image.shape[1]
        summed = sum(bands[:, k : k + n_frames] @ kernel[k] for k in range(len(kernel)))
        return normalised(np.maximum(summed + arrays[f"{name}/bias"], 0), number + 1)

    image = normalised(patches.astype(np.float64), 0)
    steps = [np.concatenate([convolved(image, i).max(axis=2) for i in range(5)], axis=2)]
    for number in (5, 6, 7):
        above = convolved(steps[-1], number)[:, :, 0]
        steps.append(above if number == 5 else above + steps[-1])
    every = np.concatenate(steps, axis=2)
    values = np.stack([every.max(axis=1), every.mean(axis=1)], axis=2).reshape(len(every), -1)
    dense = normalised(values, 9) @ arrays["dense/kernel"] + arrays["dense/bias"]
    means = [step.mean(axis=1) for step in (*steps[1:], steps[0])]
    return [normalised(np.maximum(dense, 0), 10), *means]


def sweep(seconds: float = 3.05) -> NDArray[np.float32]:
    t = np.arange(round(seconds * SR)) / SR
    tones = 0.4 * np.sin(2 * np.pi * (220 * t + 300 * t**2))
    fading = 0.2 * np.sin(2 * np.pi * 1500 * t) * np.exp(-4 * t)
    return (tones + fading).astype(np.float32)


def patch() -> NDArray[np.float32]:
    return log_mel(sweep())[np.newaxis, :187]


def test_network_has_the_published_layers() -> None:
    network = musicnn()
    assert network.count_params() == 782_029
    assert [shape[1] for shape in network.output_shape] == [200, 64, 64, 64, 561]


def test_checkpoint_has_the_published_size(arrays: Arrays) -> None:
    assert sum(array.nbytes for array in arrays.values()) == 9_465_596
    assert list(arrays) == list(pretrained.layout())


def test_loaded_network_gives_the_published_arithmetic(arrays: Arrays, tmp_path: Path) -> None:
    network = pretrained.load(write(tmp_path / "values", arrays))
    expected = by_hand(arrays, patch())
    for found, by_loops in zip(network(patch(), training=False), expected, strict=True):
        assert np.abs(np.asarray(found) - by_loops).max() < 1e-4
        assert by_loops.std() > 0.01


PUBLISHED = {
    "musicnn_msd": (
        [2.42496, 0.15551, -0.14872, -0.27512],
        [202.00110, 9.47601, 35.69776, 113.01972, 231.80767],
    ),
    "musicnn_mtt": (
        [2.00896, 0.24598, 0.93738, -0.18606],
        [159.44984, 28.38124, 60.42139, 77.82983, 767.96375],
    ),
}
"""First values of the penultimate layer, and sums of the absolute values of all outputs. They were
computed by TensorFlow's operations from the arrays of the checkpoints."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_give_the_published_arithmetic(name: str, real_weights: Path) -> None:
    try:
        weights = find_weights(name, real_weights)
    except WeightsError as error:
        pytest.skip(str(error))
    samples = sweep(49_000 / SR)
    outputs = pretrained.load(weights)(log_mel(samples)[np.newaxis, :187], training=False)
    first, sums = PUBLISHED[name]
    assert np.asarray(outputs[0])[0, :4] == pytest.approx(first, abs=1e-4)
    found = [np.abs(np.asarray(each)).sum() for each in outputs]
    assert found == pytest.approx(sums, rel=1e-4)


def test_spectrogram_is_that_of_librosa_with_its_parameters() -> None:
    power = np.abs(librosa.stft(sweep(1.0), n_fft=512, hop_length=256, pad_mode="reflect")) ** 2
    mel = librosa.filters.mel(sr=SR, n_fft=512, n_mels=96) @ power
    assert log_mel(sweep(1.0)) == pytest.approx(np.log10(10_000 * mel.T + 1), abs=1e-4)


def test_embedding_is_the_mean_over_patches(arrays: Arrays, tmp_path: Path) -> None:
    weights = write(tmp_path / "values", arrays)
    item = Embedding(network="musicnn_mtt", layer="statistics", duration=6.0, weights=weights)
    audio = Audio(samples=sweep(6.0), sr=SR, n_channels=1)
    spectrogram = log_mel(audio.samples)
    patches = np.stack([spectrogram[:187], spectrogram[187:374]])
    expected = np.concatenate([each.mean(axis=0) for each in by_hand(arrays, patches)])
    assert item.shape == (953,)
    assert item.compute(audio) == pytest.approx(expected, abs=1e-4)
    short = Audio(samples=sweep(0.3), sr=SR, n_channels=1)
    assert item.compute(short).shape == (953,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("empty", "it has 0 bytes, not 9465596"),
        ("truncated", "it has 9465592 bytes, not 9465596"),
        ("not finite", "dense/kernel has impossible values"),
        ("negative", "batch_normalization_3/moving_variance has impossible values"),
    ],
)
def test_other_files_are_named(change: str, reason: str, arrays: Arrays, tmp_path: Path) -> None:
    changed = {name: array.copy() for name, array in arrays.items()}
    if change == "not finite":
        changed["dense/kernel"][3, 3] = np.nan
    elif change == "negative":
        changed["batch_normalization_3/moving_variance"][0] = -1
    file = write(tmp_path / "values", changed).file
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "truncated": content[:-4]}.get(change, content))
    with pytest.raises(WeightsError, match=rf"{file}: not the weights of musicnn \({reason}\)"):
        pretrained.load(find_weights("musicnn_mtt", file, allow_unverified=True))


def test_hidden_files_of_the_package_are_found(tmp_path: Path, arrays: Arrays) -> None:
    folder = tmp_path / "musicnn" / "MTT_musicnn"
    folder.mkdir(parents=True)
    file = write(folder / ".data-00000-of-00001", arrays).file
    assert find_weights("musicnn_mtt", tmp_path, allow_unverified=True).file == file
