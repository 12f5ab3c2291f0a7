"""Rows of several documents that do not follow each other in the text: nothing knows them from others."""

from __future__ import annotations

import numpy as np
import pytest

from corpora import blocks as gathered
from corpora.blocks import Blocks
from corpora.packing import packed
from corpora.part import Part
from objectives.feed import Feed
from objectives.mixture import Mixture
from objectives.next_sentence import _absolute
from objectives.sentence_order import _segments

from .conftest import keys
from .kinds import kinds
from .test_isolation import KINDS, PLAIN, keeps_documents_apart, numbers_documents
from .variants import ALL, ISOLATED, VARIANTS, accepted


def part_of(lengths: np.ndarray, seed: int = 0) -> Part:
    """Documents so long, whose tokens are their own places."""
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    inside = np.flatnonzero(np.random.default_rng(seed).random(bounds[-1]) < 0.2)
    inside = np.setdiff1d(inside, bounds[1:] - 1)
    return Part.of("train", np.arange(bounds[-1], dtype=np.uint32), bounds, np.union1d(bounds[:-1], inside), [9, 40])


def fitted_apart(vocabulary, rows: int, width: int, *, seed: int = 0) -> Blocks:
    """Rows of a best-fit packing, among them rests of long documents, whose pieces can be told by their words."""
    rng = np.random.default_rng(seed)
    lengths = np.concatenate([rng.integers(2, 30, 200), rng.integers(width, 4 * width, 40)])
    part = part_of(rng.permutation(lengths), seed)
    table = packed(part, width, "best-fit")
    pieces = table.pieces(np.arange(len(table)))
    number = np.bincount(pieces.rows)
    chosen = rng.permutation(np.flatnonzero((number > 1) & (number <= KINDS)))[:rows]
    assert len(chosen) == rows
    found = gathered.gather(part, table, chosen, keys(rows, seed), vocabulary.pad)
    ids = np.full_like(found.ids, vocabulary.pad)
    pieces = table.pieces(chosen)
    ends = part.documents.at(np.arange(1, len(part.documents)))
    kinds_of = np.arange(len(pieces.rows)) - np.searchsorted(pieces.rows, pieces.rows)
    for row, column, begin, size, kind in zip(pieces.rows, *pieces[1:], kinds_of, strict=True):
        ids[row, column : column + size] = rng.choice(vocabulary.draw[kind::KINDS], size)
        if begin + size == len(part) or begin + size in ends:
            ids[row, column + size - 1] = vocabulary.eos
    return Blocks(ids, found.lengths, found.sentences, found.documents, keys(rows, seed))


@pytest.mark.parametrize("name", PLAIN)
def test_pieces_of_a_row_are_numbered_and_isolated_as_documents_are(name):
    vocabulary = kinds()[accepted(name)[0]]
    assert numbers_documents(ISOLATED[name], vocabulary, fitted_apart)
    assert keeps_documents_apart(ISOLATED[name], vocabulary, fitted_apart)


@pytest.mark.parametrize("name", PLAIN[:1])
def test_the_law_sees_pieces_that_are_not_marked(name):
    def unmarked(vocabulary, rows, width, seed):
        found = fitted_apart(vocabulary, rows, width, seed=seed)
        return Blocks(found.ids, found.lengths, found.sentences, found.documents & found.sentences, found.keys)

    assert not keeps_documents_apart(ISOLATED[name], kinds()[accepted(name)[0]], unmarked)


def words_of(vocabulary, seed: int = 0) -> Part:
    rng = np.random.default_rng(seed)
    lengths = np.concatenate([rng.integers(2, 40, 60), rng.integers(96, 300, 9)])
    places = part_of(rng.permutation(lengths), seed)
    bounds = np.append(places.documents.at(np.arange(len(places.documents))), len(places))
    ids = rng.choice(vocabulary.draw, len(places)).astype(np.uint16)
    ids[bounds[1:] - 1] = vocabulary.eos
    return Part.of("train", ids, bounds, places.sentences.at(np.arange(len(places.sentences))), [9, 40])


@pytest.mark.parametrize("packing", ["document", "best-fit"])
@pytest.mark.parametrize("name", [name for name in ALL if not ALL[name].strangers])
def test_every_objective_learns_from_short_rows_and_can_undo_them(name, packing):
    vocabulary = kinds()[accepted(name)[0]]
    feed = Feed(words_of(vocabulary), vocabulary, ALL[name], 96, 0, packing=packing)
    positions = np.arange(feed.blocks)
    blocks = feed.read(positions)
    read = ALL[name].restore(feed.at(positions), vocabulary)
    wanted = [ids[:size].tolist() for ids, size in zip(blocks.ids, blocks.lengths, strict=True)]
    assert [np.asarray(ids).tolist() for ids in read] == wanted


@pytest.mark.parametrize("packing", ["document", "best-fit"])
@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].strangers and name != "mixture"])
def test_strangers_come_from_other_documents(name, packing):
    vocabulary = kinds()[accepted(name)[0]]
    part = words_of(vocabulary)
    feed = Feed(part, vocabulary, VARIANTS[name], 96, 0, packing=packing)
    blocks = feed.read(np.arange(feed.blocks))
    assert blocks.others is not None
    for found in (blocks, blocks.others):
        inside = np.arange(96) < found.lengths[:, None]
        ends = (found.ids == vocabulary.eos) & inside
        numbers = _absolute(found)
        assert len(np.unique(numbers[inside])) <= len(part.documents)
        assert (np.diff(numbers, axis=1)[:, :-1][ends[:, :-2] & inside[:, 1:-1]] != 0).all()
    if not isinstance(VARIANTS[name], Mixture):
        feed.at(np.arange(feed.blocks))


def test_the_rest_of_a_document_is_no_sentence_that_changes_places(vocabulary):
    found = fitted_apart(vocabulary, 40, 48, seed=1)
    rests = found.documents & ~found.sentences
    assert rests.any()
    cut, left, _, right = _segments(found, vocabulary)
    assert cut.sum() > 20
    for row in np.flatnonzero(cut):
        assert found.sentences[row, left[row]]
        assert not rests[row, left[row] : right[row]].any()
