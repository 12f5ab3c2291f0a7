"""The text of a file in blocks of whole lines: compression undone, decoded, refused where it is no text.

    bytes ─ decompress ─▶ bytes ─ other encodings become UTF-8 ─▶ blocks cut behind a line ─▶ (offset, text)

Work by the block, not by the line, is what makes reading fast. Offsets count the bytes of the text as UTF-8: the
same as those of the file where nothing had to be decompressed or decoded.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from corpora import formats
from corpora.documents import Reading
from foundation.refusal import BadData

BLOCK = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MARK = "\ufeff"


@dataclass(frozen=True)
class File:
    """A file of text, by the name that messages use and the path where it lies."""

    name: str
    path: Path
    reading: Reading

    def identity(self) -> dict[str, Any]:
        """Return size and time of change."""
        try:
            told = self.path.stat()
        except OSError as error:
            raise unreadable(self.name, error) from error
        return {"bytes": told.st_size, "modified": told.st_mtime_ns}

    def blocks(self, place: int = 0, returns: bool = True) -> Iterator[tuple[int, str]]:
        """Yield (offset, some whole lines) from the line that begins at offset `place`.

        A carriage return alone ends a line only if `returns`.

        Raises:
            BadData: for what cannot be read, is broken, binary, or not in its encoding; with the byte.
        """
        offset = place
        try:
            with formats.undone(self.path) as file:
                pieces = self._pieces(file, place)
                for block in _lines(pieces, returns):
                    text = self._decoded(block, offset)
                    yield (offset + 3, text[1:]) if offset == 0 and text.startswith(_MARK) else (offset, text)
                    offset += len(block)
        except (*formats.BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise unreadable(self.name, error) from error
            packed = formats.COMPRESSED.get(self.path.suffix.lower(), "file")
            what = f"{self.name}: broken {packed} after {offset:,} bytes of text: {error}"
            raise BadData(what, "fetch the file again") from error

    def _pieces(self, file: BufferedIOBase, place: int) -> Iterator[bytes]:
        head = file.read(8)
        encoding = self.reading.encoding
        if not encoding:
            encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
            formats.refuse_binary(self.name, head)
        if codecs.lookup(encoding).name != "utf-8":
            file.seek(0)
            yield from _behind(self._transcoded(file, encoding), place)
            return
        file.seek(place)
        while piece := file.read(BLOCK):
            yield piece

    def _transcoded(self, file: BufferedIOBase, encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)()
        fed, raw = 0, b"-"
        while raw:
            raw = file.read(BLOCK)
            begin = fed - len(decoder.getstate()[0])  # what it holds back of a character comes again
            try:
                yield decoder.decode(raw, not raw).encode()
            except UnicodeDecodeError as error:
                raise self._undecodable(error, encoding, begin) from error
            fed += len(raw)

    def _decoded(self, block: bytes, offset: int) -> str:
        if b"\0" in block:
            what = f"{self.name}: a binary file (NUL at byte {offset + block.index(0):,})"
            raise BadData(what, "UTF-16 without a byte-order mark is read with --encoding utf-16-le or utf-16-be")
        try:
            return block.decode()
        except UnicodeDecodeError as error:
            raise self._undecodable(error, "UTF-8", offset) from error

    def _undecodable(self, error: UnicodeDecodeError, encoding: str, begin: int) -> BadData:
        found = error.object[error.start : error.start + 4].hex(" ")
        what = f"{self.name}: not {encoding} at byte {begin + error.start:,} ({found})"
        return BadData(what, "--encoding NAME says how it is encoded, for example cp1252, latin-1, gb18030")


def unreadable(name: str, error: OSError) -> BadData:
    """Return the refusal of what the system does not let read."""
    return BadData(f"{name}: cannot be read: {error.strerror or error}")


def _behind(pieces: Iterator[bytes], place: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[place:]
        place = max(0, place - len(piece))


def _lines(pieces: Iterator[bytes], returns: bool) -> Iterator[bytes]:
    """Cut pieces anew, behind the last line that ends in each; a line of many pieces is joined once."""
    held: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end and returns:  # files of old Macs; a return at the very end may be half of CRLF
            end = piece.rfind(b"\r", 0, max(0, len(piece) - 1)) + 1
        if end:
            yield b"".join([*held, piece[:end]])
            held = []
        held.append(piece[end:])
    if rest := b"".join(held):
        yield rest
