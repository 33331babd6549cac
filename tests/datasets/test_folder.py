import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mer_mlflow.datasets import load_dataset, read_dataset
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.representations.audio import decode

SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".m4a")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, write_sound):
    """Two seconds of a tone in every format that can be written here."""
    folder = tmp_path_factory.mktemp("sounds")
    for suffix in SUFFIXES[:4]:
        write_sound(folder / f"tone{suffix}", seconds=2.0)
    if shutil.which("ffmpeg"):
        convert = ["ffmpeg", "-v", "error", "-i", folder / "tone.wav", folder / "tone.m4a"]
        subprocess.run(convert, check=True)
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_audio_formats(sounds, tmp_path, suffix):
    if not (sounds / f"tone{suffix}").exists():
        pytest.skip("the ffmpeg program is not on PATH")
    (tmp_path / "Q2").mkdir()
    shutil.copy(sounds / f"tone{suffix}", tmp_path / "Q2" / f"a{suffix.upper()}")
    clips = load_dataset("folder", tmp_path)
    assert clips.ids == ("a",)
    assert clips.counts["Q2"] == 1
    audio = decode(clips.audio_files()[0])
    assert audio.sr == 16_000
    assert audio.seconds == pytest.approx(2.0, abs=0.15)
    assert abs(audio.samples).max() == pytest.approx(0.5, abs=0.1)


@pytest.fixture
def listed(tmp_path, write_sound, write_csv):
    for i, file in enumerate(("b/one.wav", "a/two.flac", "three.ogg")):
        write_sound(tmp_path / file, 200.0 + 100 * i)
    return write_csv(
        tmp_path / "clips.csv",
        ("path", "quadrant", "artist"),
        ("b/one.wav", "Q1", "Ann"),
        ("a/two.flac", "q4", ""),
        ("three.ogg", "Q1", "Ann"),
    )


@pytest.mark.parametrize("root", ["file", "folder"])
def test_csv_of_paths_and_quadrants(listed, root):
    clips = load_dataset("folder", listed if root == "file" else listed.parent)
    assert clips.ids == ("a/two", "b/one", "three")
    assert clips.quadrants.tolist() == [3, 0, 0]
    assert clips.artists == (None, "Ann", "Ann")
    assert [path.name for path in clips.audio_files()] == ["two.flac", "one.wav", "three.ogg"]


def test_csv_with_absolute_paths_and_no_artists(listed, tmp_path, write_csv):
    elsewhere = write_csv(
        tmp_path / "lists" / "mine.csv", ("path", "quadrant"), (tmp_path / "b" / "one.wav", "Q3")
    )
    clips = load_dataset("folder", elsewhere)
    assert clips.audio_files() == (tmp_path / "b" / "one.wav",)
    assert clips.artists == (None,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("path", "mood"), ("b/one.wav", "Q1")], "no column Quadrant"),
        ([("file", "quadrant"), ("b/one.wav", "Q1")], "no column path"),
        ([("path", "quadrant"), ("b/one.wav", "sad")], "line 2: unknown quadrant 'sad'"),
        ([("path", "quadrant"), ("b/one.wav", "Q1"), ("", "Q1")], "line 3: '' in column path"),
        ([("path", "quadrant"), ("gone.wav", "Q1")], r"file .*gone\.wav does not exist"),
        (
            [("path", "quadrant"), ("b/one.wav", "Q1"), ("b/one.wav", "Q2")],
            "clip b/one has two rows",
        ),
    ],
)
def test_what_is_wrong_in_the_csv_is_named(listed, write_csv, rows, message):
    write_csv(listed, *rows)
    with pytest.raises(DatasetError, match=message):
        load_dataset("folder", listed)


def test_artists_that_are_not_known_are_none(listed, write_csv):
    rows = zip(("b/one.wav", "a/two.flac", "three.ogg"), ("nan", "N/A", "Ann"), strict=True)
    write_csv(
        listed, ("path", "quadrant", "artist"), *((path, "1.0", artist) for path, artist in rows)
    )
    clips = load_dataset("folder", listed)
    assert clips.artists == (None, None, "Ann")
    assert clips.quadrants.tolist() == [0, 0, 0]


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://"])
def test_addresses_of_files(listed, write_csv, write_sound, start):
    path = write_sound(listed.parent / "a b%.wav")
    address = path.as_uri().replace("file://", start)
    write_csv(listed, ("path", "quadrant"), (address, "Q1"))
    clips = load_dataset("folder", listed)
    assert clips.ids == ("a b%",)
    assert clips.audio_files() == (path,)


def test_paths_with_backslashes(listed, write_csv):
    write_csv(listed, ("path", "quadrant"), (r".\b\one.wav", "Q1"), (r"a\two.flac", "Q2"))
    reading = read_dataset("folder", listed)
    assert reading.clips.ids == ("a/two", "b/one")
    assert reading.errors == ()


SCALED = {"1-9": (5, 4), "0-1": (0.5, 0.5), "-1-1": (0, 1)}
SIDES = {"three.ogg": (0.9, 0.8), "a/two.flac": (-0.5, 0.4), "b/one.wav": (0.2, -0.6)}


def write_values(write_csv, path, scale, sides=SIDES, columns=("path", " Valence ", "AROUSAL")):
    middle, half = SCALED[scale]
    rows = ((file, f" {middle + half * v} ", middle + half * a) for file, (v, a) in sides.items())
    return write_csv(path, columns, *rows)


@pytest.mark.parametrize("scale", SCALED)
@pytest.mark.parametrize("given", [True, False])
def test_valence_and_arousal_give_quadrants(listed, write_csv, scale, given):
    said = []
    write_values(write_csv, listed, scale)
    av_scale = scale if given else None
    clips = load_dataset("folder", listed, av_scale=av_scale, on_warning=said.append)
    assert clips.ids == ("a/two", "b/one", "three")
    assert clips.quadrants.tolist() == [1, 3, 0]
    np.testing.assert_allclose(clips.valence, [-0.5, 0.2, 0.9], atol=1e-12)
    np.testing.assert_allclose(clips.arousal, [0.4, -0.6, 0.8], atol=1e-12)
    assert len(said) == (not given)
    assert given or f"on the scale {scale}, because they are from" in said[0]


def test_clips_on_an_axis_are_left_out_and_counted(listed, write_csv):
    said = []
    write_values(write_csv, listed, "1-9", SIDES | {"three.ogg": (0, 0.5)})
    clips = load_dataset("folder", listed, av_scale="1-9", on_warning=said.append)
    assert clips.ids == ("a/two", "b/one")
    assert len(said) == 1
    assert "1 clips lie on an axis, in no quadrant, and are left out: three" in said[0]


@pytest.mark.parametrize(
    ("sides", "av_scale", "message"),
    [
        ({"three.ogg": (0.5, 0.5)}, None, "cannot be guessed from values between 7 and 7"),
        ({"three.ogg": (9, 0.5)}, None, "cannot be guessed"),
        ({"three.ogg": (9, 0.5)}, "1-9", "line 2: valence or arousal is not on the scale 1-9"),
        ({"three.ogg": (float("nan"), 0.5)}, None, "line 2: 'nan' is no value"),
        ({"three.ogg": (0, 0)}, "1-9", "no clip is in a quadrant"),
    ],
)
def test_values_that_cannot_be_used_are_named(listed, write_csv, sides, av_scale, message):
    write_values(write_csv, listed, "1-9", sides)
    with pytest.raises(DatasetError, match=message):
        load_dataset("folder", listed, av_scale=av_scale)


def test_scale_that_does_not_apply_is_named(listed, write_csv):
    with pytest.raises(ParameterError, match=r"av_scale=1-9: .* is read by its quadrants"):
        load_dataset("folder", listed, av_scale="1-9")
    with pytest.raises(ParameterError, match="av_scale=1-9: the scale of dataset demo is known"):
        load_dataset("demo", av_scale="1-9")
    write_values(write_csv, listed, "1-9")
    with pytest.raises(ParameterError, match="av_scale=1-5: unknown; scales are 1-9, 0-1, -1-1"):
        load_dataset("folder", listed, av_scale="1-5")


def test_two_csvs_are_one_too_many(listed):
    shutil.copy(listed, listed.with_name("more.csv"))
    with pytest.raises(DatasetError, match="2 CSV files"):
        load_dataset("folder", listed.parent)


def test_quadrant_folders_without_audio_are_named(tmp_path):
    (tmp_path / "Q1").mkdir()
    (tmp_path / "Q1" / "notes.txt").write_text("later")
    with pytest.raises(DatasetError, match="no clips; subfolders Q1 to Q4"):
        load_dataset("folder", tmp_path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("any paths") / "clips.csv"


@settings(deadline=None, max_examples=60)
@given(path=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='",;')))
@example(".")
@example("/")
@example("..")
@example("a" * 300 + ".wav")
def test_any_path_gives_a_dataset_error_not_a_crash(scratch, path):
    scratch.write_text(f'path,quadrant\n"{path}",Q1\n', encoding="utf-8")
    with pytest.raises(DatasetError):
        load_dataset("folder", scratch)
