"""Shards of an unfinished corpus: each is whole or absent.

corpus/train-00003.tokens …    written elsewhere, synced, renamed
shards/00003.json              what they hold, and their digests: written last
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from corpora.fetching import Batch, Fetch
from corpora.progress import Progress
from corpora.store import KINDS, PARTS, stem
from corpora.workers import Pool
from corpora.writing import Writer
from foundation import durable

CORPUS, SHARDS = "corpus", "shards"
EACH = 4_000_000
"""Bytes of text for which it pays to start one more process."""


def told(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what a finished shard holds, or None if it is not there."""
    try:
        return json.loads((folder / SHARDS / f"{number:05}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def encode(
    folder: Path, fetch: Fetch, numbers: Sequence[int], dtype: np.dtype[Any], sentences: str, processes: int
) -> None:
    """Make those of the shards that are not there."""
    todo = [number for number in numbers if told(folder, number) is None]
    if not todo:
        return
    temporary = Path(tempfile.mkdtemp(prefix="encoding-", dir=folder))
    try:
        with (
            Progress("encoding", unit="tokens") as progress,
            _single(processes),
            Pool(folder / CORPUS, sentences, processes) as pool,
        ):
            writers: dict[str, Writer] = {}
            size = 0
            for batch, encoded in pool.map((batch, batch.texts) for batch in fetch.shards(todo)):
                writers = writers or {part: Writer(temporary, part, batch.shard, dtype) for part in PARTS}
                size += batch.bytes
                for part, found, words in zip(PARTS, encoded, batch.words, strict=True):
                    if found is not None:
                        writers[part].add(found, words)
                        progress.add(len(found.ids))
                if batch.last:
                    _keep(folder, temporary, batch, writers, size)
                    writers, size = {}, 0
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _single(processes: int) -> Iterator[None]:
    """Let `tokenizers` use one thread where each process has one, whatever the environment says outside."""
    name, before = "TOKENIZERS_PARALLELISM", os.environ.get("TOKENIZERS_PARALLELISM")
    if processes == 1:
        os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def _keep(folder: Path, temporary: Path, batch: Batch, writers: dict[str, Writer], size: int) -> None:
    parts = {part: writer.close() for part, writer in writers.items()}
    files = {}
    for part, writer in writers.items():
        for kind in KINDS:
            path = temporary / f"{stem(part, batch.shard)}.{kind}"
            durable.sync(path)
            files[path.name] = {"bytes": path.stat().st_size, "sha256": writer.digests[kind].hexdigest()}
            path.replace(folder / CORPUS / path.name)
    durable.sync(folder / CORPUS)
    (folder / SHARDS).mkdir(exist_ok=True)
    durable.write_json(folder / SHARDS / f"{batch.shard:05}.json", {"bytes": size, "parts": parts, "files": files})
