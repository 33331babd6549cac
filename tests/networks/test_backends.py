"""The same weights give the same outputs under both backends, and one never loads the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CODE = """
import sys
from pathlib import Path
import numpy as np
folder, backend = Path(sys.argv[1]), sys.argv[2]
from mer_mlflow import get_method
from mer_mlflow.training.keras_network import build_network
shapes = {"dnn_100": (100,), "short_chunk_cnn": (128, 128), "sample_cnn": (59_049,)}
for name in sys.argv[3:]:
    method = get_method(name)
    architecture = sys.modules[f"mer_mlflow.methods.{name}"].network()
    shape = shapes.get(name, (128, 126))
    small = {"filters": 8} if "filters" in method.defaults else {}
    network = build_network(architecture, shape, method.resolve(small))
    weights = folder / f"{name}.weights.h5"
    rng = np.random.default_rng(0)
    if weights.exists():
        network.load_weights(weights)
    else:
        positive = [np.abs(w) + rng.uniform(0, 0.05, w.shape) for w in network.get_weights()]
        network.set_weights(positive)
        network.save_weights(weights)
    import keras
    clips = np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")
    output = keras.ops.convert_to_numpy(network(clips, training=False))
    np.save(folder / f"{name}-{backend}.npy", output)
assert keras.backend.backend() == backend
other = {"tensorflow": "torch", "torch": "tensorflow"}[backend]
assert other not in sys.modules, f"{other} was imported"
"""


NETWORKS = ("cnn", "cnn_gru", "crnn", "dnn_100", "short_chunk_cnn", "sample_cnn")
BACKENDS = ("tensorflow", "torch")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of each network's outputs under each backend."""
    folder = tmp_path_factory.mktemp("outputs")
    for backend in BACKENDS:
        subprocess.run(
            [sys.executable, "-c", CODE, str(folder), backend, *NETWORKS],
            check=True,
            env={**os.environ, "KERAS_BACKEND": backend},
        )
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_backends_agree(name: str, outputs: Path) -> None:
    one, other = (np.load(outputs / f"{name}-{backend}.npy") for backend in BACKENDS)
    assert np.abs(one - other).max() < 1e-4
    assert np.ptp(one) > 1e-3
