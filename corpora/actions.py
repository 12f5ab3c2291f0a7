"""What the verbs of `corpora` do."""

from __future__ import annotations

import signal
import sys

import numpy as np

from corpora import blocks, building, joining, reporting
from corpora.packing import packed
from corpora.requests import Build, Join, Report, Show
from corpora.store import Corpus
from foundation import keys
from foundation.refusal import BadUsage, RunFailed


def build(request: Build) -> None:
    """Build a corpus and print what it holds."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = building.build(request)
    if request.shard and not folder.exists():
        print(f"part {request.shard} is made; when all are: corpora join {folder}")
    else:
        print(reporting.summary(Corpus.open(folder)))


def join(request: Join) -> None:
    """Finish a corpus whose shards have been made, and print what it holds."""
    print(reporting.summary(Corpus.open(joining.join(request.corpus, request.overwrite))))


def report(request: Report) -> None:
    """Print the report on a corpus, and write it as a page."""
    corpus = Corpus.open(request.corpus)
    print(reporting.summary(corpus))
    if request.html is not None:
        try:
            reporting.page(corpus).write(request.html)
        except OSError as error:
            raise RunFailed(f"--html {request.html}: {error.strerror or error}") from error
        print(f"{request.html} is written")


def show(request: Show) -> None:
    """Print what a corpus holds and some of its blocks."""
    if request.block < 1 or request.blocks < 0:
        raise BadUsage(f"--block {request.block} --blocks {request.blocks}: at least 1 and 0 are needed")
    corpus = Corpus.open(request.corpus)
    print(reporting.summary(corpus))
    part = corpus.part("train")
    rows = packed(part, request.block, request.packing)
    total = len(rows)
    chosen = keys.order(keys.fold(request.seed, "show"), total, np.arange(min(request.blocks, total)))
    chosen = np.sort(chosen)
    found = blocks.gather(part, rows, chosen, keys.fold(request.seed, "show", chosen), corpus.vocabulary.pad or 0)
    print(f"{'packing':<12} {request.packing}, {total:,} blocks of {request.block}, {float(rows.fill):.2%} full")
    print("\n‖ begins a document, | a sentence")
    for row, index in enumerate(chosen):
        print(f"\nblock {index:,} of {total:,}\n{_marked(corpus, found, row)}")


def _marked(corpus: Corpus, found: blocks.Blocks, row: int) -> str:
    length = int(found.lengths[row])
    ids = found.ids[row, :length]
    cuts = np.flatnonzero(found.sentences[row, :length])
    pieces = []
    for begin, end in zip([0, *cuts], [*cuts, length], strict=True):
        text = corpus.vocabulary.decode(ids[begin:end]).replace("\n", "⏎")
        mark = "‖" if found.documents[row, begin] else "|" if found.sentences[row, begin] else ""
        pieces.append(mark + text)
    return "".join(pieces)
