"""The page of objectives is true: its drawings, its defaults, its figures and its python.

``python -m tests.test_docs`` writes anew what the page only repeats: drawings, costs and figures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.blocks import Blocks
from foundation.keys import fold
from foundation.refusal import BadUsage
from objectives import IGNORED, OBJECTIVES, Objective
from objectives.__main__ import main
from objectives.requests import TEXT
from objectives.sources import encode, find, words
from pretrain.families import FAMILIES, class_name
from pretrain.run import default_family

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs" / "objectives.md"
PAGE = FILE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([a-z0-9-]+)`$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
VOCABULARY = words(" ".join(f"w{number}" for number in range(1000)))
ROWS = 512
DRAWING = re.compile(r"^```\n\$ (objectives show (?:[^\n]*\\\n)*[^\n]*)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
DRAWINGS = [(command.replace("\\\n", " "), drawn) for command, drawn in DRAWING.findall(PAGE)]
FIGURES = re.compile(
    r"^(```python\n(?P<code>(?:(?!^```).)*?)^```\n\n```\n)(?P<said>.*?)^```$", re.MULTILINE | re.DOTALL
)


def fences(language: str) -> list[str]:
    return [
        body for said, body in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if said == language
    ]


def tables(text: str) -> list[list[list[str]]]:
    found = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    rows = [[[cell.strip() for cell in row.strip("|").split("|")] for row in one.splitlines()] for one in found]
    return [[one[0], *one[2:]] for one in rows]


def table(*header: str) -> dict[str, list[str]]:
    """The rows of the one table of the page whose header begins so, by their first cell."""
    (rows,) = [rows for first, *rows in tables(PAGE) if tuple(first[: len(header)]) == header]
    return {row[0].strip("`"): row[1:] for row in rows}


def numbers(text: str) -> dict[str, str]:
    """The defaults that a section states: a row each, or where another section has their meaning, a column each."""
    said: dict[str, str] = {}
    for header, *rows in tables(text):
        if header[:2] == ["number", "default"]:
            said |= {row[0].strip("`"): row[1] for row in rows}
        elif all(cell.startswith("`") for cell in header):
            said |= {name.strip("`"): value for name, value in zip(header, *rows, strict=True)}
    return said


def written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} members" if value else "none"
    return "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def prose(count: int, width: int) -> Blocks:
    """Rows of words, a sentence every eight of them, each row inside a document of its own."""
    ids = np.resize(VOCABULARY.draw, (count, width))
    documents = np.zeros(ids.shape, dtype=bool)
    sentences = (np.arange(width) % 8 == 0) & ~documents
    lengths, texts = np.full(count, width), np.arange(count)
    keys = fold(0, "docs", texts)
    others = Blocks(ids[::-1], lengths, sentences, documents, keys, texts=texts + count)
    return Blocks(ids, lengths, sentences, documents, keys, texts=texts, others=others)


def costs(objective: Objective) -> list[str]:
    """Corpus tokens at 512 positions; the most positions and the mean number of targets that 128 tokens become."""
    batch = objective.collate(prose(ROWS, 128), VOCABULARY)
    sides = [batch.inputs[side].shape[1] for side in ("input_ids", "decoder_input_ids") if side in batch.inputs]
    targets = f"{(batch.targets['tokens'] != IGNORED).sum() / ROWS:.0f}"
    return [str(objective.span(512)), " + ".join(map(str, sides)), targets + " and 1" * ("order" in batch.targets)]


def able(objective: Objective) -> list[str]:
    """The families that learn an objective, the default first."""
    found = []
    for family in FAMILIES:
        with contextlib.suppress(BadUsage):
            class_name(family, objective)
            found.append(family)
    return sorted(found, key=lambda family: family != default_family(objective))


def printed(command: str) -> str:
    """What a command prints in 100 columns, run where the page's mixture lies."""
    out = io.StringIO()
    Path("MIXTURE.toml").write_text(*fences("toml"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", "100")
        assert main(shlex.split(command)[1:]) == 0
    return out.getvalue()


def python(code: str, folder: Path, *words: str) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    call = [sys.executable, *(words or ("-c", code))]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_each_objective_has_a_section_with_a_drawing_its_reference_and_where_it_departs():
    assert re.findall(r"^## `(.*)`$", PAGE, flags=re.MULTILINE) == list(OBJECTIVES)
    parts = ("```\n$ objectives show", "**Follows**", "**Departs", "**Costs**")
    assert not [(name, part) for name, text in SECTIONS.items() for part in parts if part not in text]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_number_is_told_with_its_default(name):
    fields = dataclasses.fields(OBJECTIVES[name])
    assert numbers(SECTIONS[name]) == {field.name: written(field.default) for field in fields}


def test_the_tables_at_the_top_are_what_the_code_says():
    assert list(table("objective", "is given", "answers")) == list(OBJECTIVES)
    told = table("objective", "families", "needs")
    assert list(told) == list(OBJECTIVES)
    for name in set(OBJECTIVES) - {"mixture"}:
        objective = OBJECTIVES[name]()
        assert told[name][:5] == [", ".join(able(objective)), " ".join(objective.needs), *costs(objective)]


@pytest.mark.parametrize(("command", "drawn"), DRAWINGS, ids=[command for command, _ in DRAWINGS])
def test_drawings_are_what_the_command_prints(command, drawn, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert f"\n{drawn}\n" in printed(command)


POSED = [(command, drawn) for command, drawn in DRAWINGS if "--hide" in command]


@pytest.mark.parametrize(("command", "drawn"), POSED, ids=[command for command, _ in POSED])
def test_drawings_with_hidden_words_are_what_the_objective_poses(command, drawn):
    said = shlex.split(command)
    hide = tuple(word for flag, word in pairwise(said) if flag == "--hide")
    vocabulary = words(TEXT)
    ids, places = encode(TEXT, vocabulary)
    objective = OBJECTIVES[said[said.index("--objective") + 1]]()
    posed = objective.pose(ids, find(TEXT, hide, places), vocabulary)
    lines = {line.split()[0]: line.split()[1:] for line in drawn.splitlines() if line.split()[0] in ("asked", "answer")}
    assert [lines["asked"], lines["answer"]] == [vocabulary.decode(side).split() for side in posed]


def test_most_objectives_are_drawn_with_hidden_words():
    assert len(POSED) >= 4


def test_the_figures_are_printed_by_the_block_above_them(tmp_path):
    (found,) = FIGURES.finditer(PAGE)
    assert python(found["code"], tmp_path) == found["said"]
    prose = PAGE[: found.start()].replace(",", "").replace(" %", "%")
    assert not [figure for figure in re.findall(r"[0-9][0-9.]*%?", found["said"]) if figure not in prose]


def test_the_trainer_trains(tmp_path):
    (code,) = [code for code in fences("python") if "trainer.train()" in code]
    assert python(code, tmp_path).count("'loss'") >= 4


def test_an_objective_of_one_s_own_is_shown_and_loses_nothing(tmp_path, monkeypatch):
    (code,) = [code for code in fences("python") if "(Objective)" in code]
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    (command,) = [line for said in fences("") for line in said.splitlines() if line.startswith("python -m objectives")]
    assert "<mask>" in python("", tmp_path, *shlex.split(command)[1:])
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("mine").MaskedText(rate=0.25)
    rows = prose(4, 64)
    batch = mine.collate(rows, VOCABULARY)
    assert (np.array(mine.restore(batch, VOCABULARY)) == rows.ids).all()
    assert ((batch.inputs["input_ids"] == VOCABULARY.mask).sum(axis=1) == 16).all()
    assert able(mine) == ["t5", "t5-v1.1", "bart", "mbart"]


def anew() -> str:
    """The page with its drawings, costs and figures made anew."""

    def drawn(found: re.Match[str]) -> str:
        lines = printed(found[1].replace("\\\n", " ")).split("\n\n")[1].splitlines()[1:]
        ends = (
            place for place, line in enumerate(lines) if line[2:12].strip() in ("map", "place", "segments", "decoder")
        )
        return "\n".join(["```", f"$ {found[1]}", *lines[: next(ends, None)], "```"])

    def figured(found: re.Match[str]) -> str:
        return f"{found[1]}{python(found['code'], ROOT)}```"

    page = FIGURES.sub(figured, DRAWING.sub(drawn, PAGE))
    for name, cells in table("objective", "families", "needs").items():
        if name != "mixture":
            objective = OBJECTIVES[name]()
            told = [", ".join(able(objective)), " ".join(objective.needs), *costs(objective)]
            page = page.replace(
                f"| `{name}` | {' | '.join(cells)} |", f"| `{name}` | {' | '.join([*told, *cells[5:]])} |"
            )
    return page


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        written_anew = anew()
    FILE.write_text(written_anew, encoding="utf-8")
