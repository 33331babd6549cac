"""The artist network: trunk and front end of the original, computed here another way too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.artist_cnn import artist_trunk
from mer_mlflow.representations import Embedding
from mer_mlflow.representations.pretrained import artist_cnn, find_weights
from mer_mlflow.weights import Weights

SHAPES = ((4, 128, 128), (4, 128, 128), (4, 128, 128), (2, 128, 128), (1, 128, 256))
POOLS = (4, 4, 4, 2, 1)
Arrays = Mapping[str, NDArray[np.float32]]


def drawn() -> dict[str, NDArray[np.float32]]:
    """Arrays by the names of the published file."""
    rng = np.random.default_rng(0)
    arrays = {}
    for number, shape in enumerate(SHAPES, start=1):
        conv, norm = f"conv1d_{number}", f"batch_normalization_{number}"
        arrays[f"{conv}/{conv}/kernel:0"] = rng.normal(0, 0.1, shape)
        arrays[f"{conv}/{conv}/bias:0"] = rng.normal(0, 0.1, shape[-1])
        for name in ("gamma", "beta", "moving_mean"):
            arrays[f"{norm}/{norm}/{name}:0"] = rng.normal(0.5, 0.1, shape[-1])
        arrays[f"{norm}/{norm}/moving_variance:0"] = rng.uniform(0.5, 2, shape[-1])
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write(file: Path, arrays: Arrays, *, group: str = "model_weights/") -> Weights:
    with h5py.File(file, "w") as content:
        for name, array in arrays.items():
            content[group + name] = array
    return find_weights("artist_basic", file, allow_unverified=True)


def by_hand(arrays: Arrays, segments: NDArray[np.float32]) -> NDArray[np.float64]:
    """Activations of the last block, by loops over the kernel's places."""
    values = segments.astype(np.float64)
    for number, (shape, pool) in enumerate(zip(SHAPES, POOLS, strict=True), start=1):
        conv, norm = f"conv1d_{number}", f"batch_normalization_{number}"
        kernel = arrays[f"{conv}/{conv}/kernel:0"]
        before = (shape[0] - 1) // 2
        padded = np.pad(values, ((0, 0), (before, shape[0] - 1 - before), (0, 0)))
        n_steps = values.shape[1]
        values = sum(padded[:, k : k + n_steps] @ kernel[k] for k in range(shape[0]))
        values = values + arrays[f"{conv}/{conv}/bias:0"]
        gamma, beta, mean, variance = (
            arrays[f"{norm}/{norm}/{name}:0"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        values = np.maximum((values - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
        n_pooled = values.shape[1] // pool
        values = values[:, : n_pooled * pool].reshape(len(values), n_pooled, pool, -1).max(2)
    return values


def random_segments() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(3, 129, 128)).astype(np.float32)


def test_trunk_has_the_published_number_of_parameters() -> None:
    trunk = artist_trunk()
    assert trunk.count_params() == 265_984
    assert trunk.output_shape == (None, 1, 256)


@pytest.mark.parametrize("group", ["model_weights/", ""])
def test_loaded_trunk_gives_the_published_arithmetic(group: str, tmp_path: Path) -> None:
    arrays = drawn()
    trunk = artist_cnn.load(write(tmp_path / "model.h5", arrays, group=group))
    segments = random_segments()
    outputs = np.asarray(trunk(segments, training=False))
    assert np.abs(outputs - by_hand(arrays, segments)).max() < 1e-4
    assert outputs.std() > 0.01


def test_published_trunk_gives_the_published_arithmetic(real_weights: Path) -> None:
    weights = find_weights("artist_siamese", real_weights)
    with h5py.File(weights.file) as content:
        root = content["model_weights"]
        arrays = {name: np.asarray(root[name]) for name in drawn()}
    segments = random_segments()
    outputs = np.asarray(artist_cnn.load(weights)(segments, training=False))
    assert np.abs(outputs - by_hand(arrays, segments)).max() < 1e-4


def test_segments_are_the_published_spectrograms() -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, 30 * 22_050).astype(np.float32)
    found = artist_cnn.segments(samples)
    assert found.shape == (10, 129, 128)
    magnitude = np.abs(librosa.stft(samples, n_fft=1024, hop_length=512, pad_mode="reflect"))
    mel = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=128) @ magnitude
    third = np.log10(1 + 10 * mel[:, 2 * 129 : 3 * 129].T)
    assert found[2] == pytest.approx((third - 0.22620339) / 0.25794547, abs=1e-4)


def test_embedding_is_the_largest_in_time_and_the_mean_over_segments(
    tmp_path: Path, make_audio: Any
) -> None:
    weights = write(tmp_path / "model.h5", drawn())
    item = Embedding(network="artist_basic", layer="artist", duration=7.0, weights=weights)
    audio = make_audio(seconds=7.0, sr=22_050)
    segments = artist_cnn.segments(audio.samples)
    expected = by_hand(drawn(), segments).max(axis=1).mean(axis=0)
    assert item.shape == (256,)
    assert item.compute(audio) == pytest.approx(expected, abs=1e-4)
    short = make_audio(seconds=0.5, sr=22_050)
    assert item.compute(short).shape == (256,)


@pytest.mark.parametrize("change", ["lacking", "another shape", "text", "empty", "truncated"])
def test_other_files_are_named(change: str, tmp_path: Path) -> None:
    arrays = drawn()
    name = "conv1d_3/conv1d_3/kernel:0"
    if change == "lacking":
        del arrays[name]
    elif change == "another shape":
        arrays[name] = np.zeros((2, 2), dtype=np.float32)
    weights = write(tmp_path / "model.h5", arrays)
    content = {"text": b"no weights", "empty": b"", "truncated": weights.file.read_bytes()[:9000]}
    if change in content:
        weights.file.write_bytes(content[change])
        weights = find_weights("artist_basic", weights.file, allow_unverified=True)
    with pytest.raises(WeightsError, match="not the weights of the artist network") as caught:
        artist_cnn.load(weights)
    assert str(weights.file) in str(caught.value)
    assert "\n" not in str(caught.value)
