import pytest

from mer_mlflow.datasets.quadrant_folders import (
    audio_files,
    content_hashes,
    read_quadrant_folders,
)
from mer_mlflow.errors import DatasetError


def test_audio_files_lists_every_file_by_clip(tmp_path, write_sound):
    first = write_sound(tmp_path / "Q1" / "a.wav")
    again = write_sound(tmp_path / "Q4" / "a.FLAC")
    other = write_sound(tmp_path / "Q2" / "b.c.ogg")
    (tmp_path / "Q2" / ".hidden.wav").touch()
    (tmp_path / "Q2" / "cover.jpg").touch()
    write_sound(tmp_path / "Q5" / "d.wav")
    assert audio_files(tmp_path) == {"a": [(0, first), (3, again)], "b.c": [(1, other)]}


def test_content_hash_is_of_the_bytes_alone(tmp_path, write_sound):
    one, other = write_sound(tmp_path / "1.wav"), write_sound(tmp_path / "2.wav", 441.0)
    copy = tmp_path / "copy of 1.mp3"
    copy.write_bytes(one.read_bytes())
    first, second, third, none = content_hashes([one, other, copy, None])
    assert first == third != second
    assert none is None
    assert len(first) == 32


def test_unreadable_audio_is_named(tmp_path):
    (tmp_path / "Q1" / "a.wav").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"a\.wav: cannot be read"):
        read_quadrant_folders(name="folder", audio_root=tmp_path)


def test_dangling_link_is_named(tmp_path):
    (tmp_path / "Q1").mkdir()
    (tmp_path / "Q1" / "a.wav").symlink_to(tmp_path / "gone.wav")
    with pytest.raises(DatasetError, match=r"a\.wav: cannot be read"):
        read_quadrant_folders(name="folder", audio_root=tmp_path)


def test_all_contradictions_are_found_at_once(tmp_path, write_sound, write_csv):
    write_sound(tmp_path / "Q1" / "a.wav")
    write_sound(tmp_path / "Q2" / "a.wav")
    write_sound(tmp_path / "Q3" / "b.wav")
    labels = write_csv(tmp_path / "l.csv", ("Song", "Quadrant"), ("a", "Q1"), ("b", "Q4"))
    reading = read_quadrant_folders(name="folder", audio_root=tmp_path, annotations=labels)
    assert [error.split()[:2] for error in reading.errors] == [
        ["clip", "a"],
        ["clip", "b"],
        ["clips", "with"],
    ]
