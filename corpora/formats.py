"""What the name of a file says about it, and what its first bytes say against that.

notes.md.zst ─▶ kind ".md", opened through zstd
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from io import BufferedIOBase
from pathlib import Path

from foundation.refusal import BadData

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROSE = (".txt", ".text", ".md", ".rst")
RECORDS = (".jsonl", ".ndjson")
CELLS = (".csv", ".tsv")
PARQUET = ".parquet"
COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
KNOWN = f"{', '.join((*PROSE, *RECORDS, *CELLS))}, each also with {', '.join(COMPRESSED)}, and {PARQUET}"
BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)

_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 31}  # what zstd --long=31 has written, as large dumps are
_MAGIC = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "zip, or an office document",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"PAR1": "parquet",
    b"\x7fELF": "a program",
    b"Rar!": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
    b"SQLite": "SQLite",
}
_PACKED = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}


def kind(path: Path) -> str:
    """Return the suffix that says what a file holds, in small letters, without that of its compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix


def known(path: Path) -> bool:
    """Say whether a file in a folder is taken; parquet is compressed inside and has no second suffix."""
    if kind(path) == PARQUET:
        return path.suffix.lower() == PARQUET
    return kind(path) in (*PROSE, *RECORDS, *CELLS)


def undone(path: Path) -> BufferedIOBase:
    """Open a file for reading, its compression undone; places and seeking are those of what it holds."""
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path)
        case ".bz2":
            return bz2.open(path)
        case ".xz":
            return lzma.open(path)
        case ".zst":
            return zstd.open(path, options=_WINDOW)
        case _:
            return path.open("rb")


def refuse_binary(name: str, head: bytes) -> None:
    """Refuse what begins like a format that is no text.

    Raises:
        BadData: naming the format, and for a compressed one the suffix that would have it undone.
    """
    for magic, suffix in _PACKED.items():
        if head.startswith(magic):
            told = f"name it with {suffix} at its end, or undo the compression first"
            raise BadData(f"{name}: a binary file ({COMPRESSED[suffix]} at byte 0)", told)
    for magic, told in _MAGIC.items():
        if head.startswith(magic):
            raise BadData(f"{name}: a binary file ({told} at byte 0)", "extract its text first")
