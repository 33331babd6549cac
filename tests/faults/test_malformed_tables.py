"""Damaged CSVs of datasets: valid clips, or one line that names the file."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.datasets import QUADRANTS, load_dataset
from mer_mlflow.errors import DatasetError

FAULTS, SLOW_FAULTS = settings.get_profile("faults"), settings.get_profile("slow faults")
Rows = list[list[str]]
N_CLIPS = 12
CELLS = (
    *("", " ", "nan", "NaN", "inf", "-inf", "1e400", "1e308", "-1e308", "1e39", "9" * 400, "0x1p3"),
    *(
        "1,5",
        "1;5",
        "five",
        "Q1",
        "Q5",
        "q 1",
        "\u0661",
        "1_0",
        "é",
        "\ufeff",
        "\u2028",
        "a\nb",
        "a\r",
        '"',
    ),
    *(
        "../../etc",
        "/dev/zero",
        "/",
        "..",
        "a" * 300,
        "C000",
        "Song",
        "Quadrant",
        "path",
        "feature",
    ),
)
EDITS: Mapping[str, Callable[[Rows, int, int, str], Rows]] = {
    "drop row": lambda rows, i, j, cell: rows[:i] + rows[i + 1 :],
    "repeat row": lambda rows, i, j, cell: [*rows[: i + 1], *rows[i:]],
    "first row": lambda rows, i, j, cell: [rows[i], *rows],
    "drop column": lambda rows, i, j, cell: [row[:j] + row[j + 1 :] for row in rows],
    "repeat column": lambda rows, i, j, cell: [row[: j + 1] + row[j:] for row in rows],
    "last column": lambda rows, i, j, cell: [[*row, row[j]] if row[j:] else row for row in rows],
    "write cell": lambda rows, i, j, cell: [
        [*row[:j], cell, *row[j + 1 :]] if n == i else row for n, row in enumerate(rows)
    ],
    "write column": lambda rows, i, j, cell: [[*row[:j], cell, *row[j + 1 :]] for row in rows],
    "add cell": lambda rows, i, j, cell: [
        [*row[:j], cell, *row[j:]] if n == i else row for n, row in enumerate(rows)
    ],
}
MANNERS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",,,,;;\t|"),
        "newline": st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "encoding": st.sampled_from(
            ["utf-8", "utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-32", "cp037"]
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A dataset whose tables are to be damaged."""

    dataset: str
    root: Path
    tables: Mapping[str, bytes]


def written(rows: Rows, *, delimiter: str, newline: str, quoting: int, encoding: str) -> bytes:
    sink = io.StringIO()
    csv.writer(
        sink, delimiter=delimiter, lineterminator=newline, quoting=quoting, escapechar="\\"
    ).writerows(rows)
    return sink.getvalue().encode(encoding, errors="replace")


def plain(*rows: tuple[object, ...]) -> bytes:
    return written(
        [[str(cell) for cell in row] for row in rows],
        delimiter=",",
        newline="\n",
        quoting=csv.QUOTE_MINIMAL,
        encoding="utf-8",
    )


def made_tables() -> dict[str, dict[str, bytes]]:
    clips = [(f"C{i:03d}", QUADRANTS[i % 4]) for i in range(N_CLIPS)]
    artists = [(*clip, f"Sigur Rós {i}") for i, clip in enumerate(clips)]
    features = [(clip, i, -0.5 * i, 1e-3, q) for i, (clip, q) in enumerate(clips)]
    head = ("SongID", "F1", "F2", "F3", "Quadrant")
    parts = {
        f"tvt_dataframes/tvt_70_15_15/tvt_70_15_15_{part}_audio_balanced.csv": plain(
            ("Song", "Quadrant"), *clips[i::3]
        )
        for i, part in enumerate(("train", "validate", "test"))
    }
    return {
        "original-4qaed": {
            "annotations.csv": plain(("Song", "Quadrant"), *clips),
            "metadata.csv": plain(("Song", "Quadrant", "Artist"), *artists),
            "top100_features.csv": plain(head, *features),
            "all_features.csv": plain(head, *features),
            "relieff_ranking_1714.csv": plain(("rank", "feature"), (1, "F2"), (2, "F1")),
        },
        "merge-balanced": {
            "merge_audio_balanced_metadata.csv": plain(("Song", "Quadrant", "Artist"), *artists),
            **parts,
        },
        "folder": {
            "clips.csv": plain(
                ("path", "quadrant", "artist"), *((f"{clip}.wav", *more) for clip, *more in artists)
            )
        },
    }


@pytest.fixture(scope="module")
def layouts(scratch: Path) -> list[Layout]:
    made = []
    for dataset, tables in made_tables().items():
        root = scratch / dataset
        for name, content in tables.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        if dataset == "folder":
            for i in range(N_CLIPS):
                (root / f"C{i:03d}.wav").write_bytes(bytes([i]))
        made.append(Layout(dataset=dataset, root=root, tables=tables))
    return made


@pytest.fixture(scope="module")
def published(real_data: Path, scratch: Path) -> Layout:
    root = scratch / "published"
    shutil.copytree(real_data / "4qaed-features", root)
    tables = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.csv")}
    return Layout(dataset="original-4qaed", root=root, tables=tables)


@pytest.fixture
def load(refusal: Callable[..., str | None]) -> Callable[[Layout, str, bytes], str | None]:
    """Load a layout one of whose tables is replaced: what it is refused with, None for clips."""

    def load(layout: Layout, name: str, content: bytes) -> str | None:
        (layout.root / name).write_bytes(content)
        warned: list[str] = []

        def check() -> None:
            clips = load_dataset(layout.dataset, layout.root, on_warning=warned.append)
            assert len(clips) > 0
            assert list(clips.ids) == sorted(set(clips.ids))
            assert set(clips.quadrants.tolist()) <= {0, 1, 2, 3}
            for table, features in clips.features.items():
                assert len(set(features.names)) == len(features.names) > 0
                words = refusal(lambda: clips.feature_values(table), DatasetError)  # noqa: B023
                if words is None:
                    values = clips.feature_values(table)
                    assert np.isfinite(values).all()
                    assert np.isfinite(values.astype(np.float32)).all()

        try:
            words = refusal(check, DatasetError)
        finally:
            (layout.root / name).write_bytes(layout.tables[name])
        assert all(len(said.splitlines()) == 1 for said in warned)
        assert words is None or str(layout.root) in words or layout.dataset in words
        return words

    return load


def edited(data: Any, content: bytes) -> bytes:
    """Content with one to three edits of its rows and columns, written in another manner."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig", errors="replace"), newline="")))
    steps = st.tuples(
        st.sampled_from(sorted(EDITS)),
        st.integers(0, 4) | st.integers(0, len(rows)),
        st.integers(0, 4),
        st.sampled_from(CELLS) | st.text(max_size=6),
    )
    for kind, i, j, cell in data.draw(st.lists(steps, max_size=3), label="edits"):
        if rows:
            rows = EDITS[kind](rows, i % len(rows), j, cell)
    return written(rows, **data.draw(MANNERS, label="manner"))


def test_undamaged_tables_load(layouts: list[Layout], load: Any) -> None:
    for layout in layouts:
        for name, content in layout.tables.items():
            assert load(layout, name, content) is None


@FAULTS
@given(data=st.data())
def test_tables_of_damaged_bytes_load_or_are_named(
    layouts: list[Layout], load: Any, damaged: Any, data: Any
) -> None:
    layout = data.draw(st.sampled_from(layouts))
    name = data.draw(st.sampled_from(sorted(layout.tables)))
    load(layout, name, damaged(data, layout.tables[name]))


@FAULTS
@given(data=st.data())
def test_tables_of_odd_cells_load_or_are_named(layouts: list[Layout], load: Any, data: Any) -> None:
    layout = data.draw(st.sampled_from(layouts))
    name = data.draw(st.sampled_from(sorted(layout.tables)))
    load(layout, name, edited(data, layout.tables[name]))


@SLOW_FAULTS
@given(data=st.data(), bytewise=st.booleans())
def test_damaged_published_tables_load_or_are_named(
    published: Layout, load: Any, damaged: Any, data: Any, bytewise: bool
) -> None:
    name = data.draw(st.sampled_from(sorted(published.tables)))
    content = published.tables[name]
    load(published, name, damaged(data, content) if bytewise else edited(data, content))
