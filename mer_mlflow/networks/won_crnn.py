"""Won's CRNN for music tagging in PyTorch, as published with trained weights.

References
----------
K. Choi, G. Fazekas, M. Sandler, K. Cho, "Convolutional recurrent neural networks for music
classification", ICASSP 2017.
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020; code and weights: https://github.com/minzwon/sota-music-tagging-models (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mer_mlflow.librosa_import import import_librosa

SR = 16_000
N_SAMPLES = 465_600
"""29.1 s, the length of the excerpts in the network's training."""
N_FFT, HOP_LENGTH, N_MELS = 512, 256, 96
FLOOR = 1e-10
"""Minimum power before the logarithm."""
N_TAGS = 50
BLOCKS = ((1, 64, 2), (64, 128, 3), (128, 128, 4), (128, 128, 4))
"""Input channels, output channels and pool size of each convolution block."""
N_UNITS = 32
"""Units of each of the two GRU layers."""
FRONT_END_KEYS = "spec."
"""Prefix of the spectrogram's entries in the published files, which are no trained weights."""


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Outputs of the network's layers.

    Attributes
    ----------
    blocks : outputs of the four convolution blocks [shape=(n_clips, n_channels, n_bands, n_steps)]
    steps : outputs of the upper GRU layer [shape=(n_clips, n_steps, 32)]
    logits : outputs for the tags, before the sigmoid [shape=(n_clips, n_tags)]
    """

    blocks: tuple[Tensor, ...]
    steps: Tensor
    logits: Tensor


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, pool: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.bn: nn.Module = nn.BatchNorm2d(n_out)
        self.pool = nn.MaxPool2d(pool)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = self.pool(self.bn(self.conv(maps)))
        return torch.relu(pooled)  # the same values as before pooling, of which there are more


class WonCRNN(nn.Module):
    """Four convolution blocks on a decibel mel spectrogram, two GRU layers, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_Block(*block) for block in BLOCKS)
        self.layer5 = nn.GRU(BLOCKS[-1][1], N_UNITS, num_layers=2, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(N_UNITS, N_TAGS)

    def activations(self, mel: Tensor) -> Activations:
        """Compute the outputs of all layers.

        Parameters
        ----------
        mel : spectrograms of :func:`mel_spectrogram` [shape=(n_clips, 96, n_frames)]
        """
        blocks = []
        maps = self.spec_bn(mel.unsqueeze(1))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
            blocks.append(maps)
        steps, _ = self.layer5(maps.squeeze(2).transpose(1, 2))
        return Activations(
            blocks=tuple(blocks), steps=steps, logits=self.dense(self.dropout(steps[:, -1]))
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Compute logits of the tags [shape=(n_clips, n_tags)]; their sigmoid is the probability.

        Parameters
        ----------
        mel : spectrograms of :func:`mel_spectrogram` [shape=(n_clips, 96, n_frames)]
        """
        return self.activations(mel).logits


def mel_spectrogram(samples: Tensor) -> Tensor:
    """Compute mel spectrograms in decibels [shape=(..., 96, n_frames)], 96 x 1819 for 29.1 s.

    Power with a periodic Hann window, frames centred with reflection padding, HTK mel scale without
    norm, 0 to 8000 Hz, without a limit of the dynamic range.

    Parameters
    ----------
    samples : audio at 16 kHz [shape=(..., n_samples)]
    """
    spectrum = torch.stft(
        samples,
        N_FFT,
        hop_length=HOP_LENGTH,
        window=torch.hann_window(N_FFT, dtype=samples.dtype),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    filters = import_librosa().filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, htk=True, norm=None)
    power = spectrum.real**2 + spectrum.imag**2
    mel = torch.as_tensor(filters, dtype=samples.dtype) @ power
    return 10.0 * torch.log10(torch.clamp(mel, min=FLOOR))


def frozen(network: WonCRNN) -> WonCRNN:
    """Return a copy for inference only, which takes about half of the time on a CPU.

    Normalisation is merged into the convolutions, whose channels are last in memory. Outputs are
    equal to 3e-6 of the largest value of their layer.
    """
    copy = deepcopy(network).eval()
    for block in (copy.layer1, copy.layer2, copy.layer3, copy.layer4):
        if isinstance(block.bn, nn.BatchNorm2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    for parameter in copy.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return copy


class _Above(nn.Module):
    """Layers from the spectrogram, or from the last convolution block, to the last GRU step."""

    def __init__(self, network: WonCRNN, *, reads_mel: bool) -> None:
        super().__init__()
        self.below = nn.ModuleList(
            [network.spec_bn, network.layer1, network.layer2, network.layer3, network.layer4]
            if reads_mel
            else []
        )
        self.gru = network.layer5

    def forward(self, values: Tensor) -> Tensor:
        if self.below:
            values = values.unsqueeze(1)
            for layer in self.below:
                values = layer(values)
            values = values.squeeze(2).transpose(1, 2)
        steps, _ = self.gru(values)
        last: Tensor = steps[:, -1]
        return last


def trunk_above(layer: str, network: WonCRNN | None) -> nn.Module:
    """Return the layers from a layer's outputs to the last step of the GRU.

    Parameters
    ----------
    layer : ``"mel"``, ``"layer4"``, or ``"gru"`` for no layers
    network : network whose layers are used; None for ``"gru"``
    """
    if layer == "gru" or network is None:
        return nn.Identity()
    return _Above(network, reads_mel=layer == "mel")


def with_published_weights(state: Mapping[str, Tensor]) -> WonCRNN:
    """Build the network and load a published state dict, for inference.

    Parameters
    ----------
    state : 45 entries, two of which belong to the spectrogram and are ignored

    Raises
    ------
    ValueError
        If an entry is missing, is unknown or has another shape.
    """
    network = WonCRNN()
    own = {key: value for key, value in state.items() if not key.startswith(FRONT_END_KEYS)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return network.eval()
