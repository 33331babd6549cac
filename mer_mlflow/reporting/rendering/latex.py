r"""A report as LaTeX: a standalone file, and tables for ``\input`` in a paper."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from mer_mlflow.reporting.document import Block, Cell, Column, Document, Picture, Table, Text
from mer_mlflow.reporting.rendering._blocks import link, numbered

PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage[margin=20mm]{geometry}
\usepackage{adjustbox,array,booktabs,graphicx,longtable}
\usepackage[section]{placeins}
\usepackage[hidelinks]{hyperref}"""

PACKAGES = "% needs the packages adjustbox, array, booktabs, hyperref and longtable"

LONGEST_ON_ONE_PAGE = 40
"""Maximum number of rows on one page; a longer table is split over pages."""

LONGEST_ON_ONE_LINE = 40
"""Maximum number of characters of a text; columns with longer ones have line breaks."""

WIDEST_AT_ITS_SIZE = 6.6
"""Text width in inches; a wider figure is scaled down."""

COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"\textpm{}",
    "×": r"\texttimes{}",
    "÷": r"\textdiv{}",
    "−": r"\textminus{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\textellipsis{}",
    "→": r"\textrightarrow{}",
    "←": r"\textleftarrow{}",
    "•": r"\textbullet{}",
    "°": r"\textdegree{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "Δ": r"$\Delta$",
    "ε": r"$\varepsilon$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "χ": r"$\chi$",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u2009": r"\,",
}
"""Special characters of LaTeX; brackets and asterisks may be options of a line break."""

RAISED = {"<super": r"\textsuperscript", "<sub": r"\textsubscript"}
"""LaTeX command by Unicode's decomposition type, so that 10⁴ does not become 104."""

WHITE_SPACE = re.compile(r"\s+", re.ASCII)

LIGATURES = re.compile(r"([-,'])(?=\1)")

LETTERS = frozenset("ĐđŁłŊŋŒœı")
"""Letters of the font encoding T1, besides Latin-1 and letters with an accent."""


def to_latex(document: Document, *, picture_folder: str) -> str:
    """Write a report as a standalone LaTeX file.

    Parameters
    ----------
    document : the report
    picture_folder : folder of its PDF files, relative to the LaTeX file
    """
    parts = [PREAMBLE, f"\\title{{{escape(document.title)}}}\n\\date{{}}"]
    parts += ["\\begin{document}\n\\maketitle", *_facts(document)]
    for section, blocks in numbered(document):
        parts += [f"\\section{{{escape(section.title)}}}\n\\label{{sec:{section.name}}}"]
        parts += [_block(block, picture_folder) for _, block in blocks]
    return "\n\n".join([*parts, "\\end{document}\n"])


def to_latex_table(table: Table) -> str:
    r"""Write one table, for ``\input`` in a paper."""
    return f"{PACKAGES}\n{_table(table)}\n"


def escape(text: str) -> str:
    """Escape a text, on one line.

    Letters that common fonts lack lose their accent or are replaced by their code point, because
    the compiler stops at an unknown letter.
    """
    flat = unicodedata.normalize("NFC", WHITE_SPACE.sub(" ", text.strip()))
    return LIGATURES.sub(r"\1{}", "".join(map(_letter, flat)))


def _letter(letter: str) -> str:
    if letter in COMMANDS:
        return COMMANDS[letter]
    kind, _, points = unicodedata.decomposition(letter).rpartition("> ")
    if kind in RAISED:
        return f"{RAISED[kind]}{{{''.join(_letter(chr(int(p, 16))) for p in points.split())}}}"
    bare = unicodedata.normalize("NFD", letter)[0]
    is_latin = letter <= "ÿ" and letter.isprintable()
    if is_latin or letter in LETTERS or (letter <= "ž" and bare != letter):
        return letter
    return bare if bare.isascii() and bare.isalpha() else f"\\texttt{{U+{ord(letter):04X}}}"


def _facts(document: Document) -> Iterator[str]:
    if document.facts:
        items = [f"\\item[{{{escape(name)}}}] {escape(text)}" for name, text in document.facts]
        yield "\n".join(["\\begin{description}", *items, "\\end{description}"])


def _block(block: Block, picture_folder: str) -> str:
    match block:
        case Text():
            return escape(block.content)
        case Table():
            return _table(block)
        case Picture():
            return _picture(block, picture_folder)


def _table(table: Table) -> str:
    if table.folded and not table.rows:
        return f"{escape(table.title)}: {escape(table.folded_title)}."
    long = len(table.rows) > LONGEST_ON_ONE_PAGE
    return "\n".join(_long_table(table) if long else _short_table(table))


def _short_table(table: Table) -> Iterator[str]:
    yield "\\begin{table}[htbp]\n\\centering"
    yield f"\\caption{{{escape(table.title)}}}\n\\label{{tab:{table.name}}}"
    yield "\\begin{adjustbox}{max width=\\linewidth}"
    yield f"\\begin{{tabular}}{{{_columns(table)}}}"
    yield f"\\toprule\n{_heads(table)}\n\\midrule"
    yield from _rows(table)
    yield "\\bottomrule\n\\end{tabular}\n\\end{adjustbox}"
    yield from _notes(table)
    yield from _folded(table)
    yield "\\end{table}"


def _long_table(table: Table) -> Iterator[str]:
    n_columns, heads = len(table.columns), f"\\toprule\n{_heads(table)}\n\\midrule"
    yield "\\begingroup\\footnotesize\\setlength{\\tabcolsep}{4pt}"
    yield f"\\begin{{longtable}}{{{_columns(table)}}}"
    yield f"\\caption{{{escape(table.title)}}}\\label{{tab:{table.name}}}\\\\"
    yield f"{heads}\n\\endfirsthead"
    yield f"\\multicolumn{{{n_columns}}}{{@{{}}l}}{{\\tablename\\ \\thetable, continued}}\\\\"
    yield f"{heads}\n\\endhead"
    yield "\\bottomrule\n\\endfoot"
    yield from _rows(table)
    yield "\\end{longtable}"
    yield from _notes(table)
    yield from _folded(table)
    yield "\\endgroup"


def _columns(table: Table) -> str:
    by_column = zip(table.columns, *table.rows, strict=True)
    return "@{}" + "".join(_column(column, cells) for column, *cells in by_column) + "@{}"


def _column(column: Column, cells: Iterable[Cell]) -> str:
    if column.is_number:
        return "r"
    if max((len(cell.text) for cell in cells), default=0) > LONGEST_ON_ONE_LINE:
        return r">{\raggedright\arraybackslash}p{0.28\linewidth}"
    return "l"


def _heads(table: Table) -> str:
    return " & ".join(escape(column.title) for column in table.columns) + r" \\"


def _rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        yield " & ".join(_cell(column, cell) for column, cell in cells) + r" \\"


def _cell(column: Column, cell: Cell) -> str:
    shown = escape(cell.text)
    if shown and link(cell.address):
        shown = f"\\href{{{_escaped_address(cell.address)}}}{{{shown}}}"
    if cell.is_best:
        shown = f"\\textbf{{{shown}}}"
    marks = _superscript(",".join(map(str, cell.marks)))
    return shown + (f"\\rlap{{{marks}}}" if marks and column.is_number else marks)


def _escaped_address(address: str) -> str:
    return re.sub(r"[%#&_]", r"\\\g<0>", link(address))


def _superscript(marks: str) -> str:
    return f"\\textsuperscript{{{marks}}}" if marks else ""


def _notes(table: Table) -> Iterator[str]:
    if table.notes:
        yield "\\par\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright"
        for mark, note in enumerate(table.notes, start=1):
            yield f"\\noindent{_superscript(str(mark))} {escape(note)}\\par"
        yield "\\end{minipage}"


def _folded(table: Table) -> Iterator[str]:
    if table.folded:
        yield f"\\par\\smallskip {{\\footnotesize {escape(table.folded_title)}.}}"


def _picture(picture: Picture, folder: str) -> str:
    scaled = picture.figure.get_figwidth() > WIDEST_AT_ITS_SIZE
    size = "[width=\\linewidth]" if scaled else ""
    return "\n".join(
        [
            "\\begin{figure}[htbp]\n\\centering",
            f"\\includegraphics{size}{{{folder}/{picture.name}.pdf}}",
            f"\\caption{{{escape(picture.title)}}}\n\\label{{fig:{picture.name}}}\n\\end{{figure}}",
        ]
    )
