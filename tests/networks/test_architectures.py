"""Architectures against the layers and sizes that the study and the original code give."""

from __future__ import annotations

import keras
import numpy as np

from mer_mlflow.networks.autoencoder import critic, decoder, encoder, generator
from mer_mlflow.networks.cnn import cnn, cnn_gru
from mer_mlflow.networks.crnn import crnn
from mer_mlflow.networks.dnn import narrowing_dnn
from mer_mlflow.networks.fusion import fusion
from mer_mlflow.networks.sample_cnn import sample_cnn
from mer_mlflow.networks.short_chunk_cnn import short_chunk_cnn

THIRTY_SECONDS = (128, 938)


def make_cnn() -> keras.Model:
    return cnn(
        input_shape=THIRTY_SECONDS,
        n_classes=4,
        filters=16,
        dense_units=300,
        block_dropout=0.1,
        dropout=0.4,
        momentum=0.9,
    )


def shapes(network: keras.Model, kind: type[keras.Layer]) -> list[tuple[int | None, ...]]:
    return [layer.output.shape[1:] for layer in network.layers if isinstance(layer, kind)]


def test_cnn_pools_time_and_mel_as_published() -> None:
    network = make_cnn()
    assert shapes(network, keras.layers.MaxPooling2D) == [
        (468, 63, 16),
        (233, 31, 16),
        (77, 15, 16),
        (25, 7, 16),
    ]
    assert shapes(network, keras.layers.Flatten) == [(25 * 7 * 16,)]
    assert shapes(network, keras.layers.Dense) == [(300,), (4,)]


def test_cnn_parameters() -> None:
    convolutions = 16 * (9 + 1) + 3 * 16 * (9 * 16 + 1)
    normalisations = 3 * 4 * 16
    dense = 300 * (25 * 7 * 16 + 1) + 4 * 301
    assert make_cnn().count_params() == convolutions + normalisations + dense


def test_crnn_reads_time_after_four_pools() -> None:
    network = crnn(input_shape=THIRTY_SECONDS, n_classes=4, gru_units=32, dropout=0.5)
    assert shapes(network, keras.layers.MaxPooling2D) == [
        (469, 64, 64),
        (156, 21, 128),
        (39, 5, 128),
        (9, 1, 128),
    ]
    assert shapes(network, keras.layers.GRU) == [(9, 32), (32,)]


def n_trained(network: keras.Model) -> int:
    """Parameters as PyTorch counts them: without the running statistics."""
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


FRONT_END_NORMALISATION = 2
"""Parameters of a normalisation of the spectrogram, which happens before our networks."""


def test_crnn_has_the_original_number_of_parameters() -> None:
    network = crnn(input_shape=(96, 1819), n_classes=50, gru_units=32, dropout=0.5)
    assert n_trained(network) + FRONT_END_NORMALISATION == 394_100


def test_short_chunk_cnn_is_the_original() -> None:
    network = short_chunk_cnn(input_shape=(128, 231), n_classes=50, filters=128, dropout=0.5)
    assert n_trained(network) + FRONT_END_NORMALISATION == 3_687_348
    assert shapes(network, keras.layers.MaxPooling2D) == [
        (115, 64, 128),
        (57, 32, 128),
        (28, 16, 256),
        (14, 8, 256),
        (7, 4, 256),
        (3, 2, 256),
        (1, 1, 512),
    ]
    assert shapes(network, keras.layers.Dense) == [(512,), (50,)]


def test_sample_cnn_is_the_original() -> None:
    network = sample_cnn(input_shape=(59_049,), n_classes=50, filters=128, dropout=0.5)
    assert n_trained(network) == 1_869_874
    assert shapes(network, keras.layers.MaxPooling1D) == [
        (3**level, filters)
        for level, filters in zip(range(8, -1, -1), (128, 128, *(256,) * 6, 512), strict=True)
    ]


def test_cnn_gru_reads_the_baselines_maps_over_time() -> None:
    network = cnn_gru(
        input_shape=THIRTY_SECONDS,
        n_classes=4,
        filters=16,
        gru_units=64,
        dense_units=300,
        block_dropout=0.1,
        dropout=0.4,
        momentum=0.9,
    )
    assert shapes(network, keras.layers.GRU) == [(25, 64), (64,)]
    assert shapes(network, keras.layers.Dense) == [(300,), (4,)]


def test_dnn_narrows_layer_by_layer() -> None:
    network = narrowing_dnn(
        input_shape=(100,), n_classes=4, first_units=80, n_layers=3, dropout=0.0
    )
    assert shapes(network, keras.layers.Dense) == [(80,), (40,), (20,), (4,)]
    assert network.count_params() == 80 * 101 + 40 * 81 + 20 * 41 + 4 * 21


def test_blocks_of_a_fusion_weigh_the_same() -> None:
    network = fusion(block_sizes=(400, 4), n_classes=4, units=8, dropout=0.4)
    joined = next(layer for layer in network.layers if isinstance(layer, keras.layers.Concatenate))
    values = np.random.default_rng(0).normal(size=(50, 404)).astype(np.float32)
    scaled = keras.ops.convert_to_numpy(keras.Model(network.input, joined.output)(values))
    assert np.allclose(scaled[:, :400], values[:, :400] / 10)
    assert np.array_equal(scaled[:, 400:], values[:, 400:])
    assert network.count_params() == 8 * 405 + 4 * 9


def test_autoencoder_has_the_bottleneck_of_the_study() -> None:
    halves = encoder(input_shape=THIRTY_SECONDS), decoder(output_shape=THIRTY_SECONDS)
    assert halves[0].output_shape == (None, 60_416)
    assert shapes(halves[0], keras.layers.ZeroPadding2D) == [(128, 944, 1)]
    assert shapes(halves[0], keras.layers.Conv2D)[-1] == (8, 59, 128)
    assert shapes(halves[1], keras.layers.Conv2DTranspose)[-1] == (128, 944, 1)
    assert halves[1].output_shape == (None, *THIRTY_SECONDS)


def test_generator_and_critic_fit_the_autoencoder() -> None:
    for shape in (THIRTY_SECONDS, (128, 313), (20, 33)):
        made = generator(output_shape=shape, n_noise=7)
        assert made.output_shape == encoder(input_shape=shape).output_shape
        assert critic(input_shape=shape, dropout=0.1).output_shape == (None, 1)
        assert decoder(output_shape=shape).output_shape == (None, *shape)
