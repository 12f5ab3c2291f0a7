"""Building a corpus: the sources are read twice, in batches, so memory does not grow with the text.

The first pass counts, and keeps a sample for the vocabulary and the smallest held-out draw; the second encodes.
Which documents are held out, and which are sampled, is looked up by a key of their content: neither depends on
their order, and copies of a document fall on the same side.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from corpora import vocabulary
from corpora.documents import INSTALLED, documents, files
from corpora.encoding import Encoded
from corpora.progress import Progress
from corpora.requests import Build
from corpora.sentences import starts
from corpora.store import FORMAT, KINDS, META, PARTS, read_meta
from corpora.vocabulary import Vocabulary
from corpora.writing import Writer, token_kind
from foundation import durable, keys
from foundation.refusal import BadData, BadUsage, RunFailed
from foundation.request import to_dict

SAMPLE = 32_000_000
BATCH = 1_000_000


@dataclass
class Survey:
    """What the first pass over the sources finds; `sample` holds at most about SAMPLE characters of it."""

    documents: int = 0
    empty: int = 0
    words: int = 0
    bytes: int = 0
    held_out: float = 0.0
    sample: list[tuple[float, str]] = field(default_factory=list)


def build(request: Build) -> Path:
    """Build the corpus that is asked for, or find it finished; return its folder.

    Raises:
        BadUsage: for numbers that cannot be, or a folder that holds something else.
        BadData: for sources that cannot be read or hold no text.
    """
    _check(request)
    identity = _identity(request)
    if _finished(request, identity):
        print(f"{request.out}: the corpus of this request is there, re-used", file=sys.stderr)
        return request.out
    if INSTALLED in request.sources:
        from corpora import installed

        installed.prepare(request.words)
    survey = _survey(request)
    if survey.documents == 0:
        where = ", ".join(request.sources)
        blank = f" ({survey.empty:,} empty documents)" if survey.empty else ""
        raise BadData(f"{where}: an empty corpus{blank}", "give sources that hold text")
    try:
        with durable.new_folder(request.out.resolve()) as folder, all_cores():
            _fill(folder, request, survey, identity)
    except OSError as error:
        raise RunFailed(f"--out {request.out}: {error.strerror or error}", "nothing is left there") from error
    return request.out


def _fill(folder: Path, request: Build, survey: Survey, identity: dict[str, Any]) -> None:
    if request.tokenizer is not None:
        view = vocabulary.taken(request.tokenizer, folder)
    else:
        with Progress("vocabulary", unit="documents") as progress:
            tokenizer = vocabulary.train((text for _, text in survey.sample), request.vocabulary)
            progress.add(len(survey.sample))
        vocabulary.save(tokenizer, folder)
        view = Vocabulary.of(tokenizer)
    survey.sample.clear()
    meta = _write(request, survey, view, folder)
    durable.write_json(folder / META, {"format": FORMAT, **meta, **identity})


@contextmanager
def all_cores() -> Iterator[None]:
    """Let `tokenizers` use its threads, whatever TOKENIZERS_PARALLELISM says outside; it asks at each call."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _check(request: Build) -> None:
    if not request.sources:
        raise BadUsage("no source is given", f"example: corpora build FILE.txt --out {request.out}")
    if request.tokenizer is not None:
        vocabulary.suitable(request.tokenizer)
    if request.vocabulary < vocabulary.SMALLEST:
        vocabulary.train([], request.vocabulary)  # refuses it in its own words
    if not 0 <= request.held_out <= 0.5:
        raise BadUsage(f"--held-out {request.held_out} is outside [0, 0.5]", "0.01 is usual")
    for name in ("words", "documents"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise BadUsage(f"--{name} {value}: at least 1 is needed")


def _identity(request: Build) -> dict[str, Any]:
    """Return what must be equal for a finished corpus to be the one that is asked for."""
    asked = {name: value for name, value in to_dict(request).items() if name not in ("out", "overwrite")}
    if request.tokenizer is not None:
        asked["tokenizer"] = vocabulary.Vocabulary.open(request.tokenizer).sha256
    found: dict[str, Any] = {}
    packages: dict[str, str] = {}
    for source in request.sources:
        if source == INSTALLED:
            from corpora import installed

            found[INSTALLED] = installed.fingerprint()
            packages = installed.packages()
        for path in files(source):
            told = path.stat()
            found[str(path)] = {"bytes": told.st_size, "modified": told.st_mtime_ns}
    return {"request": asked, "sources": found, "packages": packages}


def _finished(request: Build, identity: dict[str, Any]) -> bool:
    """Say whether the folder already holds what is asked for.

    Raises:
        BadUsage: if it holds another corpus and is not to be overwritten, or anything that is no corpus.
    """
    out = request.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not ((out / META).is_file() and any(out.glob("train*.tokens"))):
        raise BadUsage(f"--out {out} exists and is no corpus", "name another folder; this one is never overwritten")
    try:
        meta = read_meta(out)
    except BadData:
        meta = {}
    wrong = durable.problems(out)
    differing = [
        f"{name}: {meta.get(group, {}).get(name)} there, {value} asked for"
        for group in identity
        for name, value in identity[group].items()
        if meta.get(group, {}).get(name) != value
    ]
    if not wrong and not differing and meta.get("sources") == identity["sources"]:
        return True
    if request.overwrite:
        return False
    lines = "\n".join(f"  {line}" for line in (wrong or differing or ["other sources"]))
    raise BadUsage(f"--out {out} holds another corpus:\n{lines}", "name another folder, or give --overwrite")


def _documents(request: Build) -> Iterator[str]:
    return documents(request.sources, separator=request.separator, words=request.words, limit=request.documents)


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    """Yield documents that are not empty in lists of about BATCH characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if text:
            batch.append(text)
            size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def draws(seed: int, name: str, texts: list[str]) -> Float64[np.ndarray, " texts"]:
    """Return one number in [0, 1) for each text, looked up by its content."""
    content = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return keys.uniform(keys.fold(seed, name, np.frombuffer(content, dtype="<u8")), 1)[:, 0]


def _survey(request: Build) -> Survey:
    survey = Survey()
    smallest, share, size = 1.0, 1.0, 0

    def counted() -> Iterator[str]:
        for text in _documents(request):
            survey.empty += not text
            yield text

    with Progress("reading", unit="words") as progress:
        for batch in _batches(counted()):
            words = sum(len(text.split()) for text in batch)
            survey.documents += len(batch)
            survey.words += words
            survey.bytes += sum(len(text.encode()) for text in batch)
            smallest = min(smallest, float(draws(request.seed, "held-out", batch).min()))
            drawn = draws(request.seed, "vocabulary", batch)
            chosen = [(float(u), text) for u, text in zip(drawn, batch, strict=True) if u < share]
            survey.sample += chosen
            size += sum(len(text) for _, text in chosen)
            while size > SAMPLE and len(survey.sample) > 1:  # keep the half with the smaller draws
                survey.sample.sort()
                survey.sample = survey.sample[: len(survey.sample) // 2]
                share = survey.sample[-1][0]
                size = sum(len(text) for _, text in survey.sample)
            progress.add(words)
    if request.held_out and survey.documents > 1:  # at least one document, however small the corpus
        survey.held_out = max(request.held_out, float(np.nextafter(smallest, 1.0)))
    return survey


def _write(request: Build, survey: Survey, view: Vocabulary, folder: Path) -> dict[str, Any]:
    writers = {name: Writer(folder, name, 0, token_kind(view.size)) for name in PARTS}
    with Progress("encoding", survey.words, "words") as progress:
        for batch in _batches(_documents(request)):
            apart = draws(request.seed, "held-out", batch) < survey.held_out
            for name, chosen in zip(PARTS, (~apart, apart), strict=True):
                if chosen.any():
                    own = [text for text, here in zip(batch, chosen, strict=True) if here]
                    writers[name].add(_encoded(own, view))
            progress.add(sum(len(text.split()) for text in batch))
    parts: dict[str, Any] = {name: writer.close() for name, writer in writers.items()}
    if sum(part["documents"] for part in parts.values()) != survey.documents:
        raise RunFailed("the sources have changed while they were read", "build again")
    for told in parts.values():
        told["shards"] = [{kind: told[kind] for kind in KINDS}]
    digest = hashlib.sha256(view.sha256.encode())
    for name in PARTS:
        digest.update(writers[name].digest.encode())
    return {
        "fingerprint": digest.hexdigest(),
        "words": survey.words,
        "documents": survey.documents,
        "tokens": sum(part["tokens"] for part in parts.values()),
        "sentences": sum(part["sentences"] for part in parts.values()),
        "bytes": survey.bytes,
        "empty": survey.empty,
        "vocabulary": view.size,
        "dtype": writers["train"].dtype.str,
        "parts": parts,
    }


def _encoded(texts: list[str], view: Vocabulary) -> Encoded:
    """Return texts as they are stored.

    A byte-level piece is as many bytes long as it has letters, and encoding loses no byte: so the offset of every
    token is a cumulative sum, and sentence starts are found among them without asking the tokenizer for offsets.
    """
    encoded = view.encode_batch(texts)
    sizes = np.array([len(ids) for ids in encoded], dtype=np.int64)
    ids = np.fromiter(chain.from_iterable(encoded), dtype=np.int64, count=int(sizes.sum()))
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    lengths = np.array([len(piece) for piece in view.pieces], dtype=np.int64)
    sentences = sentence_tokens(texts, lengths[ids], bounds)
    closed = np.insert(ids, bounds[1:], view.eos or 0)  # </s> after each document
    shift = np.searchsorted(bounds, sentences, side="right") - 1  # one more token for each document before
    words = sum(len(text.split()) for text in texts)
    unknown = int((ids == view.unk).sum())
    return Encoded(
        closed.astype(token_kind(view.size)), bounds[:-1] + np.arange(len(texts)), sentences + shift, words, unknown
    )


def sentence_tokens(
    texts: Sequence[str],
    lengths: Int64[np.ndarray, " tokens"],
    bounds: Int64[np.ndarray, " documents_and_1"],
) -> Int64[np.ndarray, " sentences"]:
    """Return the sorted places among the tokens of `texts` that hold a sentence's first letter.

    `lengths` are the bytes of each token of all texts, `bounds` where each text's tokens begin. A document's
    first token is always one.
    """
    ends = np.cumsum(lengths)
    begins: list[int] = []
    base = 0
    for text in texts:
        found = starts(text)
        if text.isascii():
            begins += [base + place for place in found]
            base += len(text)
            continue
        last = 0
        for place in found:
            base += len(text[last:place].encode())
            begins.append(base)
            last = place
        base += len(text[last:].encode())
    inside = np.searchsorted(ends, np.array(begins, dtype=np.int64), side="right")
    return np.union1d(inside, bounds[:-1])
