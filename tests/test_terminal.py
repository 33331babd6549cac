"""Text for a terminal: foreign texts cannot do anything there but be read."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mer_mlflow.commands.command import run_command
from mer_mlflow.errors import ParameterError
from mer_mlflow.terminal import CONTROL, cell, console, guard_output, printable

ATTACK = "\x1b[2J\x1b]8;;http://x\x07a\x1b]8;;\x07\x1b]52;c;eA==\x07\x9b31m\u202egnp.exe\u2066\x08"
PROGRESS = """
import sys, time
from mer_mlflow.progress import progress
from mer_mlflow.commands.command import run_command
import mer_mlflow.progress

def work():
    with progress("[red]clips[/red]") as advance:
        advance(1, 2)
        print("before \\x1b]8;;http://evil\\x1b\\\\click\\x1b]8;;\\x1b\\\\ after")
        time.sleep(0.3)
        advance(2, 2)
    print("then \\x1b[2J")
    return 0

run_command(work)
"""


def is_harmless(text: str) -> bool:
    return not any(
        unicodedata.category(character) in ("Cc", "Zl", "Zp") and character not in "\n\t"
        for character in text
    ) and not set(text) & set(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x61C)))


@given(text=st.text(st.characters(categories=("Cc", "Cf", "Zl", "Zp", "L"))))
def test_nothing_but_text_is_left_of_any_text(text: str) -> None:
    words = printable(text)
    assert is_harmless(words)
    assert "\n" not in words
    assert "\t" not in words


@pytest.mark.parametrize(
    "text", ["Björk – Jóga", "مرحبا", "日本語", "e\u0301", "👩\u200d🎤", "a\u00a0b"]
)
def test_words_of_any_language_stay(text: str) -> None:
    assert printable(text) == text


def test_long_names_are_cut() -> None:
    assert printable("a" * 100, most=10) == "a" * 9 + "…"


def test_streams_give_control_characters_as_codes(capsys: pytest.CaptureFixture[str]) -> None:
    guard_output()
    guard_output()
    print(ATTACK)
    print("a\tb\nc", file=sys.stderr)
    print("\r50 %", file=sys.stderr)
    said = capsys.readouterr()
    assert is_harmless(said.out)
    assert said.out.startswith("\\x1b[2J\\x1b]8;;http://x\\x07a")
    assert said.err == "a\tb\nc\n\r50 %\n"


def test_errors_have_neither_control_characters_nor_passwords(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> int:
        raise ParameterError(f"name={ATTACK}: of postgresql://ada:se/cret@host/db")

    with pytest.raises(SystemExit):
        run_command(work)
    said = capsys.readouterr().err
    assert is_harmless(said)
    assert said.endswith(": of postgresql://host/db\n")


@pytest.mark.parametrize("name", ["[/b]", "[link=http://x]a[/link]", "[red]", "a:smile:b", "\\[a]"])
def test_markup_in_a_cell_is_text(name: str) -> None:
    buffer = io.StringIO()
    Console(file=buffer, width=60).print(cell(name))
    assert buffer.getvalue().strip() == name


def test_tables_are_printed_past_the_guard(capsys: pytest.CaptureFixture[str]) -> None:
    stream = sys.stdout
    guard_output()
    assert sys.stdout is not stream
    assert console(width=30).file is stream
    assert console(width=30).width == 30


def test_bar_in_a_terminal_is_drawn_and_what_is_printed_beside_it_is_text() -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRESS], stdout=child, stderr=child, env=environment
    ) as process:
        os.close(child)
        said = b""
        while True:
            try:
                block = os.read(parent, 1 << 16)
            except OSError:
                break
            if not block:
                break
            said += block
    os.close(parent)
    assert process.returncode == 0
    text = said.decode()
    assert "http://evil\\x1b" in text
    assert "\x1b]8" not in text
    assert "\x1b[2J" not in text
    assert "then \\x1b[2J" in text
    assert "[red]clips[/red]" in text
    assert CONTROL.search(text.replace("\x1b", "").replace("\r", "")) is None
