"""OpenL3 on weights that are laid out as the published ones."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.openl3 import decibel_mel, openl3, windows
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.representations.pretrained import openl3 as pretrained
from mer_mlflow.weights import Weights

SR = 48_000
FILTERS = (64, 64, 128, 128, 256, 256, 512, 512)
FIRST_NUMBER = 7

Arrays = dict[str, np.ndarray]


def normalisation(rng: np.random.Generator, size: int) -> Arrays:
    return {
        "gamma": rng.uniform(0.5, 1.5, size),
        "beta": rng.normal(size=size),
        "moving_mean": rng.normal(size=size),
        "moving_variance": rng.uniform(0.5, 1.5, size),
    }


def convolution(rng: np.random.Generator, n_in: int, n_out: int) -> Arrays:
    kernel = rng.normal(size=(3, 3, n_in, n_out)) / np.sqrt(9 * n_in)
    return {"kernel": kernel, "bias": rng.normal(size=n_out)}


@pytest.fixture(scope="module")
def layers() -> dict[str, Arrays]:
    """Layers in the order of the network; their numbers go on from those of networks before it."""
    rng = np.random.default_rng(0)
    named = {f"batch_normalization_{FIRST_NUMBER}": normalisation(rng, 1)}
    for position, (n_in, n_out) in enumerate(zip((1, *FILTERS), FILTERS, strict=False)):
        is_last = position == len(FILTERS) - 1
        name = "audio_embedding_layer" if is_last else f"conv2d_{FIRST_NUMBER + position}"
        named[name] = convolution(rng, n_in, n_out)
        if not is_last:
            number = FIRST_NUMBER + 1 + position
            named[f"batch_normalization_{number}"] = normalisation(rng, n_out)
            named[f"activation_{number}"] = {}
    return named


def write(file: Path, layers: dict[str, Arrays], *, is_model: bool = False) -> Path:
    with h5py.File(file, "w") as saved:
        root = saved.create_group("model_weights") if is_model else saved
        held = {"input_1": {}, "melspectrogram_1": {"freq2mel": np.eye(3)}, **layers}
        root.attrs["layer_names"] = [name.encode() for name in held]
        for name, arrays in held.items():
            group = root.create_group(name)
            for array, values in arrays.items():
                group[f"{name}/{array}:0"] = values.astype(np.float32)
    return file


def of(file: Path, name: str = "openl3_mel256") -> Weights:
    return find_weights(name, file, allow_unverified=True)


@pytest.fixture(scope="module")
def h5(layers: dict[str, Arrays], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "openl3_audio_mel256_music.h5", layers)


@pytest.fixture(scope="module")
def gz(h5: Path) -> Path:
    packed = h5.with_name(f"{h5.name}.gz")
    packed.write_bytes(gzip.compress(h5.read_bytes(), compresslevel=1))
    return packed


@pytest.fixture(scope="module")
def network(h5: Path) -> keras.Model:
    return pretrained.load(of(h5))


def noise(seconds: float, seed: int = 0) -> Audio:
    samples = 0.1 * np.random.default_rng(seed).normal(size=round(seconds * SR))
    return Audio(samples=samples.astype(np.float32), sr=SR, n_channels=1)


def output(network: keras.Model, audio: Audio) -> np.ndarray:
    n_mels = network.input_shape[1]
    spectrogram = decibel_mel(windows(audio.samples), n_mels=n_mels)
    return keras.ops.convert_to_numpy(network(spectrogram, training=False))


@pytest.mark.parametrize("duration", [0.2, 0.5, 0.51, 1.0, 1.2345, 30.0, 30.15])
def test_shape_is_that_of_the_windows(duration: float) -> None:
    n_windows = len(windows(np.zeros(round(duration * SR), dtype=np.float32)))
    assert pretrained.shape("frames", duration) == (n_windows, 512)


def test_thirty_seconds_are_296_windows() -> None:
    assert pretrained.shape("frames", 30.0) == (296, 512)
    assert pretrained.shape("frames", 30.15) == (298, 512)


def test_shape_imports_no_framework() -> None:
    code = (
        "import sys; from mer_mlflow.representations.pretrained import openl3; "
        "openl3.shape('frames', 30.0); "
        "assert not {'keras', 'tensorflow', 'torch', 'librosa'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_loaded_network_is_the_one_with_these_weights(
    network: keras.Model, layers: dict[str, Arrays]
) -> None:
    direct = openl3(n_mels=256)
    direct.set_weights([values for arrays in layers.values() for values in arrays.values()])
    loaded = output(network, noise(0.6))
    np.testing.assert_array_equal(loaded, output(direct, noise(0.6)))
    assert loaded.shape == (2, 512)
    assert np.ptp(loaded) > 0.1


@pytest.mark.parametrize("name", ["openl3_mel256", "openl3_mel128"])
def test_packed_file_holds_the_same_weights(network: keras.Model, gz: Path, name: str) -> None:
    unpacked = pretrained.load(of(gz, name))
    assert unpacked.input_shape == (None, int(name[-3:]), 199, 1)
    for one, other in zip(unpacked.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_whole_model_holds_the_same_weights(
    network: keras.Model, layers: dict[str, Arrays], tmp_path: Path
) -> None:
    model = pretrained.load(of(write(tmp_path / "model.h5", layers, is_model=True)))
    for one, other in zip(model.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_embeds_each_window(network: keras.Model) -> None:
    embedded = pretrained.embed(network, noise(0.6), layer="frames", duration=0.6)
    assert embedded.shape == pretrained.shape("frames", 0.6) == (2, 512)
    assert embedded.dtype == np.float32
    np.testing.assert_allclose(embedded, output(network, noise(0.6)), rtol=0, atol=1e-4)


def test_batches_do_not_change_an_embedding(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = pretrained.embed(network, noise(0.6), layer="frames", duration=0.6)
    monkeypatch.setattr(pretrained, "BATCH_SIZE", 1)
    one_by_one = pretrained.embed(network, noise(0.6), layer="frames", duration=0.6)
    np.testing.assert_allclose(one_by_one, together, rtol=1e-5, atol=1e-4)


def test_short_clip_is_repeated(network: keras.Model) -> None:
    short = noise(0.25)
    twice = Audio(samples=np.tile(short.samples, 2), sr=SR, n_channels=1)
    np.testing.assert_array_equal(
        pretrained.embed(network, short, layer="frames", duration=0.5),
        pretrained.embed(network, twice, layer="frames", duration=0.5),
    )


def truncated(file: Path, folder: Path) -> Path:
    cut = folder / file.name
    content = file.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    return cut


def garbage(file: Path, folder: Path) -> Path:
    other = folder / file.name
    other.write_bytes(b"not a network" * 100)
    return other


@pytest.mark.parametrize("damage", [truncated, garbage])
@pytest.mark.parametrize("packed", [False, True], ids=["h5", "gz"])
def test_damaged_file_is_refused(
    h5: Path, gz: Path, packed: bool, damage: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    damaged = damage(gz if packed else h5, tmp_path)
    with pytest.raises(WeightsError, match=r"not the weights of OpenL3 \(.+\); get") as caught:
        pretrained.load(of(damaged))
    assert str(damaged) in str(caught.value)
    assert "\n" not in str(caught.value)


def without_layer(layers: dict[str, Any]) -> None:
    del layers["conv2d_9"]


def without_array(layers: dict[str, Any]) -> None:
    del layers["batch_normalization_9"]["moving_mean"]


def with_other_shape(layers: dict[str, Any]) -> None:
    layers["conv2d_8"]["kernel"] = np.zeros((3, 3, 64, 32))


def in_other_order(layers: dict[str, Any]) -> None:
    layers["conv2d_7"] = layers.pop("conv2d_7")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_layer, "15 layers with weights, not 16"),
        (without_array, "layer batch_normalization_9 has no moving_mean"),
        (with_other_shape, r"kernel of layer conv2d_8 is \(3, 3, 64, 32\), not \(3, 3, 64, 64\)"),
        (in_other_order, "layer batch_normalization_8 has no kernel"),
    ],
)
def test_other_network_is_refused(
    layers: dict[str, Arrays],
    change: Callable[[dict[str, Any]], None],
    reason: str,
    tmp_path: Path,
) -> None:
    changed = {name: dict(arrays) for name, arrays in layers.items()}
    change(changed)
    with pytest.raises(WeightsError, match=reason):
        pretrained.load(of(write(tmp_path / "other.h5", changed)))


def test_file_of_other_things_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as saved:
        saved["values"] = np.arange(3)
    with pytest.raises(WeightsError, match="no layer_names in it"):
        pretrained.load(of(tmp_path / "other.h5"))


def test_layer_that_is_named_but_absent_is_refused(h5: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(h5, tmp_path))
    with h5py.File(file, "a") as saved:
        del saved["conv2d_9"]
    with pytest.raises(WeightsError, match="conv2d_9"):
        pretrained.load(of(file))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["openl3_mel256", "openl3_mel128"])
def test_equal_to_the_original(name: str) -> None:
    original = pytest.importorskip(
        "openl3", reason="the openl3 package, and with it the published weights, is not installed"
    )
    folder = Path(original.__file__).parent
    network = pretrained.load(find_weights(name, folder, allow_unverified=True))
    audio = noise(1.0)
    expected, _ = original.get_audio_embedding(
        audio.samples,
        SR,
        input_repr=name.removeprefix("openl3_"),
        content_type="music",
        embedding_size=512,
        verbose=0,
    )
    embedded = pretrained.embed(network, audio, layer="frames", duration=1.0)
    np.testing.assert_allclose(embedded, expected, rtol=0, atol=1e-4)
