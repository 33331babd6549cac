"""Folders for results: own files are replaced as a whole, and no other is touched."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.errors import ParameterError
from mer_mlflow.output import add_files, check_output, replace_files

LIST = ".mer_thing.json"
KILLED = """
import os, signal, sys
from pathlib import Path
from mer_mlflow.output import replace_files
n_left = int(sys.argv[2])
original = Path.replace
def replace(self, target):
    global n_left
    if n_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    n_left -= 1
    return original(self, target)
Path.replace = replace
files = {f"tables/{name}": b"new " + name.encode() for name in "abc"}
replace_files(Path(sys.argv[1]), files, kind="thing")
"""


def write(folder: Path, files: dict[str, bytes], **options: object) -> Path | None:
    return replace_files(folder, files, kind="thing", **options)  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LIST
    }


def test_other_own_files_are_kept_on_request(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "b": b"2"})
    write(tmp_path, {"b": b"3", "c": b"4"}, keep=True)
    assert content(tmp_path) == {"a": b"1", "b": b"3", "c": b"4"}
    write(tmp_path, {"d": b"5"})
    assert content(tmp_path) == {"d": b"5"}


def test_own_files_are_replaced_and_removed(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "x/b": b"2", "x/c": b"3"})
    (tmp_path / "x" / "mine").write_bytes(b"mine")
    write(tmp_path, {"a": b"4", "y/d": b"5"})
    assert content(tmp_path) == {"a": b"4", "y/d": b"5", "x/mine": b"mine"}
    (tmp_path / "x" / "mine").unlink()
    write(tmp_path, {"x/b": b"6"})
    assert content(tmp_path) == {"x/b": b"6"}
    assert not (tmp_path / "y").exists()


def test_added_files_take_the_place_of_no_other(tmp_path: Path) -> None:
    add_files(tmp_path, {"a": b"1"})
    add_files(tmp_path, {"a": b"1", "b": b"2"})
    with pytest.raises(ParameterError, match="a is there already; move it away"):
        add_files(tmp_path, {"c": b"3", "a": b"3"})
    assert content(tmp_path) == {"a": b"1", "b": b"2"}
    assert len(list(tmp_path.iterdir())) == 2


def test_file_changed_by_its_user_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "b": b"1"})
    (tmp_path / "a").write_bytes(b"changed")
    with pytest.raises(ParameterError, match="a was changed since it was written; move it away"):
        write(tmp_path, {"a": b"2", "b": b"2"})
    assert content(tmp_path) == {"a": b"changed", "b": b"1"}
    write(tmp_path, {"b": b"2"})
    assert content(tmp_path) == {"a": b"changed", "b": b"2"}


def test_equal_file_of_another_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    write(tmp_path, {"a": b"1"})
    assert content(tmp_path) == {"a": b"1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"files": 3}',
        '{"files": {"a": 3}}',
        '{"files": {"../outside": ["x"]}}',
        "[" * 100_000,
    ],
)
def test_damaged_list_is_moved_with_what_an_earlier_version_wrote(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / LIST).write_text(text)
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "mine").write_bytes(b"mine")
    home = write(tmp_path, {"a": b"2"}, earlier=lambda folder: ["a", "missing"])
    assert home == tmp_path / "earlier"
    assert (home / LIST).read_text() == text
    assert content(tmp_path) == {"a": b"2", "earlier/a": b"1", "mine": b"mine"}


@given(names=st.dictionaries(st.text(), st.lists(st.text())))
def test_no_list_makes_files_disappear_that_do_not_have_its_digests(
    names: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "outside").write_bytes(b"mine")
    folder = home / "folder"
    folder.mkdir()
    (folder / "mine").write_bytes(b"mine")
    files = {**names, "mine": ["0" * 64], "../outside": ["0" * 64]}
    (folder / LIST).write_text(json.dumps({"files": files}))
    write(folder, {"a": b"1"})
    assert (home / "outside").exists()
    assert (folder / "mine").read_bytes() == b"mine"


def test_links_are_refused_and_their_targets_stay(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "b").write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x").symlink_to(target)
    (folder / "a").symlink_to(target / "b")
    for name in ("a", "x/b"):
        with pytest.raises(ParameterError, match="is a link"):
            write(folder, {name: b"new"})
        with pytest.raises(ParameterError, match="is a link"):
            check_output(folder, [name])
    (folder / LIST).symlink_to(target / "list")
    with pytest.raises(ParameterError, match="is a link"):
        write(folder, {"c": b"new"})
    assert content(target) == {"b": b"mine"}


def test_folder_replaced_by_a_link_keeps_what_is_behind_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder, {"x/a": b"1"})
    (folder / "x").rename(tmp_path / "moved")
    (folder / "x").symlink_to(tmp_path / "moved")
    write(folder, {"b": b"2"})
    assert (tmp_path / "moved" / "a").read_bytes() == b"1"


def test_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    check_output(tmp_path / "link", ["a"])
    write(tmp_path / "link", {"a": b"1"})
    assert content(tmp_path / "disk") == {"a": b"1"}


@pytest.mark.parametrize("n_done", range(8))
def test_failure_brings_the_old_files_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_done: int
) -> None:
    write(tmp_path, {"a": b"1", "x/b": b"1", "x/old": b"1"})
    (tmp_path / "y").mkdir()
    before, listed = content(tmp_path), (tmp_path / LIST).read_bytes()
    n_left, original = n_done, Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal n_left
        n_left -= 1
        if n_left == -1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    try:
        write(tmp_path, {"a": b"2", "x/b": b"2", "y/c": b"2"})
    except ParameterError as error:
        assert str(error) == f"output={tmp_path}: cannot be written (No space left on device)"
        assert content(tmp_path) == before
        assert (tmp_path / LIST).read_bytes() == listed
    else:
        assert n_done >= 5
    assert not list(tmp_path.glob(".mer_thing-*"))


@pytest.mark.parametrize("n_done", range(6))
def test_killed_command_leaves_whole_files_that_the_next_one_replaces(
    tmp_path: Path, n_done: int
) -> None:
    files = {f"tables/{name}": b"old " + name.encode() for name in "abc"}
    write(tmp_path, files)
    (tmp_path / "tables" / "mine").write_bytes(b"mine")
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(n_done)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert process.returncode == (-signal.SIGKILL if n_done < 5 else 0)
    for name in "abc":
        left = (tmp_path / "tables" / name).read_bytes()
        assert left in (b"old " + name.encode(), b"new " + name.encode())
    write(tmp_path, {"tables/a": b"third"})
    assert content(tmp_path) == {"tables/a": b"third", "tables/mine": b"mine"}


def test_commands_at_once_leave_the_files_of_one_of_them(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            write(tmp_path, {f"x/{name}": str(number).encode() for name in "abcdef"})

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(content(tmp_path).values())) == 1
    assert len(content(tmp_path)) == 6


def test_folder_held_for_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr("mer_mlflow.output.PATIENCE_SECONDS", 0.0)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ParameterError, match="another command writes there"):
        write(tmp_path, {"a": b"1"})
    os.close(handle)
    write(tmp_path, {"a": b"1"})


def test_file_system_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", refuse)
    write(tmp_path, {"a": b"1"})
    assert content(tmp_path) == {"a": b"1"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ParameterError, match=r"cannot be written \(Permission denied\)"):
        check_output(tmp_path, ["a"])
    tmp_path.chmod(0o700)
