"""Recordings that two datasets have in common."""

import numpy as np
import pytest

from mer_mlflow.datasets import Clips
from mer_mlflow.transfer.evaluation import left_out, without
from mer_mlflow.transfer.overlap import Duplicate, Evidence, find_duplicates, plain_text


def clips(name, ids, **columns):
    n = len(ids)
    return Clips(
        name=name,
        ids=tuple(ids),
        quadrants=np.zeros(n, dtype=np.int64),
        audio=(None,) * n,
        audio_hashes=columns.get("hashes", (None,) * n),
        artists=columns.get("artists", (None,) * n),
        titles=columns.get("titles", ()),
    )


def found(first, second):
    duplicates = find_duplicates(first, second, store=None)
    return {(each.first, each.second): each.evidence for each in duplicates}


def test_ids_are_compared_within_a_catalogue_only():
    ids = ("A001", "MT0000011357")
    original = clips("original-4qaed", ids)
    assert found(original, clips("merge-complete", ("A000", *ids))) == {
        (0, 1): Evidence.ID,
        (1, 2): Evidence.ID,
    }
    assert found(original, clips("folder", ids)) == {}
    assert found(clips("deam", ("10", "11")), clips("pmemo", ("10", "11"))) == {}


def test_equal_files_are_found_whatever_their_names():
    first = clips("deam", ("1", "2"), hashes=("aa", None))
    assert found(first, clips("folder", ("x", "y"), hashes=(None, "aa"))) == {
        (0, 1): Evidence.AUDIO
    }


def test_artist_and_title_are_compared_as_plain_text():
    first = clips(
        "deam",
        ("1", "2", "3"),
        artists=("The Beyoncé & Friends", "Someone", None),
        titles=("Halo (Live)", "Halo", "Halo"),
    )
    second = clips(
        "pmemo",
        ("7", "8"),
        artists=("beyonce and friends", "Someone Else"),
        titles=("HALO feat. Anyone", "Halo"),
    )
    assert found(first, second) == {(0, 0): Evidence.TITLE}


@pytest.mark.parametrize("title", [None, "", "???"])
def test_unknown_titles_are_no_evidence(title):
    first = clips("deam", ("1",), artists=("Someone",), titles=(title,))
    assert found(first, first) == {}


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Trav'lin' Light", "travlin light"), ("The The", "the"), ("A-ha", "aha"), ("[x]", "")],
)
def test_plain_text(text, plain):
    assert plain_text(text) == plain


@pytest.mark.parametrize(("n_train", "n_test"), [(3, 2), (2, 3), (2, 2)])
def test_clips_are_left_out_of_the_larger_dataset(n_train, n_test):
    train = clips("deam", [str(i) for i in range(n_train)])
    test = clips("pmemo", [str(i) for i in range(n_test)])
    duplicates = [Duplicate(first=1, second=k, evidence=Evidence.TITLE) for k in (0, 1)]
    kept = [
        without(*each)
        for each in zip((train, test), left_out(train, test, duplicates), strict=True)
    ]
    if n_train >= n_test:
        assert [each.ids for each in kept] == [tuple("02")[: n_train - 1], test.ids]
    else:
        assert [each.ids for each in kept] == [train.ids, ("2",)]
