import numpy as np
import pytest

from mer_mlflow.datasets import load_dataset
from mer_mlflow.errors import DatasetError

HEADER = (
    "Song,Quadrant,AllMusic Id,AllMusic Extraction Date,Artist,Title,Relevance,Year,LowestYear,"
    "Duration,Moods,MoodsAll,MoodsAllWeights,Genres,GenreWeights,Themes,ThemeWeights,Styles,"
    "StyleWeights,AppearancesTrackIDs,AppearancesAlbumIDs,Sample,SampleURL,ActualYear,num_Genres,"
    "num_MoodsAll"
)
PARTS = {
    "train": ("A001", "A061-66"),
    "validate": ("MT0000004637",),
    "test": ("MT0000011357",),
}
QUADRANT_OF = {"A001": "Q1", "A061-66": "Q2", "MT0000004637": "Q3", "MT0000011357": "Q4"}


def row(clip, quadrant, artist):
    return (
        f'{clip},{quadrant},mt1,2020-01-01,"{artist}",A title,1,1999,1999,30,'
        '"Fiery,Rousing","Fiery,Rousing","9,7","Pop/Rock,Jazz","10,3","Summer,Love","1,2",'
        '"Bop,Cool","3,4","MT1,MT2","MW1,MW2",1,http://x/y,1999,2,2'
    )


@pytest.fixture
def merge(tmp_path, write_sound, write_csv):
    folder = tmp_path / "MERGE_Audio_Balanced"
    for i, (clip, quadrant) in enumerate(QUADRANT_OF.items()):
        write_sound(folder / quadrant / f"{clip}.mp3", 200.0 + 100 * i)
    rows = [row(clip, quadrant, f"Band {clip}, The") for clip, quadrant in QUADRANT_OF.items()]
    metadata = folder / "merge_audio_balanced_metadata.csv"
    metadata.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    for split in ("70_15_15", "40_30_30"):
        for part, clips in PARTS.items():
            write_csv(
                folder / f"tvt_dataframes/tvt_{split}/tvt_{split}_{part}_audio_balanced.csv",
                ("Song", "Quadrant"),
                *((clip, QUADRANT_OF[clip]) for clip in clips),
            )
    return folder


def part_file(merge, part):
    return merge / f"tvt_dataframes/tvt_70_15_15/tvt_70_15_15_{part}_audio_balanced.csv"


def test_metadata_with_lists_in_its_cells(merge):
    clips = load_dataset("merge-balanced", merge)
    assert clips.ids == tuple(sorted(QUADRANT_OF))
    assert clips.quadrants.tolist() == [0, 1, 2, 3]
    assert clips.artists == tuple(f"Band {clip}, The" for clip in clips.ids)
    assert len(clips.audio_files()) == 4


def test_data_root_may_be_the_folder_above(merge):
    above = load_dataset("merge-balanced", merge.parent)
    assert above.digest == load_dataset("merge-balanced", merge).digest


def test_fixed_splits(merge):
    clips = load_dataset("merge-balanced", merge)
    assert clips.fixed_splits == dict.fromkeys(
        ("70_15_15", "40_30_30"), ("train", "train", "validate", "test")
    )


def test_splits_are_optional(merge):
    for part in PARTS:
        part_file(merge, part).unlink()
    assert set(load_dataset("merge-balanced", merge).fixed_splits) == {"40_30_30"}


def test_split_that_misses_a_part_is_named(merge):
    part_file(merge, "test").unlink()
    with pytest.raises(DatasetError, match=r"tvt_70_15_15_test_audio_balanced\.csv: cannot be"):
        load_dataset("merge-balanced", merge)


def test_clip_in_two_parts_is_named(merge):
    with part_file(merge, "test").open("a") as file:
        file.write("A001,Q1\n")
    with pytest.raises(DatasetError, match="clip A001 is in train and in test"):
        load_dataset("merge-balanced", merge)


def test_unknown_clip_in_a_split_is_named(merge):
    with part_file(merge, "test").open("a") as file:
        file.write("A999,Q1\n")
    with pytest.raises(DatasetError, match="unknown clips A999"):
        load_dataset("merge-balanced", merge)


def test_the_other_version_is_not_taken_for_this_one(merge):
    with pytest.raises(DatasetError, match=r"no merge_audio_complete_metadata\.csv"):
        load_dataset("merge-complete", merge.parent)


def test_values_of_arousal_and_valence_are_read_from_0_to_1(merge, write_csv):
    without = load_dataset("merge-balanced", merge)
    rows = (("A001", 0.75, 1.0), ("A061-66", 1, 0), ("MT0000004637", 0.25, 0.25))
    table = merge / "merge_audio_balanced_av_values.csv"
    write_csv(table, ("Song", "Arousal", "Valence"), *rows)
    with pytest.warns(UserWarning, match="1 clips have no arousal and valence: MT0000011357"):
        clips = load_dataset("merge-balanced", merge)
    np.testing.assert_array_equal(clips.arousal, [0.5, 1, -0.5, np.nan])
    np.testing.assert_array_equal(clips.valence, [1, -1, -0.5, np.nan])
    np.testing.assert_array_equal(clips.quadrants, without.quadrants)
    assert clips.digest != without.digest


def test_value_outside_of_the_scale_is_named(merge, write_csv):
    table = merge / "merge_audio_balanced_av_values.csv"
    write_csv(table, ("Song", "Arousal", "Valence"), ("A001", 5.5, 1.0))
    with pytest.raises(DatasetError, match=r"av_values\.csv, line 2: valence or arousal is not on"):
        load_dataset("merge-balanced", merge)


def test_partitions_with_another_name_of_their_folder(merge):
    folder = merge / "tvt_dataframes" / "tvt_70_15_15"
    for part in PARTS:
        old = folder / f"tvt_70_15_15_{part}_audio_balanced.csv"
        old.rename(folder / f"tvt_701515_{part}_audio_balanced.csv")
    folder.rename(folder.with_name("tvt_701515"))
    clips = load_dataset("merge-balanced", merge)
    assert clips.fixed_splits["70_15_15"] == ("train", "train", "validate", "test")
