"""Documents of any source, one string each: paragraphs on lines of their own, nothing else in between.

    notes.txt, notes.txt.gz   a blank line (or a given separator line) stands between documents
    notes.jsonl               one record a line, its "text" is the document
    FOLDER                    all of these in it, in the order of their paths
    installed                 the documentation installed beside Python (corpora/installed.py)

Everything is read as a stream: a source may be larger than memory, a document may not.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from foundation.refusal import BadData

INSTALLED = "installed"
SUFFIXES = (".txt", ".text", ".md", ".rst", ".jsonl", ".ndjson")
_WORD = re.compile(r"\S+")


def documents(
    sources: Sequence[str | Path],
    *,
    separator: str = "",
    words: int | None = None,
    limit: int | None = None,
) -> Iterator[str]:
    """Yield the documents of the sources in order, empty ones included, within a budget.

    `words` (between white space) is met exactly, by cutting the last document after a word; `limit` counts the
    documents that are not empty.

    Raises:
        BadData: for a source that does not exist, cannot be read, is not UTF-8 text, or whose records have no text.
    """
    for source in sources:
        for text in _source(source, separator, words):
            if (words is not None and words <= 0) or (limit is not None and limit <= 0):
                return
            if words is not None:
                held = len(text.split())
                text = text if held <= words else cut(text, words)
                words -= min(words, held)
            if limit is not None and text:
                limit -= 1
            yield text


def files(source: str | Path) -> list[Path]:
    """Return the files that a source stands for; a folder gives its text files and passes over all others.

    Raises:
        BadData: if there is no such file or folder, or the folder holds no text file.
    """
    if str(source) == INSTALLED:
        return []
    path = Path(source)
    if not path.exists():
        raise BadData(f"{path}: no such file or folder", "give text files, folders, or installed")
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.is_file() and _kind(file) in SUFFIXES)
    if not found:
        known = ", ".join(SUFFIXES)
        raise BadData(f"{path}: the folder holds no text files", f"looked for {known}, each also with .gz")
    return found


def _kind(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def cut(text: str, words: int) -> str:
    """Return a text up to the end of its word number `words`."""
    end = 0
    for number, word in enumerate(_WORD.finditer(text)):
        if number == words:
            break
        end = word.end()
    return text[:end]


def _source(source: str | Path, separator: str, words: int | None) -> Iterator[str]:
    if str(source) == INSTALLED:
        from corpora import installed

        for docstring in installed.documents(words):
            yield docstring.text
        return
    for path in files(source):
        if _kind(path) in (".jsonl", ".ndjson"):
            yield from _records(path)
        else:
            yield from _split(path, separator)


def _split(path: Path, separator: str) -> Iterator[str]:
    """Yield the documents of a text file; blank lines inside a document are left out of it."""
    held: list[str] = []
    for _, line in _lines(path):
        line = line.strip()
        if line == separator:
            if held:
                yield "\n".join(held)
            held = []
        elif line:
            held.append(line)
    if held:
        yield "\n".join(held)


def _records(path: Path) -> Iterator[str]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadData(f"{path}:{number}: not JSON: {error}", "each line must be one JSON object") from error
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            keys = ", ".join(record) if isinstance(record, dict) else type(record).__name__
            raise BadData(f'{path}:{number}: no "text" in the record; found: {keys or "nothing"}')
        yield "\n".join(kept for line in text.splitlines() if (kept := line.strip()))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of a file, gzip undone, a byte-order mark left out."""
    offset = 0
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = _decode(path, line, offset)
                yield number, text.removeprefix("\ufeff") if number == 1 else text
                offset += len(line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadData(f"{path}: broken gzip after {offset:,} bytes of text: {error}", "fetch the file again") from error
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror or error}") from error


def _decode(path: Path, line: bytes, offset: int) -> str:
    if b"\0" in line:
        where = offset + line.index(b"\0")
        raise BadData(f"{path}: a binary file (NUL at byte {where:,})", "UTF-16 text must be converted to UTF-8 first")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = line[error.start : error.start + 4].hex(" ")
        raise BadData(
            f"{path}: not UTF-8 at byte {offset + error.start:,} ({found})",
            f"convert it first, for example: iconv -f latin1 -t utf-8 {path}",
        ) from error
