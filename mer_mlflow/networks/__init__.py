"""Architectures, on Keras 3: TensorFlow unless ``KERAS_BACKEND`` names another backend.

Only the modules of this package import Keras, so that whoever trains no network never pays for it.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def backend_name() -> str:
    """Keras' backend, without importing Keras."""
    return os.environ["KERAS_BACKEND"]
