"""One report in every format, with texts that each of them could misread."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from mer_mlflow.reporting.document import Cell, Column, Document, Picture, Section, Table, Text
from mer_mlflow.reporting.hints import Hint, add_hints, find_hints
from mer_mlflow.reporting.rendering import (
    report_files,
    tables,
    to_csv,
    to_html,
    to_json,
    to_latex,
    to_latex_table,
    to_markdown,
    to_markdown_table,
    to_pdf,
    to_svg,
)
from mer_mlflow.reporting.rendering.pictures import to_inline_svg
from mer_mlflow.spreadsheet import escaped

HOSTILE = r"""<script>alert("1")</script> & 'a' | b %1 $x$ #2 c_d _e_ {f} ~g ^h \i [j](k) *l* `m`"""
UNICODE = "1 ± 2 – 3 × 4 ≥ −5 → 10⁴ é ğ 音"
RUN = "https://server.example/#/runs/a_b%20c?x=1&y=(2)"
VALUE = 0.1 + 0.2
VOIDS = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOIDS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name: str) -> list[str]:
        return [found[name] for _, found in self.attributes if name in found]


def draw() -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.eye(3))
    axes.set(title="F1 & <b>", xlabel="± 1")
    figure.colorbar(image, ax=axes)
    return figure


def make_table(name: str = "scores", *, n_rows: int = 1) -> Table:
    row = (
        Cell(text=HOSTILE, marks=(1,)),
        Cell(text="0.30 ± 0.01", value=VALUE, is_best=True, marks=(1, 2)),
        Cell(text="abc", address=RUN),
    )
    empty = (Cell(text=UNICODE), Cell(text="–", marks=(2,)), Cell(text="", is_best=True))
    return Table(
        name=name,
        title=HOSTILE,
        columns=(
            Column(title=f"Method {HOSTILE}", explanation=HOSTILE),
            Column(title="F1", is_number=True),
            Column(title="Run"),
        ),
        rows=(row,) * n_rows + (empty,),
        notes=(HOSTILE, UNICODE),
    )


@pytest.fixture
def document() -> Document:
    picture = Picture(name="f1", title=HOSTILE, description=HOSTILE, draw=draw)
    return Document(
        title=HOSTILE,
        facts=(("server", "https://server.example"), (HOSTILE, UNICODE)),
        sections=(
            Section(
                name="first", title=HOSTILE, blocks=(Text(content=HOSTILE), make_table(), picture)
            ),
            # of the same names, which must not make the same ids
            Section(
                name="scores",
                title=UNICODE,
                blocks=(
                    make_table("f1", n_rows=45),
                    replace(picture, name="scores"),
                    Text(content="- 1"),
                ),
            ),
        ),
    )


def one_cell(text: str) -> Table:
    return Table(
        name="a", title="", columns=(Column(title="a"),), rows=((Cell(text=text),),), notes=()
    )


def in_document(*blocks: Text | Table | Picture) -> Document:
    return Document(title="", facts=(), sections=(Section(name="a", title="", blocks=blocks),))


def assert_balanced(latex: str) -> None:
    braces = re.sub(r"\\[{}\\]", "", latex)
    depths = np.cumsum([{"{": 1, "}": -1}.get(letter, 0) for letter in braces])
    assert depths.min() == depths[-1] == 0


def test_formats_depend_on_the_document_alone(document: Document) -> None:
    assert dict(report_files(document)) == dict(report_files(document))


def test_files_have_the_names_of_their_blocks(document: Document) -> None:
    assert [name for name, _ in report_files(document)] == [
        "report.html",
        "report.md",
        "report.tex",
        *(f"tables/{name}.{suffix}" for name in ("scores", "f1") for suffix in ("csv", "tex")),
        *(f"figures/{name}.{suffix}" for name in ("f1", "scores") for suffix in ("svg", "pdf")),
    ]


def test_drawing_leaves_the_figure_as_it_was(document: Document) -> None:
    picture = Picture(name="a", title="", description="", draw=draw)
    fresh = replace(picture, draw=draw)
    to_svg(picture)
    assert to_pdf(picture) == to_pdf(fresh)
    assert b"CreationDate" not in to_pdf(picture)
    assert ElementTree.fromstring(to_svg(picture)).tag.endswith("svg")


def test_page_is_well_formed(document: Document) -> None:
    page = Page(to_html(document))
    assert page.open == []
    assert to_html(document).startswith("<!DOCTYPE html>")


def test_page_has_each_id_once_and_all_that_are_referred_to(document: Document) -> None:
    page = Page(to_html(document))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inner = [address[1:] for address in page.values("href") if address.startswith("#")]
    assert {"first", "scores", "note:scores:1", "note:f1:2", "page:content"} <= set(inner)
    assert {*inner, *page.values("aria-labelledby")} <= set(ids)


def test_page_loads_nothing(document: Document) -> None:
    text = to_html(document)
    assert Page(text).values("src") == []
    assert "@import" not in text
    assert not re.findall(r"url\((?!#svg:)", text)
    links = Page(text).values("href")
    outside = [link for link in links if not link.startswith(("#", "data:image/png;base64,"))]
    assert set(outside) == {"https://server.example/#/runs/a_b%20c?x=1&y=%282%29"}
    as_text = text.replace("<dd>https://server.example</dd>", "")
    assert len(re.findall("https?:", as_text)) == len(outside)


def test_page_shows_hostile_text_as_it_is(document: Document) -> None:
    page = Page(to_html(document))
    assert sum(tag == "script" for tag, _ in page.attributes) == 1
    assert not any(name.startswith("on") for _, found in page.attributes for name in found)
    for tag in ("title", "h1", "h2", "dt", "p", "span", "li"):
        assert (tag, HOSTILE) in page.texts
    assert HOSTILE in page.values("aria-label")
    assert HOSTILE in page.values("title")


def test_page_sorts_numbers_by_value(document: Document) -> None:
    cells = [found for tag, found in Page(to_html(document)).attributes if tag == "td"]
    numbers = [found.get("data-value") for found in cells if found.get("class") == "number"]
    assert numbers[:2] == [repr(VALUE), None]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (np.float64(0.5), "0.5"),
        (3, "3.0"),
        (float("nan"), None),
        (float("inf"), "1e999"),
        (-float("inf"), "-1e999"),
    ],
)
def test_page_writes_any_number_for_its_script(value: float, key: str | None) -> None:
    column = Column(title="a", is_number=True)
    table = replace(one_cell("a"), columns=(column,), rows=((Cell(text="a", value=value),),))
    (cell,) = (
        found
        for tag, found in Page(to_html(in_document(table))).attributes
        if tag == "th" and found["scope"] == "row"
    )
    assert cell.get("data-value") == key


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", " https://a", "data:text/html,a", "//a"]
)
def test_only_web_pages_are_linked(address: str) -> None:
    table = replace(one_cell("a"), rows=((Cell(text="a", address=address),),))
    made = in_document(table)
    formats = (to_html(made), to_markdown(made, picture_folder=""), to_latex_table(table))
    assert not any(address in text for text in formats)


# a page's reader turns each carriage return into a line feed, and knows no character zero
@given(text=st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
@settings(deadline=None)
@example(HOSTILE)
@example("&lt;")
@example(" a ")
def test_any_text_survives_a_page(text: str) -> None:
    page = to_html(in_document(one_cell(text)))
    shown = re.search(r'<th scope="row"(?: class="long")?><span>(.*?)</span></th>', page, re.DOTALL)
    assert shown is not None
    assert "<" not in shown[1]
    assert html.unescape(shown[1]) == text


@given(text=st.text())
@example('a"b,c\r\nd')
def test_any_text_survives_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(one_cell(text)), newline="")))
    assert rows == [["a"], [escaped(text)]]


def test_csv_has_no_formulas() -> None:
    table = Table(
        name="t",
        title="t",
        columns=(Column(title="=a"), Column(title="b", is_number=True)),
        rows=((Cell(text="@b", address="=c"), Cell(text="+1 to +2", value=-1)),),
    )
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert rows == [
        ["'=a", "'=a address", "b", "b as shown"],
        ["'@b", "'=c", "-1", "'+1 to +2"],
    ]


def test_csv_has_what_is_shown_and_full_precision() -> None:
    table = pd.read_csv(io.StringIO(to_csv(make_table())), keep_default_na=False)
    assert list(table) == [f"Method {HOSTILE}", "F1", "F1 as shown", "Run", "Run address"]
    assert list(table[f"Method {HOSTILE}"]) == [HOSTILE, UNICODE]
    assert float(table["F1"][0]) == VALUE
    assert list(table["F1 as shown"]) == ["0.30 ± 0.01", "–"]
    assert list(table["Run address"]) == [RUN, ""]


def test_csv_repeats_no_plain_numbers() -> None:
    cells = (Cell(text="1", value=1), Cell(text="−0.50", value=-0.5), Cell(text="–"))
    table = replace(
        one_cell(""),
        columns=(Column(title="a", is_number=True),),
        rows=tuple((cell,) for cell in cells),
    )
    assert to_csv(table) == '"a"\n1\n-0.5\n""\n'


def test_table_without_rows_has_its_head_in_every_format() -> None:
    table = replace(make_table(), rows=())
    made = in_document(table)
    assert to_csv(table).count("\n") == 1
    assert to_markdown(made, picture_folder="").count("\n| ") == 2
    assert len(re.findall(r"(?<!\\)&", to_latex_table(table))) == 2
    assert to_html(made).count("<tr>") == 1


def test_markdown_tables_have_as_many_cells_in_each_line(document: Document) -> None:
    text = to_markdown(document, picture_folder="figures")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 * 2 + 2 + 46
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert "| :--- | ---: | :--- |" in lines
    assert "**0.30 ± 0.01¹,²**" in lines[2]
    assert "[abc](https://server.example/#/runs/a_b%20c?x=1&y=%282%29)" in lines[2]


def test_markdown_refers_to_notes_and_pictures(document: Document) -> None:
    text = to_markdown(document, picture_folder="figures")
    assert f"- ² {UNICODE}" in text
    assert "](figures/f1.svg)" in text
    assert "**Figure 2.**" in text
    assert "<script>" not in text.replace(r"\<script", "")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("learning_rate=1", "learning_rate=1"),
        ("_a_", r"\_a\_"),
        ("# a #", r"\# a \#"),
        ("- a", r"\- a"),
        ("12. a", r"12\. a"),
        ("12.5 a", r"12\.5 a"),
        ("a\n\nb", "a b"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_markdown_paragraphs_start_nothing(words: str, shown: str) -> None:
    text = to_markdown(in_document(Text(content=words)), picture_folder="")
    assert text.split("\n\n")[-1] == f"{shown}\n"


def test_latex_closes_what_it_opens(document: Document) -> None:
    text = to_latex(document, picture_folder="figures")
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    assert_balanced(text)
    assert text.count(r"\begingroup") == text.count(r"\endgroup") == 1


@given(text=st.text())
@example(HOSTILE)
@example("\\}")
def test_any_text_leaves_latex_whole(text: str) -> None:
    table = to_latex_table(one_cell(text))
    assert_balanced(table)
    assert all(letter.isprintable() or letter == "\n" for letter in table)


def test_latex_has_but_commands_and_letters_that_fonts_have(document: Document) -> None:
    text = to_latex(document, picture_folder="figures")
    assert set(text) - set(map(chr, range(32, 127))) == {"\n", "é", "ğ"}
    assert r"1 \textpm{} 2 \textendash{} 3 \texttimes{} 4 $\geq$ \textminus{}5" in text
    assert r"\textrightarrow{} 10\textsuperscript{4} é ğ \texttt{U+97F3}" in text
    escaped = (
        r"\textless{}script\textgreater{}alert(\textquotedbl{}1\textquotedbl{})\textless{}/script"
        r"\textgreater{} \& 'a' \textbar{} b \%1 \$x\$ \#2 c\_d \_e\_ \{f\} \textasciitilde{}g "
        r"\textasciicircum{}h \textbackslash{}i {[}j{]}(k) {*}l{*} \textasciigrave{}m"
        r"\textasciigrave{}"
    )
    assert rf"\title{{{escaped}}}" in text
    assert text.count("alert") == text.count(escaped)


def test_latex_breaks_long_tables_only(document: Document) -> None:
    text = to_latex(document, picture_folder="figures")
    assert text.count(r"\begin{tabular}") == 1
    assert text.count(r"\begin{longtable}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    # the long table has its head twice
    assert len(rows) == (1 + 2) + (2 + 46)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}


def test_latex_has_labels_and_links(document: Document) -> None:
    text = to_latex(document, picture_folder="figures")
    for label in ("sec:scores", "tab:scores", "tab:f1", "fig:f1"):
        assert text.count(rf"\label{{{label}}}") == 1
    assert r"\includegraphics{figures/f1.pdf}" in text
    assert r"\href{https://server.example/\#/runs/a\_b\%20c?x=1\&y=\%282\%29}{abc}" in text
    assert r"\textbf{0.30 \textpm{} 0.01}\rlap{\textsuperscript{1,2}}" in text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--seed ''", "-{}-seed '{}'"),
        ("Łódź, ế", "Łódź, e"),
        (
            "½ CO₂ 10⁻³",
            r"½ CO\textsubscript{2} 10\textsuperscript{\textminus{}}\textsuperscript{3}",
        ),
        ("a\u00a0b\n c", "a~b c"),
        ("\0", r"\texttt{U+0000}"),
    ],
)
def test_latex_words(words: str, shown: str) -> None:
    text = to_latex(in_document(Text(content=words)), picture_folder="")
    assert text.split("\n\n")[-2] == shown


def folded_table(*, n_rows: int) -> Table:
    rows = make_table(n_rows=n_rows).rows
    return replace(
        make_table(), rows=rows[:n_rows], folded=rows[-1:] * 2, folded_title="2 of 3 were not run"
    )


@pytest.mark.parametrize("n_rows", [0, 1])
def test_folded_rows_are_in_html_and_data_and_counted_elsewhere(n_rows: int) -> None:
    table = folded_table(n_rows=n_rows)
    made = in_document(table)
    page = to_html(made)
    assert "<summary>2 of 3 were not run</summary>" in page
    assert page.count("<table") == n_rows + 1
    assert page.count(UNICODE) == 2 + 1  # rows, and a note
    assert len(to_csv(table).splitlines()) == 1 + n_rows + 2
    assert len(json.loads(to_json(table))["rows"]) == n_rows + 2
    for words in (
        to_markdown(made, picture_folder=""),
        to_markdown_table(table),
        to_latex(made, picture_folder=""),
        to_latex_table(table),
    ):
        assert words.count("2 of 3 were not run.") == 1
        assert_balanced(to_latex_table(table))


def test_json_has_text_value_address_and_notes() -> None:
    made = json.loads(to_json(make_table()))
    first, second = made["rows"]
    assert made["columns"] == list(first)
    assert first["F1"] == {"text": "0.30 ± 0.01", "value": VALUE, "notes": [1, 2]}
    assert first["Run"] == {"text": "abc", "address": RUN}
    assert second["F1"]["value"] is None
    assert made["notes"] == [HOSTILE, UNICODE]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("../a b.mp3", "../a%20b.mp3"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//server/a", ""),
        ("/etc/passwd", ""),
        ("", ""),
    ],
)
def test_only_relative_files_are_linked(path: str, address: str) -> None:
    table = replace(one_cell("a"), rows=((Cell(text="a", file=path),),))
    links = Page(to_html(in_document(table))).values("href")
    assert [link for link in links if not link.startswith("#")] == [address] * bool(address)


def draw_with_hints() -> Figure:
    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 4), ylim=(0, 3))
    add_hints(axes, [1, np.nan], [1, 1], ["here\0", "nowhere"])
    return figure


def test_hints_are_titles_at_their_points() -> None:
    picture = Picture(name="a", title="", description="", draw=draw_with_hints)
    assert list(find_hints(picture.figure)) == [
        Hint(x=pytest.approx(72), y=pytest.approx(144), radius=4, text="here\0")
    ]
    circle = '<circle cx="72.0" cy="144.0" r="4"><title>here\N{REPLACEMENT CHARACTER}</title>'
    for words in (to_svg(picture).decode(), to_inline_svg(picture)):
        assert words.count(circle) == 1
        ElementTree.fromstring(words)


def test_figures_have_colours_for_light_and_dark_pages() -> None:
    picture = Picture(name="a", title="", description="", draw=draw)
    alone, page = to_svg(picture).decode(), to_html(in_document(picture))
    assert "svg{color-scheme:light dark}" in alone
    assert 'svg [style*="fill: #ffffff"]{fill:light-dark(#ffffff,' in alone
    assert '.card svg [style*="fill: #ffffff"]{fill:light-dark(#ffffff,' in page
    assert page.count("color-scheme:light dark}") == 0
    assert 'style="fill: #ffffff' in alone


def test_figure_is_not_drawn_for_its_tables_alone() -> None:
    def fail() -> Figure:
        raise AssertionError

    made = in_document(make_table(), Picture(name="a", title="", description="", draw=fail))
    assert [table.name for table in tables(made)] == ["scores"]
