"""Architectures, on Keras 3: TensorFlow unless ``KERAS_BACKEND`` names another backend.

Only the modules of this package import Keras, because its import is slow.
"""

import os


def backend_name() -> str:
    """Return the name of Keras' backend, without importing Keras."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"
