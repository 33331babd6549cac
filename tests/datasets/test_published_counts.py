"""The counts of published datasets, on generated copies of their layouts."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mer_mlflow.crossval.splits import split_plan
from mer_mlflow.datasets import QUADRANTS, read_dataset
from mer_mlflow.errors import DatasetError

EMOPIA_PARTS = {"train": 767, "val": 198, "test": 86}
EMOPIA_QUADRANTS = (239, 261, 244, 307)
N_SONGS = 385
SIGNS = {0: (1, 1), 1: (-1, 1), 2: (-1, -1), 3: (1, -1)}


def song(number):
    """A YouTube id, which may begin with or contain - and _."""
    return f"-_{number:09d}" if number % 7 == 0 else f"ab{number:07d}-_"


@pytest.fixture(scope="module")
def emopia(tmp_path_factory, write_csv):
    """The public partition: 1051 clips of 385 songs, no song in two parts."""
    labels = [q for q, count in enumerate(EMOPIA_QUADRANTS) for _ in range(count)]
    labels = np.random.default_rng(0).permutation(labels)
    root = tmp_path_factory.mktemp("emopia")
    starts = np.cumsum([0, *EMOPIA_PARTS.values()])
    songs = np.cumsum([0, 281, 72, 32])
    rows = []
    for i, part in enumerate(EMOPIA_PARTS):
        own = range(songs[i], songs[i + 1])
        pairs = zip(labels[starts[i] : starts[i + 1]], itertools.cycle(own), strict=False)
        kept = [(f"Q{q + 1}_{song(s)}_{k}", f"Q{q + 1}") for k, (q, s) in enumerate(pairs)]
        write_csv(root / "split" / f"{part}.csv", ("fname", "label"), *kept)
        rows += [(name, label[1], "someone") for name, label in kept]
    write_csv(root / "label.csv", ("ID", "4Q", "annotator"), *rows)
    return root


def test_emopia_has_the_clips_and_songs_of_the_public_partition(emopia):
    reading = read_dataset("emopia", emopia)
    clips = reading.clips
    assert reading.errors == reading.warnings == ()
    assert tuple(clips.counts.values()) == EMOPIA_QUADRANTS
    assert Counter(clips.fixed_splits["published"]) == {"train": 767, "validate": 198, "test": 86}
    assert len(set(clips.artists)) == N_SONGS


@pytest.mark.parametrize("protocol", ["grouped", "fixed-published"])
def test_no_song_of_emopia_is_on_two_sides(emopia, protocol):
    clips = read_dataset("emopia", emopia).clips
    for split in split_plan(clips, protocol=protocol, n_splits=4, n_repeats=1).splits:
        sides = ({clips.artists[i] for i in side} for side in (split.train, split.test))
        assert set.isdisjoint(*sides)


def test_emopia_without_tables_is_read_by_its_file_names(tmp_path):
    for name in ("Q1_-_a45678901_0.wav", "Q3_-_a45678901_12.mp3", "holiday.mp3"):
        (tmp_path / name).write_text(name)
    reading = read_dataset("emopia", tmp_path)
    clips = reading.clips
    assert reading.warnings == ("1 audio files have no label and are not used: holiday",)
    assert clips.ids == ("Q1_-_a45678901_0", "Q3_-_a45678901_12")
    assert clips.quadrants.tolist() == [0, 2]
    assert clips.artists == ("-_a45678901",) * 2


def test_audio_that_is_missing_or_named_after_another_quadrant_is_counted(tmp_path, write_csv):
    (tmp_path / "Q1_-_a45678901_0.wav").write_text("sound")
    rows = (("Q1_-_a45678901_0", 2), ("Q4_-_a45678901_1", 4))
    write_csv(tmp_path / "label.csv", ("ID", "4Q"), *rows)
    reading = read_dataset("emopia", tmp_path)
    assert reading.clips.quadrants.tolist() == [1]
    named, missing = reading.warnings
    assert "1 clips are not in the quadrant of their name: Q1_-_a45678901_0" in named
    assert missing.startswith("1 labelled clips have no audio file and are left out: Q4_-_a")


def test_emopia_says_what_it_looked_for_and_found(tmp_path):
    (tmp_path / "midis").mkdir()
    with pytest.raises(DatasetError, match=r"neither label\.csv nor .*found are the folders midis"):
        read_dataset("emopia", tmp_path)


def deam_rows(ids, rng):
    for number in ids:
        label = int(rng.integers(4))
        valence, arousal = (5 + sign * rng.uniform(0.1, 4) for sign in SIGNS[label])
        yield number, label, round(valence, 3), round(arousal, 3)


@pytest.fixture(scope="module")
def deam(tmp_path_factory, write_csv):
    """1744 and 58 songs, of which five lie on an axis."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("deam")
    level = root / "DEAM_Annotations/annotations/annotations_averaged_per_song/song_level"
    first = list(deam_rows(np.sort(rng.permutation(np.arange(2, 2001))[:1744]), rng))
    second = list(deam_rows(range(2001, 2059), rng))
    on_axis = {first[i][0] for i in range(5)}
    write_csv(
        level / "static_annotations_averaged_songs_1_2000.csv",
        ("song_id", " valence_mean", " valence_std", " arousal_mean", " arousal_std"),
        *((n, f" {5 if n in on_axis else v}", " 1", f" {a}", " 1") for n, _, v, a in first),
        newline="\r\n",
    )
    names = [f"valence_{end}" for end in ("mean", "std", "max", "x", "min", "y")]
    write_csv(
        level / "static_annotations_averaged_songs_2000_2058.csv",
        ("song_id", *names, "arousal_mean", " arousal std", "a", "b", "c", "d"),
        *((n, v, 1, 9, 1, 1, 1, a, 1, 9, 1, 1, 1) for n, _, v, a in second),
    )
    return root, {str(n): label for n, label, *_ in (*first, *second) if n not in on_axis}


def test_deam_has_the_songs_of_both_tables(deam):
    root, labels = deam
    reading = read_dataset("deam", root)
    assert dict(zip(reading.clips.ids, reading.clips.quadrants.tolist(), strict=True)) == labels
    assert len(reading.clips) == 1744 + 58 - 5
    (warning,) = reading.warnings
    assert "5 clips lie on an axis, in no quadrant, and are left out" in warning


def test_deam_with_one_table_says_so(deam, tmp_path):
    root, _ = deam
    name = "static_annotations_averaged_songs_2000_2058.csv"
    (tmp_path / name).write_bytes(next(root.rglob(name)).read_bytes())
    reading = read_dataset("deam", tmp_path)
    assert len(reading.clips) == 58
    assert any("no static_annotations_averaged_songs_1_2000.csv" in w for w in reading.warnings)


def test_metadata_that_cannot_be_read_is_a_warning(deam, tmp_path):
    root, _ = deam
    for path in root.rglob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "metadata_2014.csv").write_text('Id,Artist\n2,"A" B\n')
    reading = read_dataset("deam", tmp_path)
    assert len(reading.clips) == 1797
    assert any("not used" in warning and "metadata_2014" in warning for warning in reading.warnings)


@pytest.fixture(scope="module")
def pmemo(tmp_path_factory, write_csv):
    """794 clips with gaps in their ids, 767 of them with values."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("pmemo") / "PMEmo2019"
    ids = np.sort(rng.permutation(np.arange(1, 1001))[:794])
    (root / "chorus").mkdir(parents=True)
    for number in ids:
        (root / "chorus" / f"{number}.mp3").write_text(f"clip {number}")
    rows = [(n, 0.25 + 0.5 * (n % 2), 0.75) for n in np.sort(rng.permutation(ids)[:767])]
    write_csv(
        root / "annotations/static_annotations.csv",
        ("musicId", "Arousal(mean)", "Valence(mean)"),
        *rows,
    )
    spellings = ("Ed Sheeran", "ed  sheeran", "Ed Sheeran")
    write_csv(
        root / "metadata.csv",
        ("musicId", "fileName", "title", "artist"),
        *((n, f"{n}.mp3", f"Song {n}", spellings[n % 3]) for n in ids),
    )
    return root


def test_pmemo_counts_the_clips_without_values(pmemo):
    reading = read_dataset("pmemo", pmemo.parent)
    clips = reading.clips
    assert len(clips) == 767
    assert reading.warnings[0].startswith("27 audio files have no label and are not used")
    odd = np.array([int(clip) % 2 for clip in clips.ids])
    np.testing.assert_array_equal(clips.quadrants, np.where(odd, 0, 3))
    np.testing.assert_array_equal(clips.arousal, np.where(odd, 0.5, -0.5))
    assert set(clips.artists) == {"Ed Sheeran"}
    assert clips.titles[0] == f"Song {clips.ids[0]}"


def test_clips_with_the_same_audio_in_two_quadrants_are_left_out(pmemo, tmp_path):
    for path in pmemo.rglob("*.*"):
        copy = tmp_path / path.relative_to(pmemo)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    first, *others = (c for c in read_dataset("pmemo", pmemo).clips.ids if int(c) % 2)
    other = next(clip for clip in read_dataset("pmemo", pmemo).clips.ids if int(clip) % 2 == 0)
    content = (tmp_path / "chorus" / f"{first}.mp3").read_bytes()
    for copy in (others[0], other):
        (tmp_path / "chorus" / f"{copy}.mp3").write_bytes(content)
    reading = read_dataset("pmemo", tmp_path)
    assert len(reading.clips) == 764
    assert any(
        warning.startswith("3 clips have the audio of a clip in another quadrant")
        for warning in reading.warnings
    )


@pytest.fixture(scope="module")
def jamendo(tmp_path_factory, write_csv):
    """18486 tracks of 1533 artists with 59 tags, 17982 of them in each split."""
    rng = np.random.default_rng(0)
    known = [
        "happy",
        "energetic",
        "relaxing",
        "dark",
        "sad",
        "horror",
        "film",
        "space",
        "calm",
        "heavy",
    ]
    tags = known + [f"theme{i}" for i in range(49)]
    rows = []
    for i in range(18_486):
        own = [tags[i % 59], *(tags[j] for j in rng.integers(59, size=i % 3))]
        number = 200 + 7 * i
        place = f"{number % 100:02d}/{number}.mp3"
        chosen = (f"mood/theme---{tag}" for tag in dict.fromkeys(own))
        rows.append((f"track_{number:07d}", f"artist_{i % 1533:06d}", "album_1", place, 9, *chosen))
    header = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
    data = tmp_path_factory.mktemp("jamendo") / "data"
    write_csv(data / "autotagging_moodtheme.tsv", header, *rows, delimiter="\t")
    split = rows[:17_982]
    for number in range(2):
        for part, kept in (("train", split[:10_000]), ("validation", split[10_000:14_000])):
            file = data / f"splits/split-{number}" / f"autotagging_moodtheme-{part}.tsv"
            write_csv(file, header, *kept, delimiter="\t")
        file = data / f"splits/split-{number}" / "autotagging_moodtheme-test.tsv"
        write_csv(file, header, *split[14_000:], delimiter="\t")
    return data.parent, rows


def test_every_jamendo_track_is_in_a_quadrant_or_counted(jamendo):
    root, rows = jamendo
    reading = read_dataset("mtg-jamendo-mood", root)
    left_out = [int(warning.split(": ")[1].split()[0]) for warning in reading.warnings]
    assert len(left_out) == 3
    assert len(reading.clips) + sum(left_out) == len(rows) == 18_486
    assert len(set(reading.clips.artists)) <= 1533
    assert set(reading.clips.fixed_splits) == {"split-0", "split-1"}
    in_split = {row[0] for row in rows[:17_982]}
    parts = dict(zip(reading.clips.ids, reading.clips.fixed_splits["split-0"], strict=True))
    assert all((part is not None) == (clip in in_split) for clip, part in parts.items())


def test_tags_decide_the_quadrant(tmp_path, write_csv):
    tags = {
        "1": ("happy", "film", "energetic"),
        "2": ("dark", "heavy"),
        "3": ("dark", "slow"),
        "4": ("relaxing",),
        "5": ("happy", "sad"),
        "6": ("dark",),
        "7": ("film", "space"),
    }
    rows = (
        (clip, "a", "b", f"0{clip}/{clip}.mp3", 9, *(f"mood/theme---{tag}" for tag in own))
        for clip, own in tags.items()
    )
    header = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
    write_csv(tmp_path / "autotagging_moodtheme.tsv", header, *rows, delimiter="\t")
    reading = read_dataset("mtg-jamendo-mood", tmp_path)
    assert reading.clips.ids == ("1", "2", "3", "4")
    assert [QUADRANTS[label] for label in reading.clips.quadrants] == list(QUADRANTS)
    assert [warning.rpartition(": ")[2] for warning in reading.warnings] == ["5", "7", "6"]


@pytest.mark.parametrize(("version", "n_clips"), [("complete", 3554), ("balanced", 3232)])
def test_merge_has_as_many_clips_as_published(tmp_path, write_csv, version, n_clips):
    folder = tmp_path / f"MERGE_Audio_{version.capitalize()}"
    ids = [f"A{i:04d}" for i in range(n_clips)]
    rows = ((clip, QUADRANTS[i % 4], "An artist", "A title") for i, clip in enumerate(ids))
    metadata = folder / f"merge_audio_{version}_metadata.csv"
    write_csv(metadata, ("Song", "Quadrant", "Artist", "Title"), *rows)
    (folder / "Q1").mkdir()
    values = ((clip, 0.25, 0.75) for clip in ids)
    table = folder / f"merge_audio_{version}_av_values.csv"
    write_csv(table, ("Song", "Arousal", "Valence"), *values)
    clips = read_dataset(f"merge-{version}", tmp_path).clips
    assert len(clips) == n_clips
    assert set(clips.arousal) == {-0.5}
    assert set(clips.valence) == {0.5}


def test_clips_that_contradict_each_other_alone_are_no_dataset(tmp_path):
    for name in ("Q1_-_a45678901_0.wav", "Q3_-_a45678901_12.wav"):
        (tmp_path / name).write_text("the same sound")
    with pytest.raises(DatasetError, match="every clip has the audio of a clip in another"):
        read_dataset("emopia", tmp_path)
