"""The picture of one example: what was written, what is asked, what is answered, token by token.

A picture is lines of tokens, each with a look (special, mark, hit …), perhaps a tint (a sentinel's own, the same
wherever it or what it hides is shown) and perhaps words beneath: the answer at its place. It is made from the arrays
of a batch and the text behind them; ``objectives/drawing.py`` puts it on a terminal or a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives.batch import Batch
from objectives.objective import Ids, Shape
from objectives.reading import Entry, Row, facts, match, pieces
from objectives.spelling import spell

SIGNS = {"kept": "=", "random": "≠"}


@dataclass(frozen=True)
class Token:
    """One piece of a line."""

    text: str
    gap: bool = True
    """Whether white space stands before it."""
    look: str = ""
    """special, mark, hit, said (what a mark stands for), kept, random, border, or nothing in particular."""
    tint: int | None = None
    """The number of its own colour."""
    below: str = ""
    """Words beneath it."""
    title: str = ""
    """What a page tells of it when it is pointed at."""


@dataclass(frozen=True)
class Line:
    """Tokens with a label; `below` is the label of the words beneath them."""

    label: str
    tokens: list[Token]
    below: str = ""


@dataclass
class Picture:
    """The lines of one example."""

    title: str
    lines: list[Line] = field(default_factory=list)

    def say(self, label: str, words: str) -> None:
        """Add a line in words."""
        self.lines.append(Line(label, [Token(word) for word in words.split()]))


class _Painter:
    """Makes lines of ids; the sentinels get their tints in the order in which they are first seen."""

    def __init__(self, vocabulary: Vocabulary, ids: Sequence[int]) -> None:
        self.vocabulary = vocabulary
        sentinels = set(vocabulary.sentinels.tolist())
        seen = dict.fromkeys(int(number) for number in ids if number in sentinels)
        self.tints = {number: tint for tint, number in enumerate(seen)}

    def tokens(
        self,
        ids: Sequence[int],
        looks: Sequence[str] = (),
        tints: Sequence[int | None] = (),
        places: Sequence[int] = (),
    ) -> list[Token]:
        """Return the tokens of a line; without a look of its own a special token looks as what it is."""
        own = [looks[n] if looks and looks[n] else self._look(number) for n, number in enumerate(ids)]
        tinted = [tints[n] if tints else self.tints.get(number) for n, number in enumerate(ids)]
        spelled = spell(ids, self.vocabulary, list(zip(own, tinted, strict=True)))
        at = places or range(len(ids))
        return [
            Token(
                text or ("␣" if look else ""), gap, look, tint, title=f"{self.name(number)} · id {number} · at {place}"
            )
            for number, (gap, text), look, tint, place in zip(ids, spelled, own, tinted, at, strict=True)
        ]

    def word(self, number: int) -> str:
        """Return the text of one token for a place beneath another."""
        return spell([number], self.vocabulary)[0][1] or "␣"

    def name(self, number: int) -> str:
        """Return the piece as the vocabulary has it."""
        return spell([number], self.vocabulary)[0][1] if self.vocabulary.says_bytes else self.vocabulary.pieces[number]

    def _look(self, number: int) -> str:
        if number == self.vocabulary.mask or number in self.tints:
            return "mark"
        return "" if self.vocabulary.ordinary[number] else "special"


def of_batch(title: str, batch: Batch, row: int, blocks: Blocks, vocabulary: Vocabulary, shape: Shape) -> Picture:
    """Return the picture of one row of a batch, which was made from `blocks`."""
    width = blocks.ids.shape[1]
    read = Row(batch, row, shape, vocabulary, width)
    painter = _Painter(vocabulary, [*read.ids, *(read.labels[place] for place in read.answer)])
    picture = Picture(title)
    text = blocks.ids[row, : int(blocks.lengths[row])].tolist()
    found, left = read.read(text)
    origin = read.sources(text, blocks.sentences[row].tolist())
    numbers = pieces(origin)
    picture.lines.append(Line("original", _original(painter, text, found, origin, numbers)))
    if left and blocks.others is not None:
        other = blocks.others.ids[row, : int(blocks.others.lengths[row])].tolist()
        elsewhere = [replace(entry, place=entry.place - width) for entry in left]
        found, _ = match(elsewhere, other, vocabulary.ordinary, width)
        picture.lines.append(Line("stranger", _text(painter, other, found)))
    picture.lines.append(_asked(painter, read, origin, numbers, batch.inputs.get("segment"), row))
    if shape == "encoder-decoder":
        picture.lines.append(_answer(painter, read, batch.inputs.get("decoder_segment"), row))
        picture.lines += _map(painter, {mark: [read.labels[p] for p in at] for mark, at in read.spans.items()})
    for label, words in facts(batch, row, read, vocabulary, blocks.others is not None):
        picture.say(label, words)
    return picture


def of_pose(title: str, ids: Ids, noise: np.ndarray, asked: Ids, answer: Ids, vocabulary: Vocabulary) -> Picture:
    """Return the picture of a text of which exactly the tokens in `noise` are hit, without frame."""
    painter = _Painter(vocabulary, [*asked.tolist(), *answer.tolist()])
    spans: dict[int, list[int]] = {}
    current: int | None = None
    owners: list[int | None] = []
    for number in answer.tolist():
        current = number if number in painter.tints else current
        owners.append(current)
        if number in painter.tints:
            spans[number] = []
        elif current is not None:
            spans[current].append(number)
    whole = len(answer) == len(ids) and bool((answer == ids).all())
    marked = noise if whole else np.full(len(answer), len(answer) == noise.sum() or bool(spans))
    look = "hit" if whole else "said"
    looks = [look if hit and vocabulary.ordinary[number] else "" for number, hit in zip(answer, marked, strict=True)]
    tints = [None if owner is None else painter.tints[owner] for owner in owners]
    hidden = [painter.tints[mark] for mark, words in spans.items() for _ in words]
    tint = iter(hidden if len(hidden) == int(noise.sum()) else [None] * int(noise.sum()))
    original = painter.tokens(
        ids.tolist(), ["hit" if hit else "" for hit in noise], [next(tint) if hit else None for hit in noise]
    )
    lines = [
        Line("original", original),
        Line("asked", painter.tokens(asked.tolist())),
        Line("answer", painter.tokens(answer.tolist(), looks, tints)),
    ]
    return Picture(title, lines + _map(painter, spans))


def _text(painter: _Painter, text: list[int], found: list[Entry | None]) -> list[Token]:
    """Return a text with the tokens marked that were asked, unless all of them were."""
    hits = [entry is not None and entry.hit for entry in found]
    tints = [painter.tints.get(entry.sentinel) if entry and entry.sentinel is not None else None for entry in found]
    ordinary = painter.vocabulary.ordinary
    everything = all(hit for hit, number in zip(hits, text, strict=True) if ordinary[number])
    return painter.tokens(text, ["hit" if hit and not everything else "" for hit in hits], tints)


def _original(
    painter: _Painter, text: list[int], found: list[Entry | None], origin: list[int], numbers: list[int]
) -> list[Token]:
    begins: dict[int, int] = {}
    for place, number in zip(origin, numbers, strict=False):  # no numbers where nothing has moved
        if number:
            begins[number] = min(place, begins.get(number, place))
    marks = {} if _scattered(numbers) else {place: [_numeral(number)] for number, place in begins.items()}
    return _bordered(_text(painter, text, found), marks)


def _scattered(numbers: list[int]) -> bool:
    """Say whether there are pieces, hardly longer than tokens."""
    return 2 * max(numbers, default=0) > len(numbers)


def _numeral(number: int) -> Token:
    return Token(f"[{number}]", look="border", tint=number - 1)


def _asked(
    painter: _Painter, read: Row, origin: list[int], numbers: list[int], segment: np.ndarray | None, row: int
) -> Line:
    """Return the inputs, with the answers beneath where answers have places, and borders where attention has."""
    ids, looks, below = read.ids, [""] * len(read.ids), [""] * len(read.ids)
    ahead = 1 if read.shape == "decoder" else 0
    for place in read.answer if read.shape != "encoder-decoder" else []:
        shown = place + ahead
        seen = not ahead or shown < (read.prefix or 0)
        if shown < len(ids) and seen and ids[shown] != painter.vocabulary.mask:
            looks[shown] = "kept" if ids[shown] == read.labels[place] else "random"
        sign = SIGNS.get(looks[shown], "") if shown < len(ids) else ""
        below[place] = sign + painter.word(read.labels[place])
    scattered = bool(numbers) and _scattered(numbers)
    if scattered and not any(below):
        below = [str(place + 1) if place >= 0 else "" for place in origin]
    tokens = [
        replace(token, below=words, text=token.text or (words and (painter.name(number) or "␣")))
        for token, words, number in zip(painter.tokens(ids, looks), below, ids, strict=True)
    ]
    label = "" if not any(below) else "answer" if read.answer and read.shape != "encoder-decoder" else "place"
    marks = {} if segment is None else _borders(segment[row, : len(ids)])
    if read.prefix and read.prefix < len(ids):
        marks.setdefault(read.prefix, []).append(Token("‖", look="border"))
    for place, number in enumerate([] if scattered else numbers):
        if number and number not in numbers[:place]:
            marks.setdefault(place, []).append(_numeral(number))
    return Line("asked", _bordered(tokens, marks), label)


def _answer(painter: _Painter, read: Row, segment: np.ndarray | None, row: int) -> Line:
    """Return what the decoder must say."""
    owner = {place: painter.tints.get(mark) for mark, places in read.spans.items() for place in places}
    places = read.answer
    ids = [read.labels[place] for place in places]
    ordinary = painter.vocabulary.ordinary
    everything = all(read.hit[place] for place in places if ordinary[read.labels[place]]) and not read.spans
    look = "said" if read.spans else "" if everything else "hit"
    looks = [look if read.hit[place] and ordinary[number] else "" for place, number in zip(places, ids, strict=True)]
    tints = [
        owner.get(place) if ordinary[number] else painter.tints.get(number)
        for place, number in zip(places, ids, strict=True)
    ]
    borders = {} if segment is None else _borders(segment[row, : len(read.labels)][np.array(places, dtype=int)])
    return Line("answer", _bordered(painter.tokens(ids, looks, tints, places), borders))


def _map(painter: _Painter, spans: dict[int, list[int]]) -> list[Line]:
    """Return one line for each sentinel with what it stands for."""
    lines = []
    for number, (mark, words) in enumerate(spans.items()):
        tint = painter.tints[mark]
        words = [word for word in words if painter.vocabulary.ordinary[word]]
        shown = painter.tokens(words, ["said"] * len(words), [tint] * len(words)) or [Token("(nothing)")]
        shown = [replace(shown[0], gap=True), *shown[1:]]
        lines.append(Line("" if number else "map", [*painter.tokens([mark]), Token("→"), *shown]))
    return lines


def _borders(segment: np.ndarray) -> dict[int, list[Token]]:
    """Return the positions before which another document begins, with the mark that says so."""
    return {int(place) + 1: [Token("|", look="border")] for place in np.flatnonzero(segment[1:] != segment[:-1])}


def _bordered(tokens: list[Token], marks: dict[int, list[Token]]) -> list[Token]:
    """Return tokens with marks in front of those at some places."""
    out: list[Token] = []
    for place, token in enumerate(tokens):
        here = marks.get(place, [])
        out += [*here, replace(token, gap=True) if here else token]
    return out
