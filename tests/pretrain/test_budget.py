"""A run has one budget, in tokens, words, steps or minutes; whichever it is, it becomes a number of steps."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from foundation import durable
from foundation.refusal import BadUsage
from pretrain import checkpoint
from pretrain.__main__ import main
from pretrain.run import Run

COMMON = ["--objective", "next-token", "--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "1"]
BUDGETS = {"tokens": 5_000, "words": 1_000, "steps": 7, "minutes": 0.1}


def pretrain(corpus, out, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, "--threads", "1", *flags])


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.resolve(run) / "model.safetensors")


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BUDGETS, 2)))
def test_two_budgets_are_refused(one, other, corpus_folder, tmp_path, capsys):
    flags = [f"--{one}", str(BUDGETS[one]), f"--{other}", str(BUDGETS[other])]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 2
    assert f"--{one} {BUDGETS[one]} and --{other} {BUDGETS[other]} are two budgets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--words", "0"], "--words 0 is below 1"),
        (["--minutes", "0"], "--minutes 0.0 is no time"),
        (["--minutes", "nan"], "--minutes nan is no time"),
        (["--minutes", "1e-9"], "is too short: a step takes"),
        (["--nan-limit", "0"], "--nan-limit 0 is below 1"),
    ],
)
def test_budgets_that_are_none_are_refused(flags, words, corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_words_are_read_at_the_rate_of_the_corpus(corpus, tmp_path):
    part = corpus.meta["parts"]["train"]
    for words in (1, 100, 1234, part["words"]):
        run = Run(out=tmp_path, rows=6, block=32, words=words)
        steps = run.steps_for(part["tokens"], part["words"])
        assert steps == math.ceil(math.ceil(words * part["tokens"] / part["words"]) / (6 * 32))
    assert steps == Run(out=tmp_path, rows=6, block=32).steps_for(part["tokens"], part["words"])


def test_a_run_of_so_many_words_ends_behind_them(corpus_folder, corpus, tmp_path):
    assert pretrain(corpus_folder, tmp_path / "run", "--words", "700") == 0
    part = corpus.meta["parts"]["train"]
    state = json.loads((tmp_path / "run" / "latest" / "training" / "state.json").read_text())
    read = state["tokens"] * part["words"] / part["tokens"]
    assert 700 <= read < 700 + 6 * 32 * part["words"] / part["tokens"]


def test_a_run_of_some_minutes_is_the_run_of_so_many_steps(corpus_folder, tmp_path, capsys):
    flags = ["--minutes", "0.02", "--dropout", "0.1"]
    assert pretrain(corpus_folder, tmp_path / "timed", *flags) == 0
    told = json.loads((tmp_path / "timed" / "run.json").read_text())
    steps = told["measured_steps"]
    assert steps >= 1
    assert told["steps"] is None
    assert durable.read_json_lines(tmp_path / "timed" / "metrics.jsonl")[-1]["step"] == steps
    assert pretrain(corpus_folder, tmp_path / "counted", "--steps", str(steps), "--dropout", "0.1") == 0
    timed, counted = weights(tmp_path / "timed"), weights(tmp_path / "counted")
    assert all(torch.equal(timed[name], counted[name]) for name in timed)
    # the same command goes on with the number that is recorded, and so does the record in another folder
    capsys.readouterr()
    assert pretrain(corpus_folder, tmp_path / "timed", *flags) == 0
    assert json.loads((tmp_path / "timed" / "run.json").read_text()) == told
    assert f"{steps:,} steps of 6 × 32" in capsys.readouterr().out
    assert main(["--config", str(tmp_path / "timed" / "run.json"), "--out", str(tmp_path / "again")]) == 0
    assert checkpoint.resolve(tmp_path / "again").name == checkpoint.resolve(tmp_path / "timed").name


def test_minutes_are_measured_for_each_stage(corpus_folder, tmp_path):
    flags = ["--corpus", str(corpus_folder), "--objective", "next-token", "--stages", "16x4@0.5", "32x2"]
    flags += ["--eval-tokens", "640", "--evaluations", "1", "--threads", "1", "--minutes", "0.03"]
    assert main([*flags, "--out", str(tmp_path / "run")]) == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    state = json.loads((tmp_path / "run" / "latest" / "training" / "state.json").read_text())
    assert state["step"] == told["measured_steps"] >= 2
    assert state["tokens"] == 64 * state["step"]


def test_minutes_that_nobody_has_measured_are_no_plan(tmp_path):
    with pytest.raises(BadUsage, match="no number of steps yet"):
        Run(out=tmp_path, minutes=1.0).steps_for(1000, 700)
