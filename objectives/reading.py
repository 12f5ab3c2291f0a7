"""Reading a row back: which token of the text stands behind each position, told from the batch alone.

No objective is asked what it did. Each way of putting inputs and targets together again (answers in their places,
answers in place of their marks, the answer alone, the input and then the answer) is tried on the text of the block;
the one that gives it back says which of its tokens were asked. So objectives that nobody has thought of yet are
drawn too, as long as they ask about text in one of these ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np

from corpora.vocabulary import Vocabulary
from objectives.batch import IGNORED, Batch
from objectives.objective import Shape

# what an order of 0, of 1 and of none says; then where rows are paired with strangers
_ORDERS = {
    False: ("0: in their order", "1: swapped", "not asked: nothing here can change places"),
    True: ("0: the second follows", "1: the second is a stranger", "not asked: there is no second to judge"),
}


@dataclass(frozen=True)
class Entry:
    """One token of a row that is read back."""

    token: int
    hit: bool
    """Whether it was asked, and hidden."""
    place: int = -1
    """The place in the block that the objective itself says it comes from, −1 where it says nothing; places of a
    stranger are counted on behind the block's width."""
    sentinel: int | None = None
    """The sentinel that stood for it."""


class Row:
    """One row of a batch without its padding.

    `labels` is what each position must say, of an encoder-decoder each position of the decoder, IGNORED where nothing
    is asked; `hit` which of the labels were hidden from the model; `origin` the place in the block, of so many tokens
    as `width`, behind each input, −1 for a special token of the frame; `prefix` the inputs at the start that all see
    each other.
    """

    def __init__(self, batch: Batch, row: int, shape: Shape, vocabulary: Vocabulary, width: int) -> None:
        length = int(batch.lengths[row])
        tokens = batch.targets.get("tokens")
        self.shape, self.ordinary, self.width = shape, vocabulary.ordinary, width
        self.ids: list[int] = batch.inputs["input_ids"][row, :length].tolist()
        labels: list[int] = [IGNORED] * length if tokens is None else tokens[row].tolist()
        end = length
        if shape == "encoder-decoder":
            end = 1 + max((place for place, label in enumerate(labels) if label != IGNORED), default=-1)
        self.labels = labels[:end]
        hidden = None if batch.hidden is None else batch.hidden[row].tolist()
        self.hit: list[bool] = [
            label != IGNORED and (hidden is None or hidden[place]) for place, label in enumerate(self.labels)
        ]
        self.origin: list[int] | None = None if batch.origin is None else batch.origin[row, :length].tolist()
        prefix = batch.inputs.get("prefix")
        self.prefix = None if prefix is None else int(prefix[row])
        self._sentinels = set(vocabulary.sentinels.tolist())

    def asks(self, place: int) -> bool:
        """Say whether position `place` has a target."""
        return 0 <= place < len(self.labels) and self.labels[place] != IGNORED

    @property
    def answer(self) -> list[int]:
        """The places of the labels that are asked."""
        return [place for place in range(len(self.labels)) if self.asks(place)]

    @cached_property
    def spans(self) -> dict[int, list[int]]:
        """The places of the answer behind each sentinel in it, in the order of the answer."""
        spans: dict[int, list[int]] = {}
        span: list[int] = []
        for place in self.answer:
            if self.labels[place] in self._sentinels:
                spans[self.labels[place]] = span = []
            else:
                span.append(place)
        return spans

    def readings(self) -> list[list[Entry]]:
        """Return the ways to put the row together again."""
        if self.shape == "encoder":
            return [[self._input(place, place) for place in range(len(self.ids))]]
        if self.shape == "decoder":  # a position says the token behind it
            ahead = [self._input(place, place - 1) for place in range(len(self.ids))]
            return [ahead + ([self._said(len(self.ids) - 1)] if self.asks(len(self.ids) - 1) else [])]
        said = [self._said(place) for place in self.answer]
        given = [Entry(token, False, self._place(place)) for place, token in enumerate(self.ids)]
        whole = []
        for entry in given:
            found = self.spans.get(entry.token)
            whole += [entry] if found is None else [self._said(place, entry.token) for place in found]
        return [whole, said, given + said]

    def _place(self, place: int) -> int:
        return -1 if self.origin is None else self.origin[place]

    def _input(self, place: int, label: int) -> Entry:
        """Return the input at `place`, or what is asked of it by the label at `label`."""
        if self.asks(label):
            return Entry(self.labels[label], self.hit[label], self._place(place))
        return Entry(self.ids[place], False, self._place(place))

    def _said(self, place: int, sentinel: int | None = None) -> Entry:
        return Entry(self.labels[place], self.hit[place], sentinel=sentinel)

    def read(self, text: Sequence[int]) -> tuple[list[Entry | None], list[Entry]]:
        """Return what was found of each token of a text, and the ordinary tokens that stand nowhere in it.

        Of the ways to put the row together the first is taken that leaves least over.
        """
        best: tuple[list[Entry | None], list[Entry]] | None = None
        for reading in self.readings():
            found = match(reading, text, self.ordinary, self.width)
            if best is None or _missing(found) < _missing(best):
                best = found
        assert best is not None
        return best

    def sources(self, text: Sequence[int], starts: Sequence[bool]) -> list[int]:
        """Return the place in the text behind each input, −1 for none: as the objective says, else by the words.

        Words tell only of a text that was put in another order whole: of sentences, which begin at `starts`, or of
        the longest runs from left to right. Where words are repeated, that may be another order than the objective's.
        """
        if self.origin is not None and max(self.origin, default=-1) >= 0:
            return [place if place < self.width else -1 for place in self.origin]
        last = len(self.ids) - 1
        ids = self.ids + ([self.labels[last]] if self.shape == "decoder" and self.asks(last) else [])
        out = [-1] * len(ids)
        kept = [place for place, token in enumerate(ids) if self.ordinary[token]]
        places = [place for place, token in enumerate(text) if self.ordinary[token]]
        shown = [ids[place] for place in kept]
        if shown == [text[place] for place in places] or sorted(shown) != sorted(text[place] for place in places):
            return out[: len(self.ids)]
        order = _sentences(shown, text, places, starts)
        if order is None:
            return _runs(ids, text, self.ordinary)[: len(self.ids)]
        for place, source in zip(kept, order, strict=True):
            out[place] = source
        return out[: len(self.ids)]


def _runs(ids: list[int], text: Sequence[int], ordinary: np.ndarray) -> list[int]:
    """Return the places of a text behind the ordinary ids, taking from left to right the longest run not yet taken."""
    out = [-1] * len(ids)
    free = [True] * len(text)

    def length(place: int, start: int) -> int:
        size = 0
        while place + size < len(ids) and start + size < len(text):
            if not free[start + size] or text[start + size] != ids[place + size]:
                break
            size += 1
        return size

    place = 0
    while place < len(ids):
        size, behind = 0, 0
        if ordinary[ids[place]]:
            starts = [start for start, token in enumerate(text) if token == ids[place] and free[start]]
            size, behind = max(((length(place, start), -start) for start in starts), default=(0, 0))
        for step in range(size):
            free[step - behind] = False
            out[place + step] = step - behind if ordinary[ids[place + step]] else -1
        place += max(size, 1)
    return out


def _sentences(shown: list[int], text: Sequence[int], places: list[int], starts: Sequence[bool]) -> list[int] | None:
    """Return the places of a text behind the words shown if those are its sentences in some order."""
    runs: list[list[int]] = []
    for place in places:
        if not runs or starts[place]:
            runs.append([])
        runs[-1].append(place)
    runs.sort(key=len, reverse=True)
    order: list[int] = []
    while runs:
        here = (run for run in runs if shown[len(order) : len(order) + len(run)] == [text[place] for place in run])
        run = next(here, None)
        if run is None:
            return None
        order += run
        runs.remove(run)
    return order


def _missing(found: tuple[list[Entry | None], list[Entry]]) -> int:
    return sum(entry is None for entry in found[0]) + len(found[1])


def match(
    reading: list[Entry], text: Sequence[int], ordinary: np.ndarray, width: int
) -> tuple[list[Entry | None], list[Entry]]:
    """Return which entry stands behind each ordinary token of a text, and the ordinary entries that are left.

    Where an entry knows its place it is believed; else the longest common run is taken first, then the longest of
    what is left, so that pieces that have changed places are found as well.
    """
    entries = [entry for entry in reading if ordinary[entry.token]]
    found: list[Entry | None] = [None] * len(text)
    left, strange = [], []
    for entry in entries:
        if entry.place >= width:
            strange.append(entry)
        elif 0 <= entry.place < len(text) and text[entry.place] == entry.token and found[entry.place] is None:
            found[entry.place] = entry
        else:
            left.append(entry)
    places = [place for place, token in enumerate(text) if ordinary[token] and found[place] is None]
    while left and places:
        ahead, behind = [entry.token for entry in left], [text[place] for place in places]
        run = SequenceMatcher(None, ahead, behind, autojunk=False).find_longest_match()
        if run.size == 0:
            break
        for step in range(run.size):
            found[places[run.b + step]] = left[run.a + step]
        del left[run.a : run.a + run.size], places[run.b : run.b + run.size]
    return found, left + strange


def pieces(origin: list[int]) -> list[int]:
    """Return for each position the number of its piece, in the order of the text from 1; 0 for the frame.

    A piece is a run of positions that stand as they stood in the text; [] if everything stands so.
    """
    shown = [place for place, source in enumerate(origin) if source >= 0]
    rank = {place: number for number, place in enumerate(sorted(shown, key=lambda place: origin[place]))}
    if [rank[place] for place in shown] == sorted(rank.values()):
        return []
    starts = [place for n, place in enumerate(shown) if n == 0 or rank[place] != rank[shown[n - 1]] + 1]
    number = {place: n + 1 for n, place in enumerate(sorted(starts, key=lambda place: rank[place]))}
    out, current = [0] * len(origin), 0
    for place in shown:
        current = number.get(place, current)
        out[place] = current
    return out


def facts(batch: Batch, row: int, read: Row, vocabulary: Vocabulary, strangers: bool) -> list[tuple[str, str]]:
    """Return what else the batch says of a row, in words."""
    said = []
    if "order" in batch.targets:
        order = int(batch.targets["order"][row])
        said.append(("order", _ORDERS[strangers][2 if order == IGNORED else order]))
    types = batch.inputs.get("token_type_ids")
    if types is not None and (second := np.flatnonzero(types[row, : len(read.ids)] == 1)).size:
        said.append(("segments", f"the second begins at position {second[0]} of {len(read.ids)}"))
    given = batch.inputs.get("decoder_input_ids")
    if given is not None:
        heard = read.labels[:-1] == given[row, 1 : len(read.labels)].tolist()
        begins = f"begins with {vocabulary.pieces[int(given[row, 0])]}"
        said.append(("decoder", f"{begins} and hears the answer so far" if heard else begins))
    if read.prefix is not None:
        said.append(("attention", _prefix(read.prefix, len(read.ids))))
    for name, side in (("segment", "asked"), ("decoder_segment", "answer")):
        numbers = batch.inputs.get(name)
        if numbers is not None:
            documents = len(np.unique(numbers[row][numbers[row] >= 0]))
            words = "one document" if documents == 1 else f"{documents} documents that do not see each other, cut by |"
            said.append(("attention", f"{side}: {words}"))
    return said


def _prefix(prefix: int, length: int) -> str:
    if prefix <= 1:
        return "each position sees what stands before it"
    if prefix >= length:
        return "all positions see each other"
    return f"the first {prefix} positions, up to ‖, see each other; the others see what stands before them"
