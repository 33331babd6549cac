"""Archives: whole or refused, whatever was done to them; written whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from mer_mlflow.archive import container as module
from mer_mlflow.archive.container import (
    MANIFEST,
    N_DIGITS,
    SEAL,
    ArchiveWriter,
    Manifest,
    archive_path,
    open_archive,
    seal,
    writing,
)
from mer_mlflow.errors import ParameterError, TrackingError

RUN = "0123456789abcdef0123456789abcdef"
RECORD, TABLE = f"runs/{RUN}/run.json", f"runs/{RUN}/artifacts/tables/λ #1.csv"
CONTENTS = {RECORD: b'{"run_id": "x"}', TABLE: b"a,b\n" * 1000}


def manifest_of(writer: ArchiveWriter) -> Manifest:
    return Manifest(
        software={"mer_mlflow": "1"},
        exported="2026-01-01",
        tracking="sqlite:///mlflow.db",
        experiment="study",
        experiment_id="1",
        counts={"fold": 1},
        runs=(RUN,),
        models=(),
        members=writer.members,
    )


def write(target: Path) -> Path:
    with writing(target) as (writer, _):
        for name, content in CONTENTS.items():
            writer.add(name, io.BytesIO(content), size=len(content))
        writer.close(manifest_of(writer))
    return target


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("archive") / "study.zip").read_bytes()


def test_archive_gives_back_what_was_written(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    with open_archive(
        write(tmp_path / "study.zip"), on_progress=lambda *step: steps.append(step)
    ) as archive:
        assert archive.manifest.experiment == "study"
        assert archive.record(RUN) == {"run_id": "x"}
        assert archive.artifacts(RUN) == {"tables/λ #1.csv": TABLE}
        assert archive.size(RUN) == sum(map(len, CONTENTS.values()))
        buffer = io.BytesIO()
        archive.copy(TABLE, buffer)
        assert buffer.getvalue() == CONTENTS[TABLE]
    assert steps == [(1, 2), (2, 2)]
    assert [path.name for path in tmp_path.iterdir()] == ["study.zip"]


def test_manifest_has_size_and_digest_of_every_other_file(whole: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        facts = json.loads(file.read(MANIFEST))
        assert {*facts["members"], MANIFEST} == set(file.namelist())
        for name, member in facts["members"].items():
            content = file.read(name)
            digest = hashlib.sha256(content).hexdigest()
            assert member == {"size": len(content), "sha256": digest}
    assert facts["format"] == 1


def test_same_runs_make_the_same_archive(tmp_path: Path, whole: bytes) -> None:
    assert write(tmp_path / "again.zip").read_bytes() == whole


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_other_byte_is_refused(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[position] ^= flip
    path = tmp_path / "changed.zip"
    path.write_bytes(changed)
    with pytest.raises(ParameterError, match="nothing was imported"), open_archive(path):
        pass


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(end=st.integers(0, 100_000), more=st.binary(max_size=3))
@example(end=100_000, more=b"x")
def test_other_lengths_are_refused(whole: bytes, tmp_path: Path, end: int, more: bytes) -> None:
    changed = whole[:end] + more
    path = tmp_path / "changed.zip"
    path.write_bytes(changed)
    if changed != whole:
        with pytest.raises(ParameterError, match="nothing was imported"), open_archive(path):
            pass


def forged(
    path: Path,
    *,
    contents: dict[str, bytes] | None = None,
    altered: Callable[[dict[str, Any]], Any] = lambda facts: facts,
    manifest: bytes | None = None,
    packing: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """An archive with a right seal, made by somebody who knows the format."""
    contents = {**CONTENTS, **(contents or {})}
    members = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    facts = {
        "content": "runs of mer_mlflow",
        "format": 1,
        "software": {},
        "exported": "",
        "tracking": "",
        "experiment": "study",
        "experiment_id": "1",
        "counts": {},
        "runs": [RUN],
        "members": members,
    }
    with path.open("w+b") as file:
        with zipfile.ZipFile(file, "w", packing) as made:
            for name, content in contents.items():
                made.writestr(name, content)
            text = json.dumps(altered(facts)).encode() if manifest is None else manifest
            if text:
                made.writestr(MANIFEST, text)
            made.comment = SEAL + b"0" * N_DIGITS
        seal(file)
    return path


def test_forged_archive_without_a_fault_is_read(tmp_path: Path) -> None:
    with open_archive(forged(tmp_path / "a.zip")) as archive:
        assert archive.manifest.runs == (RUN,)


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda facts: {name: value for name, value in facts.items() if name != key}


def with_member(name: str, **changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(facts: dict[str, Any]) -> dict[str, Any]:
        members = facts["members"]
        return facts | {"members": members | {name: members.get(name, {}) | changes}}

    return change


ZEROS = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("altered", "words"),
    [
        (lambda facts: facts | {"format": 3}, "format 3 is not that of this version"),
        (lambda facts: facts | {"content": "models"}, "is not that of an archive of runs"),
        (lambda facts: [facts], "is not that of an archive of runs"),
        (without("members"), "incomplete"),
        (without("runs"), "incomplete"),
        (without("experiment"), "incomplete"),
        (lambda facts: facts | {"experiment": 3}, "incomplete"),
        (lambda facts: facts | {"experiment": "\ud800"}, "incomplete"),
        (lambda facts: facts | {"exported": "\x1b[31m"}, "incomplete"),
        (lambda facts: facts | {"runs": [RUN, RUN]}, "incomplete"),
        (lambda facts: facts | {"runs": [RUN, "f" * 32]}, "incomplete"),
        (lambda facts: facts | {"runs": [[]]}, "incomplete"),
        (lambda facts: facts | {"runs": []}, "belongs to no run of the manifest"),
        (lambda facts: facts | {"software": []}, "incomplete"),
        (lambda facts: facts | {"counts": {"fold": "1"}}, "incomplete"),
        (with_member(TABLE, size=-1), "incomplete"),
        (with_member(TABLE, size="1"), "incomplete"),
        (with_member(TABLE, sha256="0"), "incomplete"),
        (with_member(TABLE, sha256=None), "incomplete"),
        (with_member(TABLE, sha256=ZEROS), "differs from the manifest"),
        (with_member(TABLE, size=5), "has another size than in the manifest"),
        (with_member(f"runs/{RUN}/artifacts/b", size=0, sha256=ZEROS), "is missing"),
        (
            lambda facts: facts | {"members": {RECORD: facts["members"][RECORD]}},
            "is not in the manifest",
        ),
    ],
)
def test_forged_manifest_is_refused(
    tmp_path: Path, altered: Callable[[dict[str, Any]], Any], words: str
) -> None:
    check_refused(forged(tmp_path / "a.zip", altered=altered), words)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"", "has no manifest.json"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"format": NaN}', "is not JSON"),
        (b"\xff", "is not JSON"),
    ],
)
def test_manifest_that_is_none_is_refused(tmp_path: Path, manifest: bytes, words: str) -> None:
    check_refused(forged(tmp_path / "a.zip", manifest=manifest), words)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "C:evil",
        f"runs/{RUN}/evil",
        f"runs/{RUN}/artifacts/../../../evil",
        f"runs/{RUN}/artifacts//evil",
        f"runs/{RUN}/artifacts/./evil",
        f"runs/{RUN}/artifacts/",
        f"runs/{RUN}/artifacts/a\\..\\evil",
        f"runs/{RUN}/artifacts/C:/evil",
        f"runs/{RUN}/artifacts/a\nb",
        f"runs/{RUN}/artifacts/{'a' * 2000}",
        f"runs/{RUN.upper()}/run.json",
        f"runs/{'f' * 32}/artifacts/evil",
        f"{TABLE}/evil",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    check_refused(forged(tmp_path / "a.zip", contents={name: b"evil"}), "nothing was imported")


def test_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = {f"runs/{RUN}/artifacts/zeros": bytes(10_000_000)}
    path = forged(tmp_path / "a.zip", contents=zeros)
    monkeypatch.setattr(module, "HARMLESS", 1000)
    check_refused(path, "it would be unpacked to")


def test_other_packings_are_refused(tmp_path: Path) -> None:
    check_refused(
        forged(tmp_path / "a.zip", packing=zipfile.ZIP_LZMA), "has an unknown compression"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.zip")
    with path.open("r+b") as file:
        with zipfile.ZipFile(file, "a") as made:
            made.writestr(TABLE, CONTENTS[TABLE])
        seal(file)
    check_refused(path, "two members with the same name")


@pytest.mark.parametrize("content", [b"", b"PK", SEAL, b"text" * 1000, bytes(10_000)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    check_refused(path, "is not an archive of the entry point export")


def test_sealed_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("w+b") as file:
        file.write(b"text" + SEAL + b"0" * N_DIGITS)
        seal(file)
    check_refused(path, "it is not a zip file")


def check_refused(path: Path, words: str) -> None:
    before = {item: item.stat().st_mtime_ns for item in path.parent.iterdir()}
    with pytest.raises(ParameterError) as refusal, open_archive(path):
        pass
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(f"archive={path}: ")
    assert {item: item.stat().st_mtime_ns for item in path.parent.iterdir()} == before


@pytest.mark.parametrize("given", ["a" * 5000, "a\0b", "a\nb", "\ud800"])
def test_paths_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(ParameterError, match="archive=") as refusal:
        archive_path(given)
    assert "\n" not in str(refusal.value)


def test_folders_and_nothing_are_no_archives(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.zip"):
        with pytest.raises(ParameterError, match="no such file"), open_archive(path):
            pass


def test_existing_archive_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.zip").write_bytes(b"precious")
    with pytest.raises(ParameterError, match="exists already and is never overwritten"):
        write(tmp_path / "study.zip")
    assert (tmp_path / "study.zip").read_bytes() == b"precious"


def test_archive_that_appears_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="exists already"), writing(tmp_path / "a") as made:
        made[0].close(manifest_of(made[0]))
        (tmp_path / "a").write_bytes(b"precious")
    assert (tmp_path / "a").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"folder .*nowhere does not exist; create it"):
        write(tmp_path / "nowhere" / "study.zip")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug")])
def test_interrupted_archive_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), writing(tmp_path / "study.zip") as (writer, _):
        writer.add(RECORD, io.BytesIO(b"{}"), size=2)
        raise error
    assert not list(tmp_path.iterdir())


def test_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ParameterError, match="the disk is full, no file was left there"):
        write(tmp_path / "study.zip")
    assert not list(tmp_path.iterdir())


def test_full_disk_of_the_server_is_not_told_as_one_that_is_here(tmp_path: Path) -> None:
    server = "API request failed with error code 500: [Errno 28] No space left on device"
    with pytest.raises(TrackingError, match="API request"), writing(tmp_path / "study.zip"):
        raise TrackingError(server) from MlflowException(server)
    downloads = "The following failures occurred:\n##### File a #####\n[Errno 28] No space left"
    with pytest.raises(ParameterError, match="the disk is full"), writing(tmp_path / "study.zip"):
        raise TrackingError("run cannot be read") from MlflowException(downloads)


def test_longest_name_of_a_file_can_be_an_archive(tmp_path: Path) -> None:
    with open_archive(write(tmp_path / f"{'x' * 251}.zip")) as archive:
        assert archive.manifest.runs == (RUN,)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("HARMLESS", "would be rejected by import"),
        ("MOST_VALUES", "is too large to be a run's values"),
    ],
)
def test_what_would_be_refused_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    monkeypatch.setattr(module, limit, 10)
    with (
        pytest.raises(ParameterError, match=words),
        writing(tmp_path / "study.zip") as (writer, _),
    ):
        writer.add(RECORD, io.BytesIO(bytes(10_000_000)), size=10_000_000)
        writer.close(manifest_of(writer))
    assert not list(tmp_path.iterdir())


def test_names_that_could_not_be_imported_are_not_exported(tmp_path: Path) -> None:
    with (
        pytest.raises(ParameterError, match="rename the artifact, or delete its run"),
        writing(tmp_path / "study.zip") as (writer, _),
    ):
        writer.add(f"runs/{RUN}/artifacts/a\\b", io.BytesIO(), size=0)
    assert not list(tmp_path.iterdir())
