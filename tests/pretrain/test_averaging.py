"""The average of the weights is the one that is stated, is what is judged and saved, and survives an interruption."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from foundation import durable
from pretrain import averaging, checkpoint
from pretrain.__main__ import main
from pretrain.session import Session

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "2", "--threads", "1"]
COMMON += ["--objective", "next-token"]


def pretrain(corpus, out, *flags):
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, *flags])


def weights(folder):
    return load_file(folder / "model.safetensors")


def raw(folder):
    """The weights that the run goes on from, in the order of the optimizer's state."""
    state = torch.load(folder / "training" / "optimizer.pt", weights_only=True)
    state = state.get("optimizer", state)
    return [state["state"][number][averaging.KEY] for number in sorted(state["state"])]


@pytest.mark.parametrize("decay", [0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.optim.Adagrad, torch.optim.AdamW])
def test_it_is_the_weighted_mean_of_all_weights_behind_a_step(decay, kind):
    weight = torch.nn.Parameter(torch.tensor([100.0, -100.0], dtype=torch.float64))
    idle = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = kind([weight, idle], lr=1.0)
    averaging.keep(optimizer, decay)
    seen = []
    for step in range(5):
        weight.grad = torch.tensor([step - 2.0, 1.0], dtype=torch.float64)
        optimizer.step()
        seen.append(weight.detach().clone())
    shares = torch.tensor([decay**age for age in range(5)][::-1], dtype=torch.float64)
    expected = (shares[:, None] * torch.stack(seen)).sum(0) / shares.sum()
    with averaging.in_place(optimizer):
        assert torch.allclose(weight, expected, rtol=1e-12)
    assert torch.equal(weight, seen[-1])
    assert torch.equal(idle, torch.ones(1, dtype=torch.float64))


def test_without_a_decay_nothing_is_kept():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    averaging.keep(optimizer, 0.0)
    weight.grad = torch.ones(2)
    optimizer.step()
    before = weight.detach().clone()
    with averaging.in_place(optimizer):
        assert torch.equal(weight, before)
    assert averaging.KEY not in optimizer.state[weight]


def test_training_does_not_feel_the_average_and_what_is_saved_is_the_average(corpus_folder, tmp_path):
    for name, flags in (("plain", []), ("averaged", ["--average", "0.8"])):
        assert pretrain(corpus_folder, tmp_path / name, "--steps", "6", *flags) == 0
    plain, averaged = (checkpoint.resolve(tmp_path / name) for name in ("plain", "averaged"))
    going_on = {tuple(w.flatten()[:4].tolist()) for w in raw(averaged)}
    saved = weights(plain)
    assert {tuple(w.flatten()[:4].tolist()) for w in saved.values()} == going_on
    assert not any(torch.equal(w, weights(averaged)[name]) for name, w in saved.items())
    losses = [
        [record["loss/tokens"] for record in durable.read_json_lines(tmp_path / name / "metrics.jsonl")
         if "loss/tokens" in record] for name in ("plain", "averaged")
    ]  # fmt: skip
    assert losses[0] == losses[1]
    told = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("plain", "averaged")]
    assert told[0]["held_out"] != told[1]["held_out"]
    assert [each["recipe"]["average"] for each in told] == [0.0, 0.8]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_interrupted_run_ends_with_the_same_average_and_the_same_raw_weights(
    optimizer, corpus_folder, tmp_path, monkeypatch
):
    flags = ["--steps", "8", "--average", "0.7", "--optimizer", optimizer, "--checkpoint-tokens", "576"]
    assert pretrain(corpus_folder, tmp_path / "whole", *flags) == 0
    ordinary = Session.after

    def dies(session, done, losses):
        if done == 5:
            raise KeyboardInterrupt
        ordinary(session, done, losses)

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 130
    monkeypatch.setattr(Session, "after", ordinary)
    assert checkpoint.resolve(tmp_path / "cut").name == "step-00000003"
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 0
    whole, cut = (checkpoint.resolve(tmp_path / name) for name in ("whole", "cut"))
    assert whole.name == cut.name == "step-00000008"
    assert all(torch.equal(w, weights(cut)[name]) for name, w in weights(whole).items())
    assert all(torch.equal(one, other) for one, other in zip(raw(whole), raw(cut), strict=True))


def test_a_run_that_goes_on_without_the_average_goes_on_from_the_raw_weights(corpus_folder, tmp_path):
    flags = ["--decay", "constant", "--evaluations", "1"]
    assert pretrain(corpus_folder, tmp_path / "plain", "--steps", "4", *flags) == 0
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", "--average", "0.9", *flags) == 0
    again = ["--steps", "4", "--allow-change", "steps", "average"]
    assert pretrain(corpus_folder, tmp_path / "run", *again, *flags) == 0
    plain, run = (weights(checkpoint.resolve(tmp_path / name)) for name in ("plain", "run"))
    assert all(torch.equal(w, run[name]) for name, w in plain.items())
