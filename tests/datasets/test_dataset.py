"""The contract of every registered dataset, held against a tiny sample in its real layout."""

import shutil
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from mer_mlflow.datasets import (
    QUADRANTS,
    Clips,
    dataset_names,
    get_dataset,
    load_dataset,
    read_dataset,
)
from mer_mlflow.datasets.demo import VERSION
from mer_mlflow.datasets.layout import AUDIO_SUFFIXES
from mer_mlflow.errors import DatasetError, ParameterError

LABELS = {
    "MT0000004637": "Q3",
    "MT0000011357": "Q2",
    "A001": "Q1",
    "A061-66": "Q4",
    "A062": "Q1",
    "MT0000040632": "Q3",
}
MERGE_COLUMNS = ("Song", "Quadrant", "Artist", "Title", "Moods", "Genres", "num_Genres")

needs_root = pytest.mark.parametrize(
    "name", [name for name in dataset_names() if get_dataset(name).needs_root]
)


def hz(clip):
    """A frequency of the clip's own, so that every file differs."""
    return 200.0 + 50 * sorted(LABELS).index(clip)


def artist(clip):
    return f"Artist of {clip}, Jr."


def feature_rows(labels, feature):
    yield ("SongID", "F0525", "F1152", "Quadrant")
    for i, (clip, quadrant) in enumerate(labels.items()):
        yield (clip, feature + i, -0.5 * i, quadrant)


@pytest.fixture
def builders(write_sound, write_csv):
    def sounds(folder, labels, suffix):
        for clip, quadrant in labels.items():
            write_sound(folder / quadrant / f"{clip}{suffix}", hz(clip))

    def original_4qaed(root, labels, feature):
        audio = root / "MER_audio_taffc_dataset"
        sounds(audio, labels, ".mp3")
        write_csv(
            audio / "panda_dataset_taffc_annotations.csv", ("Song", "Quadrant"), *labels.items()
        )
        write_csv(
            audio / "panda_dataset_taffc_metadata.csv",
            ("Song", "Artist", "Title", "Quadrant", "GenresStr"),
            *((clip, artist(clip), "A title", q, "Pop; Rock") for clip, q in labels.items()),
        )
        write_csv(
            root / "Features - Audio MER" / "top100_features.csv", *feature_rows(labels, feature)
        )

    def new_4qaed_c(root, labels, feature):
        sounds(root, labels, ".mp3")
        write_csv(
            root / "annotations.csv",
            ("Song", "Quadrant"),
            *labels.items(),
            newline="\r\n",
        )
        write_csv(root / "all_features.csv", *feature_rows(labels, feature))

    def new_4qaed_b(root, labels, feature):
        sounds(root, labels, ".wav")

    def merge(root, labels, version):
        folder = root / f"MERGE_Audio_{version.capitalize()}"
        sounds(folder, labels, ".mp3")
        write_csv(
            folder / f"merge_audio_{version}_metadata.csv",
            MERGE_COLUMNS,
            *(
                (clip, q, artist(clip), "A title", "Fiery,Rousing", "Pop/Rock,Jazz", 2)
                for clip, q in labels.items()
            ),
        )

    def folder(root, labels, feature):
        for clip in labels:
            write_sound(root / "sounds" / f"{clip}.flac", hz(clip))
        rows = ((f"sounds/{clip}.flac", q, artist(clip)) for clip, q in labels.items())
        write_csv(root / "clips.csv", ("path", "quadrant", "artist"), *rows)

    def demo(root, labels, feature):
        sounds(root / f"demo-{VERSION}", labels, ".flac")
        rows = ((clip, artist(clip), quadrant) for clip, quadrant in labels.items())
        write_csv(
            root / f"demo-{VERSION}" / "annotations.csv", ("Song", "Artist", "Quadrant"), *rows
        )

    return {
        "original-4qaed": original_4qaed,
        "new-4qaed-c": new_4qaed_c,
        "new-4qaed-b": new_4qaed_b,
        "merge-complete": lambda root, labels, feature: merge(root, labels, "complete"),
        "merge-balanced": lambda root, labels, feature: merge(root, labels, "balanced"),
        "folder": folder,
        "demo": demo,
    }


@pytest.fixture
def build(builders, tmp_path):
    def build(name, *, labels=LABELS, feature=0.25):
        root = tmp_path / f"sample-{len(list(tmp_path.iterdir()))}"
        builders[name](root, labels, feature)
        return root

    return build


@pytest.fixture
def load(monkeypatch):
    def load(name, root) -> Clips:
        monkeypatch.setenv("MER_CACHE_ROOT", str(root))  # where the demo lies
        return load_dataset(name, root if get_dataset(name).needs_root else None)

    return load


@pytest.fixture(params=dataset_names())
def name(request):
    return request.param


def test_every_dataset_has_a_sample_here(builders):
    assert set(builders) == set(dataset_names())


def test_declaration_is_complete(name):
    dataset = get_dataset(name)
    assert dataset.name == name
    assert dataset.title
    assert dataset.summary.endswith(".")
    assert dataset.licence or not dataset.citation
    if dataset.published_counts is not None:
        assert tuple(dataset.published_counts) == QUADRANTS


def test_sample_loads_with_its_labels(name, build, load):
    clips = load(name, build(name))
    ids = [clip.removeprefix("sounds/") for clip in clips.ids]
    assert list(clips.ids) == sorted(set(clips.ids))
    assert ids == sorted(LABELS)
    assert [QUADRANTS[label] for label in clips.quadrants] == [LABELS[clip] for clip in ids]
    assert [path.stem for path in clips.audio_files()] == ids
    assert len(set(clips.audio_hashes)) == len(ids)
    if any(clips.artists):
        assert list(clips.artists) == [artist(clip) for clip in ids]
    assert clips.name == name
    assert clips.counts == {"Q1": 2, "Q2": 1, "Q3": 2, "Q4": 1}


def test_digest_does_not_depend_on_where_the_files_lie(name, build, load, tmp_path):
    root = build(name)
    digest = load(name, root).digest
    shutil.copytree(root, tmp_path / "a copy" / "elsewhere")
    assert load(name, tmp_path / "a copy" / "elsewhere").digest == digest
    root.rename(tmp_path / "renamed")
    assert load(name, tmp_path / "renamed").digest == digest


def test_digest_changes_with_a_label(name, build, load):
    other = build(name, labels=LABELS | {"A001": "Q2"})
    assert load(name, build(name)).digest != load(name, other).digest


def test_digest_changes_with_the_audio(name, build, load, write_sound):
    root = build(name)
    digest = load(name, root).digest
    audio = next(path for path in sorted(root.rglob("*")) if path.suffix in AUDIO_SUFFIXES)
    write_sound(audio, 3000.0)
    assert load(name, root).digest != digest


def test_digest_changes_with_a_feature_value(name, build, load):
    clips, other = load(name, build(name)), load(name, build(name, feature=0.2500001))
    assert (clips.digest != other.digest) == bool(clips.features)


def test_clips_cannot_be_changed(name, build, load):
    clips = load(name, build(name))
    for field in fields(clips):
        with pytest.raises(FrozenInstanceError):
            setattr(clips, field.name, None)
    arrays = [clips.quadrants, *(table.values for table in clips.features.values())]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_take_keeps_rows_aligned(name, build, load):
    clips = load(name, build(name))
    kept = np.array([1, 3, 4])
    taken = clips.take(kept)
    assert taken.name == clips.name
    for column in ("ids", "audio", "audio_hashes", "artists"):
        assert getattr(taken, column) == tuple(getattr(clips, column)[i] for i in kept), column
    np.testing.assert_array_equal(taken.quadrants, clips.quadrants[kept])
    for table, features in clips.features.items():
        np.testing.assert_array_equal(taken.features[table].values, features.values[kept])
    for split, parts in clips.fixed_splits.items():
        assert taken.fixed_splits[split] == tuple(parts[i] for i in kept)


@needs_root
def test_empty_folder_is_named(name, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match=r"nothing: the folder is empty"):
        load_dataset(name, tmp_path / "nothing")


@needs_root
def test_folder_of_something_else_is_named(name, tmp_path):
    (tmp_path / "holiday" / "photos").mkdir(parents=True)
    with pytest.raises(DatasetError, match="holiday"):
        load_dataset(name, tmp_path / "holiday")


def test_data_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"data_root=.*gone: no such folder"):
        load_dataset("original-4qaed", tmp_path / "gone")


def test_data_root_that_is_not_given_is_asked_for():
    with pytest.raises(ParameterError, match="MER_DATA_ROOT"):
        load_dataset("merge-complete")


def test_data_root_comes_from_the_environment(build, monkeypatch):
    monkeypatch.setenv("MER_DATA_ROOT", str(build("new-4qaed-b")))
    assert len(load_dataset("new-4qaed-b")) == len(LABELS)


def test_file_as_data_root_is_refused(tmp_path, write_csv):
    archive = tmp_path / "archive.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(ParameterError, match="neither a folder nor a CSV"):
        load_dataset("folder", archive)
    with pytest.raises(ParameterError, match="a folder is expected"):
        load_dataset("original-4qaed", write_csv(tmp_path / "a.csv", ("Song", "Quadrant")))


def test_unknown_dataset_is_answered_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"dataset=nope: unknown; .*original-4qaed"):
        read_dataset("nope")
