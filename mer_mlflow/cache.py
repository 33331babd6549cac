"""Folder for cached results, which can be computed again."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from mer_mlflow.paths import own_folder


def cache_root() -> Path:
    """Return the cache folder, created if needed: ``MER_CACHE_ROOT``, else the user's cache folder.

    Raises
    ------
    ParameterError
                If it cannot be created.
    """
    default = platformdirs.user_cache_dir("mer_mlflow")
    return own_folder("MER_CACHE_ROOT", default, purpose="cache folder")
