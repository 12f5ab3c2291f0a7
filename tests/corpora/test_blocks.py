from __future__ import annotations

import numpy as np
import pytest

from corpora import blocks
from corpora.packing import packed
from corpora.part import Part
from corpora.store import Corpus
from foundation import keys


def every(starts) -> list[int]:
    return starts.at(np.arange(len(starts))).tolist()


def slowly(part: Part, block: int, index: int, pad: int) -> tuple[list[int], int, list[bool], list[bool]]:
    begin, end = index * block, min((index + 1) * block, len(part))
    ids = part.tokens(begin, end).tolist()
    sentences = [place in every(part.sentences) for place in range(begin, end)]
    documents = [place in every(part.documents) for place in range(begin, end)]
    missing = block - len(ids)
    return ids + [pad] * missing, len(ids), sentences + [False] * missing, documents + [False] * missing


@pytest.mark.parametrize("block", [1, 7, 64, 100_000])
@pytest.mark.parametrize("name", ["train", "held-out"])
def test_gathered_blocks_equal_a_plain_loop(corpus: Corpus, block: int, name: str) -> None:
    part, pad = corpus.part(name), corpus.vocabulary.pad
    assert pad is not None
    rows = packed(part, block)
    total = len(rows)
    assert (total - 1) * block < len(part) <= total * block
    indices = keys.order(3, total, np.arange(total))[-40:]
    indices = np.append(indices, total - 1)  # the ragged one, perhaps twice
    found = blocks.gather(part, rows, indices, keys.fold(1, indices), pad)
    for row, index in enumerate(indices):
        ids, length, sentences, documents = slowly(part, block, int(index), pad)
        assert found.ids[row].tolist() == ids
        assert found.lengths[row] == length
        assert found.sentences[row].tolist() == sentences
        assert found.documents[row].tolist() == documents
    assert found.ids.dtype == np.int64
    assert found.keys.tolist() == keys.fold(1, indices).tolist()


def test_no_rows_give_no_rows(corpus: Corpus) -> None:
    none = np.empty(0, dtype=np.int64)
    found = blocks.gather(corpus.part("train"), packed(corpus.part("train"), 8), none, none.astype(np.uint64), 0)
    assert found.ids.shape == found.sentences.shape == (0, 8)


@pytest.mark.parametrize("index", [-1, 10**6])
def test_a_block_that_is_not_there_is_an_error(corpus: Corpus, index: int) -> None:
    with pytest.raises(IndexError, match="outside"):
        blocks.gather(
            corpus.part("train"), packed(corpus.part("train"), 8), np.array([index]), np.zeros(1, np.uint64), 0
        )


def test_every_token_stands_in_exactly_one_block(corpus: Corpus) -> None:
    part = corpus.part("train")
    rows = packed(part, 32)
    indices = np.arange(len(rows))
    found = blocks.gather(part, rows, indices, indices.astype(np.uint64), 0)
    assert found.ids[np.arange(32) < found.lengths[:, None]].tolist() == part.tokens().tolist()
