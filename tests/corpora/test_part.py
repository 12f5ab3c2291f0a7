"""Whatever the shards are, a part reads as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import blocks
from corpora.packing import PACKINGS, Stream, Table, packed
from corpora.part import Part
from foundation.compiled import at_once
from tests.corpora.parts import every, numbered

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@st.composite
def sharded(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Lengths of documents, and where shards begin: some of them are empty."""
    lengths = draw(LENGTHS)
    return lengths, sorted(draw(st.lists(st.integers(0, len(lengths)), max_size=6)))


@settings(deadline=None, max_examples=50)
@given(sharded())
def test_tokens_and_starts_are_found_across_shards(drawn: tuple[list[int], list[int]]) -> None:
    lengths, cuts = drawn
    whole, cut = numbered(lengths), numbered(lengths, cuts)
    assert len(cut) == len(whole) == sum(lengths)
    for begin in range(0, len(whole), 7):
        for end in (begin, begin + 1, begin + 50):
            assert cut.tokens(begin, end).tolist() == list(range(begin, min(end, len(whole))))
    places = np.arange(len(whole) + 1)
    for one, other in ((whole.documents, cut.documents), (whole.sentences, cut.sentences)):
        assert every(one) == every(other)
        assert other.before(places).tolist() == np.searchsorted(every(one), places).tolist()
    owners = np.repeat(np.arange(len(lengths)), lengths).tolist()
    assert cut.document_of(places[:-1]).tolist() == owners


@pytest.mark.parametrize("compile_", [True, False])
@settings(deadline=None, max_examples=50)
@given(drawn=sharded(), block=st.integers(1, 50), packing=st.sampled_from(PACKINGS))
def test_the_same_blocks_are_gathered_whatever_the_shards(
    compile_: bool, drawn: tuple[list[int], list[int]], block: int, packing: str
) -> None:
    lengths, cuts = drawn
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "compiled", at_once if compile_ else lambda: None)
        for part in (numbered(lengths), numbered(lengths, cuts)):
            table = packed(part, block, packing)
            rows = np.arange(len(table))[::-1]
            others = np.roll(rows, 1)
            found.append(blocks.gather(part, table, rows, rows.astype(np.uint64), 7, others=others))
    one, other = found
    for name in ("ids", "lengths", "sentences", "documents", "texts"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
        assert np.array_equal(getattr(one.others, name), getattr(other.others, name))


@settings(deadline=None, max_examples=50)
@given(lengths=LENGTHS, block=st.integers(1, 50), packing=st.sampled_from(PACKINGS))
def test_blocks_know_where_sentences_and_documents_start_in_them(lengths: list[int], block: int, packing: str) -> None:
    part = numbered(lengths, [len(lengths) // 2])
    table = packed(part, block, packing)
    rows = np.arange(len(table))
    found = blocks.gather(part, table, rows, rows.astype(np.uint64), 0)
    inside = np.arange(block) < found.lengths[:, None]
    behind = np.zeros_like(inside)
    behind[:, 1:] = found.ids[:, 1:] != found.ids[:, :-1] + 1  # a piece that is not the first of its row
    assert np.array_equal(found.sentences, np.isin(found.ids, every(part.sentences)) & inside)
    assert np.array_equal(found.documents, (np.isin(found.ids, every(part.documents)) | behind) & inside)
    texts = np.broadcast_to(found.texts[:, None] if found.texts.ndim == 1 else found.texts, inside.shape)
    owner = part.document_of(found.ids[inside])
    first = np.zeros_like(inside)
    first[:, 0] = inside[:, 0]
    told = texts if found.texts.ndim == 2 else texts + np.cumsum(found.documents & ~first, axis=1)
    assert told[inside].tolist() == owner.tolist()


def test_a_small_part_has_its_starts_counted_and_a_large_one_looks_them_up(monkeypatch: pytest.MonkeyPatch) -> None:
    part = numbered([9, 4, 30, 1, 2, 17])
    table = packed(part, 8)
    rows = np.arange(len(table))
    one = blocks.gather(part, table, rows, rows.astype(np.uint64), 0)
    assert one.sentences.any()
    monkeypatch.setattr(blocks, "_SMALL", 0)
    other = blocks.gather(part, table, rows, rows.astype(np.uint64), 0)
    assert np.array_equal(one.sentences, other.sentences)
    assert np.array_equal(one.documents, other.documents)


def test_nothing_that_is_read_is_written() -> None:
    part = numbered([5, 5])
    assert part.tokens(0, 3).base is not None  # a view
    assert isinstance(packed(part, 4), Stream)
    assert isinstance(packed(part, 4, "document"), Table)


def test_an_empty_part_has_no_tokens() -> None:
    part = Part.of("held-out", np.empty(0, dtype=np.uint16), [0], [])
    assert (len(part), len(part.documents), len(part.tokens())) == (0, 0, 0)
    for name in PACKINGS:
        assert len(packed(part, 8, name)) == 0
