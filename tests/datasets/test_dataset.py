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
from mer_mlflow.datasets.demo import SHIFTED, SHIFTED_VERSION, VERSION
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

NUMBERS = {clip: 2 + 97 * i for i, clip in enumerate(LABELS)}
SONGS = {clip: f"-{clip:_<10}"[:11] for clip in ("A001", "A061-66", "A062")}
SONGS |= {clip: f"_{clip[-10:]}" for clip in LABELS if clip not in SONGS}
VALUES = {"Q1": (1, 1), "Q2": (-1, 1), "Q3": (-1, -1), "Q4": (1, -1)}
"""Signs of valence and arousal."""
TAGS = {
    "Q1": ("happy", "film"),
    "Q2": ("dark", "heavy"),
    "Q3": ("sad",),
    "Q4": ("relaxing", "slow"),
}

needs_root = pytest.mark.parametrize(
    "name", [name for name in dataset_names() if get_dataset(name).needs_root]
)


def hz(clip):
    """A frequency of the clip's own, so that every file differs."""
    return 200.0 + 50 * sorted(LABELS).index(clip)


def artist(clip):
    return f"Artist of {clip}, Jr."


def published(name, clip, labels=LABELS):
    """Id and artist of a clip in a dataset, and name of its file."""
    number = NUMBERS[clip]
    if name == "emopia":
        named = f"{labels[clip]}_{SONGS[clip]}_31"
        return named, SONGS[clip], named
    if name in ("deam", "pmemo"):
        return str(number), artist(clip), str(number)
    if name == "mtg-jamendo-mood":
        return f"track_{number:07d}", f"artist_{number:06d}", f"{number}.low"
    return clip, artist(clip), clip


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

    def demo(root, labels, folder):
        sounds(root / folder, labels, ".flac")
        rows = ((clip, artist(clip), quadrant) for clip, quadrant in labels.items())
        write_csv(root / folder / "annotations.csv", ("Song", "Artist", "Quadrant"), *rows)

    def emopia(root, labels, feature):
        names = {clip: published("emopia", clip, labels)[0] for clip in labels}
        for clip, name in names.items():
            write_sound(root / "mine" / f"{name}.wav", hz(clip))
        rows = ((names[clip], quadrant[1], "annotator") for clip, quadrant in labels.items())
        write_csv(root / "EMOPIA_2.2" / "label.csv", ("ID", "4Q", "annotator"), *rows)
        for i, part in enumerate(("train", "val", "test")):
            kept = [(names[clip], labels[clip]) for clip in sorted(labels)[i::3]]
            write_csv(root / "dataset/split" / f"{part}.csv", ("fname", "label"), *kept)

    def on_scale(quadrant, low, high):
        return ((low + high) / 2 + sign * (high - low) / 4 for sign in VALUES[quadrant])

    def deam(root, labels, feature):
        for clip in labels:
            write_sound(root / "DEAM_audio/MEMD_audio" / f"{NUMBERS[clip]}.mp3", hz(clip))
        level = root / "annotations/annotations averaged per song/song_level"
        pairs = [(NUMBERS[clip], *on_scale(q, 1, 9)) for clip, q in labels.items()]
        write_csv(
            level / "static_annotations_averaged_songs_1_2000.csv",
            ("song_id", " valence_mean", " valence_std", " arousal_mean", " arousal_std"),
            *((number, f" {v}", " 1.2", f" {a} ", " 0.9") for number, v, a in pairs[:4]),
            newline="\r\n",
        )
        deviations = [f"{kind}_{end}" for kind in ("max", "min") for end in ("mean", "std")]
        columns = [
            f"{name}_{end}"
            for name in ("valence", "arousal")
            for end in ("mean", "std", *deviations)
        ]
        write_csv(
            level / "static_annotations_averaged_songs_2000_2058.csv",
            ("song_id", *columns[:6], " arousal_ mean", *columns[7:]),
            *((number, v, 1, 9, 0, 1, 0, a, 1, 9, 0, 1, 0) for number, v, a in pairs[4:]),
        )
        numbers = [(NUMBERS[clip], artist(clip)) for clip in labels]
        write_csv(
            root / "metadata/metadata_2013.csv",
            ("song_id", "file_name", "Artist", "Song title", "start", "end", "Genre"),
            *(
                (n, f"{n}.mp3", f"\t{name}\t", "A title\t", 1.3, 2.1, "Pop")
                for n, name in numbers[:2]
            ),
        )
        write_csv(
            root / "metadata/metadata_2014.csv",
            ("Id", "Artist", "Album", "Track", "Genre", "start", "end", "labels"),
            *((n, name, "", "A title", "Pop", 0, 45, *"abc") for n, name in numbers[2:4]),
        )
        write_csv(
            root / "metadata/metadata_2015.csv",
            ("id", "Filename", "title", "artist", "album", "genre"),
            *((n, f"{n}.mp3", "A title", name, "", "Pop") for n, name in numbers[4:]),
        )

    def pmemo(root, labels, feature):
        folder = root / "PMEmo2019"
        for clip in labels:
            write_sound(folder / "Chorus" / f"{NUMBERS[clip]}.mp3", hz(clip))
        pairs = [(NUMBERS[clip], *on_scale(q, 0, 1)) for clip, q in labels.items()]
        write_csv(
            folder / "annotations/static_annotations.csv",
            ("musicId", "Arousal(mean)", "Valence(mean)"),
            *((number, a, v) for number, v, a in pairs),
        )
        write_csv(
            folder / "metadata.csv",
            ("musicId", "fileName", "title", "artist", "album"),
            *((NUMBERS[c], f"{NUMBERS[c]}.mp3", "A title", artist(c), "") for c in labels),
        )

    def jamendo(root, labels, feature):
        rows = []
        for clip, quadrant in labels.items():
            track, person, file = published("mtg-jamendo-mood", clip)
            folder = f"{NUMBERS[clip] % 100:02d}"
            write_sound(root / "audio-low" / folder / f"{file}.mp3", hz(clip))
            tags = (f"mood/theme---{tag}" for tag in TAGS[quadrant])
            place = f"{folder}/{NUMBERS[clip]}.mp3"
            rows.append((track, person, "album_000001", place, 212.7, *tags))
        header = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
        data = root / "metadata" / "data"
        write_csv(data / "autotagging_moodtheme.tsv", header, *rows, delimiter="\t")
        for i, part in enumerate(("train", "validation", "test")):
            file = data / "splits/split-0" / f"autotagging_moodtheme-{part}.tsv"
            write_csv(file, header, *rows[i::3], delimiter="\t")

    return {
        "original-4qaed": original_4qaed,
        "new-4qaed-c": new_4qaed_c,
        "new-4qaed-b": new_4qaed_b,
        "merge-complete": lambda root, labels, feature: merge(root, labels, "complete"),
        "merge-balanced": lambda root, labels, feature: merge(root, labels, "balanced"),
        "folder": folder,
        "demo": lambda root, labels, feature: demo(root, labels, f"demo-{VERSION}"),
        SHIFTED: lambda root, labels, feature: demo(root, labels, f"{SHIFTED}-{SHIFTED_VERSION}"),
        "emopia": emopia,
        "deam": deam,
        "pmemo": pmemo,
        "mtg-jamendo-mood": jamendo,
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
    originals = {published(name, clip)[0]: clip for clip in LABELS}
    found = [originals[clip.removeprefix("sounds/")] for clip in clips.ids]
    assert list(clips.ids) == sorted(set(clips.ids))
    assert sorted(found) == sorted(LABELS)
    assert [QUADRANTS[label] for label in clips.quadrants] == [LABELS[clip] for clip in found]
    stems = [path.stem for path in clips.audio_files()]
    assert stems == [published(name, clip)[2] for clip in found]
    assert len(set(clips.audio_hashes)) == len(found)
    if any(clips.artists):
        assert list(clips.artists) == [published(name, clip)[1] for clip in found]
    assert clips.name == name
    assert clips.counts == {"Q1": 2, "Q2": 1, "Q3": 2, "Q4": 1}


def test_values_are_in_the_quadrants(name, build, load):
    clips = load(name, build(name))
    assert (clips.arousal is None) == (name not in ("deam", "pmemo"))
    if clips.arousal is not None:
        signs = [VALUES[QUADRANTS[label]] for label in clips.quadrants]
        np.testing.assert_array_equal(
            np.stack([clips.valence, clips.arousal], axis=1), np.array(signs) / 2
        )


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
    values = [each for each in (clips.arousal, clips.valence) if each is not None]
    arrays = [clips.quadrants, *values, *(table.values for table in clips.features.values())]
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
