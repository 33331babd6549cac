"""Keras as this project uses it, whatever a configuration file or earlier code chose.

Every other module imports Keras from here: types, layout and precision of a network then never
depend on where it is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import keras
from keras import layers

from mer_mlflow.arithmetic import PORTABLE, is_in_effect
from mer_mlflow.networks import backend_name

__all__ = ["keras", "layers"]


def settle() -> None:
    """Set what Keras keeps for a whole process."""
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def compute_exact_roots() -> None:
    """Let TensorFlow's batch normalisation divide by a root.

    It multiplies by an approximation of the inverse root, which processors of different makers
    compute differently (the instruction ``rsqrtps``).
    """
    math_ops = import_module("tensorflow.python.ops.math_ops")

    def inverse_root(values: Any, name: str | None = None) -> Any:
        # 1 / root would be turned into the approximation again by TensorFlow's optimizer
        return values / (values * math_ops.sqrt(values, name=name))

    math_ops.rsqrt = inverse_root  # type: ignore[attr-defined]


settle()
if backend_name() == "tensorflow" and is_in_effect(PORTABLE):
    compute_exact_roots()
