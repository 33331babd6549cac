"""Embeddings by Won's CRNN: shapes, what short clips give, and files that are something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.won_crnn import WonCRNN
from mer_mlflow.representations import Embedding
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import find_weights, won_crnn
from mer_mlflow.weights import Weights

LAYERS = ("mel", "layer4", "gru", "statistics")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    file = tmp_path_factory.mktemp("weights") / "best_model.pth"
    torch.manual_seed(0)
    torch.save(WonCRNN().state_dict(), file)
    return find_weights("crnn_mtat", file, allow_unverified=True)


def embedding(weights: Weights, layer: str, duration: float = 3.0) -> Embedding:
    return Embedding(network="crnn_mtat", layer=layer, duration=duration, weights=weights)


def test_shapes_at_full_length_are_the_study() -> None:
    shapes = {layer: won_crnn.shape(layer, 30.0) for layer in LAYERS}
    assert shapes["mel"] == (96, 1819)
    assert shapes["layer4"] == (18, 128)
    assert shapes["gru"] == (32,)
    assert won_crnn.shape("mel", 29.1) == shapes["mel"]


@pytest.mark.parametrize("layer", LAYERS)
def test_arrays_have_the_shape_that_is_told(layer: str, weights: Weights, make_audio: Any) -> None:
    item = embedding(weights, layer)
    values = item.compute(make_audio(seconds=5.0))
    assert values.shape == item.shape
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_short_clip_is_repeated_and_not_followed_by_silence(
    weights: Weights, make_audio: Any
) -> None:
    short = make_audio(seconds=1.5)
    twice = Audio(samples=np.tile(short.samples, 2), sr=short.sr, n_channels=1)
    item = embedding(weights, "layer4")
    assert np.array_equal(item.compute(short), item.compute(twice))


def test_key_knows_network_layer_and_weights(weights: Weights) -> None:
    others = [
        embedding(weights, "gru"),
        embedding(weights, "layer4"),
        embedding(weights, "gru", duration=4.0),
        Embedding(network="crnn_msd", layer="gru", duration=3.0, weights=weights),
        embedding(
            Weights(name="crnn_mtat", file=weights.file, digest="e" * 64, is_known=True), "gru"
        ),
    ]
    assert len({item.key for item in others}) == len(others)
    moved = Weights(name="crnn_mtat", file=Path("/else"), digest=weights.digest, is_known=False)
    assert embedding(moved, "gru").key == embedding(weights, "gru").key


def test_nothing_is_computed_without_weights(make_audio: Any) -> None:
    with pytest.raises(WeightsError, match="crnn_mtat: no weights"):
        Embedding(network="crnn_mtat", layer="gru").compute(make_audio(seconds=1.0))


def test_file_that_changed_since_it_was_found_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "best_model.pth"
    torch.save(WonCRNN().state_dict(), file)
    found = find_weights("crnn_mtat", file, allow_unverified=True)
    torch.save(WonCRNN().state_dict(), file)
    with pytest.raises(WeightsError, match="has changed since the run began"):
        won_crnn.load(found)
    file.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        won_crnn.load(found)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_weights_load_or_are_named(weights: Weights, tmp_path: Path, data: Any) -> None:
    content = bytearray(weights.file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(content), 40_000) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), data.draw(st.integers(0, len(content)))]))
    file = tmp_path / "best_model.pth"
    file.write_bytes(bytes(content[:cut]))
    try:
        won_crnn.load(find_weights("crnn_mtat", file, allow_unverified=True))
    except WeightsError as error:
        assert str(file) in str(error)
        assert "\n" not in str(error)


def broken_files() -> dict[str, bytes]:
    return {"empty": b"", "text": b"no weights at all", "zip": b"PK\x03\x04" + b"x" * 100}


@pytest.mark.parametrize("name", broken_files())
def test_files_that_are_no_weights_are_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "best_model.pth"
    file.write_bytes(broken_files()[name])
    _assert_refused(file)


def test_truncated_and_other_weights_are_named(weights: Weights, tmp_path: Path) -> None:
    file = tmp_path / "best_model.pth"
    file.write_bytes(weights.file.read_bytes()[:-5000])
    _assert_refused(file)
    torch.save({"a": torch.zeros(3)}, file)
    _assert_refused(file)
    torch.save([1, 2], file)
    _assert_refused(file)


def _assert_refused(file: Path) -> None:
    broken = find_weights("crnn_mtat", file, allow_unverified=True)
    with pytest.raises(WeightsError, match=f"{file}: not the weights of Won's CRNN") as caught:
        won_crnn.load(broken)
    assert "\n" not in str(caught.value)
