"""Weights: found where the user has them, taken only when they are known, never replaced."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mer_mlflow.errors import ParameterError, WeightsError
from mer_mlflow.methods import get_method
from mer_mlflow.representations import with_weights
from mer_mlflow.representations.pretrained import PUBLISHED, find_weights

CONTENT = b"numbers"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the digest of the made file be that of a published one."""
    monkeypatch.setitem(PUBLISHED, "crnn_msd", replace(PUBLISHED["crnn_msd"], sha256=(DIGEST,)))


def write(root: Path, path: str = "some/models/msd/crnn/best_model.pth") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(CONTENT)
    return file


@pytest.mark.usefixtures("known")
def test_file_folder_and_variable_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path)
    write(tmp_path, "some/models/mtat/crnn/best_model.pth")
    found = find_weights("crnn_msd", tmp_path)
    assert (found.file, found.digest, found.is_known) == (file, DIGEST, True)
    assert find_weights("crnn_msd", file) == found
    monkeypatch.setenv("MER_WEIGHTS_ROOT", str(tmp_path))
    assert find_weights("crnn_msd") == found


@pytest.mark.usefixtures("known")
def test_given_path_goes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = write(tmp_path / "own"), write(tmp_path / "other")
    monkeypatch.setenv("MER_WEIGHTS_ROOT", str(other))
    assert find_weights("crnn_msd", own).file == own


def test_missing_file_is_named_with_its_source_and_licence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights("crnn_msd", tmp_path)
    words = str(caught.value)
    for part in (str(tmp_path), "msd/crnn/best_model.pth", "github.com", "MIT", "MER_WEIGHTS_ROOT"):
        assert part in words
    assert "\n" not in words
    with pytest.raises(WeightsError, match="crnn_msd: no weights; get"):
        find_weights("crnn_msd")


def test_path_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match=r"weights=.*nowhere: does not exist"):
        find_weights("crnn_msd", tmp_path / "nowhere")
    monkeypatch.setenv("MER_WEIGHTS_ROOT", str(tmp_path / "gone"))
    with pytest.raises(ParameterError, match=r"MER_WEIGHTS_ROOT=.*gone: does not exist"):
        find_weights("crnn_msd")


@pytest.mark.parametrize("name", ["crnn_msd", "artist_basic"])
def test_unknown_digest_is_taken_only_when_allowed(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, f"a/{PUBLISHED[name].path}")
    with pytest.raises(WeightsError, match=f"{DIGEST}.*allow_unverified_weights=true"):
        find_weights(name, tmp_path)
    found = find_weights(name, tmp_path, allow_unverified=True)
    assert (found.file, found.is_known) == (file, False)


def test_relative_path_says_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=f"weights=gone: does not exist in {tmp_path}, from"):
        find_weights("crnn_msd", "gone")


@pytest.mark.parametrize("allow", [True, False])
def test_pointer_of_git_lfs_is_named(tmp_path: Path, allow: bool) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    file = write(tmp_path)
    file.write_bytes(pointer)
    with pytest.raises(WeightsError, match="is a pointer of Git LFS, not the weights; run `git"):
        find_weights("crnn_msd", tmp_path, allow_unverified=allow)


@pytest.mark.usefixtures("known")
def test_weights_of_another_network_are_never_taken(tmp_path: Path) -> None:
    file = write(tmp_path)
    with pytest.raises(WeightsError, match=f"crnn_mtat: {file} has the weights of crnn_msd"):
        find_weights("crnn_mtat", file, allow_unverified=True)


@pytest.mark.usefixtures("known")
def test_published_file_goes_before_others_and_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "msd" / "crnn" / "best_model.pth").mkdir(parents=True)
    write(tmp_path, "backup/msd/crnn/best_model.pth").write_bytes(b"others")
    file = write(tmp_path)
    assert find_weights("crnn_msd", tmp_path).file == file


def test_one_file_is_not_enough_for_several_networks(tmp_path: Path) -> None:
    inputs = get_method("embedding_svm").inputs
    with pytest.raises(ParameterError, match="needs 3 files; give a folder of them"):
        with_weights(inputs, write(tmp_path))


def test_environment_may_allow_unknown_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_ALLOW_UNVERIFIED_WEIGHTS", "true")
    assert not find_weights("crnn_msd", write(tmp_path)).is_known


def test_unknown_user_is_a_path_that_is_not_there() -> None:
    with pytest.raises(ParameterError, match="does not exist"):
        find_weights("crnn_msd", "~nobody-of-that-name/weights")


def test_changed_file_is_hashed_again(tmp_path: Path) -> None:
    file = write(tmp_path)
    first = find_weights("crnn_msd", file, allow_unverified=True)
    file.write_bytes(CONTENT * 2)
    assert find_weights("crnn_msd", file, allow_unverified=True).digest != first.digest


def test_openl3_is_found_inside_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openl3").mkdir()
    (tmp_path / "openl3" / "__init__.py").touch()
    file = write(tmp_path, "openl3/openl3_audio_mel256_music-v0_2_0.h5.gz")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_weights("openl3_mel256", allow_unverified=True).file == file


def test_published_files_are_as_they_were(real_weights: Path) -> None:
    for name in ("crnn_mtat", "crnn_jamendo", "crnn_msd", "artist_siamese"):
        assert find_weights(name, real_weights).is_known
