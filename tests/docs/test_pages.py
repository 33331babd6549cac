"""The documentation's generated pages say what declarations and docstrings say."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.tracking import schema

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "hooks"
DOCSTRING = """Return a table, as :func:`~package.made` does.

Parameters
----------
first, second : scores of :class:`Fold`
    of one method [shape=(n_folds,)]
rope : half-width, >= 0

Returns
-------
the table,
with a row for each split

References
----------
A. Author, "A title",
Journal 1, 2003.
B. Author, "Another", 2004.
"""


CELLS = (
    "import os, pathlib\nprint(pathlib.Path('a.txt').resolve(), os.environ.get('MLFLOW_X'))",
    "from IPython.display import HTML\nHTML('<style>p{}</style><table>\\n\\n<tr></tr></table>')",
    "from IPython.display import SVG\n"
    'SVG(\'<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/></svg>\')',
    "HTML('<audio></audio>')",
)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(HOOKS))
    yield import_module
    for module in HOOKS.glob("*.py"):
        sys.modules.pop(module.stem, None)


def test_method_page_has_each_hyperparameter_and_published_score(hook: Any) -> None:
    pages = hook("method_pages").pages()
    assert pages.keys() == {"index.md", *(f"{name}.md" for name in method_names())}
    for name in method_names():
        method, page = get_method(name), pages[f"{name}.md"]
        assert page.startswith(f"# {method.title}\n")
        for hyperparameter in method.defaults:
            assert f"\n| `{hyperparameter}` | `" in page
        for scores in method.published.values():
            assert f"| {scores.precision:.2f} | {scores.recall:.2f} | {scores.f1:.2f} |" in page
        assert f"/{name}.md" in pages["index.md"] or f"({name}.md)" in pages["index.md"]


def test_method_page_has_ranges_grid_and_words_of_the_docstring(hook: Any) -> None:
    page = hook("method_pages").pages()["svm.md"]
    row = "| `C` | `8` | > 0 | `0.5`, `1`, `2`, `4`, `8`, `16` | penalty of errors |"
    assert row in page
    assert "| `n_features` | `100` | ≥ 1 |  | number of most relevant features" in page
    assert "- C. Cortes, V. Vapnik" in page and "code: Apache-2.0" in page
    assert "CC BY 4.0" in hook("method_pages").pages()["openl3_rf.md"]


def test_dataset_page_has_licence_counts_and_best_published_method(hook: Any) -> None:
    pages = hook("dataset_pages").pages()
    assert pages.keys() == {"index.md", *(f"{name}.md" for name in dataset_names())}
    page = pages["original-4qaed.md"]
    assert get_dataset("original-4qaed").licence in page
    assert "| clips | 900 |" in page
    assert re.search(r"\| F1 \|\n\|---\|---:\|\n\| \[SVM\].* 75\.59 \|", page)


def test_each_name_in_runs_is_described(hook: Any) -> None:
    found = list(hook("schema_page").entries())
    names = [name for entry in found for name in entry.names]
    assert sorted(names) == sorted(value for key, value in vars(schema).items() if key.isupper())
    assert [entry.names for entry in found if not entry.text] == []
    assert all(f"`{name}`" in hook("schema_page").page() for name in names)


def test_docstrings_become_numpydoc_with_types_from_signatures(hook: Any) -> None:
    made = hook("docstrings").numpydoc(DOCSTRING, "pd.DataFrame")
    described = "    scores of `Fold`\n    of one method [shape=(n_folds,)]\n"
    assert f"first\n{described}second\n{described}rope\n    half-width, >= 0\n" in made
    assert "Returns\n-------\npd.DataFrame\n    the table,\n    with a row for each split" in made
    cited = '- A. Author, "A title", Journal 1, 2003.\n- B. Author, "Another", 2004.\n'
    assert f"**References**\n\n{cited}" in made
    assert made.startswith("Return a table, as `package.made` does.\n")


def test_descriptions_of_hyperparameters_leave_out_types(hook: Any) -> None:
    text = "C : penalty; gamma : width.\n\nepochs : int >= 1, maximum\n    number\nrate : float > 0"
    assert hook("docstrings").described(text) == {
        "C": "penalty",
        "gamma": "width",
        "epochs": "maximum number",
        "rate": "",
    }


def test_what_a_page_would_load_from_elsewhere_is_found(hook: Any) -> None:
    foreign = hook("pages").foreign
    assert foreign('<a href="https://hydra.cc/">x</a><img src="a.png"><link href="b.css">') == []
    text = '<script src="https://a.org/x.js"></script><link rel=icon href="//b.org/y">'
    assert foreign(text) == ["https://a.org/x.js", "//b.org/y"]


def test_signatures_show_defaults_instead_of_declarations(hook: Any) -> None:
    shown = hook("docstrings").default_of
    assert shown('declared(None, kind=str, help="a, b")') == "None"
    assert shown("searchable(2.0**-9, Role.ESTIMATOR, low=0.0)") == "2.0**-9"
    assert shown("field(default_factory=dict)") is None
    assert shown("3") is None


def test_notebook_is_shown_with_its_outputs(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_X", "of the user")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title\nIntroduction"),
            *(nbformat.v4.new_code_cell(code) for code in CELLS),
        ]
    )
    path = tmp_path / "small.ipynb"
    nbformat.write(notebook, path)
    page = hook("notebook_pages").page(path)
    assert page.startswith("# Title\n\n!!! note") and "[Download the notebook](small.ipynb)" in page
    outputs = re.findall(r'<div class="output">\n(.*?)\n</div>', page, re.DOTALL)
    text, table, drawing = outputs
    assert text == "<pre>a.txt None</pre>"
    assert table == "<table>\n<tr></tr></table>"
    assert 'id="small-3-0-a"' in drawing


def test_notebook_that_fails_stops_the_build(hook: Any, tmp_path: Path) -> None:
    path = tmp_path / "failing.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        hook("notebook_pages").page(path)
