"""Architectures, on Keras 3: TensorFlow unless ``KERAS_BACKEND`` names another backend.

Only the modules of this package import Keras, so that whoever trains no network never pays for it.
"""

import os


def backend_name() -> str:
    """Keras' backend, without importing Keras."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"
