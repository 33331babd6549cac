"""Folders of datasets as they circulate: names of quadrant folders, nesting, names of clips."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import listing

AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".m4a")
PARTS = ("train", "training", "val", "valid", "validate", "validation", "dev", "test", "testing")
"""Names of folders that together contain a dataset."""
DEEPEST = 3
"""Number of levels of subfolders that are searched."""
MOST_FOLDERS = 2000
"""Number of folders that are searched."""
MOST_SHOWN = 4
DEEPEST_FILE = 5
"""Number of levels of subfolders in which a table of a known name is searched."""
QUADRANT_FOLDER = re.compile(r"q([1-4])(?:[\s_.,()-].*)?", re.IGNORECASE)
QUADRANT_PREFIX = re.compile(r"q[1-4][\s_.-]+(?=.)", re.IGNORECASE)


def quadrant_folders(root: Path) -> list[tuple[int, Path]]:
    """Find the folders of quadrants.

    A folder ``Q1`` is preferred to folders such as ``q1`` or ``Q1 happy``. If there are none,
    those in folders such as ``train`` and ``test`` are found.

    Parameters
    ----------
    root : a folder

    Returns
    -------
    (label, folder) of each
    """
    own = _direct_quadrant_folders(root)
    parts = (path for path in subfolders(root) if path.name.lower() in PARTS)
    return own or [found for part in parts for found in _direct_quadrant_folders(part)]


def has_audio(root: Path) -> bool:
    """Return whether a folder of quadrants contains audio."""
    return any(audio_in(folder) for _, folder in quadrant_folders(root))


def audio_in(folder: Path) -> list[Path]:
    """Return the audio files directly in a folder, sorted; none if there is no such folder."""
    return [
        path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    ]


def subfolders(root: Path) -> tuple[Path, ...]:
    """Return the folders directly in a folder, sorted."""
    return tuple(sorted(path for path in root.iterdir() if path.is_dir()))


def nested(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return the first folder that fits, the least nested first; None if there is none."""
    return next((folder for folder in _below(root) if fits(folder)), None)


def find_table(root: Path, name: str) -> Path | None:
    """Find a table below a folder by its name, in which case and blanks are ignored.

    Parameters
    ----------
    root : a folder
    name : name of the file in the published archive

    Returns
    -------
    the least nested file of this name, None if there is none
    """
    wanted = _spelling(name)
    for folder in _below(root, deepest=DEEPEST_FILE):
        for path in sorted(folder.iterdir()):
            if _spelling(path.name) == wanted and path.is_file():
                return path
    return None


def find_audio(
    root: Path, *, folders: Sequence[str] = (), key: Callable[[Path], str] = lambda path: path.stem
) -> dict[str, list[Path]]:
    """Find audio files that are named by clip.

    Parameters
    ----------
    root : a folder
    folders : names of the folders that contain the audio in the published archive; other folders
        are searched only if there are none with audio
    key : returns the clip id of a file

    Returns
    -------
    files of each clip, the least nested first
    """
    usual = {_spelling(folder) for folder in folders}
    everywhere = [folder for folder in _below(root, deepest=DEEPEST_FILE) if audio_in(folder)]
    chosen = [folder for folder in everywhere if _spelling(folder.name) in usual] or everywhere
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in chosen:
        for path in audio_in(folder):
            found[key(path)].append(path)
    return dict(found)


def _spelling(name: str) -> str:
    return name.lower().replace(" ", "_")


def described(root: Path) -> str:
    """Return what a folder contains, for an error message."""
    files = [path.name for path in sorted(root.iterdir()) if path.is_file()]
    tables = [name for name in files if name.lower().endswith(".csv")]
    n_audio = {folder: len(found) for folder in _below(root) if (found := audio_in(folder))}
    sounds = [f"{folder.relative_to(root)} ({n})" for folder, n in n_audio.items()]
    contents = [
        f"{what} {listing(names, most=MOST_SHOWN)}"
        for what, names in (
            ("the folders", [folder.name for folder in subfolders(root)]),
            ("the CSV files", tables),
            ("audio files in", sounds),
        )
        if names
    ]
    return f"found are {'; '.join(contents) or 'no folders, CSV files or audio files'}"


def plain_name(name: str) -> str:
    """Return the name of a clip without the suffix of audio files and a quadrant before it."""
    return QUADRANT_PREFIX.sub("", without_suffix(name), count=1)


def without_suffix(name: str) -> str:
    """Return the name of a clip without the suffix of audio files."""
    suffix = next((each for each in AUDIO_SUFFIXES if name.lower().endswith(each)), "")
    return name[: len(name) - len(suffix)]


def renamed(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Match the names of clips with known ones, which may have a suffix or a quadrant before them.

    Parameters
    ----------
    names : names of clips in a table, or of files
    known : ids of clips

    Returns
    -------
    known id of each name that is not known itself and fits exactly one that is not among the names
    """
    given, ids = set(names), set(known)
    by_plain: dict[str, set[str]] = defaultdict(set)
    of_plain: dict[str, set[str]] = defaultdict(set)
    for clip in ids - given:
        by_plain[plain_name(clip)].add(clip)
    for name in given - ids:
        of_plain[plain_name(name)].add(name)
    return {
        next(iter(same)): next(iter(by_plain[plain]))
        for plain, same in of_plain.items()
        if len(same) == len(by_plain[plain]) == 1
    }


def _direct_quadrant_folders(root: Path) -> list[tuple[int, Path]]:
    named: dict[int, list[Path]] = defaultdict(list)
    for folder in subfolders(root):
        if match := QUADRANT_FOLDER.fullmatch(folder.name):
            named[int(match[1]) - 1].append(folder)
    exact = {label: root / quadrant for label, quadrant in enumerate(QUADRANTS)}
    return [
        (label, folder)
        for label, folders in sorted(named.items())
        for folder in ([exact[label]] if exact[label] in folders else folders)
    ]


def _below(root: Path, *, deepest: int = DEEPEST) -> Iterator[Path]:
    """Yield a folder and those below it, the least nested first; hidden ones are left out."""
    level, n_left = [root], MOST_FOLDERS
    for _ in range(deepest + 1):
        yield from level[:n_left]
        n_left -= len(level)
        if n_left <= 0:
            return
        level = [
            below
            for folder in level
            for below in _readable_subfolders(folder)
            if not below.name.startswith(".")
        ]


def _readable_subfolders(folder: Path) -> tuple[Path, ...]:
    try:
        return subfolders(folder)
    except OSError:
        return ()
