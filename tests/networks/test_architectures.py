"""Architectures against the layers and sizes that the study and the original code give."""

from __future__ import annotations

import keras

from mer_mlflow.networks.cnn import cnn, cnn_gru
from mer_mlflow.networks.crnn import crnn
from mer_mlflow.networks.dnn import narrowing_dnn

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


def test_crnn_has_the_original_number_of_parameters() -> None:
    network = crnn(input_shape=(96, 1819), n_classes=50, gru_units=32, dropout=0.5)
    statistics = sum(
        int(weight.value.shape[0])
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for weight in layer.non_trainable_weights
    )
    front_end_normalisation = 2
    assert network.count_params() - statistics + front_end_normalisation == 394_100


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
