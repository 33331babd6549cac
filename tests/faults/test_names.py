"""Names that are no text: one line at reading, before anything is computed; all others work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.augmentation import draw_noise_from, get_transforms
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.main import dispatch
from mer_mlflow.datasets import load_dataset
from mer_mlflow.errors import DatasetError, MerError, ParameterError, readable
from mer_mlflow.representations.audio import decode

FAULTS = settings.get_profile("faults")
NO_TEXT = os.fsdecode(b"caf\xe9")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
pytestmark = pytest.mark.usefixtures("store")


def write_tone(path: Path, hz: float = 440.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(8000) / 8000)
    path.write_bytes(b"")
    with path.open("wb") as file:
        soundfile.write(file, tone, 8000, format="WAV")
    return path


@pytest.fixture
def quadrants(tmp_path: Path) -> Path:
    """Folder of quadrants with four clips in each."""
    for i in range(16):
        write_tone(tmp_path / "data" / f"Q{i % 4 + 1}" / f"clip{i}.wav", 200.0 + 20 * i)
    return tmp_path / "data"


def training(root: Path | str) -> tuple[str, ...]:
    options = (f"--data_root={root}", "--folds=2", "--repeats=1", "--workers=0", "--duration=0.5")
    return ("train", "--method=svm", "--dataset=folder", *options)


@pytest.fixture
def work(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Any]:
    """Function that runs a command in this process."""

    def work(*arguments: str) -> Any:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: dispatch(arguments))
        out, err = capfdbinary.readouterr()
        return SimpleNamespace(code=stop.value.code, stdout=out, stderr=err)

    return work


def assert_refused(done: Any, *words: str) -> None:
    assert done.code == 2, done.stderr
    line = done.stderr.decode("ascii" if b"\\x" in done.stderr else "utf-8")
    assert len(line.splitlines()) == 1, line
    assert line.startswith("error: ")
    assert all(word in line for word in words), line
    assert b"handcrafted" not in done.stdout


def test_file_whose_name_is_not_utf8_is_named(
    quadrants: Path, cache: Path, work: Callable[..., Any]
) -> None:
    write_tone(quadrants / "Q1" / f"{NO_TEXT}.wav")
    for command in (
        training(quadrants),
        ("prepare", "--dataset=folder", f"--data_root={quadrants}"),
    ):
        assert_refused(work(*command), r"Q1/caf\xe9.wav: the name is not UTF-8; rename it")


def test_folder_whose_name_is_not_utf8_is_named(quadrants: Path, work: Callable[..., Any]) -> None:
    write_tone(quadrants / NO_TEXT / "a.wav")
    (quadrants / "list.csv").write_text("path,quadrant\nQ1/clip0.wav,Q1\n")
    assert load_dataset("folder", quadrants / "list.csv").ids == ("Q1/clip0",)
    root = quadrants.rename(quadrants.with_name(NO_TEXT))
    assert_refused(
        work(*training(root)), "data_root=", r"caf\xe9: the name is not UTF-8; rename it"
    )
    with pytest.raises(ParameterError, match=r"noise_root=.*caf\\xe9: the name is not UTF-8"):
        draw_noise_from(get_transforms(["bg"]), str(root))


def test_noise_whose_name_is_not_utf8_is_used(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "noise" / f"{NO_TEXT}.wav")
    assert decode(path).seconds == 1.0
    (transform,) = draw_noise_from(get_transforms(["bg"]), str(tmp_path / "noise"))
    assert transform.files == (path,)


def test_file_without_a_label_is_named_readably(quadrants: Path, work: Callable[..., Any]) -> None:
    rows = [f"{path.stem},{path.parent.name}" for path in sorted(quadrants.glob("Q*/*"))]
    (quadrants / "annotations.csv").write_text("\n".join(["Song,Quadrant", *rows]))
    write_tone(quadrants / "Q1" / f"{NO_TEXT}.wav")
    said: list[str] = []
    load_dataset("new-4qaed-c", quadrants, on_warning=said.append)
    assert said == [r"1 audio files have no label and are not used: caf\xe9"]
    done = work("prepare", "--dataset=new-4qaed-c", f"--data_root={quadrants}", "--duration=1")
    assert rb"caf\xe9" in done.stdout
    assert done.code == 0, done.stderr


def test_names_beyond_ascii_need_utf8(
    quadrants: Path, tmp_path: Path, type_each: Callable[..., Any]
) -> None:
    roots: list[Path] = []
    for name in ("café", "日本"):
        files = tmp_path / f"{len(roots)}"
        shutil.copytree(quadrants, files)
        write_tone(files / "Q1" / f"{name}.wav")
        shutil.copytree(files, tmp_path / name)
        roots += [files, tmp_path / name]
    rows = [f"{path.relative_to(roots[0])},{path.parent.name}" for path in roots[0].glob("Q*/*")]
    listed = roots[0].rename(tmp_path / "listed") / "list.csv"
    shutil.copytree(listed.parent, roots[0])
    listed.write_text("\n".join(["path,quadrant", *rows]), encoding="utf-8")
    of_files, of_folder, of_files_too, of_folder_too, of_list = type_each(
        [training(root) for root in (*roots, listed)], environment=ASCII
    )
    for done in (of_files, of_files_too, of_list):
        assert_refused(done, "where file names are ascii; set PYTHONUTF8=1")
    for done in (of_folder, of_folder_too):
        assert_refused(done, "data_root=", "set PYTHONUTF8=1")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii:strict"},
    ],
)
def test_names_beyond_ascii_work_where_files_are_utf8(
    quadrants: Path, environment: dict[str, str], type_each: Callable[..., Any]
) -> None:
    for i, name in enumerate(("café", "日本", "emoji 🎵", "line\nbreak")):
        write_tone(quadrants / f"Q{i + 1}" / f"{name}.wav", 900.0 + i)
    root = quadrants.rename(quadrants.with_name("größe"))
    (done,) = type_each([training(root)], environment=environment)
    assert done.code == 0, done.stderr
    assert b"Traceback" not in done.stderr


def test_artists_beyond_ascii_work_everywhere(
    quadrants: Path, type_each: Callable[..., Any]
) -> None:
    rows = [
        f"{path.relative_to(quadrants)},{path.parent.name},Sigur Rós {i}"
        for i, path in enumerate(sorted(quadrants.glob("Q*/*")))
    ]
    listed = quadrants / "list.csv"
    listed.write_text("\n".join(["path,quadrant,artist", *rows]), encoding="utf-8")
    (done,) = type_each([training(listed)], environment=ASCII)
    assert done.code == 0, done.stderr


def test_messages_are_text(tmp_path: Path) -> None:
    error = MerError(f"{tmp_path / NO_TEXT}: no\nsuch file")
    assert str(error) == rf"{tmp_path}/caf\xe9: no such file"


@FAULTS
@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_any_text_is_readable(text: str) -> None:
    readable(text).encode()
    if text.isascii():
        assert readable(text) == text


@FAULTS
@given(name=st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name)))
def test_any_file_name_is_a_clip_or_refused(
    scratch: Path, refusal: Callable[..., str | None], name: bytes
) -> None:
    folder = scratch / "any name" / "Q1"
    path = write_tone(folder / os.fsdecode(name + b".wav"))
    try:
        words = refusal(lambda: load_dataset("folder", folder.parent), DatasetError)
    finally:
        path.unlink()
    if words is None:
        name.decode()
    else:
        words.encode()
        assert "not UTF-8" in words or name.startswith(b".")
