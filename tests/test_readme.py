"""The README is true: its commands run as written (with smaller numbers), its names and figures exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from corpora.formats import zstd

from .pretrain.conftest import sentences

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def run(command: str, folder: Path) -> str:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def fences(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [block for kind, block in found if kind == language]


def test_the_demo_runs_and_a_second_call_uses_what_is_there(tmp_path):
    assert "make demo PLAN=smoke" in README
    out = tmp_path / "out"
    demo = f"make -o .venv/installed demo PLAN=smoke OUT={out} BIN={BIN}"
    run(demo, ROOT)
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {"report.html", "report.png", "report.md"} <= {path.name for path in out.iterdir()}
    again = run(demo, ROOT)
    assert [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()] == records
    assert "What to try next" in again


def test_the_commands_run_as_written(tmp_path):
    (block,) = [block for block in fences("") if "corpora build TEXT.txt" in block]
    (tmp_path / "TEXT.txt").write_text(sentences(80, 0))
    records = "".join(json.dumps({"text": part}) + "\n" for part in sentences(40, 1).split("\n\n"))
    (tmp_path / "MORE.jsonl.zst").write_bytes(zstd.compress(records.encode()))
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER" / "more.txt").write_text(sentences(40, 2))
    rows = [f"{'cat' if i % 2 else 'dog'} runs {i},{i % 2}" for i in range(80)]
    (tmp_path / "TASK.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "PLAN.toml").write_text(
        'corpus = "CORPUS"\ntokens = 2000\ntasks = ["TASK.csv"]\nstrategies = ["probe"]\n'
        "[recipe]\nrows = 4\neval_tokens = 1024\n[[arms]]\nobjective = 'next-token'\n"
    )
    smaller = {"--vocabulary 8192": "--vocabulary 600 --held-out 0.1", "--tokens 2000000": "--tokens 8000"}
    for line in block.splitlines():
        for long, short in smaller.items():
            line = line.replace(long, short)
        if line.startswith("finetune"):
            line += " --strategy.epochs 1 --strategy.rates 1e-3"
        run(line, tmp_path)
    assert (tmp_path / "RESULT" / "result.json").is_file()
    assert (tmp_path / "DIR" / "report.html").is_file()


def test_the_python_runs_as_written(tmp_path):
    said = ""
    for number, block in enumerate(fences("python")):
        (tmp_path / f"readme{number}.py").write_text(block)
        said += run(f"{sys.executable} readme{number}.py", tmp_path)
    assert "<extra_id_0>" in said
    assert "labels" in said


def test_the_table_of_objectives_is_what_the_command_prints():
    command = re.search(r"^`(objectives show .*)`$", README, flags=re.MULTILINE)
    shown = run(command[1], ROOT)
    table = README.split("## What each objective asks")[1].split("\n\n")[2]
    cells = [cell for row in table.splitlines()[2:] for cell in re.findall("`(.*?)`", "|".join(row.split("|")[2:]))]
    assert len(cells) > 12
    assert not [cell for cell in cells if cell not in " ".join(shown.split())]


def test_every_flag_that_we_name_exists():
    rows = [row.split("|")[2] for row in README.split("## If you come from")[1].splitlines() if row.count("|") == 3]
    named = set(re.findall(r"--[a-z][a-z.0-9-]+", " ".join(rows)))
    shown = run("pretrain --help", ROOT) + run("corpora build --help", ROOT)
    assert len(named) > 15
    assert not {flag for flag in named if flag not in shown}


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([\w./-]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]
