"""Files about the project: valid in their formats, and of one version."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mer_mlflow import __version__

ROOT = Path(__file__).parents[2]
FORMS = [file for file in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if file.stem != "config"]
FORMATS = {
    "vendor.github-workflows": [ROOT / ".github/workflows/ci.yml"],
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("name", FORMATS)
def test_files_have_their_format(name: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name]
    checked = subprocess.run([*check, *FORMATS[name]], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_workflow_runs_what_every_machine_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["run"]["steps"]
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make ")] == [
        "make setup",
        "make lint",
        "make docs",
        "make test",
        "make test-platform",
    ]


def test_changelog_and_citation_name_the_version() -> None:
    assert f"\n## {__version__} (" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_container_sets_the_project_up() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"].endswith("make setup")
