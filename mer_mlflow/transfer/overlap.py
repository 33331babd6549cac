"""Recordings that two datasets have in common: by file, id, artist and title, and by landmarks."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mer_mlflow.datasets import Clips, get_dataset
from mer_mlflow.representations import Store
from mer_mlflow.representations.landmarks import Landmarks, common_landmarks

SHARED_LANDMARKS = 0.04
"""Minimum share of landmarks in common. On 200 clips of 4QAED, a clip and its copy, re-encoded at
96 kbit/s and shifted by 2 s, had 10 % or more in common, and different recordings 0.4 % or less."""
BRACKETS = re.compile(r"\([^)]*\)|\[[^\]]*\]")
FEATURING = re.compile(r"\s(?:feat\.?|ft\.|featuring)\s.*")


class Evidence(StrEnum):
    """Why two clips are taken for one recording."""

    AUDIO = "same file"
    ID = "same id"
    TITLE = "same artist and title"
    LANDMARKS = "same landmarks"


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A recording that two datasets have in common.

    Attributes
    ----------
    first, second : positions of its clips
    evidence : the first evidence that was found
    """

    first: int
    second: int
    evidence: Evidence


def find_duplicates(
    first: Clips,
    second: Clips,
    *,
    store: Store | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Duplicate, ...]:
    """Find the recordings that two datasets have in common.

    Ids are compared only between datasets of one catalogue, because numbers of different datasets
    are equal by chance.

    Parameters
    ----------
    first, second : clips of two datasets
    store : store of landmarks; None to compare no audio except for equal files
    on_progress : called with (number computed, number to compute) after each clip

    Returns
    -------
    duplicates in the order of their positions, each pair once

    Raises
    ------
    DatasetError, AudioError
        If landmarks are compared, and clips have no audio or it cannot be decoded.
    """
    catalogues = {get_dataset(clips.name).catalogue for clips in (first, second)}
    keys: list[tuple[Evidence, Sequence[Hashable | None], Sequence[Hashable | None]]] = [
        (Evidence.AUDIO, first.audio_hashes, second.audio_hashes),
        (Evidence.TITLE, _songs(first), _songs(second)),
    ]
    if len(catalogues) == 1 and "" not in catalogues:
        keys.insert(1, (Evidence.ID, first.ids, second.ids))
    found: dict[tuple[int, int], Evidence] = {}
    for evidence, own, other in keys:
        for pair in _equal(own, other):
            found.setdefault(pair, evidence)
    if store is not None:
        for pair in _by_landmarks(first, second, store=store, on_progress=on_progress):
            found.setdefault(pair, Evidence.LANDMARKS)
    return tuple(
        Duplicate(first=i, second=k, evidence=evidence)
        for (i, k), evidence in sorted(found.items())
    )


def plain_text(text: str) -> str:
    """Return a name without accents, case, punctuation, bracketed parts and featured artists.

    Examples
    --------
    >>> plain_text("The Beyoncé & Friends (Remix) [Live] feat. Anyone")
    'beyonce and friends'
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(each for each in decomposed if not unicodedata.combining(each))
    kept = FEATURING.sub(" ", BRACKETS.sub(" ", letters)).replace("&", " and ")
    words = re.sub(r"[^\w\s]", "", kept).split()
    return " ".join(words[1:] if words[:1] == ["the"] else words)


def _songs(clips: Clips) -> list[Hashable | None]:
    titles = clips.titles or (None,) * len(clips)
    pairs = zip(clips.artists, titles, strict=True)
    named = ((plain_text(artist or ""), plain_text(title or "")) for artist, title in pairs)
    return [song if all(song) else None for song in named]


def _equal(
    first: Sequence[Hashable | None], second: Sequence[Hashable | None]
) -> Iterator[tuple[int, int]]:
    """Yield the positions of equal keys, except for None."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for k, key in enumerate(second):
        if key is not None:
            places[key].append(k)
    for i, key in enumerate(first):
        if key is not None:
            yield from ((i, k) for k in places.get(key, ()))


def _by_landmarks(
    first: Clips, second: Clips, *, store: Store, on_progress: Callable[[int, int], None]
) -> Iterator[tuple[int, int]]:
    landmarks = Landmarks()
    own, other = (
        store.fill(clips, landmarks, on_progress=on_progress) for clips in (first, second)
    )
    both = (array[np.arange(len(clips))] for array, clips in ((own, first), (other, second)))
    for pair, share in common_landmarks(*both).items():
        if share >= SHARED_LANDMARKS:
            yield pair
