"""Ids of listed files: relative, unique, and the same however a CSV spells the same files."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mer_mlflow.datasets import Clips, Reading, listed_files, load_dataset, read_dataset
from mer_mlflow.datasets.folder import REORDERED
from mer_mlflow.errors import DatasetError

PARTS = st.sampled_from(["a", "b", "a.b", "q 1", "é", "mp3", "..a", "a..", "home", "-", "~"])
NAMES = st.builds("{}{}".format, PARTS, st.sampled_from([".mp3", ".wav", ".mp3.wav", "", ".MP3"]))
FILES = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(PARTS), NAMES)
SPELLINGS: dict[str, Callable[[Path, str], str]] = {
    "plain": lambda root, file: file,
    "dot": lambda root, file: f"./{file}",
    "slashes": lambda root, file: f".//{file.replace('/', '//')}",
    "inner dot": lambda root, file: file.replace("/", "/./"),
    "up and down": lambda root, file: f"../{root.name}/{file}",
    "through a folder": lambda root, file: f"made/../{file}",
    "absolute": lambda root, file: f"{root}/{file}",
    "absolute with two slashes": lambda root, file: f"/{root}/{file}",
    "absolute and up": lambda root, file: f"{root}/made/../{file}",
    "by a link": lambda root, file: f"{root.parent}/link/{file}",
    "by a relative link": lambda root, file: f"../link/{file}",
    "by a link above": lambda root, file: f"{root.parent}/above/{root.name}/{file}",
    "backslashes": lambda root, file: file.replace("/", "\\"),
    "dot and backslashes": lambda root, file: ".\\" + file.replace("/", "\\"),
    "blanks": lambda root, file: f"  {file} ",
}
QUICK = settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def written(rows: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("path", "quadrant"), *((row, "Q1") for row in rows)])
    return buffer.getvalue()


def read(table: Path, rows: list[str]) -> Clips:
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(written(rows), encoding="utf-8")
    return load_dataset("folder", table, on_warning=lambda words: None)


def make(root: Path, files: list[str]) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(file)
    (root / "made").mkdir(parents=True, exist_ok=True)


def can_be_there(files: list[str]) -> bool:
    """Whether no file is a folder of another one."""
    return not {str(above) for file in files for above in PurePosixPath(file).parents} & set(files)


SETS = st.lists(FILES, min_size=1, max_size=6, unique=True).filter(can_be_there)


@pytest.fixture
def place(tmp_path: Path) -> Callable[[], Path]:
    """Make a folder that is empty for every example."""
    folder = tmp_path / "place"

    def empty() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "link").symlink_to(folder / "root")
        (folder / "above").symlink_to(folder)
        return folder

    return empty


@QUICK
@given(files=SETS, data=st.data())
@example(files=["a.mp3", "a.wav", "a.b.mp3", "a.mp3.wav"], data=None)
def test_any_spelling_of_the_same_files_gives_the_same_ids(
    place: Callable[[], Path], files: list[str], data: st.DataObject | None
) -> None:
    root = place() / "root"
    make(root, files)
    plain = read(root / "list.csv", files)
    assert len(plain) == len(files)
    for kind in SPELLINGS:
        kinds = [kind] * len(files)
        if data is not None:
            kinds = [data.draw(st.sampled_from([kind, *SPELLINGS])) for _ in files]
        spelled = [SPELLINGS[k](root, file) for k, file in zip(kinds, files, strict=True)]
        clips = read(root / "list.csv", spelled)
        assert (clips.ids, clips.digest, clips.audio) == (plain.ids, plain.digest, plain.audio)
    elsewhere = root.rename(root.with_name("elsewhere"))
    moved = read(elsewhere / "list.csv", [f"{elsewhere}/{file}" for file in files])
    assert (moved.ids, moved.digest) == (plain.ids, plain.digest)


@QUICK
@given(files=SETS, data=st.data())
def test_files_elsewhere_have_the_same_ids_wherever_they_and_the_csv_lie(
    place: Callable[[], Path], files: list[str], data: st.DataObject
) -> None:
    root = place() / "root"
    make(root, files)
    first = read(root.parent / "lists" / "list.csv", [f"{root}/{file}" for file in files])
    assert len(set(first.ids)) == len(files)
    assert not any(str(root.parent.name) in PurePosixPath(clip).parts for clip in first.ids)
    kinds = [data.draw(st.sampled_from(["relative", "link", "absolute"])) for _ in files]
    starts = {"relative": "../../root", "link": f"{root.parent}/link", "absolute": root}
    spelled = [f"{starts[kind]}/{file}" for kind, file in zip(kinds, files, strict=True)]
    other = read(root.parent / "lists" / "deep" / "list.csv", spelled)
    assert (other.ids, other.digest) == (first.ids, first.digest)
    moved = root.rename(root.with_name("moved"))
    third = read(root.parent / "lists" / "list.csv", [f"{moved}/{file}" for file in files])
    assert (third.ids, third.digest) == (first.ids, first.digest)


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (["b/one.wav", "a/two.mp3"], ("a/two", "b/one")),
        (["a.mp3", "a.wav"], ("a.mp3", "a.wav")),
        (["a.mp3", "a.wav", "a.mp3.wav"], ("a.mp3", "a.mp3.wav", "a.wav")),
        (["a.b.mp3", "a.mp3"], ("a", "a.b")),
        (["a.b.mp3", "a.b"], ("a", "a.b")),
        ([".hidden", "a."], (".hidden", "a.")),
        (["x/../a.mp3", "./b.mp3"], ("a", "b")),
        (["/data/x/a.mp3", "/data/y/b.mp3"], ("x/a", "y/b")),
        (["/data/x/a.mp3"], ("a",)),
        (["a.mp3", "../far/b.mp3"], ("far/b", "set/a")),
        (["/home/ann/x/a.mp3", "/data/b.mp3"], ("data/b", "x/a")),
        (["/home/ann/x/a.mp3", "/home/bob/y/b.mp3"], ("x/a", "y/b")),
        (["/home/ann/x/a.mp3", "/home/ann/y/b.mp3"], ("x/a", "y/b")),
        (["/root/x/a.mp3", "/srv/b.mp3"], ("srv/b", "x/a")),
        (["/Users/ann/x/a.mp3", "/Volumes/b.mp3"], ("Volumes/b", "x/a")),
        (["/mnt/people/me/x/a.mp3", "/srv/b.mp3"], ("srv/b", "x/a")),
    ],
)
def test_ids(monkeypatch: pytest.MonkeyPatch, rows: list[str], ids: tuple[str, ...]) -> None:
    monkeypatch.setenv("HOME", "/mnt/people/me")
    folder = Path("/sets/set")
    files = listed_files.locate(folder, rows)
    assert tuple(sorted(listed_files.clip_ids(folder, files))) == ids


@QUICK
@given(files=SETS)
def test_plain_relative_paths_keep_the_ids_of_earlier_versions(
    place: Callable[[], Path], files: list[str]
) -> None:
    root = place() / "root"
    make(root, files)
    earlier = sorted(str(PurePosixPath(file).with_suffix("")) for file in files)
    clips = read(root / "list.csv", files)
    if len(set(earlier)) == len(earlier):
        assert list(clips.ids) == earlier
        assert clips.as_earlier() is None


def test_links_below_the_folder_keep_their_names(place: Callable[[], Path]) -> None:
    root = place() / "root"
    make(root.parent / "store", ["x1.mp3", "rock/x2.mp3"])
    (root / "pop").mkdir(parents=True)
    (root / "pop" / "a.mp3").symlink_to(root.parent / "store" / "x1.mp3")
    (root / "rock").symlink_to(root.parent / "store" / "rock")
    for start in ("", f"{root}/", f"{root.parent}/link/", "../root/"):
        clips = read(root / "list.csv", [f"{start}pop/a.mp3", f"{start}rock/x2.mp3"])
        assert clips.ids == ("pop/a", "rock/x2")


def test_backslash_of_a_file_name_stays(place: Callable[[], Path]) -> None:
    root = place() / "root"
    make(root, ["a\\b.mp3", "a/b.mp3"])
    assert read(root / "list.csv", ["a\\b.mp3"]).ids == ("a\\b",)
    assert read(root / "list.csv", ["a/b.mp3"]).ids == ("a/b",)


@pytest.mark.parametrize("second", ["a.mp3", "./a.mp3", "../root/a.mp3", "{root}/a.mp3"])
def test_file_that_is_listed_twice_is_named(place: Callable[[], Path], second: str) -> None:
    root = place() / "root"
    make(root, ["a.mp3"])
    with pytest.raises(DatasetError, match="clip a has two rows; keep one"):
        read(root / "list.csv", ["a.mp3", second.format(root=root)])


def test_files_that_differ_by_home_folders_alone_are_named(
    place: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = place() / "people"
    monkeypatch.setattr(listed_files, "HOMES", (homes,))
    make(homes, ["ann/a.mp3", "bob/a.mp3"])
    with pytest.raises(DatasetError, match=r"ann/a\.mp3, .*bob/a\.mp3 differ only in .* home"):
        read(homes.parent / "list" / "list.csv", [f"{homes}/{who}/a.mp3" for who in ("ann", "bob")])


def reading(table: Path, rows: list[str]) -> Reading:
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(written(rows), encoding="utf-8")
    return read_dataset("folder", table)


def test_ids_of_earlier_versions_are_known_where_their_order_is_the_same(
    place: Callable[[], Path],
) -> None:
    root = place() / "root"
    make(root, ["a.mp3", "b.mp3"])
    make(root.parent / "zoo", ["c.mp3"])
    table = root / "list.csv"
    absolute = reading(table, [f"{root}/b.mp3", f"{root}/a.mp3"])
    assert absolute.clips.earlier_ids == (f"{root}/a", f"{root}/b")
    assert absolute.warnings == ()
    earlier = absolute.clips.as_earlier()
    assert earlier is not None
    assert earlier.ids == (f"{root}/a", f"{root}/b")
    assert absolute.clips.take(np.array([1])).earlier_ids == (f"{root}/b",)
    mixed = reading(table, ["a.mp3", "b.mp3", "../zoo/c.mp3"])
    assert mixed.clips.ids == ("root/a", "root/b", "zoo/c")
    assert mixed.clips.earlier_ids is None
    assert mixed.warnings == (f"{table}: {REORDERED}",)


@QUICK
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
@example(text="..")
@example(text="../..")
@example(text="/")
@example(text="\\")
@example(text="..\\..\\")
@example(text="a" * 300 + "/../b")
def test_any_path_is_named_or_read(place: Callable[[], Path], text: str) -> None:
    root = place() / "root"
    root.mkdir()
    (root / "loop").symlink_to(root / "loop")
    for row in (text, f"loop/{text}", f"{os.sep}{text}"):
        with pytest.raises(DatasetError):
            read(root / "list.csv", [row])
