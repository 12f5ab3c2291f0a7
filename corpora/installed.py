"""The embedded corpus: prose from the docstrings of the standard library and of installed packages.

Files are parsed by ``ast``, never imported. Modules are taken in the order of a key, so that a small budget has a
bit of every library; of the largest libraries, 30 % of the modules are reserved for tasks. A paragraph that has
stood before (identifiers and numbers aside) is dropped, and one that stands in a reserved module never enters
the pretraining text: the two are disjoint by module and by paragraph.

The same environment gives the same documents, in the same order; a smaller budget gives the first of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from corpora import extraction, modules
from corpora.cache import alone, cache_folder
from corpora.documents import cut
from corpora.modules import Module, packages
from corpora.progress import Progress
from corpora.prose import fold
from foundation import durable

__all__ = ["Docstring", "documents", "fingerprint", "packages", "reserved"]

_RULES = ("modules.py", "docstrings.py", "prose.py", "extraction.py", "installed.py")


class Docstring(NamedTuple):
    """The prose of one docstring, its paragraphs separated by new lines.

    `summary` says that the first paragraph is the docstring's own summary line.
    """

    library: str
    module: str
    name: str
    text: str
    summary: bool


def documents(words: int | None = None) -> Iterator[Docstring]:
    """Yield the docstrings of the pretraining text, exactly `words` words of them if there are so many."""
    left = words
    for docstring in _cached("documents", words):
        if left is None:
            yield docstring
            continue
        if left <= 0:
            return
        held = len(docstring.text.split())
        yield docstring if held <= left else docstring._replace(text=cut(docstring.text, left))
        left -= held


def prepare(words: int | None = None) -> None:
    """Extract what ``documents(words)`` will need, if the cache does not hold it yet."""
    _cached("documents", words)


def reserved() -> tuple[Docstring, ...]:
    """Return the docstrings of the modules that are reserved for tasks."""
    return tuple(_cached("reserved", None))


@cache
def fingerprint() -> str:
    """Return a digest of what the embedded corpus is made from: packages, versions, and the rules of cleaning."""
    rules = [hashlib.sha256((Path(__file__).parent / name).read_bytes()).hexdigest() for name in _RULES]
    return hashlib.sha256(json.dumps([packages(), rules]).encode()).hexdigest()


def _cached(kind: str, words: int | None) -> Iterable[Docstring]:
    """Return at least `words` words of one kind from the cache, or extract them and keep them there."""
    folder = cache_folder() / "installed" / fingerprint()[:16]
    kept = _kept(folder, kind, words)
    if kept is None:
        with alone(folder / kind):
            kept = _kept(folder, kind, words)
            if kept is None:
                kept = _extract(kind, words)
                _keep(folder, kind, words, kept)
    return kept


def _kept(folder: Path, kind: str, words: int | None) -> Iterable[Docstring] | None:
    for size in sorted(_sizes(folder, kind)):
        if size >= (_ALL if words is None else words):
            return _read(folder / _name(kind, size))
    return _UNCACHED.get((kind, words))


def _keep(folder: Path, kind: str, words: int | None, found: list[Docstring]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(docstring, ensure_ascii=False) + "\n" for docstring in found)
        durable.write_text(folder / _name(kind, _ALL if words is None else words), lines)
        durable.write_json(folder / "packages.json", packages())
    except OSError as error:
        print(f"{folder}: the extracted text cannot be kept there: {error.strerror}", file=sys.stderr)
        _UNCACHED[kind, words] = found


_ALL = 1 << 62
_UNCACHED: dict[tuple[str, int | None], list[Docstring]] = {}  # what an unwritable cache could not take


def _name(kind: str, size: int) -> str:
    return f"{kind}-{'all' if size == _ALL else size}.jsonl"


def _sizes(folder: Path, kind: str) -> Iterator[int]:
    for path in folder.glob(f"{kind}-*.jsonl"):
        size = path.stem.removeprefix(f"{kind}-")
        if size == "all" or size.isdigit():
            yield _ALL if size == "all" else int(size)


def _read(path: Path) -> Iterator[Docstring]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Docstring(*json.loads(line))


def _extract(kind: str, words: int | None) -> list[Docstring]:
    pretraining, apart = modules.split()
    if kind == "reserved":
        return list(_distinct(apart, set(), None, "reading the modules reserved for tasks"))
    seen = {fold(line) for docstring in reserved() for line in docstring.text.split("\n")}
    return list(_distinct(pretraining, seen, words, "reading installed documentation"))


def _distinct(chosen: tuple[Module, ...], seen: set[int], words: int | None, label: str) -> Iterator[Docstring]:
    """Yield the docstrings of modules without the paragraphs in `seen`, which grows, until there are `words` words."""
    gathered = 0
    with Progress(label, len(chosen) if words is None else words, "modules" if words is None else "words") as progress:
        for library, module, found in extraction.extract(chosen):
            before = gathered
            for name, paragraphs, summary in found:
                kept = []
                for number, (paragraph, mark) in enumerate(paragraphs):
                    if mark in seen:
                        summary = summary and number > 0
                    else:
                        seen.add(mark)
                        kept.append(paragraph)
                if kept:
                    text = "\n".join(kept)
                    gathered += len(text.split())
                    yield Docstring(library, module, name, text, summary)
                if words is not None and gathered >= words:
                    progress.add(words - before)
                    return
            progress.add(1 if words is None else gathered - before)
