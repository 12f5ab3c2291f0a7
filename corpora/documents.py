"""Documents: one string each, paragraphs on lines of their own, nothing else in between.

    source ─ read(place) ─▶ ("First paragraph.\\nSecond paragraph.", place behind it), …

Lines end where ``str.splitlines`` says: LF, CRLF, CR, form feed, NEL, and Unicode's line and paragraph separators.
Everything is read as a stream: a source may be larger than memory, a document may not.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from foundation.refusal import BadUsage

BY = ("blank", "file", "record", "separator")
FORMS = ("NFC", "NFKC", "NFD", "NFKD")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How text becomes documents."""

    documents_by: str = "blank"
    """What ends a document of a text file: a blank line (blank), the end of the file (file), every line (record),
    or a line that is --separator (separator). In tables and JSON lines every record is a document."""
    separator: str = ""
    """The line that stands between the documents of a text file, in place of a blank one."""
    column: str = ""
    """The column of tables, and key of JSON lines, that holds the text: "text", else the only one of text."""
    encoding: str = ""
    """How text is encoded, as Python names it; by default UTF-8, or UTF-16 or UTF-32 by their byte-order mark."""
    normalise: str = ""
    """Unicode normalisation of the text: NFC, NFKC, NFD or NFKD; by default none."""

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            BadUsage: for an unknown name, or a separator that is missing or not asked for.
        """
        if self.documents_by not in BY:
            raise BadUsage(f"--documents-by {self.documents_by}: unknown", f"known: {', '.join(BY)}")
        if self.documents_by == "separator" and not self.separator.strip():
            raise BadUsage("--documents-by separator: no separator is given", 'for example: --separator "====="')
        if self.separator and self.documents_by in ("file", "record"):
            raise BadUsage(f"--separator does not go with --documents-by {self.documents_by}", "leave one of them out")
        if self.normalise and self.normalise not in FORMS:
            raise BadUsage(f"--normalise {self.normalise}: unknown", f"known: {', '.join(FORMS)}")
        try:
            codecs.getincrementaldecoder(self.encoding or "utf-8")
            "".encode(self.encoding or "utf-8")  # which also refuses codecs that give no text
        except LookupError as error:
            raise BadUsage(f"--encoding {self.encoding}: unknown", "for example: utf-16-le, cp1252, gb18030") from error

    def finish(self, text: str) -> str:
        """Return a cleaned text in the normal form that is asked for."""
        if not self.normalise:
            return text
        normal = unicodedata.normalize(self.normalise, text)  # type: ignore[arg-type]  # one of FORMS
        return normal if normal == text else clean(normal)


@runtime_checkable
class Source(Protocol):
    """One file, table, split of a hub data set, copy of standard input, or the installed documentation."""

    @property
    def name(self) -> str:
        """What messages and reports call it."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return what must be equal for a finished corpus to be used again."""
        ...

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the documents in order, "" for an empty one, each with the place behind it.

        ``read(place)`` goes on exactly there. A place is a byte of the text (decompressed, as UTF-8) in text files and
        JSON lines, a row of a table or hub data set, a number of documents elsewhere.
        """
        ...


def clean(text: str) -> str:
    """Return the lines of a text, white space around them and empty ones left out."""
    return "\n".join(filter(None, map(str.strip, text.splitlines())))


def cut(text: str, words: int) -> str:
    """Return a text up to the end of its word number `words`."""
    end = 0
    for number, word in enumerate(_WORD.finditer(text)):
        if number == words:
            break
        end = word.end()
    return text[:end]


def within(texts: Iterable[str], words: int | None = None, limit: int | None = None) -> Iterator[str]:
    """Yield texts, empty ones included, within a budget.

    `words` (between white space) is met exactly, by cutting the last document after a word; `limit` counts the
    documents that are not empty.
    """
    for text in texts:
        if (words is not None and words <= 0) or (limit is not None and limit <= 0):
            return
        if words is not None:
            held = len(text.split())
            text = text if held <= words else cut(text, words)
            words -= min(words, held)
        if limit is not None and text:
            limit -= 1
        yield text
