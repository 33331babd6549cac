"""Original-4QAED as it circulates: every known quirk of its copies."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.checks import check_columns
from mer_mlflow.datasets import QUADRANTS, Clips, load_dataset, read_dataset
from mer_mlflow.datasets.fourqaed import top_100
from mer_mlflow.errors import DatasetError

LABELS = {
    "MT0000004637": "Q1",
    "MT0000011357": "Q2",
    "MT0000040632": "Q3",
    "MT0000044741": "Q4",
    "MT0000091267": "Q4",
}
ARTISTS = ("Björk", "Beyoncé", "Sigur Rós", "Mötley Crüe", "Earth, Wind & Fire")
FIRST = min(LABELS)


class Layout:
    """Paths of one copy of the dataset."""

    def __init__(self, root):
        self.root = root
        self.archive = root / "MER_audio_taffc_dataset"
        self.annotations = self.archive / "panda_dataset_taffc_annotations.csv"
        self.metadata = self.archive / "panda_dataset_taffc_metadata.csv"
        self.top100 = root / "Features - Audio MER" / "top100_features.csv"

    def audio(self, clip):
        return self.archive / LABELS[clip] / f"{clip}.mp3"

    def load(self) -> Clips:
        return load_dataset("original-4qaed", self.root, on_warning=lambda words: None)

    def read(self):
        return read_dataset("original-4qaed", self.root)


@pytest.fixture(scope="session")
def write_layout(write_sound, write_csv):
    def write(root, *, audio=True, features=True, id_column="Song", **style) -> Layout:
        copy = Layout(root)
        for i, clip in enumerate(LABELS if audio else ()):
            write_sound(copy.audio(clip), 200.0 + 100 * i)
        write_csv(copy.annotations, (id_column, "Quadrant"), *LABELS.items(), **style)
        rows = zip(LABELS, ARTISTS, LABELS.values(), strict=True)
        write_csv(
            copy.metadata,
            (id_column, "Artist", "Quadrant", "Genres", "GenresStr"),
            *((clip, artist, q, 2, "Pop; Rock") for clip, artist, q in rows),
            **style,
        )
        if features:
            write_csv(
                copy.top100,
                (id_column, "F0525", "F1152", "Quadrant"),
                *((clip, i, 0.5 * i, q) for i, (clip, q) in enumerate(LABELS.items())),
                **style,
            )
        return copy

    return write


@pytest.fixture
def copy(write_layout, tmp_path) -> Layout:
    return write_layout(tmp_path / "4QAED")


def is_whole(clips: Clips) -> bool:
    values = clips.feature_values("top100")
    return (
        {c: QUADRANTS[q] for c, q in zip(clips.ids, clips.quadrants, strict=True)} == LABELS
        and clips.artists == ARTISTS
        and clips.features["top100"].names == ("F0525", "F1152")
        and np.array_equal(values[:, 0], range(len(LABELS)))
    )


def test_published_layout(copy):
    reading = copy.read()
    assert is_whole(reading.clips)
    assert reading.errors == reading.warnings == ()
    assert list(reading.clips.audio_files()) == [copy.audio(clip) for clip in LABELS]
    assert set(reading.encodings) == {copy.annotations.name, copy.metadata.name, copy.top100.name}


@pytest.mark.parametrize("id_column", ["Song", "SongID", "IDSong"])
def test_id_columns(write_layout, tmp_path, id_column):
    assert is_whole(write_layout(tmp_path / "4QAED", id_column=id_column).load())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encodings_delimiters_and_line_endings(
    write_layout, tmp_path, encoding, delimiter, newline
):
    copy = write_layout(
        tmp_path / "4QAED", encoding=encoding, delimiter=delimiter, newline=newline, audio=False
    )
    reading = copy.read()
    assert is_whole(reading.clips)
    assert reading.encodings[copy.metadata.name] == encoding.removesuffix("-sig")


def test_features_without_audio(write_layout, tmp_path):
    copy = write_layout(tmp_path / "4QAED", audio=False)
    assert is_whole(copy.load())
    assert copy.read().warnings == (), "a feature-only copy is a normal one"
    with pytest.raises(DatasetError, match=rf"5 of 5 clips have no audio file \({FIRST}"):
        copy.load().audio_files()


def test_audio_without_features(write_layout, tmp_path):
    clips = write_layout(tmp_path / "4QAED", features=False).load()
    assert len(clips.audio_files()) == len(LABELS)
    with pytest.raises(DatasetError, match=r"no feature table 'top100' \(tables: none\)"):
        clips.feature_values("top100")


def test_data_root_may_be_the_archive_itself(copy):
    assert is_whole(load_dataset("original-4qaed", copy.archive))
    assert load_dataset("original-4qaed", copy.archive).digest == copy.load().digest


def test_data_root_may_be_relative(copy, monkeypatch):
    monkeypatch.chdir(copy.archive)
    assert is_whole(load_dataset("original-4qaed", "."))


def test_folders_are_the_labels_without_annotations(copy):
    copy.annotations.unlink()
    copy.metadata.unlink()
    clips = copy.load()
    assert [QUADRANTS[label] for label in clips.quadrants] == list(LABELS.values())
    assert set(clips.artists) == {None}


def test_label_that_contradicts_the_folder_names_the_clip(copy):
    copy.annotations.write_text(copy.annotations.read_text().replace(f"{FIRST},Q1", f"{FIRST},Q2"))
    with pytest.raises(DatasetError, match=f"clip {FIRST} is labelled Q2 but lies in .*Q1"):
        copy.load()


def test_clip_in_two_folders_is_named(copy, write_sound):
    write_sound(copy.archive / "Q3" / f"{FIRST}.mp3")
    with pytest.raises(DatasetError, match=f"clip {FIRST} is in two quadrants: .*Q1.*Q3"):
        copy.load()


def test_clip_in_two_folders_is_named_without_annotations(copy, write_sound):
    copy.annotations.unlink()
    write_sound(copy.archive / "Q3" / f"{FIRST}.mp3")
    with pytest.raises(DatasetError, match=f"clip {FIRST} is in two quadrants"):
        copy.load()


def test_clip_with_two_files_in_one_folder_is_named(copy, write_sound):
    write_sound(copy.audio(FIRST).with_suffix(".wav"))
    with pytest.raises(DatasetError, match=f"clip {FIRST} has two files"):
        copy.load()


def test_clip_with_two_labels_is_named(copy):
    with copy.annotations.open("a") as file:
        file.write(f"{FIRST},Q4\n")
    with pytest.raises(DatasetError, match=f"clip {FIRST} is in two quadrants, Q1 and Q4"):
        copy.load()


def test_unknown_quadrant_names_file_and_line(copy):
    copy.annotations.write_text(copy.annotations.read_text().replace("Q2", "Q7"))
    with pytest.raises(DatasetError, match=r"annotations\.csv, line 3: unknown quadrant 'Q7'"):
        copy.load()


@pytest.mark.parametrize("file", ["annotations", "metadata", "top100"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"Title,Artist\nA,B\n", "no column Song or SongID or IDSong"),
        (b"Song,Quadrant,Artist\nMT1,Q1\n", "line 2: 2 cells where the header has 3"),
        (b"\x7fELF\0\0\0", "not a text file"),
    ],
    ids=["empty", "column", "ragged", "binary"],
)
def test_broken_csv_is_named(copy, file, content, message):
    path = getattr(copy, file)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{re.escape(str(path))}.*{message}"):
        copy.load()


def test_missing_quadrant_column_is_named(copy):
    copy.annotations.write_text(copy.annotations.read_text().replace("Quadrant", "Mood"))
    with pytest.raises(DatasetError, match=r"annotations\.csv: no column Quadrant"):
        copy.load()


def test_metadata_without_artists_is_enough(copy):
    copy.metadata.write_text(f"Song,Title\n{FIRST},A title\n")
    clips = copy.load()
    assert set(clips.artists) == {None}
    titles = dict(zip(clips.ids, clips.titles, strict=True))
    assert titles.pop(FIRST) == "A title"
    assert set(titles.values()) == {None}


def test_metadata_without_titles_is_enough(copy):
    copy.metadata.write_text(f"Song,Artist\n{FIRST},Ann\n")
    clips = copy.load()
    assert clips.titles == ()
    assert set(clips.artists) == {None, "Ann"}


def test_file_without_a_label_is_a_warning(copy, write_sound):
    write_sound(copy.archive / "Q1" / "MT9.mp3", 1500.0)
    (copy.archive / "Q1" / "._MT8.mp3").write_bytes(b"\0")
    (copy.archive / "Q1" / "Thumbs.db").write_bytes(b"\0")
    (copy.archive / "Q1" / "MT7.aac").write_bytes(b"\0")
    (copy.archive / "Q2" / "more").mkdir()
    assert is_whole(copy.load())
    assert copy.read().warnings == (
        "2 entries are ignored: Q1/MT7.aac, Q2/more",
        "1 audio files have no label and are not used: MT9",
    )


def test_missing_file_is_a_warning_until_audio_is_asked_for(copy):
    copy.audio(FIRST).unlink()
    assert copy.read().warnings == (f"1 clips have no audio file: {FIRST}",)
    assert is_whole(copy.load())
    with pytest.raises(DatasetError, match=rf"1 of 5 clips have no audio file \({FIRST}\)"):
        copy.load().audio_files()


def test_same_audio_with_two_labels_is_an_error(copy):
    first, second = list(LABELS)[:2]
    assert LABELS[first] != LABELS[second]
    copy.audio(second).write_bytes(copy.audio(first).read_bytes())
    assert copy.read().warnings == (f"clips with the same audio: {first}, {second}",)
    with pytest.raises(DatasetError, match=f"have different labels: {first}, {second}"):
        copy.load()


def test_same_audio_under_two_ids_is_a_warning(copy):
    (one, other) = sorted(clip for clip in LABELS if LABELS[clip] == "Q4")
    copy.audio(other).write_bytes(copy.audio(one).read_bytes())
    assert copy.read().warnings == (f"clips with the same audio: {one}, {other}",)
    assert is_whole(copy.load())


def test_warnings_reach_whoever_loads(copy):
    copy.audio(FIRST).unlink()
    with pytest.warns(UserWarning, match="1 clips have no audio file"):
        load_dataset("original-4qaed", copy.archive.parent)


def test_missing_feature_row_is_a_warning_until_features_are_asked_for(copy):
    lines = copy.top100.read_text().splitlines(keepends=True)
    copy.top100.write_text("".join(line for line in lines if FIRST not in line))
    assert copy.read().warnings == (f"1 clips have no complete row in 'top100': {FIRST}",)
    with pytest.raises(DatasetError, match=rf"no complete row for 1 clips \({FIRST}\)"):
        copy.load().feature_values("top100")


@pytest.fixture(scope="module")
def shared_copy(write_layout, tmp_path_factory):
    copy = write_layout(tmp_path_factory.mktemp("damaged") / "4QAED", audio=False)
    paths = (copy.annotations, copy.metadata, copy.top100)
    return copy, {path: path.read_bytes() for path in paths}


@settings(deadline=None, max_examples=100)
@given(
    which=st.integers(0, 2),
    start=st.integers(0, 200),
    removed=st.integers(0, 10),
    inserted=st.binary(max_size=3) | st.text('",;\r\nQ19é', max_size=3).map(str.encode),
)
def test_damaged_csv_gives_clips_or_a_dataset_error(shared_copy, which, start, removed, inserted):
    copy, contents = shared_copy
    damaged, content = list(contents.items())[which]
    for path in contents:
        path.write_bytes(contents[path])
    damaged.write_bytes(content[:start] + inserted + content[start + removed :])
    try:
        clips = copy.load()
    except DatasetError as error:
        assert str(error)
    else:
        assert set(clips.quadrants) <= {0, 1, 2, 3}


def test_real_sample_of_200_clips(real_data):
    reading = read_dataset("original-4qaed", real_data / "4qaed-200")
    assert reading.errors == reading.warnings == ()
    assert reading.clips.counts == dict.fromkeys(QUADRANTS, 50)
    assert len(reading.clips.audio_files()) == 200
    assert reading.clips.feature_values("top100").shape == (200, 100)


def test_real_features_of_900_clips(real_data):
    clips = load_dataset("original-4qaed", real_data / "4qaed-features")
    assert clips.counts == dict.fromkeys(QUADRANTS, 225)
    assert clips.features["top100"].names[:2] == ("F0525", "F1152")
    assert np.isfinite(clips.feature_values("top100")).all()
    repeated = {artist for artist in clips.artists if clips.artists.count(artist) > 1}
    assert len(repeated - {None}) == 129


def test_archive_goes_before_other_folders_of_quadrants(tmp_path, write_csv, write_sound):
    for folder in ("A_Other_Dataset", "MER_audio_taffc_dataset"):
        write_sound(tmp_path / folder / "Q1" / "MT01.wav")
    write_csv(
        tmp_path / "MER_audio_taffc_dataset" / "panda_dataset_taffc_annotations.csv",
        ("Song", "Quadrant"),
        ("MT01", "Q1"),
    )
    (path,) = load_dataset("original-4qaed", tmp_path).audio_files()
    assert path.parts[-3] == "MER_audio_taffc_dataset"


def test_row_without_an_id_is_named(tmp_path, write_csv):
    write_csv(
        tmp_path / "panda_dataset_taffc_annotations.csv",
        ("Song", "Quadrant"),
        ("MT01", "Q1"),
        ("", "Q2"),
    )
    with pytest.raises(DatasetError, match="line 3: a row without a clip id"):
        load_dataset("original-4qaed", tmp_path)


def test_all_features_are_those_that_the_ranking_names(copy, write_csv):
    folder = copy.top100.parent
    write_csv(
        folder / "all_features.csv",
        ("IDSong", "F0001", "F0002", "F0003"),
        *((clip, i, 10 * i, 100 * i) for i, clip in enumerate(LABELS)),
    )
    assert copy.load().features["all"].names == ("F0001", "F0002", "F0003")
    ranking = copy.root / "relieff_ranking_1714.csv"
    write_csv(ranking, ("rank", "feature", "relieff"), (1, "F0003", 0.2), (2, "F0001", 0.1))
    table = copy.load().features["all"]
    assert table.names == ("F0003", "F0001")
    np.testing.assert_array_equal(table.values[1], [100, 1])
    assert copy.read().warnings == ()


def test_ranked_features_that_the_table_lacks_are_named(copy, write_csv):
    write_csv(
        copy.top100.parent / "all_features.csv", ("Song", "F1"), *((clip, 1) for clip in LABELS)
    )
    ranking = copy.root / "relieff_ranking_1714.csv"
    write_csv(ranking, ("rank", "feature"), (1, "F2"), (2, "F1"))
    table = copy.load().features["all"]
    assert (table.names, table.missing, table.unpublished) == (("F1",), ("F2",), ())
    assert table.values.shape == (len(LABELS), 1)
    write_csv(ranking, ("rank", "feature"), (1, "F2"))
    with pytest.raises(DatasetError, match="names none of the features"):
        copy.read()


def write_top_100(copy, write_csv, names) -> None:
    values = {name: i for i, name in enumerate(sorted(names))}
    rows = [(clip, *(10 * row + values[name] for name in names)) for row, clip in enumerate(LABELS)]
    write_csv(copy.top100, ("SongID", *names), *rows)


def test_published_columns_are_known(copy, write_csv):
    write_top_100(copy, write_csv, top_100())
    table = copy.load().features["top100"]
    assert len(top_100()) == len(set(top_100())) == 100
    assert (table.names, table.unpublished, table.missing) == (top_100(), (), ())


def test_order_of_the_published_columns_does_not_matter(copy, write_csv):
    write_top_100(copy, write_csv, top_100())
    clips = copy.load()
    write_top_100(copy, write_csv, (*top_100()[50:], *reversed(top_100()[:50])))
    shuffled = copy.load()
    assert shuffled.features["top100"].names == top_100()
    assert shuffled.digest == clips.digest


def test_columns_that_differ_from_the_published_ones_are_named(copy, write_csv):
    write_top_100(copy, write_csv, ("", *top_100()[:7], "label", *top_100()[8:]))
    table = copy.load().features["top100"]
    assert table.unpublished == ("", "label")
    assert table.missing == (top_100()[7],)
    assert table.names == (*top_100()[:7], *top_100()[8:], "", "label")
    taken = copy.load().take(np.array([0, 1])).features["top100"]
    assert (taken.unpublished, taken.missing) == (table.unpublished, table.missing)


def test_columns_of_the_new_dataset_are_not_known(copy, write_csv):
    write_top_100(copy, write_csv, ("label", *top_100()[1:]))
    table = load_dataset("new-4qaed-c", copy.root).features["top100"]
    assert (table.names, table.unpublished, table.missing) == (("label", *top_100()[1:]), (), ())


def test_all_features_are_compared_with_their_descriptions(copy, write_csv):
    folder = copy.top100.parent
    names = ("F0002", "ORIGINAL-VAT-Creaky Voice", "Arousal", "F0001")
    write_csv(
        folder / "all_features.csv",
        ("Song", *names),
        *((clip, i, i, i, i) for i, clip in enumerate(LABELS)),
    )
    assert copy.load().features["all"].unpublished == ()
    write_csv(
        folder / "features.csv", ("Feature", "Name"), *((f"F000{i}", "a") for i in range(1, 4))
    )
    table = copy.load().features["all"]
    assert (table.names, table.unpublished, table.missing) == (names, ("Arousal",), ())


def test_real_tables_have_the_published_columns(real_data):
    for folder in ("4qaed-200", "4qaed-features"):
        clips = load_dataset("original-4qaed", real_data / folder)
        assert clips.features["top100"].names == top_100()
        assert check_columns(clips, clips.features) == ()
