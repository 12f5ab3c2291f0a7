from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foundation import memory, request
from foundation.command import Verb, main
from foundation.refusal import BadData, BadUsage


@dataclass(frozen=True)
class Round:
    """A round thing."""

    radius: float = 1.0
    """How far it reaches."""


@dataclass(frozen=True)
class Square:
    """A square thing."""

    side: float = 2.0
    """How long each side is."""


SHAPES = {"round": Round, "square": Square}


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw a shape."""

    shape: Round | Square = field(default=Round(), metadata={"choices": "tests.foundation.test_command:SHAPES"})
    """What to draw."""
    out: Path
    """Where to."""
    times: int = 1
    """How often."""
    names: tuple[str, ...] = ()
    """What it is called."""


DRAWN: list[Draw] = []


def draw(asked: Draw) -> None:
    if asked.times == 13:
        raise BadData("thirteen times", "draw less")
    DRAWN.append(asked)


HERE = "tests.foundation.test_command"
VERBS = {"": Verb(f"{HERE}:Draw", f"{HERE}:draw", "Draw a shape.", "draw --out X")}


def run(*argv: str) -> int:
    DRAWN.clear()
    return main("draw", VERBS, argv)


def test_a_choice_brings_its_own_flags():
    assert run("--shape", "square", "--shape.side", "3", "--out", "x") == 0
    assert DRAWN == [Draw(shape=Square(3.0), out=Path("x"))]


def test_a_users_own_class_is_named_by_its_module():
    assert run("--shape", f"{HERE}:Square", "--out", "x") == 0
    assert DRAWN[0].shape == Square()


def test_a_file_gives_defaults_and_flags_win(tmp_path):
    file = tmp_path / "draw.toml"
    file.write_text('out = "y"\ntimes = 4\nnames = ["a", "b"]\n[shape]\nname = "square"\nside = 5\n')
    assert run("--config", str(file), "--times", "2") == 0
    assert DRAWN == [Draw(shape=Square(5.0), out=Path("y"), times=2, names=("a", "b"))]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--shape", "sqare", "--out", "x"], 2, "did you mean square?"),
        (["--shape", "no.module:Thing", "--out", "x"], 2, "no.module"),
        (["--out", "x", "--times", "few"], 2, "few"),
        ([], 2, "out"),
        (["--config", "nowhere.toml"], 2, "No such file"),
        (["--out", "x", "--times", "13"], 3, "thirteen times\n  draw less"),
    ],
)
def test_a_bad_request_gets_one_message_and_its_code(argv, code, words, capsys):
    assert run(*argv) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


def test_debug_shows_where_a_refusal_came_from(capsys):
    assert run("--out", "x", "--times", "13", "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('time = 3\nout = "x"', "did you mean times?"),
        ('times = "3"\nout = "x"', "is not int"),
        ("times 3", "draw.toml"),
    ],
)
def test_a_bad_file_is_refused(text, words, tmp_path, capsys):
    (tmp_path / "draw.toml").write_text(text)
    assert run("--config", str(tmp_path / "draw.toml")) == 2
    assert words in capsys.readouterr().err


def test_help_names_the_choices_and_ends_with_an_example(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert "--shape {round,square}" in shown
    assert shown.rstrip().endswith("draw --out X")


def test_a_request_survives_being_written_and_read():
    asked = Draw(shape=Square(3.0), out=Path("x"), names=("a",))
    plain = request.to_dict(asked)
    assert plain == {"shape": {"name": "square", "side": 3.0}, "out": "x", "times": 1, "names": ["a"]}
    assert request.from_dict(Draw, plain) == asked
    with pytest.raises(BadUsage, match="missing"):
        request.from_dict(Draw, {})


def test_malloc_is_told_only_where_glibc_is(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert memory.keep_pages() is False
