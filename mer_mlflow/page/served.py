"""Audio files that the page may serve: copies in a folder that is removed with the page."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, kw_only=True)
class ServedClips:
    """Copies of audio files of a dataset, whose folder itself is not served.

    Attributes
    ----------
    folder : folder that the page serves
    """

    folder: Path

    def copy(self, audio: Path) -> Path:
        """Return a copy of an audio file in the served folder."""
        digest = hashlib.sha256(str(audio).encode()).hexdigest()[:16]
        copy = self.folder / "clips" / f"{digest}{audio.suffix}"
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(audio, copy)
        return copy

    def address(self, audio: Path) -> str:
        """Return the address of a copy, relative to the page."""
        return f"gradio_api/file={quote(str(self.copy(audio)))}"
