"""Clips at hand: names and audio of the clips of cross-validations."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_mlflow.datasets.clips import Clips
from mer_mlflow.reporting.validations import Validation


@dataclass(frozen=True, kw_only=True)
class Description:
    """Facts about a clip, each of them None if unknown.

    Attributes
    ----------
    artist, title, genre : its artist, title and genres
    audio : its audio file
    """

    artist: str | None = None
    title: str | None = None
    genre: str | None = None
    audio: Path | None = None


NOTHING = Description()


@dataclass(frozen=True, kw_only=True)
class ClipDescriptions:
    """Descriptions of clips.

    Attributes
    ----------
    dataset, digest : name and digest of the described clips
    descriptions : description of each clip, by id
    """

    dataset: str = ""
    digest: str = ""
    descriptions: dict[str, Description] = field(default_factory=dict)

    def relative_to(self, folder: Path) -> ClipDescriptions:
        """Return these descriptions with paths of audio files relative to a folder."""

        def relative(each: Description) -> Description:
            if each.audio is None:
                return each
            return replace(each, audio=Path(os.path.relpath(each.audio, folder)))

        described = {clip: relative(each) for clip, each in self.descriptions.items()}
        return replace(self, descriptions=described)

    def has(self, validation: Validation) -> bool:
        """Return whether the clips of a cross-validation are the described ones."""
        return bool(self.digest) and (self.dataset, self.digest) == validation.frame[:2]

    def describe(self, validation: Validation | None, clip: str) -> Description:
        """Return the description of a clip of a cross-validation."""
        if validation is None or not self.has(validation):
            return NOTHING
        return self.descriptions.get(clip, NOTHING)


def describe_clips(clips: Clips) -> ClipDescriptions:
    """Describe the clips of a dataset."""
    titles, genres = (column or (None,) * len(clips) for column in (clips.titles, clips.genres))
    rows = zip(clips.ids, clips.artists, titles, genres, clips.audio, strict=True)
    return ClipDescriptions(
        dataset=clips.name,
        digest=clips.digest,
        descriptions={
            clip: Description(artist=artist, title=title, genre=genre, audio=audio)
            for clip, artist, title, genre, audio in rows
        },
    )


def label(clip: str, described: Description) -> str:
    """Return a clip's id, with artist and title if they are known."""
    return " – ".join(filter(None, (clip, described.artist, described.title)))
