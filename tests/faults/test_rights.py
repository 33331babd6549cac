"""Files of another user and folders that take nothing: one line names them, and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mer_mlflow.datasets import Clips, load_dataset
from mer_mlflow.datasets.demo import ANNOTATIONS, VERSION, build_demo
from mer_mlflow.datasets.demo.music import compose
from mer_mlflow.errors import MerError, StoreError
from mer_mlflow.representations import Store, Waveform

NOBODY = 65_534
WAVEFORM = Waveform(sr=8000, duration=0.5)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def place(umask: None) -> Iterator[Path]:
    """Folder that others can look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def as_another_user() -> Callable[[Callable[[], object]], str]:
    """Call something in a process of another user: what it is refused with, or an empty text."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def call(action: Callable[[], object]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said = ""
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                action()
            except MerError as error:
                said = str(error)
            except BaseException as error:
                said = f"NOT REFUSED BUT FAILED: {error!r}"
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        return said

    return call


@pytest.fixture
def few(demo: Clips, place: Path) -> Clips:
    """Four clips, one a quadrant."""
    firsts = demo.take(np.array([list(demo.quadrants).index(label) for label in range(4)]))
    copies = []
    for path in firsts.audio_files():
        copies.append(place / "audio" / path.parent.name / path.name)
        copies[-1].parent.mkdir(parents=True)
        copies[-1].write_bytes(path.read_bytes())
    return replace(firsts, audio=tuple(copies))


def test_store_of_another_user_is_read(
    few: Clips, place: Path, as_another_user: Callable[..., str]
) -> None:
    store = Store(root=place / "store")
    expected = store.fill(few, WAVEFORM)[np.arange(4)]

    def check() -> None:
        values = store.fill(few, WAVEFORM)[np.arange(4)]
        np.testing.assert_array_equal(values, expected)

    assert as_another_user(check) == ""


def test_entry_that_may_not_be_read_is_named(
    few: Clips, place: Path, as_another_user: Callable[..., str]
) -> None:
    store = Store(root=place / "store")
    array = store.fill(few, WAVEFORM)
    array.paths[1].chmod(0o600)
    for read in (lambda: store.fill(few, WAVEFORM), lambda: array[np.arange(4)]):
        said = as_another_user(read)
        assert said.startswith(f"{array.paths[1]}: the store cannot be read (Permission denied)")
        assert "MER_CACHE_ROOT" in said


def test_store_that_may_not_be_written_is_named(
    few: Clips, place: Path, as_another_user: Callable[..., str]
) -> None:
    store = Store(root=place / "store")
    array = store.fill(few, WAVEFORM)
    array.paths[1].unlink()
    said = as_another_user(lambda: store.fill(few, WAVEFORM))
    assert said.startswith(f"{array.paths[1].parent}: the store cannot be written (Permission")
    assert "get write permission there, or set MER_CACHE_ROOT" in said


@pytest.fixture
def demo_elsewhere(few: Clips, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Demo of another user, with few clips."""
    folder = place / f"demo-{VERSION}"
    (place / "audio").rename(folder)
    rows = (f"{clip},Q{label + 1},A" for clip, label in zip(few.ids, few.quadrants, strict=True))
    (folder / ANNOTATIONS).write_text("\n".join(["Song,Quadrant,Artist", *rows]))
    monkeypatch.setenv("MER_CACHE_ROOT", str(place))
    assert load_dataset("demo").ids == few.ids
    return folder


@pytest.mark.parametrize("closed", [".", "Q1"])
def test_demo_that_may_not_be_read_is_named(
    demo_elsewhere: Path, as_another_user: Callable[..., str], closed: str
) -> None:
    (demo_elsewhere / closed).chmod(0o700)
    said = as_another_user(lambda: load_dataset("demo"))
    assert said.startswith(str(demo_elsewhere / closed))
    assert "cannot be read (Permission denied)" in said
    assert "MER_CACHE_ROOT" in said


def test_demo_that_may_not_be_written_is_named(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_another_user: Callable[..., str],
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(place))
    said = as_another_user(lambda: load_dataset("demo"))
    assert "the demo dataset cannot be generated (Permission denied); get write permission" in said
    assert not list(place.iterdir())


def test_demo_is_everybodys(
    demo: Clips, place: Path, monkeypatch: pytest.MonkeyPatch, as_another_user: Callable[..., str]
) -> None:
    monkeypatch.setattr("mer_mlflow.datasets.demo.render", lambda piece: np.zeros(100))
    build_demo(place / "demo", compose()[:4])
    rights = {path.stat().st_mode & 0o777 for path in place.rglob("*")}
    assert rights == {0o755, 0o644}
    assert not list(place.glob(".demo-*"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True
        )
        if done.returncode:
            pytest.skip("no disk can be made here")
        return folder

    yield mount
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


@pytest.mark.parametrize(
    ("options", "reason", "remedy"),
    [
        ("size=400k", "No space left on device", "free disk space"),
        ("size=400k,nr_inodes=20", "No space left on device", "free disk space"),
        ("ro", "Read-only file system", "get write permission"),
    ],
)
def test_demo_on_a_disk_that_takes_nothing(
    disk: Callable[[str], Path], store: Path, options: str, reason: str, remedy: str
) -> None:
    cache = disk(options)
    done = subprocess.run(
        [sys.executable, "-m", "mer_mlflow", "train", "--method=svm", "--dataset=demo"],
        cwd=ROOT,
        env={**os.environ, "MER_CACHE_ROOT": str(cache)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {cache}/demo-")
    assert f"the demo dataset cannot be generated ({reason}); {remedy} there" in line
    assert not list(cache.iterdir())


def test_entry_on_a_full_disk_leaves_nothing(few: Clips, disk: Callable[[str], Path]) -> None:
    store = Store(root=disk("size=8k") / "store")
    with pytest.raises(StoreError, match="No space left on device"):
        store.fill(few, Waveform(duration=5.0))
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_audio_that_may_not_be_read_is_named(
    few: Clips, place: Path, as_another_user: Callable[..., str]
) -> None:
    few.audio_files()[0].chmod(0o600)
    said = as_another_user(lambda: load_dataset("folder", place / "audio"))
    assert said == f"{few.audio_files()[0]}: cannot be read (Permission denied)"
