"""Layouts of datasets as they circulate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mer_mlflow.datasets import Clips, load_dataset, read_dataset
from mer_mlflow.datasets.layout import plain_name, renamed
from mer_mlflow.errors import DatasetError

LABELS = {f"MT000{i}": f"Q{i % 4 + 1}" for i in range(8)}
FEELING = {"Q1": "happy", "Q2": "angry", "Q3": "sad", "Q4": "calm"}
ARCHIVE = "MER_audio_taffc_dataset"
ANNOTATIONS = "panda_dataset_taffc_annotations.csv"
Place = Callable[[str, str], str]
Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path, write_sound: Callable[..., Path], write_csv: Callable[..., Path]) -> Lay:
    """Write a dataset whose files and ids are named by functions of clip and quadrant."""

    def lay(
        file: Place,
        *,
        table: str | None = None,
        clip_id: Place = lambda clip, quadrant: clip,
        columns: tuple[str, ...] = ("Song", "Quadrant", "Artist"),
    ) -> Path:
        for i, (clip, quadrant) in enumerate(LABELS.items()):
            write_sound(tmp_path / file(clip, quadrant), 200.0 + 50 * i)
        if table is not None:
            rows = [
                {"Song": clip_id(clip, quadrant), "Quadrant": quadrant, "Artist": f"By {clip[-1]}"}
                for clip, quadrant in LABELS.items()
            ]
            cells = [tuple(row[column] for column in columns) for row in rows]
            write_csv(tmp_path / table, columns, *cells)
        return tmp_path

    return lay


def assert_whole(clips: Clips) -> None:
    assert {
        clip: f"Q{label + 1}" for clip, label in zip(clips.ids, clips.quadrants, strict=True)
    } == LABELS
    assert all(
        path.stem.endswith(clip) for clip, path in zip(clips.ids, clips.audio_files(), strict=True)
    )


@pytest.mark.parametrize("dataset", ["original-4qaed", "folder"])
@pytest.mark.parametrize("folder", ["", "Songs/", "audio/"])
def test_audio_that_is_not_in_quadrant_folders(lay: Lay, dataset: str, folder: str) -> None:
    root = lay(lambda clip, quadrant: f"{folder}{clip}.mp3", table=ANNOTATIONS)
    assert_whole(load_dataset(dataset, root))


@pytest.mark.parametrize("dataset", ["original-4qaed", "folder"])
@pytest.mark.parametrize(
    "place",
    [
        lambda clip, quadrant: f"{quadrant.lower()}/{clip}.wav",
        lambda clip, quadrant: f"{quadrant} {FEELING[quadrant]}/{clip}.wav",
        lambda clip, quadrant: f"{quadrant}_{FEELING[quadrant]}/{clip}.wav",
        lambda clip, quadrant: f"{'train' if clip < 'MT0004' else 'Test'}/{quadrant}/{clip}.wav",
        lambda clip, quadrant: f"a/b/{quadrant}/{clip}.wav",
        lambda clip, quadrant: f"data/{ARCHIVE}/{ARCHIVE}/{quadrant}/{clip}.wav",
    ],
    ids=["small", "blank", "underscore", "parts", "nested", "archive"],
)
def test_quadrant_folders_of_other_names_and_depths(lay: Lay, dataset: str, place: Place) -> None:
    assert_whole(load_dataset(dataset, lay(place)))


@pytest.mark.parametrize("dataset", ["original-4qaed", "folder"])
def test_quadrant_folders_without_audio_do_not_hide_those_with_audio(
    lay: Lay, dataset: str
) -> None:
    root = lay(lambda clip, quadrant: f"wav/{quadrant}/{clip}.wav")
    for clip, quadrant in LABELS.items():
        path = root / "melspec" / quadrant / f"{clip}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert_whole(load_dataset(dataset, root))


def test_exact_names_of_quadrant_folders_are_preferred(
    lay: Lay, write_sound: Callable[..., Path]
) -> None:
    root = lay(lambda clip, quadrant: f"{quadrant}/{clip}.wav")
    write_sound(root / "Q1 unsure" / "more.wav", 1500.0)
    write_sound(root / "train" / "Q1" / "more.wav", 1500.0)
    assert_whole(load_dataset("folder", root))


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_merge_may_be_nested_as_deeply_as_4qaed(lay: Lay, depth: int) -> None:
    folder = "MERGE_Audio_Balanced/" * depth
    table = f"{folder}merge_audio_balanced_metadata.csv"
    root = lay(lambda clip, quadrant: f"{folder}{quadrant}/{clip}.mp3", table=table)
    assert_whole(load_dataset("merge-balanced", root))


@pytest.mark.parametrize(
    ("file", "clip_id"),
    [
        (lambda clip, quadrant: clip, lambda clip, quadrant: f"{clip}.mp3"),
        (lambda clip, quadrant: f"{quadrant}.{clip}", lambda clip, quadrant: clip),
        (lambda clip, quadrant: f"{quadrant}_{clip}", lambda clip, quadrant: f"{clip}.mp3"),
    ],
)
@pytest.mark.parametrize("folder", ["", "Q/"])
def test_ids_and_files_may_be_named_differently(
    lay: Lay, write_csv: Callable[..., Path], folder: str, file: Place, clip_id: Place
) -> None:
    def place(clip: str, quadrant: str) -> str:
        return f"{folder and quadrant + '/'}{file(clip, quadrant)}.mp3"

    root = lay(place, table=ANNOTATIONS, clip_id=clip_id)
    write_csv(root / "metadata.csv", ("Song", "Artist"), *((clip, "Ann") for clip in LABELS))
    rows = [(f"{clip}.mp3", i) for i, clip in enumerate(LABELS)]
    write_csv(root / "top100_features.csv", ("Song", "F1"), *rows)
    clips = load_dataset("original-4qaed", root)
    assert_whole(clips)
    assert clips.artists == ("Ann",) * 8
    assert clips.feature_values("top100")[:, 0].tolist() == list(range(8))


def test_ids_that_begin_with_a_quadrant_stay(lay: Lay) -> None:
    root = lay(
        lambda clip, quadrant: f"{quadrant}/{clip}.mp3",
        table=ANNOTATIONS,
        clip_id=lambda clip, quadrant: f"{quadrant}.{clip}",
    )
    clips = load_dataset("original-4qaed", root)
    assert clips.ids == tuple(sorted(f"{quadrant}.{clip}" for clip, quadrant in LABELS.items()))
    assert len(clips.audio_files()) == 8


def test_files_without_a_table_keep_their_names(lay: Lay) -> None:
    root = lay(lambda clip, quadrant: f"{quadrant}/{quadrant}.{clip}.mp3")
    assert load_dataset("folder", root).ids[0] == "Q1.MT0000"


def test_names_that_fit_two_clips_are_not_matched() -> None:
    assert renamed(["a.mp3", "a.wav"], ["a"]) == {}
    assert renamed(["a.mp3"], ["a", "b"]) == {"a.mp3": "a"}
    assert renamed(["a", "a.mp3"], ["a"]) == {}
    assert renamed(["Q1_x"], ["Q2_x", "x"]) == {}


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a.mp3", "a"), ("Q1.MT1.MP3", "MT1"), ("q4_a-b", "a-b"), ("Q1", "Q1"), ("a.b", "a.b")],
)
def test_plain_names(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_artists_of_a_csv_beside_the_folders_are_read(lay: Lay) -> None:
    root = lay(
        lambda clip, quadrant: f"{quadrant}/{clip}.mp3",
        table="metadata.csv",
        columns=("Song", "Artist"),
    )
    assert load_dataset("folder", root).artists == tuple(f"By {clip[-1]}" for clip in LABELS)
    (root / "metadata.csv").write_text("a,b\n1,2\n")
    reading = read_dataset("folder", root)
    assert_whole(reading.clips)
    assert reading.warnings[0].startswith("not used: ")


@pytest.mark.parametrize(
    ("dataset", "wanted"),
    [
        ("folder", "neither subfolders Q1 to Q4 nor exactly one CSV of path and quadrant"),
        ("original-4qaed", f"neither {ANNOTATIONS} nor folders Q1 to Q4"),
        ("merge-complete", "no merge_audio_complete_metadata.csv"),
    ],
)
def test_what_was_looked_for_and_found_is_said(
    tmp_path: Path, write_sound: Callable[..., Path], dataset: str, wanted: str
) -> None:
    write_sound(tmp_path / "music" / "pop" / "a.mp3")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    with pytest.raises(DatasetError) as refused:
        load_dataset(dataset, tmp_path)
    assert wanted in str(refused.value)
    assert str(refused.value).endswith(
        "found are the folders music; the CSV files a.csv, b.csv; audio files in music/pop (1)"
    )
