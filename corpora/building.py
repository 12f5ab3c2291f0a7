"""Building a corpus, in stages that each leave something whole; so the same command continues where it was stopped.

    .DIR.building/spool/       what cannot be read twice, read once
    .DIR.building/survey/      what the sources hold, and the plan (corpora/survey.py, corpora/planning.py)
    .DIR.building/corpus/      the vocabulary, then shard after shard (corpora/shards.py)
    DIR/                       the same folder, once it has all shards, meta.json and a manifest (corpora/joining.py)

Any number of processes and machines may work on one corpus, each on shards of its own: who comes first makes what all
need, the others wait for it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpora import joining, kinds, preparing, shards
from corpora.cache import alone
from corpora.encoding import token_kind
from corpora.fetching import Fetch
from corpora.preparing import Prepared
from corpora.requests import Build
from corpora.sentences import splitter
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage, Refusal, RunFailed


def build(request: Build) -> Path:
    """Build the corpus that is asked for, or find it finished; return its folder.

    With a `shard` of several only that is made, and the corpus is not there yet.

    Raises:
        BadUsage: for numbers that cannot be, or a folder that holds something else.
        BadData: for sources that cannot be read or hold no text.
        RunFailed: if something cannot be written, or the sources change while they are read.
    """
    mine, of = check(request)
    work = joining.unfinished(request.out)
    with _kept_or_removed(request.out, work):
        if of > 1:
            with alone(work / "prepare"):
                prepared = preparing.prepare(request, work)
            if prepared is not None:
                _encode(request, work, prepared, mine, of)
            return request.out
        with alone(work / "build"):
            prepared = preparing.prepare(request, work)
            if prepared is not None:
                for left in work.glob("*-*"):  # what a build that was killed had in hand
                    shutil.rmtree(left, ignore_errors=True)
                _encode(request, work, prepared, mine, of)
                joining.finish(request.out, work)
    return request.out


def _encode(request: Build, work: Path, prepared: Prepared, mine: int, of: int) -> None:
    total = len(prepared.told["plan"]["shards"]) - 1
    numbers = [number for number in range(total) if number * of // total == mine - 1]
    fetch = Fetch(prepared.told, prepared.sources, request.seed, work / preparing.SURVEY)
    processes = request.processes or min(_cores(), 1 + prepared.told["plan"]["bytes"] // of // shards.EACH)
    dtype = token_kind(Vocabulary.open(work / shards.CORPUS).size)
    shards.encode(work, fetch, numbers, dtype, request.sentences, processes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _kept_or_removed(out: Path, work: Path) -> Iterator[None]:
    """Keep what can be continued when a build ends early, say so, and remove what cannot."""
    parents = [parent for parent in work.absolute().parents if not parent.exists()]
    kept = f"nothing stands there yet; the same command continues what is in {work}"
    try:
        yield
    except OSError as error:
        raise RunFailed(f"--out {out}: {error.strerror or error}", kept) from error
    except (KeyboardInterrupt, SystemExit):
        print(f"--out {out}: {kept}", file=sys.stderr)
        raise
    except Refusal:
        if not (work / preparing.SURVEY).exists():
            shutil.rmtree(work, ignore_errors=True)
            for parent in parents:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
        raise


def check(request: Build) -> tuple[int, int]:
    """Refuse what cannot be; return which part of how many is asked for.

    Raises:
        BadUsage: for a number that cannot be, or flags that do not go together.
    """
    if not request.sources:
        raise BadUsage("no source is given", f"example: corpora build FILE.txt --out {request.out}")
    request.reading.check()
    kinds.check(request.vocabulary, request.kind)
    splitter(request.sentences)
    if not 0 <= request.held_out <= 0.5:
        raise BadUsage(f"--held-out {request.held_out} is outside [0, 0.5]", "0.01 is usual")
    for name in ("words", "documents", "shard_bytes", "processes"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise BadUsage(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
    if request.weights:
        if len(request.weights) != len(request.sources):
            counts = f"{len(request.weights)} for {len(request.sources)} sources"
            raise BadUsage(f"--weights: {counts}", "give one for each source, in their order")
        if min(request.weights) <= 0:
            raise BadUsage(f"--weights {min(request.weights)}: each must be above 0", "leave the source out")
        if request.documents is not None:
            raise BadUsage("--documents does not go with --weights", "proportions are of words: give --words")
    if request.drop_overlap and not request.against:
        raise BadUsage("--drop-overlap: nothing to compare with", "name evaluation files with --against")
    return _part(request.shard)


def _part(shard: str) -> tuple[int, int]:
    """Return (i, n) of a ``--shard i/n``."""
    if not shard:
        return 1, 1
    mine, _, of = shard.partition("/")
    if not (mine.isdigit() and of.isdigit() and 1 <= int(mine) <= int(of)):
        raise BadUsage(f"--shard {shard}: not a part i/n with 1 ≤ i ≤ n", "the first of four is 1/4")
    return int(mine), int(of)
