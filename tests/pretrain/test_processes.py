"""However many processes share a run, it is the same run: batches, gradients, checkpoints, and what stops it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from foundation import durable
from pretrain import checkpoint
from pretrain.__main__ import main
from tests.pretrain.launched import gradients

COMMON = ["--objective", "next-token", "--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "1"]
COMMON += ["--threads", "1"]


def together(launcher: str, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Start a module in two processes on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    accelerate = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    accelerate += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    start = torchrun if launcher == "torchrun" else accelerate
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *start, "-m", module, *words], capture_output=True, text=True, env=env, check=False
    )


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.resolve(run) / "model.safetensors")


def off(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_accumulation_and_processes_give_the_gradient_of_one_big_batch(corpus_folder, corpus, tmp_path):
    """Seven rows with unequal numbers of targets: as one batch, in pieces of 3, and in pieces of 2 by two processes."""
    big, pieces = gradients(corpus, "sentence-order", None), gradients(corpus, "sentence-order", 3)
    assert all(values.dtype == torch.float64 for values in big.values())
    norm = torch.stack([values.norm() for values in big.values()]).norm().item()
    assert norm > 1e-3
    assert off(big, pieces) < 1e-9
    out = str(tmp_path / "gradients")
    done = together("torchrun", "tests.pretrain.launched", "gradients", str(corpus_folder), "sentence-order", "2", out)
    assert done.returncode == 0, done.stderr[-2000:]
    for process in (0, 1):
        shared = torch.load(f"{out}.{process}", weights_only=True)
        assert off(big, shared) < 1e-9


def test_two_processes_one_and_two_again_end_where_one_alone_does(corpus_folder, tmp_path):
    flags = ["--corpus", str(corpus_folder), *COMMON, "--precision", "fp64", "--warmup", "0", "--decay", "constant"]
    change = ["--allow-change", "steps"]
    assert main([*flags, "--steps", "6", "--out", str(tmp_path / "alone")]) == 0
    shared = [*flags, "--out", str(tmp_path / "shared")]
    done = together("torchrun", "pretrain", *shared, "--steps", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert main([*shared, "--steps", "4", *change]) == 0
    done = together("accelerate", "pretrain", *shared, "--steps", "6", *change)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("step 6/6") == 1  # one run of two processes, not two runs of one
    assert off(weights(tmp_path / "alone"), weights(tmp_path / "shared")) < 1e-9
    losses = {
        name: [r["loss/tokens"] for r in durable.read_json_lines(tmp_path / name / "metrics.jsonl") if "rate" in r]
        for name in ("alone", "shared")
    }
    assert losses["alone"] == pytest.approx(losses["shared"], abs=1e-9)


def test_processes_leave_out_the_same_updates(corpus_folder, tmp_path):
    """Row 4 is the second process's; both leave the step out, and stop at the same one."""
    flags = [str(corpus_folder), "[[2, 4], [3, 0]]", *COMMON, "--steps", "5", "--on-nan", "skip"]
    done = together("torchrun", "tests.pretrain.launched", "run", *flags, "--out", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr[-2000:]
    records = [r for r in durable.read_json_lines(tmp_path / "two" / "metrics.jsonl") if "skipped" in r]
    assert [(r["step"], r["skipped"]) for r in records] == [(3, 1), (4, 2)]
    one = [sys.executable, "-m", "tests.pretrain.launched", "run", *flags, "--out", str(tmp_path / "one")]
    done = subprocess.run(one, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert off(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-4


def test_processes_stop_at_the_same_step_and_name_the_row_of_any_of_them(corpus_folder, tmp_path):
    flags = [str(corpus_folder), "[[2, 4]]", *COMMON, "--steps", "5", "--checkpoint-tokens", "192"]
    done = together("torchrun", "tests.pretrain.launched", "run", *flags, "--out", str(tmp_path / "run"))
    assert done.returncode != 0
    assert "the loss of step 2 is not a finite number" in done.stderr
    assert (
        f"row 4 of its batch does it alone\n  see the batch: objectives show --run {tmp_path / 'run'} --step 2 --row 4"
        in (done.stderr)
    )
    assert checkpoint.resolve(tmp_path / "run").name == "step-00000002"
