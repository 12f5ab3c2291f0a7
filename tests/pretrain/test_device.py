"""What is done for a device changes how a step is computed, not what: losses, gradients, names and rows stay."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from foundation.refusal import BadUsage
from objectives import IGNORED, OBJECTIVES
from objectives.feed import Feed
from pretrain import device, models
from pretrain.device import Ways, fitted, layers, settled, ways
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.loop import Steps, backward, train
from pretrain.questions import ready
from pretrain.run import Run
from pretrain.shapes import rounded, steady, widened
from pretrain.start import pretrain

CPU = torch.device("cpu")
ASKED = [
    ("token-masking", "bert"),
    ("sentence-order", "bert"),
    ("token-masking", "modernbert"),
    ("next-token", "gpt2"),
    ("span-corruption", "t5"),
    ("text-infilling", "bart"),
    ("gpt-bert", "gpt2"),
]


def made(objective: str, family: str, corpus, block: int = 32):
    posed = OBJECTIVES[objective]()
    config = configure(family, "tiny", posed, block, corpus.vocabulary, 0.0)
    config.first_weights = "near"
    feed = Feed(corpus.part("train"), corpus.vocabulary, posed, block, 0)
    return models.fresh(config, 0).train(), feed, posed


def gradients(model, learner, batch, weights) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    losses = backward(learner, Accelerator(cpu=True), [batch], weights)
    return losses.sum().item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize(("objective", "family"), ASKED)
def test_batches_in_few_shapes_ask_the_same(objective, family, corpus):
    model, feed, posed = made(objective, family, corpus)
    model.double()
    learner, batch = Learner(model, FAMILIES[family]), feed.at(np.arange(11))
    most = getattr(model.config, "max_position_embeddings", None)
    loss, slope = gradients(model, learner, ready(batch, CPU), posed.weights)
    padded = steady(batch, corpus.vocabulary.pad, most)
    again, other = gradients(model, learner, padded, posed.weights)
    assert again == pytest.approx(loss, rel=1e-9)
    assert far(other, slope) < 1e-9
    assert all(len(q.answers) % 8 == 0 for q in padded.questions.values() if q.places is not None)


def test_ragged_sides_are_widened_and_full_ones_left_alone(corpus):
    _, feed, _ = made("span-corruption", "t5", corpus)
    drawn = (feed.at(np.arange(11) + 11 * step) for step in range(50))
    batch = next(
        batch for batch in drawn if "attention_mask" in batch.inputs and batch.inputs["input_ids"].shape[1] % 8
    )
    wide = widened(batch, corpus.vocabulary.pad, None)
    assert wide.inputs["input_ids"].shape[1] % 8 == 0
    assert (wide.inputs["attention_mask"].sum(1) == batch.lengths).all()
    assert wide.inputs["decoder_input_ids"].shape == wide.targets["tokens"].shape
    assert (wide.targets["tokens"] != IGNORED).sum() == (batch.targets["tokens"] != IGNORED).sum()
    _, feed, _ = made("token-masking", "bert", corpus)
    full = feed.at(np.arange(11))
    assert widened(full, corpus.vocabulary.pad, None).inputs["input_ids"] is full.inputs["input_ids"]


def test_a_side_is_never_wider_than_the_model(corpus):
    _, feed, _ = made("span-corruption", "t5", corpus)
    batch = next(batch for batch in (feed.at(np.arange(11) + 11 * step) for step in range(50)) if batch.lengths.std())
    width = batch.inputs["input_ids"].shape[1]
    assert widened(batch, corpus.vocabulary.pad, width).inputs["input_ids"].shape[1] == width


@pytest.mark.parametrize("parts", [16, 32])
def test_sizes_are_rounded_up_by_a_small_part_and_to_few(parts):
    sizes = np.arange(8 * parts, 40_000, 7)
    up = np.array([rounded(int(size), parts) for size in sizes])
    assert (up >= sizes).all()
    assert (up % 8 == 0).all()
    assert ((up - sizes) / sizes <= 1 / parts).all()
    assert len({rounded(size, parts) for size in range(9_700, 10_000)}) <= 3


def test_the_masking_of_a_whole_run_has_two_shapes_at_most(corpus):
    _, feed, _ = made("token-masking", "bert", corpus)
    found = [steady(feed.at(np.arange(64) + 64 * step), corpus.vocabulary.pad, None) for step in range(30)]
    asked = [batch.questions["tokens"] for batch in found]
    assert len({batch.counts["tokens"] for batch in found}) > 2
    assert len({(q.answers.shape, q.table.shape) for q in asked}) <= 2


@pytest.mark.parametrize(("objective", "family"), [("token-masking", "bert"), ("span-corruption", "t5")])
def test_bf16_copies_learn_the_weights_that_they_are_copies_of(objective, family, corpus):
    model, feed, posed = made(objective, family, corpus)
    batch = ready(feed.at(np.arange(11)), CPU)
    loss, slope = gradients(model, Learner(model, FAMILIES[family]), batch, posed.weights)
    names = list(model.state_dict())
    halved = fitted(Learner(model, FAMILIES[family]), Ways("copies"), CPU)
    again, other = gradients(model, halved, batch, posed.weights)
    assert other.dtype == torch.float32
    assert again == pytest.approx(loss, rel=1e-2)
    assert 0 < far(other, slope) < 0.1
    assert list(model.state_dict()) == names
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize(("objective", "family", "kinds"), [("token-masking", "bert", 2), ("next-token", "gpt2", 1)])
def test_one_layer_is_compiled_for_all_of_its_kind_and_computes_the_same(objective, family, kinds, corpus, monkeypatch):
    monkeypatch.setattr(device, "BACKEND", "aot_eager")  # traced and guarded alike; code for a CPU takes a minute
    model, feed, posed = made(objective, family, corpus)
    model.double()
    rows = [steady(feed.at(np.arange(16) + 16 * step), corpus.vocabulary.pad, None) for step in range(3)]
    plain = Learner(model, FAMILIES[family])
    wanted = [gradients(model, plain, batch, posed.weights) for batch in rows]
    names = list(model.state_dict())
    torch._dynamo.reset()
    counters.clear()
    compiled = fitted(Learner(model, FAMILIES[family]), Ways(compile="layers"), CPU)
    for batch, (loss, slope) in zip(rows, wanted, strict=True):
        again, other = gradients(model, compiled, batch, posed.weights)
        assert again == pytest.approx(loss, rel=1e-9)
        assert far(other, slope) < 1e-9
    assert counters["stats"]["unique_graphs"] == kinds + 1  # and the judge
    assert not counters["graph_break"]
    assert list(model.state_dict()) == names
    with device.as_written(compiled), torch.no_grad():
        other = ready(feed.at(np.arange(5)), CPU)
        compiled.marks(other.inputs, other.questions)
    assert counters["stats"]["unique_graphs"] == kinds + 1


def test_layers_are_those_of_the_outermost_lists(corpus):
    for family, objective, many in (
        ("bert", "token-masking", 2),
        ("gpt2", "next-token", 2),
        ("t5", "span-corruption", 2),
    ):
        model, _, _ = made(objective, family, corpus)
        assert len(layers(model)) == many
        assert len({type(layer).__name__ for layer in layers(model)}) == 1


def test_a_cpu_is_left_alone(tmp_path):
    assert ways(Run(out=tmp_path, precision="fp32"), CPU, 10**6) == Ways()
    assert ways(Run(out=tmp_path, precision="bf16"), CPU, 10**6) == Ways("autocast")
    assert ways(Run(out=tmp_path, compile="on"), CPU, 1) == Ways(compile="layers")


def test_a_gpu_compiles_runs_that_are_long_enough(tmp_path, monkeypatch):
    card = torch.device("cuda")  # nothing is put on it
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: package)
    run = Run(out=tmp_path, precision="bf16")
    assert ways(run, card, device.LONG) == Ways("autocast", "layers")
    assert ways(run, card, device.LONG - 1) == Ways("autocast")
    assert ways(dataclasses.replace(run, compile="off"), card, 10**6) == Ways("autocast")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert ways(run, card, 10**6) == Ways("autocast")
    with pytest.raises(BadUsage, match="triton"):
        ways(dataclasses.replace(run, compile="on"), card, 10**6)


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU")
def test_auto_is_fp32_without_a_gpu_and_what_the_run_began_with(tmp_path):
    assert settled(Run(out=tmp_path)).precision == "fp32"
    assert settled(Run(out=tmp_path, precision="bf16")).precision == "bf16"
    (tmp_path / "run.json").write_text(json.dumps({"precision": "bf16"}))
    assert settled(Run(out=tmp_path)).precision == "bf16"
    assert settled(Run(out=tmp_path, precision="fp64")).precision == "fp64"


def test_a_run_records_the_precision_that_it_has(corpus_folder, tmp_path):
    run = Run(corpus=corpus_folder, out=tmp_path / "run", block=32, rows=4, steps=2, evaluations=1, eval_tokens=256)
    pretrain(run, lambda *_: None)
    assert json.loads((run.out / "run.json").read_text())["precision"] in {"fp32", "bf16"}


@pytest.mark.parametrize("fields", [{"precision": "bf16", "compile": "on"}])
def test_a_run_done_so_learns_the_same_and_can_be_continued(fields, corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "BACKEND", "aot_eager")
    torch._dynamo.reset()

    def weights(name: str, *passes: dict) -> dict[str, torch.Tensor]:
        for turn, more in enumerate(passes):
            run = Run(
                corpus=corpus_folder, out=tmp_path / name, block=32, rows=6, micro=4, steps=4, evaluations=2,
                eval_tokens=512, checkpoint_tokens=2 * 6 * 32, track=("none",), **more,
            )  # fmt: skip
            last = pretrain(run, lambda *_: None)
            if turn + 1 < len(passes):
                shutil.rmtree(last)
        return load_file(last / "model.safetensors")

    usual, whole, continued = weights("usual", {}), weights("whole", fields), weights("continued", fields, fields)
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    assert list(whole) == list(usual)
    assert all(weight.dtype == torch.float32 for weight in whole.values())
    there, here = (
        json.loads((tmp_path / name / "summary.json").read_text())["held_out"] for name in ("usual", "whole")
    )
    assert here["tokens"] == pytest.approx(there["tokens"], rel=2e-2 if "precision" in fields else 1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compiled", ["no", "layers"])
def test_nothing_inside_a_step_waits_for_the_device(compiled, corpus):
    card = torch.device("cuda")
    model, feed, posed = made("token-masking", "bert", corpus)
    accelerator = Accelerator()
    learner = Learner(model.to(card), FAMILIES["bert"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    chosen = Ways("autocast", compiled)
    wrapped, optimizer = accelerator.prepare(fitted(learner, chosen, card), optimizer)
    cut = Steps(0, 12, lambda _: 16, None, posed.weights, 1.0, 0)

    class Made:
        step = 0

        def batch(self, step, rows):
            return feed.at(step * 16 + rows)

        watched = batch

    def after(done, losses):
        torch.cuda.set_sync_debug_mode("error" if 4 <= done < 10 else "default")
        assert np.isfinite(losses["tokens"])

    supply = device.supply(Made(), cut, accelerator, chosen, corpus.vocabulary.pad, None)
    try:
        train(wrapped, optimizer, accelerator, supply, lambda _: 1.0, cut, lambda _: False, after)
    finally:
        torch.cuda.set_sync_debug_mode("default")
