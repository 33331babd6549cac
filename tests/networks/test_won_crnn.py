"""Won's CRNN: layers and numbers of the original, computed here another way too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mer_mlflow.networks.won_crnn import (
    BLOCKS,
    N_SAMPLES,
    WonCRNN,
    frozen,
    mel_spectrogram,
    trunk_above,
    with_published_weights,
)
from mer_mlflow.representations.pretrained import find_weights


def make_state(seed: int = 0) -> dict[str, Tensor]:
    """A state dict as it was published: 45 entries, with random numbers."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(0, 0.1, size=shape).astype(np.float32))

    state = {"spec.spectrogram.window": drawn(512), "spec.mel_scale.fb": drawn(257, 96)}
    norms = {"spec_bn": 1}
    for number, (n_in, n_out, _) in enumerate(BLOCKS, start=1):
        state[f"layer{number}.conv.weight"] = drawn(n_out, n_in, 3, 3)
        state[f"layer{number}.conv.bias"] = drawn(n_out)
        norms[f"layer{number}.bn"] = n_out
    for name, size in norms.items():
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.{part}"] = drawn(size)
        state[f"{name}.running_var"] = 1 + drawn(size).abs()
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    for layer, n_in in (("l0", 128), ("l1", 32)):
        state[f"layer5.weight_ih_{layer}"] = drawn(96, n_in)
        state[f"layer5.weight_hh_{layer}"] = drawn(96, 32)
        state[f"layer5.bias_ih_{layer}"], state[f"layer5.bias_hh_{layer}"] = drawn(96), drawn(96)
    return {**state, "dense.weight": drawn(50, 32), "dense.bias": drawn(50)}


def by_hand(state: Mapping[str, Tensor], mel: Tensor) -> Tensor:
    """Logits by the published arithmetic, step by step, without a module of the project."""

    def normalised(maps: Tensor, name: str) -> Tensor:
        parts = (f"{name}.{part}" for part in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, weight, bias = (state[part].view(1, -1, 1, 1) for part in parts)
        return (maps - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    maps = normalised(mel.unsqueeze(1), "spec_bn")
    for number, pool in enumerate((2, 3, 4, 4), start=1):
        name = f"layer{number}"
        weight, bias = state[f"{name}.conv.weight"], state[f"{name}.conv.bias"]
        maps = normalised(functional.conv2d(maps, weight, bias, padding=1), f"{name}.bn")
        maps = functional.max_pool2d(functional.relu(maps), pool)
    steps = list(maps.squeeze(2).permute(2, 0, 1))
    for layer in ("l0", "l1"):
        hidden, outputs = torch.zeros(len(mel), 32), []
        for step in steps:
            inside = step @ state[f"layer5.weight_ih_{layer}"].T + state[f"layer5.bias_ih_{layer}"]
            before = hidden @ state[f"layer5.weight_hh_{layer}"].T
            before = before + state[f"layer5.bias_hh_{layer}"]
            (r_in, z_in, n_in), (r, z, n) = inside.chunk(3, 1), before.chunk(3, 1)
            reset, update = torch.sigmoid(r_in + r), torch.sigmoid(z_in + z)
            hidden = (1 - update) * torch.tanh(n_in + reset * n) + update * hidden
            outputs.append(hidden)
        steps = outputs
    return steps[-1] @ state["dense.weight"].T + state["dense.bias"]


def noise(n_samples: int = N_SAMPLES) -> Tensor:
    return torch.from_numpy(
        np.random.default_rng(5).normal(0, 0.1, n_samples).astype(np.float32)
    ).unsqueeze(0)


def test_layers_have_the_published_shapes() -> None:
    network = with_published_weights(make_state())
    assert sum(each.numel() for each in network.parameters()) == 394_100
    with torch.inference_mode():
        mel = mel_spectrogram(noise())
        seen = network.activations(mel)
    assert mel.shape == (1, 96, 1819)
    assert [tuple(block.shape[1:]) for block in seen.blocks] == [
        (64, 48, 909),
        (128, 16, 303),
        (128, 4, 75),
        (128, 1, 18),
    ]
    assert seen.steps.shape == (1, 18, 32)
    assert seen.logits.shape == (1, 50)


def test_spectrogram_is_that_of_librosa_with_its_parameters() -> None:
    samples = noise(16_000)
    power = librosa.feature.melspectrogram(
        y=samples[0].numpy(),
        sr=16_000,
        n_fft=512,
        hop_length=256,
        n_mels=96,
        htk=True,
        norm=None,
        pad_mode="reflect",
    )
    expected = 10 * np.log10(np.maximum(power, 1e-10))
    assert np.abs(mel_spectrogram(samples)[0].numpy() - expected).max() < 1e-3
    assert torch.all(mel_spectrogram(torch.zeros(1, 16_000)) == -100)


def test_outputs_are_those_of_the_published_arithmetic() -> None:
    state, mel = make_state(), mel_spectrogram(noise(5 * 16_000))
    with torch.inference_mode():
        logits = with_published_weights(state)(mel)
    expected = by_hand(state, mel)
    assert torch.abs(logits - expected).max() < 1e-5
    assert logits.std() > 1e-3


@pytest.mark.parametrize("name", ["crnn_mtat", "crnn_jamendo", "crnn_msd"])
def test_published_networks_give_the_published_arithmetic(name: str, real_weights: Path) -> None:
    file = find_weights(name, real_weights).file
    state = torch.load(file, map_location="cpu", weights_only=True)
    samples = noise()
    power = (
        torch.stft(
            samples,
            512,
            hop_length=256,
            window=state["spec.spectrogram.window"],
            return_complex=True,
            pad_mode="reflect",
        ).abs()
        ** 2
    )
    mel = 10 * torch.log10(torch.clamp(state["spec.mel_scale.fb"].T @ power, min=1e-10))
    with torch.inference_mode():
        tags = torch.sigmoid(with_published_weights(state)(mel_spectrogram(samples)))
    assert torch.abs(tags - torch.sigmoid(by_hand(state, mel))).max() < 1e-5


def test_layers_above_give_what_the_whole_network_gives() -> None:
    network = with_published_weights(make_state())
    mel = mel_spectrogram(noise(4 * 16_000))
    with torch.inference_mode():
        seen = network.activations(mel)
        values = {
            "mel": mel,
            "layer4": seen.blocks[-1].squeeze(2).transpose(1, 2),
            "gru": seen.steps[:, -1],
        }
        for layer, value in values.items():
            above = trunk_above(layer, network)(value)
            assert torch.abs(above - seen.steps[:, -1]).max() < 1e-6, layer


@pytest.mark.parametrize("change", ["lacking", "unknown", "another shape"])
def test_other_state_dicts_are_refused(change: str) -> None:
    state = make_state()
    if change == "lacking":
        del state["layer3.conv.weight"]
    elif change == "unknown":
        state["layer9.weight"] = torch.zeros(1)
    else:
        state["dense.weight"] = torch.zeros(4, 32)
    with pytest.raises(ValueError, match=r"layer3|layer9|dense"):
        with_published_weights(state)


def test_network_is_ready_for_inference() -> None:
    assert not with_published_weights(make_state()).training
    assert isinstance(with_published_weights(make_state()), WonCRNN)


def test_frozen_network_is_equal_up_to_rounding():
    network = with_published_weights(make_state())
    mel = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 96, 400))).float()
    with torch.inference_mode():
        expected, found = network.activations(mel), frozen(network).activations(mel)
    for one, other in zip(
        (*expected.blocks, expected.steps, expected.logits),
        (*found.blocks, found.steps, found.logits),
        strict=True,
    ):
        tolerance = 5e-6 * float(one.abs().max())
        torch.testing.assert_close(one, other, rtol=0.0, atol=tolerance)
    assert isinstance(network.layer1.bn, torch.nn.BatchNorm2d)  # the network itself is unchanged
