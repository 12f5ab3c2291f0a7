"""A run that fails says where, can be looked at, and leaves the last good checkpoint as it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from foundation import durable
from objectives.__main__ import main as objectives
from pretrain import checkpoint
from pretrain.__main__ import main
from pretrain.faults import is_memory
from pretrain.learner import Learner
from pretrain.session import Session
from tests.pretrain import launched

COMMON = ["--objective", "next-token", "--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "2"]
COMMON += ["--threads", "1", "--steps", "8", "--checkpoint-tokens", "192", "--keep", "9"]


def pretrain(corpus, out, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, *flags])


@pytest.fixture
def poisoned(corpus, monkeypatch):
    """Make the loss of the given (step, row) of the run above not a number, wherever that row is read."""

    monkeypatch.setattr(Learner, "forward", Learner.forward)  # put back at the end
    return lambda *places, by=float("nan"): launched.poison(corpus, list(places), by)


def contents(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one, other) -> bool:
    a, b = contents(one), contents(other)
    return all(torch.equal(a[name], b[name]) for name in a)


def remembered(folder) -> list[torch.Tensor]:
    """What the optimizer remembers, its counts of steps included."""
    state = torch.load(folder / "training" / "optimizer.pt", weights_only=True)["state"]
    return [value for key in sorted(state) for value in state[key].values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("by", [float("nan"), float("inf")])
@pytest.mark.parametrize("micro", ["6", "4"])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_rows(
    by, micro, poisoned, corpus_folder, tmp_path, capsys
):
    poisoned((3, 1), (3, 4), by=by)
    run = tmp_path / "run"
    assert pretrain(corpus_folder, run, "--micro", micro) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "the loss of step 3 is not a finite number" in told
    assert "rows 1, 4 of its batch do it alone" in told
    assert checkpoint.resolve(run).name == "step-00000003"
    assert all(torch.isfinite(values).all() for values in contents(run / "latest").values())
    command = re.search(r"objectives (show --run \S+ --step 3 --row 1);", told)
    assert command is not None
    assert objectives(command[1].split()) == 0
    assert "row 1 · position 19" in capsys.readouterr().out


def test_a_step_that_is_no_number_together_alone_is_told_so(poisoned, corpus_folder, tmp_path, capsys, monkeypatch):
    ordinary = Learner.forward

    def overflows(self, inputs, questions):  # finite for each row, not for the six rows of the step
        losses = ordinary(self, inputs, questions)
        factor = 1e38 / 32 if len(inputs["input_ids"]) == 6 else 1.0
        return {role: loss * factor for role, loss in losses.items()}

    monkeypatch.setattr(Learner, "forward", overflows)
    assert pretrain(corpus_folder, tmp_path / "run") == 1
    assert "no row of its batch does it alone" in capsys.readouterr().err


def test_a_skipped_update_leaves_weights_and_optimizer_as_they_were(poisoned, corpus_folder, tmp_path, capsys):
    poisoned((3, 1))
    run = tmp_path / "run"
    assert pretrain(corpus_folder, run, "--on-nan", "skip") == 0
    assert same(run / "step-00000003", run / "step-00000004")
    before, after = remembered(run / "step-00000003"), remembered(run / "step-00000004")
    assert before
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    assert not same(run / "step-00000004", run / "step-00000005")
    records = [r for r in durable.read_json_lines(run / "metrics.jsonl") if "skipped" in r]
    assert [(r["step"], r["skipped"]) for r in records] == [(4, 1)]
    assert "nan" in records[0]["because"]
    assert "left out" in capsys.readouterr().out


def test_a_run_that_skips_and_is_continued_is_the_undisturbed_one(
    poisoned, corpus_folder, tmp_path, monkeypatch, capsys
):
    poisoned((2, 0), (5, 3))
    flags = ["--on-nan", "skip", "--nan-limit", "2", "--dropout", "0.1"]
    assert pretrain(corpus_folder, tmp_path / "whole", *flags) == 0
    ordinary = Session.after

    def dies(session, done, losses):
        if done == 5:
            raise KeyboardInterrupt
        ordinary(session, done, losses)

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 130
    monkeypatch.setattr(Session, "after", ordinary)
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 0
    assert same(tmp_path / "whole" / "latest", tmp_path / "cut" / "latest")
    for name in ("whole", "cut"):
        records = [r for r in durable.read_json_lines(tmp_path / name / "metrics.jsonl") if "skipped" in r]
        assert [(r["step"], r["skipped"]) for r in records] == [(3, 1), (6, 2)]


def test_more_skips_than_the_limit_stop_the_run_even_over_an_interruption(poisoned, corpus_folder, tmp_path, capsys):
    poisoned((2, 0), (5, 3))
    assert pretrain(corpus_folder, tmp_path / "run", "--on-nan", "skip", "--nan-limit", "1") == 1
    assert "--nan-limit" in (told := capsys.readouterr().err)
    assert "the loss of step 5" in told
    assert checkpoint.resolve(tmp_path / "run").name == "step-00000005"
    assert pretrain(corpus_folder, tmp_path / "run", "--on-nan", "skip", "--nan-limit", "1") == 1
    assert pretrain(corpus_folder, tmp_path / "run", "--on-nan", "skip", "--nan-limit", "2") == 0


def test_weights_that_are_no_numbers_are_never_saved(corpus_folder, tmp_path, capsys):
    flags = ["--optimizer", "adamw", "--rate", "1e39", "--warmup", "0", "--decay", "constant"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 1
    assert "are not finite numbers, so they are not saved" in capsys.readouterr().err
    assert checkpoint.step_folders(tmp_path / "run") == []


LIMITED = """
import resource, sys
import torch, transformers, accelerate
from pretrain import start
from pretrain.__main__ import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {spare}, used + {spare}))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's limits")
def test_a_step_that_does_not_fit_into_memory_names_the_pieces_that_do(corpus_folder, tmp_path):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), "--threads", "1", "--evaluations", "1"]
    flags += ["--objective", "next-token", "--block", "64", "--rows", "512", "--steps", "1", "--eval-tokens", "640"]

    def limited(*more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", LIMITED.format(spare=400 * 2**20), *flags, *more]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    micro = 512
    while (failed := limited("--micro", str(micro))).returncode == 1:
        assert "Traceback" not in failed.stderr
        found = re.search(
            r"out of memory at step 0: 512 rows of 64 corpus tokens, in pieces of (\d+)\n.*--micro (\d+)", failed.stderr
        )
        assert found is not None, failed.stderr[-2000:]
        assert int(found[1]) == micro == 2 * int(found[2])
        micro = int(found[2])
    assert failed.returncode == 0, failed.stderr[-2000:]
    assert micro < 512
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 1
    measured = limited("--micro", "512", "--steps", "None", "--minutes", "1", "--out", str(tmp_path / "timed"))
    assert measured.returncode == 1
    assert "512 rows of 64 corpus tokens, in pieces of 512" in measured.stderr  # by a rehearsal
    assert limited("--out", str(tmp_path / "small")).returncode == 0  # of itself a CPU takes pieces that fit


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (OSError(12, "Cannot allocate memory"), True),
        (OSError(28, "No space left on device"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_only_errors_of_memory_are_told_as_such(error, memory):
    assert is_memory(error) is memory
