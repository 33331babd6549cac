"""Where the project keeps what it can compute again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Folder of the cache: ``MER_CACHE_ROOT``, else the user's cache folder."""
    return Path(os.environ.get("MER_CACHE_ROOT") or platformdirs.user_cache_dir("mer_mlflow"))
