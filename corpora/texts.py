"""Text files and JSON lines as sources."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpora.columns import missing
from corpora.documents import clean
from corpora.streams import File
from foundation.refusal import BadData

_DECODER = json.JSONDecoder()
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TextFile(File):
    """A text file, cut into documents as `reading` says."""

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Return documents, each with the offset behind the line that ends it."""
        by = self.reading.documents_by
        found = self._whole(place) if by == "file" else self._split(place, records=by == "record")
        return ((self.reading.finish(text), behind) for text, behind in found) if self.reading.normalise else found

    def _split(self, place: int, records: bool) -> Iterator[tuple[str, int]]:
        separator = self.reading.separator.strip()
        held: list[str] = []
        end = place
        for end, text in self.blocks(place):
            counted = at = 0  # `end` is the byte at character `counted`, `at` the character behind the line
            ascii_only = text.isascii()
            for line in text.splitlines(keepends=True):
                at += len(line)
                line = line.strip()
                if line != separator and line:
                    held.append(line)
                    if not records:
                        continue
                if held and (records or line == separator):
                    end += at - counted if ascii_only else len(text[counted:at].encode())
                    counted = at
                    yield "\n".join(held), end
                    held = []
            end += len(text[counted:].encode())
        if held:
            yield "\n".join(held), end

    def _whole(self, place: int) -> Iterator[tuple[str, int]]:
        texts, end = [], place
        for end, text in self.blocks(place):
            texts.append(text)
            end += len(text.encode())
        if texts or not place:  # an empty file is an empty document; behind it is not where it began
            yield clean("".join(texts)), max(end, 1)


@dataclass(frozen=True)
class Records(File):
    """JSON lines: each record is a document."""

    column: str = ""

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the text of each record, with the offset behind its line."""
        for record, at, behind in self._records(place):
            text = record.get(self.column, 0) if isinstance(record, dict) else 0
            if not isinstance(text, str | None):
                raise self._textless(record, at)
            yield self.reading.finish(clean(text or "")), behind

    def first(self) -> dict[str, Any]:
        """Return the first record; an empty one if there is none."""
        for record, at, _ in self._records(0):
            if not isinstance(record, dict):
                raise self._textless(record, at)
            return record
        return {}

    def _records(self, place: int) -> Iterator[tuple[Any, int, int]]:
        """Yield (record, offset of its line, offset behind it)."""
        for end, text in self.blocks(place, returns=False):
            ascii_only, halves = text.isascii(), _HALF.search(text) is not None
            for line in io.StringIO(text, newline="\n"):
                at, end = end, end + (len(line) if ascii_only else len(line.encode()))
                if line.isspace():
                    continue
                try:
                    record = _parsed(line)
                except (ValueError, RecursionError) as error:
                    what = f"{self.name}:{self._line(at)}: not JSON: {error}"
                    raise BadData(what, "each line must be one JSON object") from error
                yield _mended(record) if halves else record, at, end

    def _textless(self, record: Any, at: int) -> BadData:
        where = f"{self.name}:{self._line(at)}"
        if not isinstance(record, dict):
            return BadData(f"{where}: no object but {type(record).__name__}", "each line must be one JSON object")
        if self.column in record:
            return BadData(f'{where}: "{self.column}" is no text but {type(record[self.column]).__name__}')
        return missing(where, self.column, record)

    def _line(self, offset: int) -> int:
        """Return the number of the line at an offset, counted only when it is to be told."""
        number = 1
        for begin, text in self.blocks(returns=False):
            number += text.encode()[: max(0, offset - begin)].count(b"\n")
        return number


def _parsed(line: str) -> Any:
    """Return what ``json.loads`` does, at half its time for the usual line."""
    try:
        record, end = _DECODER.raw_decode(line)
        if end == len(line) or line[end:].isspace():
            return record
    except ValueError:
        pass
    return json.loads(line)  # white space before the value, or an error


def _mended(record: Any) -> Any:
    """Return a record with U+FFFD for each half of a surrogate pair that stands alone: no UTF-8 can hold it."""
    if not isinstance(record, dict):
        return record
    return {key: _LONE.sub("\ufffd", value) if isinstance(value, str) else value for key, value in record.items()}
