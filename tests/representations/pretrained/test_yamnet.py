"""YAMNet: layers and front end of the original, computed here another way too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.yamnet import FIRST, SEPARABLE, log_mel, patches, yamnet
from mer_mlflow.representations import Embedding
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.representations.pretrained import yamnet as pretrained
from mer_mlflow.representations.tflite import convolutions
from mer_mlflow.weights import Weights

SR = 16_000
Layer = dict[str, NDArray[np.float32]]


def convolution_shapes() -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, shape of the kernel and number of outputs of each convolution."""
    n_in = FIRST[0]
    yield "layer1/conv", (3, 3, 1, n_in), n_in
    for number, (n_out, _) in enumerate(SEPARABLE, start=2):
        yield f"layer{number}/depthwise_conv", (3, 3, n_in, 1), n_in
        yield f"layer{number}/pointwise_conv", (1, 1, n_in, n_out), n_out
        n_in = n_out


@pytest.fixture(scope="module")
def layers() -> dict[str, Layer]:
    rng = np.random.default_rng(0)
    drawn = {}
    for name, shape, n_out in convolution_shapes():
        fan_in = 9 if "depthwise" in name else shape[0] * shape[1] * shape[2]
        layer = {
            "kernel": rng.normal(0, np.sqrt(2 / fan_in), shape),
            "beta": rng.normal(0.2, 0.1, n_out),
            "mean": rng.normal(0, 0.1, n_out),
            "variance": rng.uniform(0.5, 1.5, n_out),
        }
        drawn[name] = {part: values.astype(np.float32) for part, values in layer.items()}
    return drawn


def write_h5(file: Path, layers: dict[str, Layer], *, skipped: str = "") -> Weights:
    """Write a file as Keras 2 did: names of layers contain slashes, activations have no weights."""
    rng = np.random.default_rng(1)
    with h5py.File(file, "w") as saved:
        names = ["input_1"]
        for name, layer in layers.items():
            kind = "depthwise_kernel" if "depthwise" in name else "kernel"
            own = {f"{name}/{kind}:0": layer["kernel"]}
            norm = {
                f"{name}/bn/beta:0": layer["beta"],
                f"{name}/bn/moving_mean:0": layer["mean"],
                f"{name}/bn/moving_variance:0": layer["variance"],
            }
            for group, arrays in ((name, own), (f"{name}/bn", norm), (f"{name}/relu", {})):
                names.append(group)
                _write_layer(saved, group, {key: arrays[key] for key in arrays if key != skipped})
        _write_layer(saved, "input_1", {})
        output = {"logits/kernel:0": rng.normal(size=(1024, 521)), "logits/bias:0": np.zeros(521)}
        _write_layer(saved, "logits", output)
        saved.attrs["layer_names"] = [name.encode() for name in [*names, "logits"]]
    return find_weights("yamnet", file, allow_unverified=True)


def _write_layer(saved: Any, name: str, arrays: dict[str, Any]) -> None:
    group = saved.require_group(name)
    group.attrs["weight_names"] = [key.encode() for key in arrays]
    for key, values in arrays.items():
        group[key] = np.asarray(values, dtype=np.float32)


def folded(layers: dict[str, Layer]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Kernels and biases that include the normalisation, in the layout of TensorFlow Lite."""
    for layer in layers.values():
        scale = 1 / np.sqrt(layer["variance"] + 1e-4)
        is_depthwise = layer["kernel"].shape[-1] == 1
        kernel = layer["kernel"] * (scale[:, np.newaxis] if is_depthwise else scale)
        yield kernel.transpose(3, 0, 1, 2), layer["beta"] - layer["mean"] * scale


def lite(kernels: list[tuple[NDArray[Any], NDArray[Any]]], *, quantised: bool) -> bytes:
    """A TensorFlow Lite file of convolutions; if quantised, those of depth have scales by channel
    and are dequantised by operators of their own."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    model.operatorCodes = [schema.OperatorCodeT() for _ in range(3)]
    for code, number in zip(model.operatorCodes, (3, 4, 6), strict=True):
        code.builtinCode = code.deprecatedBuiltinCode = number
    graph.tensors, graph.operators = [_tensor(model, np.zeros((1, 1), np.float32))], []
    for kernel, bias in kernels:
        is_depthwise = len(kernel) == 1
        where = len(graph.tensors)
        if quantised:
            axes = (0, 1, 2) if is_depthwise else (0, 1, 2, 3)
            scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
            codes = np.round(kernel / scale).astype(np.int8)
            graph.tensors.append(_tensor(model, codes, scales=scale.ravel(), axis=3))
        else:
            graph.tensors.append(_tensor(model, kernel.astype(np.float32)))
        if quantised and is_depthwise:
            graph.tensors.append(_tensor(model, None))
            graph.operators.append(_operator(2, [where], [where + 1]))
        graph.tensors.append(_tensor(model, bias.astype(np.float32)))
        last = len(graph.tensors) - 1
        graph.operators.append(_operator(int(is_depthwise), [0, last - 1, last], [0]))
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _tensor(model: Any, values: Any, *, scales: Any = None, axis: int = 0) -> Any:
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)
    if values is None:
        return tensor
    tensor.shape, tensor.type = list(values.shape), 9 if values.dtype == np.int8 else 0
    buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [float(each) for each in scales]
        tensor.quantization.zeroPoint = [0] * len(scales)
        tensor.quantization.quantizedDimension = axis if len(scales) > 1 else 0
    return tensor


def by_hand(layers: dict[str, Layer], patch: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Means of each layer, by loops over the kernel's places [shape=(n_patches, n_values)]."""
    strides = [FIRST[1], *(stride for _, step in SEPARABLE for stride in (step, 1))]
    values, means = patch.astype(np.float64), {}
    for (name, layer), stride in zip(layers.items(), strides, strict=True):
        kernel = layer["kernel"]
        size, is_depthwise = len(kernel), "depthwise" in name
        n_out = [-(-n // stride) for n in values.shape[1:3]]
        missing = [
            max((m - 1) * stride + size - n, 0)
            for m, n in zip(n_out, values.shape[1:3], strict=True)
        ]
        pads = [(each // 2, each - each // 2) for each in missing]
        padded = np.pad(values, ((0, 0), *pads, (0, 0)))
        values = np.zeros(())
        for row in range(size):
            for column in range(size):
                seen = padded[
                    :,
                    row : row + (n_out[0] - 1) * stride + 1 : stride,
                    column : column + (n_out[1] - 1) * stride + 1 : stride,
                ]
                here = kernel[row, column]
                values = values + (seen * here[:, 0] if is_depthwise else seen @ here)
        values = (values - layer["mean"]) / np.sqrt(layer["variance"] + 1e-4) + layer["beta"]
        values = np.maximum(values, 0)
        means[name] = values.mean(axis=(1, 2))
    return means


def sweep(n_samples: int = 15_600) -> NDArray[np.float32]:
    t = np.arange(n_samples) / SR
    tones = 0.4 * np.sin(2 * np.pi * (220 * t + 300 * t**2))
    fading = 0.2 * np.sin(2 * np.pi * 1500 * t) * np.exp(-4 * t)
    noise = 0.1 * np.random.default_rng(0).normal(size=n_samples)
    return (tones + fading + noise).astype(np.float32)


def test_network_has_the_published_number_of_parameters() -> None:
    network = yamnet()
    assert network.count_params() == 3_751_369 - 1024 * 521 - 521
    assert network.output_shape == [(None, 1024), (None, 512)]


def test_loaded_network_gives_the_published_arithmetic(
    layers: dict[str, Layer], tmp_path: Path
) -> None:
    patch = patches(log_mel(sweep()))
    network = pretrained.load(write_h5(tmp_path / "yamnet.h5", layers))
    embedding, middle = (np.asarray(each) for each in network(patch, training=False))
    expected = by_hand(layers, patch)
    assert np.abs(embedding - expected["layer14/pointwise_conv"]).max() < 1e-4
    assert np.abs(middle - expected["layer12/pointwise_conv"]).max() < 1e-4
    assert embedding.std() > 0.01


def test_lite_file_holds_the_same_network(layers: dict[str, Layer], tmp_path: Path) -> None:
    patch = patches(log_mel(sweep()))
    (tmp_path / "yamnet.tflite").write_bytes(lite(list(folded(layers)), quantised=False))
    weights = find_weights("yamnet", tmp_path, allow_unverified=True)
    embedding, _ = pretrained.load(weights)(patch, training=False)
    expected = by_hand(layers, patch)["layer14/pointwise_conv"]
    assert np.abs(np.asarray(embedding) - expected).max() < 1e-4


def test_official_file_is_preferred_to_a_lite_one(layers: dict[str, Layer], tmp_path: Path) -> None:
    (tmp_path / "yamnet.tflite").write_bytes(b"another")
    file = write_h5(tmp_path / "yamnet.h5", layers).file
    assert find_weights("yamnet", tmp_path, allow_unverified=True).file == file


def test_quantised_kernels_are_multiplied_by_their_scales() -> None:
    rng = np.random.default_rng(2)
    kernels = [
        (rng.normal(size=(5, 3, 3, 2)), rng.normal(size=5)),
        (rng.normal(size=(1, 3, 3, 5)) * np.array([1, 10, 0.1, 3, 7]), rng.normal(size=5)),
    ]
    found = list(convolutions(lite(kernels, quantised=True)))
    for (kernel, bias), (expected, expected_bias) in zip(found, kernels, strict=True):
        axes = tuple(range(3)) if len(expected) == 1 else None
        step = np.abs(expected).max(axis=axes) / 127
        assert np.all(np.abs(kernel - expected) <= step / 2 + 1e-6)
        assert bias == pytest.approx(expected_bias)


@pytest.fixture(scope="module")
def small_lite() -> bytes:
    rng = np.random.default_rng(3)
    kernels = [(rng.normal(size=(4, 1, 1, 2)), np.zeros(4)), (np.ones((1, 3, 3, 4)), np.zeros(4))]
    return lite(kernels, quantised=True)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_lite_files_are_read_or_refused(small_lite: bytes, data: Any) -> None:
    content = bytearray(small_lite)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), data.draw(st.integers(8, len(content)))]))
    with contextlib.suppress(*pretrained.UNREADABLE):
        list(convolutions(bytes(content[:cut])))


def frame_by_frame(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The spectrogram of the original, a frame and a band at a time."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)

    def mel(hertz: Any) -> Any:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    of_bins, edges = mel(np.arange(257) * SR / 512), np.linspace(mel(125), mel(7500), 66)
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        slopes = (of_bins - low) / (centre - low), (high - of_bins) / (high - centre)
        bands.append(np.maximum(0, np.minimum(*slopes)))
    starts = range(0, len(samples) - 400 + 1, 160)
    magnitude = [np.abs(np.fft.rfft(samples[start : start + 400] * hann, 512)) for start in starts]
    return np.log(np.array(magnitude) @ np.array(bands).T + 0.001)


def test_spectrogram_is_the_originals() -> None:
    found = log_mel(sweep())
    assert found.shape == (96, 64)
    assert found == pytest.approx(frame_by_frame(sweep()), abs=1e-4)


def test_patches_follow_each_other_every_half_second() -> None:
    spectrogram = log_mel(sweep(30 * SR))
    cut = patches(spectrogram)
    assert cut.shape == (61, 96, 64, 1)
    assert np.array_equal(cut[3, :, :, 0], spectrogram[144:240])


def test_published_network_gives_the_arithmetic_of_its_file(real_weights: Path) -> None:
    """The numbers are those of TensorFlow Lite for this file with dequantised weights."""
    weights = find_weights("yamnet", real_weights, allow_unverified=True)
    if not weights.digest.startswith("469be6a3421c"):
        pytest.skip(f"{weights.file} is another file than the one that was computed")
    embedding, middle = pretrained.load(weights)(patches(log_mel(sweep())), training=False)
    top, top_middle = [59, 713, 385, 77, 106, 232], [265, 1, 510, 503, 134, 160]
    assert np.asarray(embedding)[0, top] == pytest.approx(
        [1.90809, 1.80742, 1.57234, 1.48085, 1.37418, 1.32993], abs=1e-4
    )
    assert np.asarray(middle)[0, top_middle] == pytest.approx(
        [0.19146, 0.14661, 0.13504, 0.13475, 0.13327, 0.1319], abs=1e-4
    )


def test_embedding_is_the_mean_over_patches(layers: dict[str, Layer], tmp_path: Path) -> None:
    weights = write_h5(tmp_path / "yamnet.h5", layers)
    item = Embedding(network="yamnet", layer="statistics", duration=1.5, weights=weights)
    audio = Audio(samples=sweep(24_000), sr=SR, n_channels=1)
    means = by_hand(layers, patches(log_mel(audio.samples)))
    expected = [means[f"layer{number}/pointwise_conv"].mean(axis=0) for number in (14, 12)]
    assert item.shape == (1536,)
    assert item.compute(audio) == pytest.approx(np.concatenate(expected), abs=1e-4)
    short = Audio(samples=sweep(2000), sr=SR, n_channels=1)
    assert item.compute(short).shape == (1536,)


def damages(layers: dict[str, Layer], folder: Path) -> dict[str, bytes]:
    whole = write_h5(folder / "whole.h5", layers).file.read_bytes()
    lacking = write_h5(folder / "lacking.h5", layers, skipped="layer3/depthwise_conv/bn/beta:0")
    shaped = {**layers, "layer1/conv": {**layers["layer1/conv"], "beta": np.zeros(7, np.float32)}}
    few = lite(list(folded(layers))[:5], quantised=True)
    return {
        "empty": b"",
        "text": b"no weights",
        "truncated": whole[: len(whole) // 2],
        "lacking": lacking.file.read_bytes(),
        "another shape": write_h5(folder / "shaped.h5", shaped).file.read_bytes(),
        "another lite file": few,
        "truncated lite file": few[: len(few) // 2],
    }


@pytest.mark.parametrize("damage", range(7))
def test_other_files_are_named(damage: int, layers: dict[str, Layer], tmp_path: Path) -> None:
    content = list(damages(layers, tmp_path).values())[damage]
    file = tmp_path / "yamnet.h5"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{file}: not the weights of YAMNet") as caught:
        pretrained.load(find_weights("yamnet", file, allow_unverified=True))
    assert "\n" not in str(caught.value)
