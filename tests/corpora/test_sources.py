"""From names to sources: folders, patterns, pipes, standard input, installed documentation."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from pathlib import Path

import pytest

from corpora.documents import Reading
from corpora.sources import files, passed_over, sources
from foundation.refusal import BadData, BadUsage, RunFailed
from tests.corpora.test_streams import check_places, texts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/late.md",
        "b/deep/x.rst",
        "a.txt",
        "a.png",
        "part-0",
        "c.jsonl",
        ".hidden/y.txt",
        ".z.txt",
        "x.log",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"text": "json"}' if name == "c.jsonl" else name)
    return tmp_path / "tree"


def names(found: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found]


def test_a_folder_gives_its_text_files_in_order_of_their_paths(tree: Path) -> None:
    assert names(files(tree), tree) == ["a.txt", "b/deep/x.rst", "b/late.md", "c.jsonl"]
    assert names(passed_over([str(tree), "-", "installed", str(tree / "a.txt")]), tree) == [
        ".z.txt", "a.png", "part-0", "x.log",
    ]  # fmt: skip
    found = sources([str(tree), "installed"], Reading(), tree, words=10)
    assert [Path(source.name).name for source in found] == ["a.txt", "x.rst", "late.md", "c.jsonl", "installed"]


def test_links_to_folders_are_followed_once(tree: Path) -> None:
    (tree / "b" / "again").symlink_to(tree)
    (tree / "other").symlink_to(tree.parent / "outside")
    (tree.parent / "outside").mkdir()
    (tree.parent / "outside" / "o.txt").write_text("o")
    assert names(files(tree), tree) == ["a.txt", "b/deep/x.rst", "b/late.md", "c.jsonl", "other/o.txt"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**/*.md", ["b/late.md"]),
        ("*", ["a.txt", "c.jsonl", "part-0"]),
        ("**", ["a.txt", "b/deep/x.rst", "b/late.md", "c.jsonl", "part-0"]),
        ("part-?", ["part-0"]),
        ("*.log", ["x.log"]),
        ("[ab]*/**/*.[mr]*", ["b/deep/x.rst", "b/late.md"]),
    ],
)
def test_a_quoted_pattern_is_expanded(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(files(f"{tree}/{pattern}"), tree) == found


def test_a_file_may_be_named_like_a_pattern_or_have_any_suffix(tree: Path) -> None:
    (tree / "a[1].txt").write_text("odd")
    assert texts(tree / "a[1].txt") == ["odd"]
    assert texts(tree / "x.log") == ["x.log"]
    assert texts(tree / "part-0") == ["part-0"]
    (tree / "x.bin").write_bytes(b"PAR1")
    with pytest.raises(BadData, match=r"x\.bin: a binary file \(parquet at byte 0\)"):
        texts(tree / "x.bin")


def test_what_is_not_there_is_refused(tree: Path) -> None:
    with pytest.raises(BadData, match=r"missing\.txt: no such file or folder\n  give text files"):
        files(tree / "missing.txt")
    with pytest.raises(BadData, match=r"\*\.csv: no file matches\n  looked for \.txt.*\.parquet"):
        files(tree / "*.csv")
    (tree / "empty").mkdir()
    with pytest.raises(BadData, match="empty: the folder holds no text files\n  looked for"):
        files(tree / "empty")
    (tree / "empty" / "a.png").write_text("")
    with pytest.raises(BadData, match=r"holds no text files \(1 others\)"):
        files(tree / "empty")
    (tree / "dangling.txt").symlink_to(tree / "nowhere")
    with pytest.raises(BadData, match=r"dangling\.txt: cannot be read: No such file"):
        texts(tree / "dangling.txt")
    with pytest.raises(BadData, match="cannot be read: File name too long"):
        files("x" * 5000)
    with pytest.raises(BadUsage, match="--normalise X"):
        sources([str(tree)], Reading(normalise="X"), tree)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_or_file_is_refused(tree: Path) -> None:
    (tree / "a.txt").chmod(0)
    (tree / "b").chmod(0)
    try:
        for path in (tree / "a.txt", tree, tree / "b" / "late.md"):
            with pytest.raises(BadData, match="cannot be read: Permission denied"):
                texts(path)
    finally:
        (tree / "b").chmod(0o755)


def test_a_changed_file_has_another_identity(tree: Path) -> None:
    (before,) = sources([str(tree / "a.txt")], Reading(), tree)
    told = before.identity()
    (tree / "a.txt").write_text("changed")
    assert before.identity() != told
    (tree / "a.txt").unlink()
    with pytest.raises(BadData, match="cannot be read"):
        before.identity()


def test_sources_go_to_other_processes(tree: Path) -> None:
    for source in sources([str(tree)], Reading(normalise="NFC"), tree):
        assert list(pickle.loads(pickle.dumps(source)).read()) == list(source.read())  # noqa: S301


def test_standard_input_is_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffone\n\ntwo".encode("utf-16-le"))))
    (source,) = sources(["-"], Reading(), tmp_path / "spool")
    assert check_places(source) == ["one", "two"]
    assert source.name == "standard input"
    assert capsys.readouterr().err == ""
    (again,) = sources(["-"], Reading(), tmp_path / "spool")  # as after an interruption; standard input is at its end
    assert list(again.read()) == list(source.read())
    assert again.identity() == source.identity()
    assert "standard input: its copy is read" in capsys.readouterr().err
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_a_copy_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(3)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Torn(b"one two")))
    with pytest.raises(BadData, match="standard input: cannot be read: Input/output error"):
        sources(["-"], Reading(), tmp_path / "spool")
    assert not list((tmp_path / "spool").iterdir())
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one")))
    with pytest.raises(RunFailed, match="nothing of it is left there"):
        sources(["-"], Reading(), tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_with_a_name_is_copied_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("one\n\ntwo",))
    writer.start()
    (source,) = sources([str(tmp_path / "pipe")], Reading(), tmp_path / "spool")
    writer.join()
    assert check_places(source) == ["one", "two"]
