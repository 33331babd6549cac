"""Where the project keeps what it can compute again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from mer_mlflow.errors import ParameterError


def cache_root() -> Path:
    """Folder of the cache, made if needed: ``MER_CACHE_ROOT``, else the user's cache folder.

    Raises
    ------
    ParameterError
        If it cannot be made.
    """
    root = Path(os.environ.get("MER_CACHE_ROOT") or platformdirs.user_cache_dir("mer_mlflow"))
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(
            f"{root}: cannot be used as cache folder ({error.strerror}); set MER_CACHE_ROOT"
        ) from error
    return root
