"""Keras as this project uses it, whatever a configuration file or earlier code chose.

Every other module imports Keras from here: types, layout and precision of a network then never
depend on where it is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mer_mlflow.arithmetic import PORTABLE, is_in_effect
from mer_mlflow.networks import backend_name

__all__ = ["keras", "layers"]

IGNORED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")
"""Variables of Keras that change trainings."""


@contextmanager
def own_environment() -> Iterator[None]:
    """Environment in which Keras and its backend are imported; they read it only then."""
    own = {
        "KERAS_BACKEND": backend_name(),
        "KERAS_HOME": os.devnull,  # a keras.json of the user's must not change scores
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
    }
    before = {name: os.environ.pop(name) for name in (*own, *IGNORED) if name in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
        os.environ.update(before)


with own_environment():
    import keras
    from keras import layers


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
