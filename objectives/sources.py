"""What `objectives show` can show: a text, blocks of a corpus, the rows that a run read at a step.

A run is read from its run.json and its corpus alone. What the model saw is not stored anywhere: it is a function
of the seed and the step, and is looked up again.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from corpora import sentences
from corpora.blocks import Blocks
from corpora.packing import packed
from corpora.store import Corpus
from corpora.vocabulary import SPECIALS, Vocabulary
from foundation import request
from foundation.keys import fold
from foundation.refusal import BadCheckpoint, BadData, BadUsage
from objectives import Objective, stages
from objectives.feed import Feed
from objectives.objective import Ids
from objectives.requests import Show
from objectives.stages import Plan

Piece = tuple[int, int]


def words(*texts: str) -> Vocabulary:
    """Return a vocabulary whose pieces are the words of the texts, as white space separates them."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    pieces = [*SPECIALS, *dict.fromkeys(word for text in texts for word in text.split() if word not in SPECIALS)]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIALS])
    return Vocabulary.of(tokenizer)


def encode(text: str, vocabulary: Vocabulary) -> tuple[Ids, list[Piece]]:
    """Return the tokens of a text, and the characters that each of them covers."""
    encoding = vocabulary.tokenizer.encode(text, add_special_tokens=False)
    return np.array(encoding.ids, dtype=np.int64), list(encoding.offsets)


def find(text: str, hide: tuple[str, ...], places: list[Piece]) -> np.ndarray:
    """Return which tokens lie in the given words; each is looked for behind the one before it, then anywhere.

    Raises:
        BadUsage: if words are not in the text.
    """
    hidden = np.zeros(len(places), dtype=bool)
    behind = 0
    for given in hide:
        start = text.find(given, behind)
        start = text.find(given) if start < 0 else start
        if start < 0 or not given:
            raise BadUsage(f"--hide {given!r} is not in the text", f"the text is: {text}")
        end = behind = start + len(given)
        found = [i for i, (first, last) in enumerate(places) if first < end and last > start and last > first]
        hidden[found] = True
    return hidden


def as_block(text: str, other: str | None, seed: int, vocabulary: Vocabulary) -> Blocks:
    """Return a text as one block, with another one, if it is given, as its stranger; both are as wide as the longer."""
    texts = [text] if other is None else [text, other]
    width = max(len(encode(each, vocabulary)[0]) for each in texts)
    stranger = None if other is None else _block(other, 1, width, seed, vocabulary, None)
    return _block(text, 0, width, seed, vocabulary, stranger)


def _block(text: str, number: int, width: int, seed: int, vocabulary: Vocabulary, others: Blocks | None) -> Blocks:
    found, places = encode(text, vocabulary)
    ids = np.full((1, width), vocabulary.pad or 0, dtype=np.int64)
    ids[0, : len(found)] = found
    begins = np.zeros((1, width), dtype=bool)
    firsts = [first for first, _ in places]
    begins[0, np.searchsorted(firsts, sentences.starts(text), side="right") - 1] = True
    documents = np.zeros_like(begins)
    documents[0, 0] = begins[0, 0] = True
    return Blocks(
        ids, np.array([len(found)]), begins, documents, np.atleast_1d(fold(seed, "show")),
        progress=np.ones(1), texts=np.array([number]), others=others,
    )  # fmt: skip


class Stream(Feed):
    """The feed in the order of the text: position p is block p."""

    def indices(self, positions: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """Return the block at each position."""
        return positions


def blocks(asked: Show, corpus: Corpus) -> tuple[np.ndarray, int]:
    """Return the blocks of the training text that are asked for, and how many there are.

    Raises:
        BadUsage: if a block outside the corpus is asked for.
        BadData: if there is no text.
    """
    part = corpus.part("train")
    if len(part) == 0:
        raise BadData(f"{corpus.folder} has no text to train on", "build it from more text")
    if asked.block < 1:
        raise BadUsage(f"--block {asked.block} is below 1", "give the corpus tokens per example")
    most = len(packed(part, asked.block))
    return chosen(asked.row, asked.rows, 1, most, f"{corpus.folder} has {most:,} blocks of {asked.block} tokens"), most


def chosen(first: int, rows: int | None, usual: int, most: int, what: str) -> np.ndarray:
    """Return the numbers of the rows that are asked for, fewer where there are no more.

    Raises:
        BadUsage: if none is there; `what` says what there is.
    """
    if rows is not None and rows < 1:
        raise BadUsage(f"--rows {rows} is below 1")
    if not 0 <= first < most:
        raise BadUsage(f"--row {first}: {what}", f"give a number from 0 to {most - 1}")
    return np.arange(first, min(most, first + (rows or usual)))


@dataclass(frozen=True, kw_only=True)
class Record:
    """What run.json says of the text that a run reads, as `pretrain` writes it."""

    objective: Objective = field(metadata={"choices": "objectives:OBJECTIVES"})
    corpus: Path
    fingerprint: str
    block: int
    length: int | None
    rows: int
    tokens: int | None
    steps: int | None
    seed: int
    words: int | None = None
    measured_steps: int | None = None
    stages: tuple[str, ...] = ()
    packing: str = "stream"

    @property
    def block_tokens(self) -> int:
        """Corpus tokens of the largest examples."""
        if self.stages:
            return max(stage.block for stage in stages.read(self.stages))
        return self.block if self.length is None else self.objective.span(self.length)


def record(folder: Path) -> Record:
    """Return what a run says of itself.

    Raises:
        BadCheckpoint: if the folder holds no run, or its run.json cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise BadCheckpoint(f"{folder} is no run: it has no run.json", "give the --out folder of `pretrain`")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name: told[f.name] for f in fields(Record) if f.name in told or f.default is MISSING}
        return request.from_dict(Record, known, where=str(path))
    except BadUsage as refusal:
        raise BadCheckpoint(refusal.what, refusal.remedy) from refusal
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error!r}", "give the --out folder of `pretrain`") from error


def feed(folder: Path, step: int, moved: Path | None) -> tuple[Record, Feed, Plan]:
    """Return what a run says of itself, its feed, and its steps; `moved` is where its corpus is now.

    Raises:
        BadCheckpoint: if the folder holds no run.
        BadData: if its corpus is gone, or is another one.
        BadUsage: if the run has no such step.
    """
    told = record(folder)
    where = told.corpus if moved is None else moved
    if not where.is_dir():
        raise BadData(f"the corpus of {folder} is not at {where}", "say where it is now: --corpus DIR")
    corpus = Corpus.open(where)
    if corpus.fingerprint != told.fingerprint:
        raise BadData(
            f"{where} has the fingerprint {corpus.fingerprint}, the run read {told.fingerprint}",
            "give the corpus that it read: --corpus DIR",
        )
    part = corpus.part("train")
    block, words = told.block_tokens, corpus.meta["parts"]["train"]["words"]
    read = Feed(part, corpus.vocabulary, told.objective, block, told.seed, packing=told.packing)
    plan = stages.planned(told, block, len(part), words, read.table.fill)
    if not 0 <= step < plan.steps:
        raise BadUsage(
            f"--step {step}: the run {folder} has {plan.steps} steps", f"give a number from 0 to {plan.steps - 1}"
        )
    return told, replace(read, total=plan.positions), plan
