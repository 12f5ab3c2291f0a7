"""``objectives show``: the original, what is asked and what is answered, for a text and words to hide."""

from __future__ import annotations

import numpy as np

from corpora import sentences
from corpora.blocks import Blocks
from corpora.vocabulary import SPECIALS, Vocabulary
from foundation.keys import fold
from foundation.refusal import BadUsage, unknown
from objectives import IGNORED, OBJECTIVES, Objective
from objectives.objective import Ids
from objectives.requests import Show

Piece = tuple[int, int]


def show(asked: Show) -> None:
    """Print each objective's drawing of the text.

    Raises:
        BadUsage: for an unknown objective, an empty text, or words to hide that are not in it.
    """
    if asked.name and asked.name not in OBJECTIVES:
        raise unknown("objective", asked.name, OBJECTIVES)
    vocabulary = Vocabulary.open(asked.corpus) if asked.corpus else _words(asked.text)
    ids, places = _encode(asked.text, vocabulary)
    if len(ids) < 2:
        raise BadUsage("--text needs at least two words")
    hidden = _find(asked.text, asked.hide, places)
    print(f"text    {asked.text}")
    for name, kind in OBJECTIVES.items():
        if asked.name in ("", name):
            objective = kind()
            objective.check(vocabulary, len(ids))
            shown = objective.pose(ids, hidden, vocabulary) if asked.hide else _drawn(objective, ids, asked, vocabulary)
            print(f"\n{name}\n  asked   {_read(shown[0], vocabulary)}\n  answer  {_read(shown[1], vocabulary)}")
            for line in shown[2:]:
                print(f"  order   {line}")


def _words(text: str) -> Vocabulary:
    """Return a vocabulary whose pieces are the words of the text, as white space separates them."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    pieces = [*SPECIALS, *dict.fromkeys(text.split())]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIALS])
    return Vocabulary.of(tokenizer)


def _encode(text: str, vocabulary: Vocabulary) -> tuple[Ids, list[Piece]]:
    encoding = vocabulary.tokenizer.encode(text, add_special_tokens=False)
    return np.array(encoding.ids, dtype=np.int64), list(encoding.offsets)


def _find(text: str, hide: tuple[str, ...], places: list[Piece]) -> np.ndarray:
    """Return which tokens lie in the given words; each is looked for behind the one before it, then anywhere."""
    hidden = np.zeros(len(places), dtype=bool)
    behind = 0
    for words in hide:
        start = text.find(words, behind)
        start = text.find(words) if start < 0 else start
        if start < 0 or not words:
            raise BadUsage(f"--hide {words!r} is not in the text", f"the text is: {text}")
        end = behind = start + len(words)
        found = [i for i, (first, last) in enumerate(places) if first < end and last > start and last > first]
        hidden[found] = True
    return hidden


def _drawn(objective: Objective, ids: Ids, asked: Show, vocabulary: Vocabulary) -> tuple:
    """Return what the objective asks and answers of the text as one block, under its own keyed noise."""
    begins = np.zeros((1, len(ids)), dtype=bool)
    _, places = _encode(asked.text, vocabulary)
    firsts = [first for first, _ in places]
    begins[0, np.searchsorted(firsts, sentences.starts(asked.text), side="right") - 1] = True
    documents = np.zeros_like(begins)
    documents[0, 0] = begins[0, 0] = True
    key = np.asarray(fold(asked.seed, "show"), dtype=np.uint64).reshape(1)
    blocks = Blocks(ids[None], np.array([len(ids)]), begins, documents, key)
    batch = objective.collate(blocks, vocabulary)
    answer = batch.targets["tokens"][0]
    order = batch.targets.get("order")
    words = {0: "0, in their order", 1: "1, swapped", IGNORED: "not asked: no two whole sentences"}
    lines = () if order is None else (words[int(order[0])],)
    return batch.inputs["input_ids"][0], answer[answer != IGNORED], *lines


def _read(ids: Ids, vocabulary: Vocabulary) -> str:
    """Return ids as text in which special tokens stand between spaces."""
    parts: list[str] = []
    run: list[int] = []
    for number in [*ids.tolist(), None]:
        if number is not None and vocabulary.ordinary[number]:
            run.append(number)
            continue
        if run:
            parts.append(vocabulary.decode(run).strip())
            run = []
        if number is not None:
            parts.append(vocabulary.pieces[number])
    return " ".join(parts)
