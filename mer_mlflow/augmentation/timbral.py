"""Transforms of timbre: equaliser, distortion, background noise.

Each transform uses the default intervals of audiomentations. Its factors are drawn here and passed
to the library as intervals of zero width, because that library uses global random generators, so
that clips synthesised in parallel would influence each other.

References
----------
I. Jordal et al., audiomentations, https://github.com/iver56/audiomentations.
K. J. Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia 2015.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.paths import given_path, whence
from mer_mlflow.representations.audio import Audio, decode, resample
from mer_mlflow.representations.representation import parameter_key

VERSION = 1
BANDS = (
    (42.0, 95.0),
    (91.0, 204.0),
    (196.0, 441.0),
    (421.0, 948.0),
    (909.0, 2045.0),
    (1957.0, 4404.0),
    (4216.0, 9486.0),
)
"""Limits of the equaliser's centre frequencies [Hz]: low shelf, five peaks, high shelf."""
SHELF_QUALITY, PEAK_QUALITY = (0.1, 0.999), (0.5, 5.0)
HIGHEST = 0.45
"""Highest centre frequency of a filter, as a share of the sample rate."""
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
NOISE_SECONDS = 5.0
NOISE_SLOPES = (0.0, 1.0, 2.0)
"""Exponents of frequency by which the power of a synthesised noise decreases: white, pink,
brown."""


@dataclass(frozen=True, kw_only=True)
class SevenBandEQ:
    """Seven-band parametric equaliser: each band cut or boosted.

    Attributes
    ----------
    max_db : float > 0 [dB]
    """

    max_db: float = 12.0

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("seven-band-eq", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Equalise one clip; bands too high for its sample rate are moved down."""
        from audiomentations import HighShelfFilter, LowShelfFilter, PeakingFilter

        kinds = (LowShelfFilter, *(PeakingFilter,) * (len(BANDS) - 2), HighShelfFilter)
        samples = audio.samples
        for kind, limits in zip(kinds, BANDS, strict=True):
            qualities = PEAK_QUALITY if kind is PeakingFilter else SHELF_QUALITY
            centre = min(rng.uniform(*limits), HIGHEST * audio.sr)
            gain, quality = rng.uniform(-self.max_db, self.max_db), rng.uniform(*qualities)
            band = kind(centre, centre, gain, gain, quality, quality, p=1.0)
            samples = band(samples=samples, sample_rate=audio.sr)
        return _with(audio, samples)


@dataclass(frozen=True, kw_only=True)
class TanhDistortion:
    """Soft clipping by a hyperbolic tangent, at the loudness of the original.

    Attributes
    ----------
    min_amount, max_amount : float, 0 to 1; share of the samples in the non-linear range
    """

    min_amount: float = 0.01
    max_amount: float = 0.7

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("tanh-distortion", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Distort one clip."""
        from audiomentations import TanhDistortion

        amount = rng.uniform(self.min_amount, self.max_amount)
        distort = TanhDistortion(amount, amount, p=1.0)
        return _with(audio, distort(samples=audio.samples, sample_rate=audio.sr))


@dataclass(frozen=True, kw_only=True)
class BackgroundNoise:
    """Background noise, added at a random signal-to-noise ratio.

    Without files the noise is synthesised: white, pink or brown, with a slowly varying level. The
    study used recordings instead.

    Attributes
    ----------
    min_snr_db, max_snr_db : float [dB]
    digest : digest of the noise recordings, empty if noise is synthesised
    files : the recordings by name, empty if noise is synthesised
    """

    min_snr_db: float = 3.0
    max_snr_db: float = 30.0
    digest: str = ""
    files: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """Text that contains name, version, parameters and digest; it does not depend on paths."""
        return parameter_key("background-noise", VERSION, replace(self, files=()))

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Add a noise to one clip; a shorter noise is repeated."""
        snr = rng.uniform(self.min_snr_db, self.max_snr_db)
        noise = self._noise(audio.sr, rng)
        start = rng.integers(max(1, len(noise) - len(audio.samples)))
        fitted = np.resize(noise[start:], len(audio.samples))
        level = np.sqrt(np.mean(np.square(fitted), dtype=np.float64))
        wanted = np.sqrt(np.mean(np.square(audio.samples), dtype=np.float64)) * 10 ** (-snr / 20)
        return _with(audio, audio.samples + fitted * (wanted / level if level > 0 else 0.0))

    def _noise(self, sr: int, rng: np.random.Generator) -> NDArray[np.floating]:
        if not self.files:
            return synthesised_noise(sr=sr, seconds=NOISE_SECONDS, rng=rng)
        recording = decode(self.files[rng.integers(len(self.files))])
        return resample(recording, sr=sr, duration=recording.seconds)


def synthesised_noise(*, sr: int, seconds: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Synthesise noise of random colour and varying level.

    Parameters
    ----------
    sr : int > 0 [Hz]
    seconds : float > 0 [s]
    rng : random generator

    Returns
    -------
    samples [shape=(round(sr * seconds),)]
    """
    n_samples = round(sr * seconds)
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequencies = np.maximum(np.fft.rfftfreq(n_samples, 1 / sr), 20.0)
    coloured = np.fft.irfft(spectrum / frequencies ** (rng.choice(NOISE_SLOPES) / 2), n_samples)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(n_samples) / n_samples
    swelling: NDArray[np.floating] = coloured * (1 + 0.5 * np.sin(phase))
    return swelling


def with_noise(transform: BackgroundNoise, noise_root: Path | str) -> BackgroundNoise:
    """Make a background noise use the recordings of a folder, such as ESC-50.

    Parameters
    ----------
    transform : background noise, whose signal-to-noise ratios are kept
    noise_root : folder that contains audio files, at any depth

    Raises
    ------
    ParameterError
        If there is no such folder, or no audio in it.
    AudioError
        If a file cannot be decoded.
    """
    root = given_path(noise_root, name="noise_root")
    if not root.is_dir():
        raise ParameterError(f"noise_root={noise_root}: no such folder{whence(root)}")
    found = sorted(
        path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    )
    if not found:
        raise ParameterError(
            f"noise_root={noise_root}: contains no audio file ({', '.join(AUDIO_SUFFIXES)})"
        )
    by_content: Mapping[str, Path] = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for path in found
    }
    for path in by_content.values():
        if not np.any(decode(path).samples):
            raise AudioError(f"{path}: is silent; remove the file")
    files = tuple(by_content[content] for content in sorted(by_content))
    digest = hashlib.sha256("".join(sorted(by_content)).encode()).hexdigest()[:16]
    return replace(transform, digest=digest, files=files)


def _with(audio: Audio, samples: Any) -> Audio:
    return replace(audio, samples=np.asarray(samples, dtype=np.float32))
