"""Texts of CSV files: none is taken for a formula, and each is read back as it was."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.spreadsheet import escaped, to_csv, unescaped

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"


@pytest.mark.parametrize(
    "text",
    [
        *(f"{sign}HYPERLINK(1)" for sign in SIGNS),
        *(f"{blank}=1+1" for blank in (" ", "  ", "\u00a0", "\u3000", "\ufeff", "\v", "\0")),
        "\tname",
        "\rname",
        "\nname",
        "-1+1",
        "+1 to +2",
        "-",
        "'=1",
        "-inf",
        "-1_0",
        "-１",
    ],
)
def test_formula_has_an_apostrophe_before_it(text: str) -> None:
    assert escaped(text) == f"'{text}"
    assert unescaped(f"'{text}") == text


@pytest.mark.parametrize(
    "text",
    ["", "name", "a=b", " name", "'quoted'", "'", "5", "-5", "+0.5", "-1e-05", "-.5", "−0.5"],
)
def test_other_texts_and_numbers_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text
    assert unescaped(text) == text


@given(st.text() | st.text(alphabet=f"' \t\r\n{SIGNS}15.e"))
def test_any_text_is_read_back(text: str) -> None:
    assert unescaped(escaped(text)) == text


def test_table_keeps_its_numbers() -> None:
    table = pd.DataFrame(
        {"=name": ["=1", "b"], "count": [1, -2], "share": [-0.1, np.nan], "any": [None, "@a"]}
    )
    rows = list(csv.reader(io.StringIO(to_csv(table).decode())))
    assert rows == [
        ["'=name", "count", "share", "any"],
        ["'=1", "1", "-0.1", ""],
        ["b", "-2", "", "'@a"],
    ]
    plain = table[["count", "share"]]
    assert to_csv(plain).decode() == plain.to_csv(index=False)
