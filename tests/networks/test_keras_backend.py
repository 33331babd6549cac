"""Keras is imported in one place, which sets what it keeps for a whole process."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer_mlflow.arithmetic import PORTABLE, check_arithmetic, environment
from mer_mlflow.errors import ParameterError

PACKAGE = Path(__file__).parents[2] / "mer_mlflow"
SETTLED = """
import keras
keras.config.set_floatx("float16")
keras.config.set_image_data_format("channels_first")
keras.config.set_epsilon(0.1)
keras.config.set_dtype_policy("mixed_float16")
import mer_mlflow.networks.keras_backend
config = keras.config
print(config.floatx(), config.image_data_format(), config.epsilon(), config.dtype_policy().name)
"""
ROOTS = """
import sys
import numpy as np
from mer_mlflow.networks.keras_backend import keras
import tensorflow as tf

@tf.function
def normalised(values, mean, variance):
    return keras.ops.batch_normalization(values, mean, variance, axis=-1, epsilon=0.0)

values = np.linspace(1e-4, 9.0, 999, dtype=np.float32)
found = normalised(np.ones((1, 999), np.float32), np.zeros(999, np.float32), values).numpy()[0]
exact = 1.0 / np.sqrt(values.astype(np.float64))
print(np.abs(found / exact - 1).max() < 2e-7)
graph = normalised.get_concrete_function(
    tf.zeros((1, 999)), tf.zeros(999), tf.zeros(999)
).graph.as_graph_def()
print(any(node.op == "Rsqrt" for node in graph.node))
"""


def python(code: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split()


def imports_keras(file: Path) -> bool:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return any(name.partition(".")[0] == "keras" for name in names)


def test_keras_is_imported_in_one_place() -> None:
    found = [file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py") if imports_keras(file)]
    assert found == [Path("networks/keras_backend.py")]


def test_what_earlier_code_chose_does_not_stay() -> None:
    assert python(SETTLED) == ["float32", "channels_last", "1e-07", "float32"]


@pytest.mark.parametrize("variable", ["KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"])
def test_limits_that_are_no_numbers_do_not_stop_the_import(variable: str) -> None:
    code = "from mer_mlflow.networks.keras_backend import keras; print(keras.config.max_epochs())"
    assert python(code, **{variable: "some"}) == ["None"]


def test_backend_of_a_configuration_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    code = (
        "from mer_mlflow.networks import backend_name; "
        "from mer_mlflow.networks.keras_backend import keras; "
        "print(keras.config.backend(), backend_name())"
    )
    both = python(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert both == ["tensorflow", "tensorflow"]


def test_roots_are_exact_where_arithmetic_is_portable() -> None:
    try:
        check_arithmetic(PORTABLE)
    except ParameterError as error:
        pytest.skip(str(error))
    assert python(ROOTS, KERAS_BACKEND="tensorflow")[1] == "True"
    portable = environment(PORTABLE) | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", ROOTS], env=portable, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
