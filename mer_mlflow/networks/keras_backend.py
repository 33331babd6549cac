"""Import of Keras with fixed configuration.

Every other module imports Keras from here, so that data types, layout and precision do not depend
on a configuration file or on code that ran before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mer_mlflow.arithmetic import PORTABLE, is_in_effect
from mer_mlflow.networks import backend_name

__all__ = ["keras", "layers"]

STDERR = 2
IGNORED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")
"""Environment variables of Keras that change training."""


@contextmanager
def own_environment() -> Iterator[None]:
    """Set the environment variables that Keras and its backend read during import."""
    own = {
        "KERAS_BACKEND": backend_name(),
        "KERAS_HOME": os.devnull,  # the user's keras.json must not change scores
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


@contextmanager
def without_startup_messages() -> Iterator[None]:
    """Hide what the libraries of a backend write to stderr while they are loaded.

    They write it before their log level is in effect. It is shown if the import fails, or if the
    user has set ``TF_CPP_MIN_LOG_LEVEL``.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    try:
        kept = os.dup(STDERR)
    except OSError:  # closed
        yield
        return
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), STDERR)
        is_imported = False
        try:
            yield
            is_imported = True
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            if not is_imported:
                hidden.seek(0)
                os.write(STDERR, hidden.read())


with without_startup_messages(), own_environment():
    import keras
    from keras import layers


def configure() -> None:
    """Set the global configuration of Keras."""
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def compute_exact_roots() -> None:
    """Make TensorFlow's batch normalisation divide by a square root.

    By default it multiplies by an approximate inverse square root (instruction ``rsqrtps``), whose
    result differs between processors of different manufacturers.
    """
    math_ops = import_module("tensorflow.python.ops.math_ops")

    def inverse_root(values: Any, name: str | None = None) -> Any:
        # TensorFlow's graph optimizer would replace 1 / root by the approximation
        return values / (values * math_ops.sqrt(values, name=name))

    math_ops.rsqrt = inverse_root  # type: ignore[attr-defined]


configure()
if backend_name() == "tensorflow" and is_in_effect(PORTABLE):
    compute_exact_roots()
