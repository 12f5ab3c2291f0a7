"""Text files: what ends a document, encodings, compression, what is refused; and that reading goes on where told."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpora import streams
from corpora.documents import Reading, Source
from corpora.formats import zstd
from corpora.sources import sources
from corpora.texts import TextFile
from foundation.refusal import BadData

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd.compress}
MODES = [
    Reading(),
    Reading(documents_by="record"),
    Reading(documents_by="file"),
    Reading(documents_by="separator", separator="=="),
]


def opened(path: Path, reading: Reading | None = None) -> Source:
    (source,) = sources([str(path)], reading or Reading(), path.parent / "spool")
    return source


def texts(path: Path, reading: Reading | None = None) -> list[str]:
    return [text for text, _ in opened(path, reading).read()]


def check_places(source: Source) -> list[str]:
    """From the place behind each document, reading gives the documents that follow, and their places."""
    found = list(source.read())
    for number, (_, place) in enumerate(found, 1):
        assert list(source.read(place)) == found[number:]
    return [text for text, _ in found]


def test_a_blank_line_ends_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo  \r\n\r\n \t\xc2\xa0\r\n\n three")
    assert texts(tmp_path / "a.txt") == ["one\ntwo", "three"]


def test_every_line_can_be_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n two \nthree")
    assert texts(tmp_path / "a.txt", Reading(documents_by="record")) == ["one", "two", "three"]


def test_a_file_can_be_a_document_an_empty_one_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n two \nthree")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.txt").write_text("\n \n")
    reading = Reading(documents_by="file")
    found = [check_places(source) for source in sources([str(tmp_path)], reading, tmp_path)]
    assert found == [["one\ntwo\nthree"], [""], [""]]


@pytest.mark.parametrize("by", ["blank", "separator"])
def test_a_line_of_the_users_can_end_a_document(tmp_path: Path, by: str) -> None:
    (tmp_path / "a.txt").write_text("==\none\n\ntwo\n ==\n==\n\nthree == 3\n==\n")
    assert texts(tmp_path / "a.txt", Reading(documents_by=by, separator="==")) == ["one\ntwo", "three == 3"]


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_text_is_the_text_of_all_its_members(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.md{suffix}"
    path.write_bytes(PACK[suffix]("früh\n".encode()) + PACK[suffix](b"late\n\nlater"))
    assert check_places(opened(path)) == ["früh\nlate", "later"]


@pytest.mark.parametrize("suffix", PACK)
def test_broken_compressed_files_are_refused(tmp_path: Path, suffix: str) -> None:
    whole = PACK[suffix](bytes(range(32, 127)) * 99)
    for name, content in {"torn": whole[:-9], "plain": b"plain text", "bent": whole[:20] + b"\xff" * 40}.items():
        path = tmp_path / f"{name}.txt{suffix}"
        path.write_bytes(content)
        with pytest.raises(
            BadData, match=rf"{name}\.txt\{suffix}: broken (gzip|bzip2|xz|zstd) after \d+ bytes of text"
        ):
            texts(path)


def test_text_packed_with_a_long_window_is_read(tmp_path: Path) -> None:
    options = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.enable_long_distance_matching: 1}
    packer = zstd.ZstdCompressor(options=options)
    (tmp_path / "a.txt.zst").write_bytes(packer.compress(b"text") + packer.flush())
    assert texts(tmp_path / "a.txt.zst") == ["text"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    for order in ("",) if encoding == "utf-8-sig" else ("le", "be"):
        mark = "\ufeff" if order else ""
        path = tmp_path / "a.txt"
        path.write_bytes((mark + "Ωne\n\n𝄞wo\n").encode(f"{encoding}-{order}" if order else encoding))
        assert check_places(opened(path)) == ["Ωne", "𝄞wo"]


@pytest.mark.parametrize("encoding", ["cp1252", "shift_jis", "utf-16-le", "utf-16", "gb18030", "UTF8"])
def test_any_other_encoding_is_read_by_its_name(tmp_path: Path, encoding: str) -> None:
    words = ["カナ", "文字"] if encoding in ("shift_jis", "gb18030") else ["café", "naïve"]
    (tmp_path / "a.txt").write_bytes("\n\n".join(words).encode(encoding))
    assert check_places(opened(tmp_path / "a.txt", Reading(encoding=encoding))) == words


@pytest.mark.parametrize(
    ("name", "content", "reading", "told"),
    [
        ("latin.txt", b"caf\xc3\xa9\ncaf\xe9\n", {}, r"latin\.txt: not UTF-8 at byte 9 \(e9 0a\)\n  --encoding"),
        ("torn.txt", b"ab\n\xe2\x82", {}, r"torn\.txt: not UTF-8 at byte 3 \(e2 82\)"),
        ("nul.txt", b"ab\nc\0d", {}, r"nul\.txt: a binary file \(NUL at byte 4\)\n.*--encoding utf-16-le"),
        ("odd.txt", b"\xff\xfea\0b", {}, r"odd\.txt: not utf-16 at byte 4 \(62\)\n  --encoding"),
        ("half.txt", b"a\0\0\xd8b\0", {"encoding": "utf-16-le"}, r"half\.txt: not utf-16-le at byte 2 \(00 d8 62 00\)"),
        ("ascii.txt", b"a\xe9", {"encoding": "ascii"}, r"ascii\.txt: not ascii at byte 1 \(e9\)"),
        ("a.pdf", b"%PDF-1.4\n%\xe2\xe3", {}, r"a\.pdf: a binary file \(PDF at byte 0\)\n  extract its text"),
        ("a.docx", b"PK\x03\x04\x14", {}, r"a\.docx: a binary file \(zip, or an office document at byte 0\)"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0", {}, r"a\.png: a binary file \(PNG at byte 0\)"),
        ("b.txt", gzip.compress(b"x"), {}, r"b\.txt: a binary file \(gzip at byte 0\)\n  name it with \.gz at its end"),
        ("c.txt.gz", gzip.compress(zstd.compress(b"x")), {}, r"c\.txt\.gz: a binary file \(zstd at byte 0\)"),
        ("d.txt.gz", gzip.compress(b"x\0"), {}, r"d\.txt\.gz: a binary file \(NUL at byte 1\)"),
    ],
)
def test_what_is_no_text_is_refused_with_its_byte(
    tmp_path: Path, name: str, content: bytes, reading: dict[str, str], told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=told):
        texts(tmp_path / name, Reading(**reading))


def test_the_byte_of_an_error_is_that_of_the_file_in_later_blocks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", 7)
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"line\n\n" * 20 + b"ab\xffc")
    (tmp_path / "b.txt").write_bytes("line\n\n".encode("utf-16") * 20 + b"\0\xdc")
    with pytest.raises(BadData, match=r"not UTF-8 at byte 125 \(ff 63\)"):
        texts(tmp_path / "a.txt")
    with pytest.raises(BadData, match=r"not utf-16 at byte 280 \(00 dc\)"):
        texts(tmp_path / "b.txt")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody can read, root included")
def test_an_unreadable_file_is_refused() -> None:
    with pytest.raises(BadData, match="/proc/self/mem: cannot be read: Input/output error"):
        texts(Path("/proc/self/mem"))


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", " ", "\u00a0", "word", " two words ", "naïve", "𝄞", "==", " == ", "a" * 40, "\ufeff"]),
        st.sampled_from(["\n", "\r\n", "\r", "\u2028", "\u0085", "\f", "\n\n"]),
    ),
    max_size=30,
)


def rightly(text: str, reading: Reading) -> list[str]:
    """The documents of a text, the slow and plain way."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    if reading.documents_by == "file":
        return ["\n".join(filter(None, lines))]
    if reading.documents_by == "record":
        return [line for line in lines if line]
    found: list[list[str]] = [[]]
    for line in lines:
        if line == reading.separator:
            found.append([])
        elif line:
            found[-1].append(line)
    return ["\n".join(document) for document in found if document]


@settings(max_examples=150, deadline=None)
@given(
    lines=LINES,
    reading=st.sampled_from(MODES),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-be"]),
    suffix=st.sampled_from(["", ".gz", ".zst"]),
    block=st.sampled_from([5, 16, 1 << 20]),
)
@example(lines=[("a", "\r"), ("", "\r\n"), ("b", "\r")], reading=MODES[0], encoding="utf-8", suffix="", block=5)
def test_documents_and_places_do_not_depend_on_blocks(
    lines: list[tuple[str, str]], reading: Reading, encoding: str, suffix: str, block: int
) -> None:
    text = "".join(line + end for line, end in lines)
    content = text.encode(encoding)
    if encoding == "utf-16-be":
        reading = Reading(documents_by=reading.documents_by, separator=reading.separator, encoding=encoding)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        path = Path(folder) / f"a.txt{suffix}"
        path.write_bytes(PACK[suffix](content) if suffix else content)
        assert check_places(TextFile("a", path, reading)) == rightly(text, reading)
