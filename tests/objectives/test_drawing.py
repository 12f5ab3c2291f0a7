"""How pictures look on a terminal: colours, width, and text that no terminal should be sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.vocabulary import Vocabulary, train
from objectives.__main__ import main
from objectives.reading import pieces
from objectives.spelling import clean, spell, width

ROOT = Path(__file__).parents[2]
TEXT = "Thank you for inviting me to your party last week. "
BOX = ["show", "--text", TEXT.strip(), "--hide", "for inviting", "--hide", "last"]


def test_a_sentinel_has_one_colour_in_asked_answer_and_map(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main([*BOX, "--objective", "span-corruption"]) == 0
    shown = capsys.readouterr().out
    first, second = (set(re.findall(rf"\x1b\[(\d+);1m<extra_id_{n}>", shown)) for n in (0, 1))
    assert len(first) == len(second) == 1
    assert first != second
    for colour, word in ((first, "inviting"), (second, "last")):
        assert re.findall(rf"\x1b\[(\d+)m{word}", shown) == [*colour] * 3  # original, answer, map
    assert "^" not in shown


def test_lines_are_cut_at_the_width_of_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["show", "--text", TEXT * 4]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(width, lines)) <= 60
    hanging = [line for line in lines if line.startswith(" " * 12)]
    assert len(hanging) > 5


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_a_terminal_has_colours_unless_it_is_dumb_or_they_are_not_wanted(environment, colours):
    terminal, inside = os.openpty()
    try:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        subprocess.run(
            [sys.executable, "-m", "objectives", *BOX, "--objective", "next-token"],
            env=kept | {"TERM": "xterm"} | environment, cwd=ROOT, stdout=inside, check=True,
        )  # fmt: skip
        assert (b"\x1b[" in os.read(terminal, 100_000)) is colours
    finally:
        os.close(terminal)
        os.close(inside)


def test_a_pipe_has_no_colours_and_a_poor_encoding_is_no_error():
    done = subprocess.run(
        [sys.executable, "-m", "objectives", "show", "--text", "h\u00e9llo \x1b[31m you"], cwd=ROOT, check=True,
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert b"\x1b" not in done.stdout
    assert rb"\x1b[31m" in done.stdout


def test_half_characters_are_spelled_together_or_drawn_as_such():
    vocabulary = Vocabulary.of(train(["plain text only"], 560))
    ids = vocabulary.encode("a 🙂!")
    assert "".join(" " * gap + text for gap, text in spell(ids, vocabulary)).strip() == "a 🙂!"
    assert [text for _, text in spell(ids[2:4], vocabulary)] == ["", "�"]
    assert all(text for _, text in spell(ids[2:6], vocabulary, range(4)))
    for number in range(vocabulary.size):
        spell([number], vocabulary)


def test_nothing_in_a_text_steers_the_terminal():
    assert clean("a\x1b[2J\u202eb\r") == "a\\x1b[2J\\u202eb\\x0d"
    assert width("日本e\u0301") == 5


def test_pieces_are_numbered_in_the_order_of_the_text():
    assert pieces([-1, 3, 4, -1, 0, 1, -1]) == [0, 2, 2, 0, 1, 1, 0]
    assert pieces([-1, 0, 2, 5, -1]) == []
