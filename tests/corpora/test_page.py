"""The page of corpora is true: its commands are commands, and it names every flag."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from corpora.__main__ import VERBS
from corpora.requests import Build
from foundation import command

PAGE = (Path(__file__).parent.parent.parent / "docs" / "corpora.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [line for fence in FENCES for line in fence.splitlines() if re.search(r"(^|\| )corpora ", line)]


@pytest.mark.parametrize("line", LINES)
def test_its_commands_can_be_given(line: str) -> None:
    verb, *words = shlex.split(line.partition("corpora ")[2])
    assert command.parse(f"corpora {verb}", VERBS[verb], words)


def test_it_names_every_flag() -> None:
    flags = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Build) if field.name != "sources"]
    assert [flag for flag in flags if flag not in PAGE] == []
    assert len(LINES) >= 9
