"""Golden digests: ``python -m tests.objectives.digests`` prints what ``test_laws.DIGESTS`` should say.

The rows are made by integer arithmetic, because numpy's random numbers may change between versions.
"""

from __future__ import annotations

import hashlib

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import FIRST, Vocabulary, train
from objectives import Objective

from .variants import VARIANTS

_TEXT = "The cat sat on the mat. A dog ran over the hill and far away. Birds fly, and fish swim in the deep sea. "


def _rows(vocabulary: Vocabulary, salt: int) -> Blocks:
    rows, width = 8, 96
    places = np.arange(rows * width, dtype=np.int64).reshape(rows, width) + salt
    ids = FIRST + (places * 7919 + places * places * 31) % 256
    lengths = np.array([width] * 6 + [40, 7])
    ends = (places * 13) % 37 == 0
    ids[ends] = vocabulary.eos
    documents = np.zeros((rows, width), dtype=bool)
    documents[:, 1:] = ends[:, :-1]
    inside = np.arange(width) < lengths[:, None]
    ids[~inside] = vocabulary.pad
    sentences = (documents | ((places * 5) % 11 == 0)) & inside & ~ends
    keys = (np.arange(1, rows + 1, dtype=np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    texts = np.arange(rows) * 1000 + salt
    return Blocks(ids, lengths, sentences, documents & inside, keys, progress=np.arange(rows) / rows, texts=texts)


def digest(objective: Objective) -> str:
    """The first 16 digits of a digest of all that an objective's first batch says."""
    vocabulary = Vocabulary.of(train([_TEXT * 20], 600))
    whole = _rows(vocabulary, 0)
    whole.others = _rows(vocabulary, 5003)
    batch = objective.collate(whole, vocabulary)
    found = hashlib.sha256()
    extra = {name: getattr(batch, name) for name in ("origin", "hidden", "members")}
    for arrays in (batch.inputs, batch.targets, {name: array for name, array in extra.items() if array is not None}):
        for key in sorted(arrays):
            shape = "×".join(map(str, arrays[key].shape))
            found.update(f"{key} {shape}".encode() + np.ascontiguousarray(arrays[key]).astype("<i8").tobytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    print("DIGESTS = {")
    for name in VARIANTS:
        print(f'    "{name}": "{digest(VARIANTS[name])}",')
    print("}")
