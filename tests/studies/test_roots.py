"""Where datasets lie: given one by one, found in one folder, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mer_mlflow.errors import ParameterError
from mer_mlflow.studies.roots import DataRoots, chosen_datasets, locate, parse_data_roots

STUDY = ("original-4qaed", "new-4qaed-c", "new-4qaed-b", "demo")


def test_folders_are_given_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    given = parse_data_roots(f"original-4qaed={tmp_path}; new-4qaed-c={tmp_path / 'a'}")
    roots = locate(STUDY, given=given, planned={"new-4qaed-c": "/plan", "new-4qaed-b": "/plan"})
    assert roots == {
        "original-4qaed": str(tmp_path),
        "new-4qaed-c": str(tmp_path / "a"),
        "new-4qaed-b": "/plan",
        "demo": None,
    }
    assert chosen_datasets(given, {}) == ("original-4qaed", "new-4qaed-c")


def test_one_folder_holds_what_bears_a_datasets_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MER_audio_taffc_dataset", "New-4QAED C", "MERGE_Audio_Balanced"):
        (tmp_path / name).mkdir()
    names = (*STUDY, "merge-balanced")
    expected = {
        "original-4qaed": str(tmp_path),
        "new-4qaed-c": str(tmp_path / "New-4QAED C"),
        "new-4qaed-b": None,
        "demo": None,
        "merge-balanced": str(tmp_path),
    }
    assert locate(names, given=parse_data_roots(str(tmp_path)), planned={}) == expected
    monkeypatch.setenv("MER_DATA_ROOT", str(tmp_path))
    assert locate(names, given=DataRoots(), planned={}) == expected
    planned = {"original-4qaed": "/plan"}
    assert locate(names, given=DataRoots(), planned=planned) == expected | planned


def test_a_folder_without_names_is_the_first_datasets_own(tmp_path: Path) -> None:
    (tmp_path / "Q1").mkdir()
    roots = locate(STUDY[1:], given=parse_data_roots(str(tmp_path)), planned={})
    assert roots == {"new-4qaed-c": str(tmp_path), "new-4qaed-b": None, "demo": None}


def test_plans_without_datasets_follow_the_folder(tmp_path: Path) -> None:
    assert chosen_datasets(parse_data_roots(None), {}) == ("demo",)
    assert chosen_datasets(parse_data_roots(str(tmp_path)), {}) == ("original-4qaed",)
    assert chosen_datasets(parse_data_roots(None), {"merge-complete": "/m"}) == ("merge-complete",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere", "data_root=nowhere: no such folder"),
        ("original-4qaed=nowhere", "data_root=nowhere: no such folder"),
        ("original-5qaed=/", "dataset=original-5qaed: unknown"),
        ("demo=/", "dataset demo needs no folder"),
        ("original-4qaed=/;/", "'/' is not dataset=folder"),
        ("x" * 5000, "no such folder"),
    ],
)
def test_bad_folders_are_named(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse_data_roots(text)
