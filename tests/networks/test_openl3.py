"""OpenL3 against the sizes of the original and a front end that is computed frame by frame."""

from __future__ import annotations

import keras
import librosa
import numpy as np
import pytest

from mer_mlflow.networks.openl3 import decibel_mel, openl3, windows

SR = 48_000


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return openl3(n_mels=256)


def shapes(network: keras.Model, kind: type[keras.Layer]) -> list[tuple[int | None, ...]]:
    return [layer.output.shape[1:] for layer in network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("n_mels", [256, 128])
def test_has_the_original_number_of_parameters(n_mels: int) -> None:
    assert openl3(n_mels=n_mels).count_params() == 4_689_860


def test_layers_are_the_originals(network: keras.Model) -> None:
    assert shapes(network, keras.layers.Conv2D) == [
        (256, 199, 64),
        (256, 199, 64),
        (128, 99, 128),
        (128, 99, 128),
        (64, 49, 256),
        (64, 49, 256),
        (32, 24, 512),
        (32, 24, 512),
    ]
    pools = [layer for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [pool.pool_size for pool in pools] == [(2, 2), (2, 2), (2, 2), (32, 24)]
    assert len(shapes(network, keras.layers.BatchNormalization)) == 8
    assert network.output_shape == (None, 512)


def test_embedding_is_the_maximum_of_the_last_convolution(network: keras.Model) -> None:
    last = network.get_layer("audio_embedding_layer")
    both = keras.Model(network.input, [last.output, network.output])
    spectrogram = np.random.default_rng(0).uniform(-80, 0, (1, 256, 199, 1)).astype(np.float32)
    maps, embedding = map(keras.ops.convert_to_numpy, both(spectrogram, training=False))
    np.testing.assert_array_equal(maps.max(axis=(1, 2)), embedding)
    assert maps.min() < 0


def test_pool_of_128_bands() -> None:
    network = openl3(n_mels=128)
    assert network.layers[-2].pool_size == (16, 24)
    assert network.output_shape == (None, 512)


@pytest.mark.parametrize(
    ("seconds", "center", "n_windows"),
    [(30.0, True, 296), (30.15, True, 298), (30.0, False, 291), (0.2, True, 1), (0.5, True, 1)],
)
def test_number_of_windows(seconds: float, center: bool, n_windows: int) -> None:
    samples = np.ones(round(seconds * SR), dtype=np.float32)
    assert windows(samples, center=center).shape == (n_windows, SR)


def test_windows_hold_all_samples() -> None:
    samples = np.arange(1, 60_002, dtype=np.float32)
    first, second, third, *_, last = windows(samples)
    assert not first[: SR // 2].any()
    np.testing.assert_array_equal(first[SR // 2 :], samples[: SR // 2])
    np.testing.assert_array_equal(third[:-9600], first[9600:])
    np.testing.assert_array_equal(second[-4800:], samples[SR // 2 :][:4800])
    assert last.max() == samples[-1]
    assert last[-1] == 0


def test_windows_of_another_hop() -> None:
    samples = np.arange(2 * SR, dtype=np.float32)
    cut = windows(samples, hop_seconds=0.5, center=False)
    np.testing.assert_array_equal(cut[:, 0], [0, SR // 2, SR])


def frame_by_frame(window: np.ndarray, n_mels: int) -> np.ndarray:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    magnitudes = []
    for start in range(0, SR, 242):
        frame = np.zeros(2048)
        recorded = window[start : start + 2048]
        frame[: len(recorded)] = recorded
        magnitudes.append(np.abs(np.fft.rfft(frame * hann)))
    filters = librosa.filters.mel(
        sr=SR, n_fft=2048, n_mels=n_mels, fmin=0.0, fmax=24_000.0, htk=False, norm="slaney"
    )
    decibels = 10 * np.log10(np.maximum(filters.astype(float) @ np.transpose(magnitudes), 1e-10))
    return np.maximum(decibels - decibels.max(), -80.0)


def noises() -> np.ndarray:
    rng = np.random.default_rng(0)
    fading = np.exp(-np.linspace(0, 6, SR)) * rng.normal(size=SR)
    return np.stack([rng.normal(size=SR), 1e-3 * fading]).astype(np.float32)


@pytest.mark.parametrize("n_mels", [256, 128])
def test_front_end_equals_one_frame_by_frame(n_mels: int) -> None:
    spectrograms = decibel_mel(noises(), n_mels=n_mels)
    assert spectrograms.shape == (2, n_mels, 199, 1)
    assert spectrograms.dtype == np.float32
    for window, spectrogram in zip(noises(), spectrograms[..., 0], strict=True):
        np.testing.assert_allclose(spectrogram, frame_by_frame(window, n_mels), rtol=0, atol=1e-4)


def test_range_is_that_of_the_window() -> None:
    noise = noises()[0]
    half_silent = np.where(np.arange(SR) < SR // 2, noise, 0.0).astype(np.float32)
    louder, quieter = decibel_mel(np.stack([half_silent, half_silent / 64]), n_mels=128)
    assert louder.max() == quieter.max() == 0.0
    assert louder.min() == quieter.min() == -80.0
    np.testing.assert_array_equal(louder[:, 100:], -80.0)
    np.testing.assert_allclose(louder[:, :99], quieter[:, :99], rtol=0, atol=1e-4)


def test_silence_is_its_own_maximum() -> None:
    np.testing.assert_array_equal(decibel_mel(np.zeros((1, SR), np.float32), n_mels=128), 0.0)
