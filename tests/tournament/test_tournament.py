"""The whole of it, small: a corpus, two objectives, a task, both strategies, the report, and the same command again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpora.requests import Build
from corpora.store import build
from foundation import keys
from tournament import results
from tournament.__main__ import main

TEXT = "the model reads a short line of plain text and then learns what comes after each of its words"
WORDS = tuple(TEXT.split(" "))
PLAN = """
corpus = "corpus"
tokens = 2048
block = 32
tasks = ["task.tsv"]
strategies = ["probe", {name = "full", rates = [1e-3], epochs = 1, length = 16}]
train = 32
dev = 16
test = 24
[recipe]
rows = 8
evaluations = 2
eval_tokens = 512
[[arms]]
objective = "token-masking"
[[arms]]
objective = "next-token"
"""


def sentence(row: int, length: int = 9) -> str:
    drawn = keys.below(len(WORDS), keys.bits(keys.fold(row, "words"), length)).tolist()
    return " ".join(WORDS[place] for place in drawn) + "."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("tournament")
    (home / "text.txt").write_text("\n\n".join(sentence(row) for row in range(400)), encoding="utf-8")
    build(Build(sources=(str(home / "text.txt"),), out=home / "corpus", vocabulary=600, held_out=0.2))
    rows = [f"{sentence(row, 5 + 5 * (row % 2))}\t{('short', 'long')[row % 2]}\n" for row in range(120)]
    (home / "task.tsv").write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    (home / "plan.toml").write_text(PLAN, encoding="utf-8")
    return home


def run(folder: Path, *more: str) -> int:
    return main(["--plan", str(folder / "plan.toml"), "--out", str(folder / "out"), *more])


def finished(folder: Path) -> list[str]:
    lines = (folder / "out" / results.FILE).read_text(encoding="utf-8").splitlines()
    return [record["step"] for record in map(json.loads, lines) if record["status"] == "finished"]


def test_a_plan_becomes_a_report_and_the_same_command_runs_nothing_again(folder, capsys):
    assert run(folder) == 0
    shown = capsys.readouterr().out
    for words in (
        "token-masking",
        "next-token",
        "probe: pretrained",
        "full: random",
        "classical",
        "constant",
        "In short",
    ):
        assert words in shown
    for name in ("report.md", "report.html", "report.png", "results.csv", "plan.json"):
        assert (folder / "out" / name).is_file()
    steps = finished(folder)
    assert len(steps) == len(set(steps)) == 1 + 1 + 1 + 2 + 2 + 8
    assert run(folder) == 0
    assert finished(folder) == steps


def test_a_deleted_checkpoint_is_trained_again_and_its_results_still_stand(folder):
    assert run(folder) == 0
    before = results.read(folder / "out")
    shutil.rmtree(folder / "out" / "pretrain" / "next-token")
    assert run(folder) == 0
    assert finished(folder)[len(before) :] == ["pretrain/next-token/seed-0"]
    after = results.read(folder / "out")["pretrain/next-token/seed-0"]
    assert after["identity"] == before["pretrain/next-token/seed-0"]["identity"]  # bit for bit the same weights


def test_a_changed_plan_is_refused(folder, capsys):
    assert run(folder) == 0
    plan = folder / "plan.toml"
    plan.write_text(PLAN.replace("tokens = 2048", "tokens = 4096", 1), encoding="utf-8")
    try:
        assert run(folder) == 2
    finally:
        plan.write_text(PLAN, encoding="utf-8")
    assert "tokens: there 2048, here 4096" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(folder, tmp_path, capsys):
    assert main(["--plan", str(folder / "plan.toml"), "--out", str(tmp_path / "no"), "--dry-run"]) == 0
    assert not (tmp_path / "no").exists()
    assert "pretrain/token-masking/seed-0" in capsys.readouterr().out


def test_the_report_alone_is_made_from_the_results_alone(folder, tmp_path, capsys):
    assert run(folder) == 0
    shutil.copy(folder / "out" / results.FILE, tmp_path)
    assert main(["--report-only", "--out", str(tmp_path)]) == 0
    assert "token-masking" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()
    assert main(["--report-only", "--out", str(tmp_path / "nowhere")]) == 3


def test_an_unknown_plan_leaves_with_the_code_of_bad_usage(tmp_path, capsys):
    assert main(["--plan", "dem", "--out", str(tmp_path)]) == 2
    assert "did you mean demo" in capsys.readouterr().err
