"""Texts that move: ids are replaced wherever they are, credentials are taken out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_mlflow.archive import text as module
from mer_mlflow.archive.text import is_text, rewrite, with_ids, without_credentials

OLD, NEW, OTHER = "0" * 31 + "a", "1" * 31 + "b", "2" * 31 + "c"
change = with_ids({OLD: NEW}, experiments=("3", "7"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OLD, NEW),
        (f"x,{OLD},y", f"x,{NEW},y"),
        (f"run_{OLD}_{OTHER}", f"run_{NEW}_{OTHER}"),
        (f"{OLD}f", f"{OLD}f"),
        (f"a{OLD}", f"a{OLD}"),
        (OLD.upper(), OLD.upper()),
        (f"http://here/#/experiments/3/runs/{OLD}", f"http://here/#/experiments/7/runs/{NEW}"),
        (f"experiments/33/runs/{OLD}", f"experiments/33/runs/{NEW}"),
        (f"experiments/3/runs/{OTHER}", f"experiments/3/runs/{OTHER}"),
    ],
)
def test_ids_of_moved_runs_are_replaced_and_nothing_else(before: str, after: str) -> None:
    assert change(before) == after


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(
        st.sampled_from([OLD.encode(), OTHER.encode(), b" ", b",", b"\xff\n", b"ab0", b"x" * 90])
    ),
    block=st.integers(1, 50),
)
def test_files_are_changed_as_a_whole_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], block: int
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    content = b"".join(parts)
    (tmp_path / "file").write_bytes(content)
    rewrite(tmp_path / "file", change)
    whole = change(content.decode("latin-1")).encode("latin-1")
    assert (tmp_path / "file").read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://ada:hunter2@github.com/x/y.git", "https://github.com/x/y.git"),
        ("https://ghp_hunter2@github.com/x", "https://github.com/x"),
        ("postgresql+psycopg://a:p@hunter2@db/x", "postgresql+psycopg://db/x"),
        (
            "postgresql://db/x?user=a&password=hunter2&ssl=1",
            "postgresql://db/x?user=a&password=&ssl=1",
        ),
        ("postgresql://db/x?sslpassword=hunter2", "postgresql://db/x?sslpassword="),
        ('"postgresql://db/x?a=b&amp;password=hunter2"', '"postgresql://db/x?a=b&amp;password="'),
        (r"postgresql://db/x?a=b\u0026password=hunter2", r"postgresql://db/x?a=b\u0026password="),
        ('{"uri": "http://a:hunter2@here/x", "n": 1}', '{"uri": "http://here/x", "n": 1}'),
        ("mail ada@example.org about http://here", "mail ada@example.org about http://here"),
        ("http://here:5000 and ada@example.org", "http://here:5000 and ada@example.org"),
        ("sqlite:////home/ada/mlflow.db", "sqlite:////home/ada/mlflow.db"),
    ],
)
def test_credentials_are_taken_out_of_addresses(before: str, after: str) -> None:
    assert without_credentials(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "id,page,contact\n1,https://x.org,ada@example.org\n",
        "https://x.org,ada@example.org",
        "https://host:443/pkg/@scope/x",
        "http://10.0.0.1:5000/a@b",
        "http://10.0.0.1:5000?mail=a@b",
        "http://here?password=,ada@example.org",
    ],
)
def test_text_that_only_looks_like_credentials_stays(text: str) -> None:
    assert without_credentials(text) == text


def test_credentials_are_taken_out_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é postgresql://ada:hunter2@db/x?password=hunter2 …")
    (tmp_path / "a.txt").chmod(0o640)
    rewrite(tmp_path / "a.txt", without_credentials)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "a.txt").read_text() == "é postgresql://db/x?password= …"


def test_texts_are_told_by_their_ending() -> None:
    assert all(map(is_text, ("a.json", "b/report.HTML", "traceback.txt")))
    assert not any(map(is_text, ("folds.parquet", "plot.png", "csv", "model.keras")))
