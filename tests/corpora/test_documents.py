from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from corpora.documents import documents, files
from foundation.refusal import BadData


def read(*sources: Path | str, **budget: int) -> list[str]:
    return list(documents(sources, **budget))


def test_a_blank_line_stands_between_documents(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo  \r\n\r\n \r\nthree")
    assert read(path) == ["one\ntwo", "three"]


def test_a_separator_line_may_stand_there_instead(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("one\n\ntwo\n=====\n\nthree\n=====\n")
    assert list(documents([path], separator="=====")) == ["one\ntwo", "three"]


def test_a_folder_gives_its_text_files_in_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "late.md").write_text("late")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("früh".encode()))
    (tmp_path / "a.png").write_bytes(b"\0")
    (tmp_path / "c.jsonl").write_text('{"text": "one\\n\\ntwo"}\n\n{"text": ""}\n')
    assert [path.name for path in files(tmp_path)] == ["a.txt.gz", "late.md", "c.jsonl"]
    assert read(tmp_path) == ["früh", "late", "one\ntwo", ""]


def test_compressed_json_lines_are_records(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": "one", "id": 1}).encode()))
    assert read(path) == ["one"]


def test_a_budget_of_words_is_met_exactly(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a b\nc d\n\ne f g\n\nh")
    for words in range(1, 9):
        found = read(path, path, words=words)
        assert sum(len(text.split()) for text in found) == words
    assert read(path, words=3) == ["a b\nc"]
    assert read(path, words=100) == ["a b\nc d", "e f g", "h"]


def test_a_budget_of_documents_counts_those_that_are_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": ""}\n{"text": "a"}\n{"text": " "}\n{"text": "b"}\n{"text": "c"}\n')
    assert [text for text in read(path, limit=2) if text] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("latin.txt", b"caf\xc3\xa9\ncaf\xe9\n", r"latin\.txt: not UTF-8 at byte 9 \(e9 0a\)"),
        ("image.txt", b"ab\nc\0d", r"image\.txt: a binary file \(NUL at byte 4\)"),
        ("torn.txt.gz", gzip.compress(b"some text " * 99)[:-12], r"torn\.txt\.gz: broken gzip"),
        ("none.txt.gz", b"plain", r"none\.txt\.gz: broken gzip"),
        ("a.jsonl", b'{"text": "x"}\n{"body": 1, "id": 2}\n', r'a\.jsonl:2: no "text" in the record; found: body, id'),
        ("b.jsonl", b'["text"]\n', r"b\.jsonl:1: no .text. in the record; found: list"),
        ("c.jsonl", b'{"text": "x"\n', r"c\.jsonl:1: not JSON"),
    ],
)
def test_bad_input_is_one_message_with_its_place(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=told):
        read(tmp_path / name)


def test_a_missing_or_useless_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such file"):
        read(tmp_path / "missing.txt")
    with pytest.raises(BadData, match="no text files"):
        read(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody can read, root included")
def test_an_unreadable_file_is_refused() -> None:
    with pytest.raises(BadData, match="/proc/self/mem: cannot be read: Input/output error"):
        read("/proc/self/mem")
