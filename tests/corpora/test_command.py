from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corpora.__main__ import main
from corpora.store import Corpus


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(words)
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return code, told


def test_build_and_show_tell_what_the_corpus_holds(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["build", str(notes), "--vocabulary", "600", "--words", "800", "--out", str(out)]) == 0
    corpus = Corpus.open(out)
    assert corpus.fingerprint in capsys.readouterr().out
    assert main(["show", str(out), "--blocks", "2", "--block", "40"]) == 0
    told = capsys.readouterr().out
    for part in (corpus.fingerprint, "words        800", "vocabulary   600", "a word", "held out", "‖", "|", "⏎"):
        assert part in told
    assert told.count("\nblock ") == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.txt", ""), ("blank.txt", " \n\n\n"), ("empty.jsonl", '{"text": ""}\n{"text": " \\n "}\n')],
)
def test_an_empty_corpus_is_refused_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    code, told = refused(["build", str(tmp_path / name), "--out", str(tmp_path / "out")], capsys)
    assert code == 3
    assert f"{name}: an empty corpus" in told
    assert ("2 empty documents" in told) == (name == "empty.jsonl")


def test_bad_data_is_exit_code_3_and_bad_usage_2(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert refused(["build", str(tmp_path / "none.txt"), *out], capsys)[0] == 3
    assert refused(["build", str(tmp_path / "latin.txt"), *out], capsys)[0] == 3
    code, told = refused(["build", str(notes), "--vocabulary", "268", *out], capsys)
    assert code == 2
    assert "--vocabulary 268 is too small" in told
    assert refused(["show", str(tmp_path)], capsys)[0] == 3
    assert refused(["show", str(tmp_path), "--block", "0"], capsys)[0] == 2
    assert main(["shwo"]) == 2
    assert "did you mean show?" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from corpora.__main__ import main; code = main(['build', '--help']); "
        "heavy = {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules); sys.exit(code or len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--held-out" in done.stdout


def test_the_room_imports_no_torch() -> None:
    code = "import sys, corpora.store, corpora.blocks, corpora.installed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
