"""Damaged weights that are allowed all the same: a network, or one line that names the file."""

from __future__ import annotations

import gzip
import io
import itertools
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks.artist_cnn import artist_trunk
from mer_mlflow.networks.openl3 import openl3
from mer_mlflow.networks.won_crnn import WonCRNN
from mer_mlflow.representations.pretrained import (
    artist_cnn,
    find_weights,
    musicnn,
    won_crnn,
    yamnet,
)
from mer_mlflow.representations.pretrained import openl3 as openl3_weights

FAULTS, SLOW_FAULTS = settings.get_profile("faults"), settings.get_profile("slow faults")
Load = Callable[[str, bytes], str | None]
LOADERS = {
    "crnn_msd": won_crnn.load,
    "artist_basic": artist_cnn.load,
    "openl3_mel128": openl3_weights.load,
    "musicnn_mtt": musicnn.load,
    "yamnet": yamnet.load,
}
KINDS = {
    "state.pth": "crnn_msd",
    "legacy.pth": "crnn_msd",
    "artist.h5": "artist_basic",
    "openl3.h5": "openl3_mel128",
    "openl3.h5.gz": "openl3_mel128",
}
QUICK = ("state.pth", "legacy.pth", "artist.h5")


class Trap:
    """Writes a file where a pickle of it is loaded without care."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "sprung")


def saved_by_torch(state: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    torch.save(state, sink, **options)
    return sink.getvalue()


def saved_by_keras(network: Any, names: Iterable[str]) -> bytes:
    """An HDF5 file of a network's weights in the layout of Keras 2, layers being named anew."""
    sink = io.BytesIO()
    layers = dict(zip(names, (layer for layer in network.layers if layer.weights), strict=False))
    with h5py.File(sink, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, layer in layers.items():
            for variable in layer.weights:
                file[f"{name}/{name}/{variable.name}:0"] = np.asarray(variable)
    return sink.getvalue()


@pytest.fixture(scope="module")
def originals() -> Mapping[str, bytes]:
    torch.manual_seed(0)
    state = WonCRNN().state_dict()
    artist_names = [
        f"{kind}_{i}" for i in range(1, 6) for kind in ("conv1d", "batch_normalization")
    ]
    openl3_file = saved_by_keras(openl3(n_mels=128), (f"layer_{i}" for i in itertools.count()))
    return {
        "state.pth": saved_by_torch(state),
        "legacy.pth": saved_by_torch(state, _use_new_zipfile_serialization=False),
        "artist.h5": saved_by_keras(artist_trunk(), artist_names),
        "openl3.h5": openl3_file,
        "openl3.h5.gz": gzip.compress(openl3_file, compresslevel=1),
    }


@pytest.fixture
def load(
    scratch: Path, refusal: Callable[..., str | None], capfd: pytest.CaptureFixture[str]
) -> Load:
    """Load a file as weights: what it is refused with, None for a network."""

    def load(file: str, content: bytes, name: str = "") -> str | None:
        path = scratch / file
        path.write_bytes(content)
        name = name or KINDS[file]
        words = refusal(
            lambda: LOADERS[name](find_weights(name, path, allow_unverified=True)), WeightsError
        )
        said = capfd.readouterr()
        assert (said.out, said.err) == ("", "")
        assert words is None or str(path) in words
        return words

    return load


def test_undamaged_weights_load(originals: Mapping[str, bytes], load: Load) -> None:
    assert {file: load(file, content) for file, content in originals.items()} == dict.fromkeys(
        originals
    )


@FAULTS
@given(data=st.data(), file=st.sampled_from(QUICK))
def test_damaged_weights_load_or_are_named(
    originals: Mapping[str, bytes], load: Load, damaged: Any, data: Any, file: str
) -> None:
    load(file, damaged(data, originals[file]))


@SLOW_FAULTS
@given(data=st.data(), file=st.sampled_from(["openl3.h5", "openl3.h5.gz"]))
def test_damaged_large_weights_load_or_are_named(
    originals: Mapping[str, bytes], load: Load, damaged: Any, data: Any, file: str
) -> None:
    load(file, damaged(data, originals[file]))


@SLOW_FAULTS
@given(data=st.data())
def test_damaged_published_weights_load_or_are_named(
    real_weights: Path, load: Load, damaged: Any, data: Any
) -> None:
    files = sorted(path for path in real_weights.rglob("*") if path.suffix in (".pth", ".h5"))
    published = data.draw(st.sampled_from(files), label="file")
    content = damaged(data, published.read_bytes())
    if content != published.read_bytes():
        load("state.pth" if published.suffix == ".pth" else "artist.h5", content)


@SLOW_FAULTS
@given(
    content=st.binary(),
    kind=st.sampled_from(["zip", "pickle", "hdf5", "gzip", "lite", "none"]),
    name=st.sampled_from(sorted(LOADERS)),
    suffix=st.sampled_from(["h5", "gz"]),
)
def test_any_bytes_are_no_weights(
    load: Any, content: bytes, kind: str, name: str, suffix: str
) -> None:
    starts = {
        "zip": b"PK\x03\x04",
        "pickle": b"\x80\x02",
        "hdf5": b"\x89HDF\r\n\x1a\n",
        "gzip": b"\x1f\x8b\x08",
        "lite": b"\x1c\x00\x00\x00TFL3",
        "none": b"",
    }
    assert load(f"bytes.{suffix}", starts[kind] + content, name)


def test_no_pickle_is_run(scratch: Path, load: Load) -> None:
    file = scratch / "sprung"
    trap = Trap(file)
    plain = pickle.dumps({"layer1": trap})
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("archive/data.pkl", plain)
        archive.writestr("archive/version", "3\n")
    for content in (
        plain,
        sink.getvalue(),
        saved_by_torch({"layer1": trap}),
        saved_by_torch({"layer1": trap}, _use_new_zipfile_serialization=False),
    ):
        assert load("state.pth", content)
        assert not file.exists()
