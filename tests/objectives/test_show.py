from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from corpora.requests import Build
from corpora.store import Corpus, build
from objectives import OBJECTIVES, sources
from objectives.__main__ import main
from objectives.feed import Feed

TEXT = "Thank you for inviting me to your party last week."
BOX = ["show", "--text", TEXT, "--hide", "for inviting", "--hide", "last"]


def run(*argv: str) -> int:
    return main(argv)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("shown")
    lines = [f"Number {n} is here. It sings \u00fcber {n * n} roads.\n\tThen it falls." for n in range(120)]
    (folder / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    return Corpus.open(
        build(Build(sources=(str(folder / "text.txt"),), out=folder / "built", vocabulary=560, held_out=0.1))
    )


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory) -> Path:
    """A run of two steps, by the command that people use."""
    from pretrain.__main__ import main as pretrain

    out = tmp_path_factory.mktemp("run") / "run"
    flags = "--objective span-corruption --family t5 --steps 2 --rows 3 --block 24 --eval-tokens 96 --evaluations 1"
    assert pretrain([*flags.split(), "--corpus", str(corpus.folder), "--threads", "1", "--out", str(out)]) == 0
    return out


def drawn(shown: str) -> dict[str, list[str]]:
    """The lines under each title."""
    return {part.splitlines()[0]: part.splitlines()[1:] for part in shown.split("\n\n")[1:]}


def labelled(lines: list[str], label: str) -> str:
    """The text beside a label, wrapped lines and carets left out."""
    start = next(n for n, line in enumerate(lines) if line[2:12].strip() == label)
    found = [lines[start][12:]]
    for line in lines[start + 1 :]:
        if line[2:12].strip():
            break
        if line.strip(" ^"):
            found.append(line[12:])
    return " ".join(found)


class Pieces(HTMLParser):
    """The pieces of each line of a page: by its label, their text and title."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[tuple[str, list[list[str]]]] = []
        self.titles: list[str] = []
        self._within = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if (given.get("class") or "").split(" ")[0] == "line":
            self.lines.append(("", []))
        elif (given.get("class") or "").startswith("piece"):
            self.lines[-1][1].append(["", given.get("title") or ""])
        self._within = tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._within = ""

    def handle_data(self, data):
        if self._within == "h2":
            self.titles.append(data)
        elif self._within == "span" and self.lines and not self.lines[-1][1]:
            self.lines[-1] = (data, [])
        elif self._within == "span" and self.lines:
            self.lines[-1][1][-1][0] += data

    def ids(self, label: str) -> list[list[int]]:
        """The ids of the lines with this label."""
        return [
            [int(found[1]) for _, title in tokens if (found := re.search(r" · id (\d+) · at", title))]
            for name, tokens in self.lines
            if name == label
        ]


def test_the_lecture_s_sentence_is_asked_exactly_so(capsys):
    assert run(*BOX) == 0
    found = drawn(capsys.readouterr().out)
    masked = ("Thank you <mask> <mask> me to your party <mask> week.", "for inviting last")
    spans = (
        "Thank you <extra_id_0> me to your party <extra_id_1> week.",
        "<extra_id_0> for inviting <extra_id_1> last",
    )
    infilled = ("Thank you <mask> me to your party <mask> week.", TEXT)
    expected = {"token-masking": masked, "sentence-order": masked, "span-corruption": spans, "text-infilling": infilled}
    for name, (asked, answer) in expected.items():
        assert labelled(found[name], "original") == TEXT
        assert labelled(found[name], "asked") == asked
        assert labelled(found[name], "answer") == answer
    assert labelled(found["next-token"], "asked") == "Thank you for inviting me to your party last"


def test_the_hidden_words_have_carets_and_each_sentinel_is_mapped(capsys):
    assert run(*BOX, "--objective", "span-corruption") == 0
    lines = drawn(capsys.readouterr().out)["span-corruption"]
    assert lines[1] == "                      ^^^ ^^^^^^^^                  ^^^^"
    assert [line[12:] for line in lines if "→" in line] == ["<extra_id_0> → for inviting", "<extra_id_1> → last"]


def test_without_words_to_hide_each_objective_draws_its_own_noise(capsys):
    assert run("show", "--text", "One is here. Two is there. Three is far away. Four is near.") == 0
    found = drawn(capsys.readouterr().out)
    assert set(found) >= {"token-masking", "sentence-order", "span-corruption", "text-infilling", "next-token"}
    assert "<mask>" in labelled(found["text-infilling"], "asked")


def test_answers_stand_beneath_their_places_and_say_what_was_kept_or_replaced(capsys):
    shares = ["--objective.rate", "1", "--objective.masked", "0", "--objective.random"]
    for random, sign in (("0", "="), ("1", "≠")):
        assert run("show", "--text", "alpha beta gamma", "--objective", "token-masking", *shares, random) == 0
        lines = drawn(capsys.readouterr().out)["token-masking"]
        asked, answer = (next(line for line in lines if label in line) for label in ("asked", "answer"))
        places = [asked.index(" ", 15) + 1]
        assert answer.split()[1:] == [f"{sign}{word}" for word in ("alpha", "beta", "gamma")]
        assert answer.index(sign) == places[0]


def test_a_block_of_a_corpus_is_shown_as_it_stands_in_the_text(capsys, corpus):
    assert run("show", "--corpus", str(corpus.folder), "--block", "40", "--row", "3", "--rows", "2") == 0
    found = drawn(capsys.readouterr().out)
    for row in (3, 4):
        tokens = corpus.part("train").tokens(row * 40, (row + 1) * 40)
        text = " ".join(corpus.vocabulary.decode(tokens).replace("\n", "↵").replace("\t", "⇥").split())
        shown = labelled(found[f"next-token · block {row}"], "original")
        assert " ".join(shown.replace(" </s> ", "</s>").split()) == text.replace("</s> ", "</s>")


def test_what_a_run_saw_is_what_its_feed_gives(capsys, corpus, trained, tmp_path):
    page = tmp_path / "page.html"
    assert run("show", "--run", str(trained), "--step", "1", "--html", str(page)) == 0
    assert capsys.readouterr().out.strip() == str(page)
    feed = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES["span-corruption"](), 24, 0, 6)
    positions = np.arange(3, 6)
    batch, read = feed.at(positions), feed.read(positions)
    found = Pieces(page)
    asked = [row[:n].tolist() for row, n in zip(batch.inputs["input_ids"], batch.lengths, strict=True)]
    assert found.ids("asked") == asked
    assert found.ids("answer") == [row[row >= 0].tolist() for row in batch.targets["tokens"]]
    assert found.ids("original") == [row[:n].tolist() for row, n in zip(read.ids, read.lengths, strict=True)]
    assert [title.split(" · ")[1] for title in found.titles] == ["position 3", "position 4", "position 5"]


@pytest.mark.parametrize(
    "given", [{"steps": 7}, {"tokens": 5000}, {"tokens": 1}, {}, {"length": 30}, {"length": 30, "tokens": 5000}]
)
def test_a_run_has_as_many_steps_as_its_command_says(given, corpus, trained, tmp_path):
    from pretrain.run import Run

    values = {"steps": None, "tokens": None, "length": None} | given
    told, feed, plan = sources.feed(changed(trained, tmp_path / "run", **values), 0, None)
    asked = Run(objective=told.objective, out=tmp_path, rows=3, block=24, **given)
    assert plan.steps == asked.steps_for(len(corpus.part("train")))
    assert (feed.block, feed.total) == (asked.block_tokens, plan.steps * 3)


def test_a_page_is_closed_self_contained_and_has_every_token_that_the_terminal_shows(capsys, corpus, tmp_path):
    page = tmp_path / "page.html"
    flags = ["show", "--corpus", str(corpus.folder), "--block", "40"]
    assert run(*flags) == 0
    shown = re.sub(r"[\s^]|·(?=\S)", "", capsys.readouterr().out)
    assert run(*flags, "--html", str(page)) == 0
    found = Pieces(page)
    assert found.open == []
    assert "http" not in page.read_text(encoding="utf-8")
    texts = [text for _, tokens in found.lines for text, _ in tokens if text]
    assert len(texts) > 300
    assert not [text for text in texts if re.sub(r"\s", "", text) not in shown]


def test_markup_in_a_text_is_text_on_a_page(tmp_path):
    page = tmp_path / "page.html"
    assert run("show", "--text", "<script>alert(1)</script> & 'b' \"c\"", "--html", str(page)) == 0
    assert "<script" not in page.read_text(encoding="utf-8")
    assert any(text == "<script>alert(1)</script>" for _, tokens in Pieces(page).lines for text, _ in tokens)


@dataclass(frozen=True, kw_only=True)
class Elsewhere(OBJECTIVES["token-masking"]):
    """Asks about the stranger alone."""

    strangers: ClassVar[bool] = True

    def collate(self, blocks, vocabulary):
        assert blocks.others is not None
        assert blocks.texts != blocks.others.texts
        return super().collate(blocks.others, vocabulary)


def test_an_objective_that_needs_a_stranger_is_given_the_other_text(capsys):
    name = f"{__name__}:Elsewhere"
    assert run("show", "--text", "one two three", "--other", "four five six", "--objective", name) == 0
    lines = drawn(capsys.readouterr().out)[name]
    assert labelled(lines, "original") == "one two three"
    assert labelled(lines, "stranger") == "four five six"


def changed(trained: Path, folder: Path, **values: object) -> Path:
    folder.mkdir()
    told = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(told | values), encoding="utf-8")
    return folder


def test_runs_that_cannot_be_shown_are_refused(capsys, corpus, trained, tmp_path):
    cases = [
        (tmp_path, [], 4, "no run.json"),
        (trained, ["--step", "2"], 2, "has 2 steps"),
        (trained, ["--step", "-1"], 2, "has 2 steps"),
        (trained, ["--row", "3"], 2, "has 3 rows"),
        (trained, ["--text", "a b"], 2, "its own text"),
        (changed(trained, tmp_path / "gone", corpus=str(tmp_path / "nowhere")), [], 3, "--corpus DIR"),
        (changed(trained, tmp_path / "other", fingerprint="0"), [], 3, "has the fingerprint"),
        (changed(trained, tmp_path / "strange", objective={"name": "span-coruption"}), [], 4, "span-corruption"),
        (changed(trained, tmp_path / "torn", rows="three"), [], 4, "rows = 'three'"),
    ]
    for folder, flags, code, words in cases:
        assert run("show", "--run", str(folder), *flags) == code
        assert words in capsys.readouterr().err
    moved = changed(trained, tmp_path / "moved", corpus=str(tmp_path / "nowhere"))
    assert run("show", "--run", str(moved), "--corpus", str(corpus.folder)) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--hide", "nowhere"], "'nowhere' is not in the text"),
        (["--text", "alone"], "at least two words"),
        (["--objective", "span-coruption"], "did you mean span-corruption?"),
        (["--step", "3"], "give --run"),
        (["--html", "/nowhere/page.html"], "No such file"),
    ],
)
def test_what_cannot_be_shown_is_refused(flags, words, capsys):
    assert run("show", *flags) == 2
    assert words in capsys.readouterr().err


def test_a_block_that_is_not_there_is_refused(capsys, corpus):
    assert run("show", "--corpus", str(corpus.folder), "--row", "100000") == 2
    assert "blocks of 128 tokens" in capsys.readouterr().err
