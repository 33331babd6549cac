"""Notebooks: they run from top to bottom on the demo, and are committed without outputs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from mlflow import MlflowClient
from nbclient import NotebookClient
from nbformat import NotebookNode

from mer_mlflow.datasets import Clips

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
CELL_SECONDS = 300
MACHINERY = ".*(IPython|ipykernel|matplotlib_inline|traitlets)"
"""Modules, by name or by file, whose warnings are no notebook's fault."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def run(
    store: Path,
    demo: Clips,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Callable[[str], NotebookNode]:
    """Run a notebook in the store's folder, with the project's filters of warnings."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("jupyter")))

    def execute(name: str) -> NotebookNode:
        notebook = nbformat.read(REPOSITORY / "notebooks" / f"{name}.ipynb", as_version=4)
        strict = nbformat.v4.new_code_cell(filters(pytestconfig.getini("filterwarnings")))
        notebook.cells.insert(0, strict)
        resources = {"metadata": {"path": str(store)}}
        return NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources).execute()

    return execute


def filters(lines: list[str]) -> str:
    """Code that sets filters written as pytest's options are."""
    code = ["import warnings"]
    for line in lines:
        action, message, category = (*line.split(":"), "", "")[:3]
        kind = category or "Warning"
        code.append(f"warnings.filterwarnings({action!r}, {message!r}, {kind})")
    code.append(f"warnings.filterwarnings('ignore', module={MACHINERY!r})")
    return "\n".join(code)


def shown(notebook: NotebookNode, cell_id: str) -> str:
    """What a cell printed and displayed, as text or HTML."""
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    outputs = [output.get("data") or {"text/plain": output.text} for output in cell.outputs]
    return "\n".join(data.get("text/html", data["text/plain"]) for data in outputs)


def drawn(notebook: NotebookNode) -> list[str]:
    """Ids of the cells that show a figure."""
    return [
        cell.id
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/svg+xml" in output.get("data", ())
    ]


def complaints(notebook: NotebookNode) -> list[str]:
    """What cells wrote to the standard error."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.text for output in outputs if output.get("name") == "stderr"]


def test_quickstart_goes_from_clips_to_a_report(
    run: Callable[[str], NotebookNode], store: Path
) -> None:
    notebook = run("01_quickstart")
    assert complaints(notebook) == []
    assert "160 clips" in shown(notebook, "load")
    assert drawn(notebook) == ["spectrogram-figure", "confusion"]
    (tracked,) = re.findall(r" f1_macro +([\d.]+)%", shown(notebook, "train"))
    assert f">{float(tracked):.1f}<" in shown(notebook, "scores")
    folds = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'fold'")
    assert len(folds) == 10
    assert (store / "reports" / "report.html").is_file()


def test_comparison_decides_one_pair_and_leaves_one_open(
    run: Callable[[str], NotebookNode],
) -> None:
    notebook = run("02_compare")
    assert complaints(notebook) == []
    assert drawn(notebook) == ["forest", "simulation-figure", "verdict-figure", "hardest"]
    verdicts = re.findall(r">(better|worse|equivalent|undecided)<", shown(notebook, "verdicts"))
    assert verdicts[:2] == ["worse", "undecided"]
    assert "p, Holm" in shown(notebook, "tests")
    assert "0 complete cross-validations" in shown(notebook, "tracked")


@every_notebook
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all(cell.metadata == {} for cell in notebook.cells)


@every_notebook
def test_notebook_is_in_the_projects_style(path: Path) -> None:
    for arguments in (("check",), ("format", "--check")):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, path], cwd=REPOSITORY, check=True)
