"""What runs tell of the code that made them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mer_mlflow.tracking import environment

BUILT_FROM = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_GIT_COMMIT", BUILT_FROM)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that the module believes to be the project's."""
    module = tmp_path / "mer_mlflow" / "tracking" / "environment.py"
    monkeypatch.setattr(environment, "__file__", str(module))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *author, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    return environment.software_tags()["mer.git_commit"]


def test_a_checkout_knows_its_commit_better_than_the_variable(project: Path) -> None:
    git(project, "init")
    (project / "code.py").write_text("first = 1\n")
    git(project, "add", "code.py")
    git(project, "commit", "--message=first")
    head = git(project, "rev-parse", "HEAD")
    assert commit() == head
    (project / "code.py").write_text("first = 2\n")
    assert commit() == f"{head}-changed"


def test_outside_a_repository_the_variable_counts(project: Path) -> None:
    assert commit() == BUILT_FROM


def test_without_git_the_variable_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == BUILT_FROM


@pytest.mark.parametrize("value", ["", None], ids=["empty", "missing"])
def test_without_both_it_is_unknown(
    project: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("MER_GIT_COMMIT")
    else:
        monkeypatch.setenv("MER_GIT_COMMIT", value)
    assert commit() == "unknown"
