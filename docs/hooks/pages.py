"""Hook of MkDocs: adds the generated pages, and files of the project that are pages too."""

from __future__ import annotations

import re
from pathlib import Path

import api_pages
import architecture
import dataset_pages
import method_pages
import notebook_pages
import schema_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.methods import get_method, method_names

ROOT = Path(__file__).parents[2]
COPIED = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "guides/platform.md": "server/README.md",
    "guides/reference-results.md": "reference-results/README.md",
}
"""Files of the project that are pages, by page."""
LOADED = re.compile(
    r"""<(?:script|img|link|iframe|audio|video)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^\s"'>]+)"""
)
PICTURE = "<!-- picture -->"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add generated pages to the navigation, after the first page of their part."""
    additions = {
        "Methods": [(get_method(name).title, f"methods/{name}.md") for name in method_names()],
        "Datasets": [(get_dataset(name).title, f"datasets/{name}.md") for name in dataset_names()],
        "API": [(name, f"api/{name}.md") for name in api_pages.PACKAGES],
    }
    for part in config.nav or []:
        for title, entries in part.items():
            if title in additions:
                entries.extend({name: page} for name, page in additions[title])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, text in _generated().items():
        files.append(File.generated(config, uri, content=text))
    for notebook in notebook_pages.notebooks():
        files.append(
            File.generated(config, f"notebooks/{notebook.name}", abs_src_path=str(notebook))
        )
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the picture of the architecture into its page."""
    return markdown.replace(PICTURE, architecture.picture())


def on_post_page(output: str, **_: object) -> str:
    """Refuse a page that would load something from another computer."""
    if found := foreign(output):
        raise PluginError(f"a page loads {', '.join(found)}; pages load nothing from elsewhere")
    return output


def foreign(html: str) -> list[str]:
    """Return the addresses from which a page would load scripts, styles or pictures."""
    return LOADED.findall(html)


def _generated() -> dict[str, str]:
    parts = {
        "methods": method_pages.pages(),
        "datasets": dataset_pages.pages(),
        "api": api_pages.pages(),
        "reference": {"schema.md": schema_page.page()},
        "notebooks": {
            f"{each.stem}.md": notebook_pages.page(each) for each in notebook_pages.notebooks()
        },
    }
    texts = {f"{part}/{name}": text for part, each in parts.items() for name, text in each.items()}
    return texts | {page: _copied(ROOT / file) for page, file in COPIED.items()}


def _copied(file: Path) -> str:
    """Return a file whose indented or bare code blocks are shell commands."""
    return re.sub(r"(?m)^```\n(?=(?:server/|docker |mlflow |mer ))", "```sh\n", file.read_text())
