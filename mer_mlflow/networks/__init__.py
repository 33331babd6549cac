"""Architectures, on Keras 3: TensorFlow unless ``KERAS_BACKEND`` names another backend.

Only the modules of this package import Keras, so that whoever trains no network never pays for it.
"""

import os

os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
os.environ["KERAS_HOME"] = os.devnull  # a keras.json of the user's must not change scores
for _name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"):
    os.environ.pop(_name, None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def backend_name() -> str:
    """Keras' backend, without importing Keras."""
    return os.environ["KERAS_BACKEND"]
