"""What a run costs is counted as torch counts it, and a dry run says it without leaving anything behind."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from objectives import IGNORED, OBJECTIVES
from objectives.feed import Feed
from pretrain import checkpoint, estimate, families, models
from pretrain.__main__ import main
from pretrain.questions import ready

LEARNED = {
    "bert": "token-masking",
    "gpt2": "next-token",
    "llama": "next-token",
    "t5": "span-corruption",
    "t5-v1.1": "span-corruption",
    "bart": "text-infilling",
    "mt5": "span-corruption",
    "opt": "next-token",
}


def made(family: str, corpus, size: str = "tiny"):
    objective = OBJECTIVES[LEARNED[family]]()
    config = families.configure(family, size, objective, 96, corpus.vocabulary, 0.0)
    config._attn_implementation = "eager"  # torch's counter knows no fused attention on a CPU
    return models.fresh(config, 0), objective


@pytest.mark.parametrize("family", LEARNED)
def test_operations_are_those_that_torch_counts(family, corpus):
    model, objective = made(family, corpus)
    learned, _ = families.fit(model, objective)
    batch = Feed(corpus.part("train"), corpus.vocabulary, objective, 96, 0).at(np.arange(5))
    given = ready(batch, torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:  # logits at the asked positions, then all gradients
        states = learned.hidden(model, given.inputs)["tokens"].flatten(0, 1)
        places = given.questions["tokens"].places
        read = learned.heads["tokens"].transform(model, states if places is None else states[places])
        output = learned.heads["tokens"].output(model)
        assert output is not None
        torch.nn.functional.linear(read, *output).sum().backward()
    rows, positions = batch.inputs["input_ids"].shape
    decoder = batch.inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in batch.inputs else 0
    asked = int((batch.targets["tokens"] != IGNORED).sum())
    told = estimate.flops_per_step(model.config, objective.shape, rows, positions, decoder, asked)
    assert told == pytest.approx(counter.get_total_flops(), rel=0.002)


def test_weights_of_matrices_are_counted_by_hand(corpus):
    width, layers = 128, 2
    assert estimate.matmul_parameters(made("gpt2", corpus)[0]) == 12 * width**2 * layers
    assert estimate.matmul_parameters(made("bert", corpus)[0]) == 12 * width**2 * layers + width**2
    assert estimate.matmul_parameters(made("t5", corpus)[0]) == 12 * width**2 * layers
    met = estimate.work(made("t5", corpus)[0])
    assert (met.body, met.decoder) == ((4 + 6) * width**2 + 2 * width**2, (4 + 6) * width**2 + 2 * width**2)
    assert met.output == width * corpus.vocabulary.size


def test_a_window_counts_as_far_as_it_sees(corpus):
    objective = OBJECTIVES["token-masking"]()
    config = families.configure("modernbert", "tiny", objective, 96, corpus.vocabulary, 0.0)
    near = estimate.flops_per_step(config, "encoder", 4, 96, 0, 0)
    config.layer_types = ["full_attention"] * 2
    far = estimate.flops_per_step(config, "encoder", 4, 96, 0, 0)
    assert far - near == 12 * 2 * 128 * 4 * 96 * (96 - 17)


def numbers(text: str, pattern: str) -> list[float]:
    found = re.search(pattern, text)
    assert found, text
    return [float(part.replace(",", "")) for part in found.groups()]


@pytest.mark.parametrize("flags", [[], ["--stages", "16x8@0.5", "32x4"]])
def test_a_dry_run_says_what_the_run_takes_and_leaves_nothing_behind(flags, corpus_folder, tmp_path, capsys):
    shared = ["--corpus", str(corpus_folder), "--objective", "next-token", "--threads", "1", "--track", "none"]
    shared += ["--tokens", "1024", "--eval-tokens", "320", "--evaluations", "1", *(flags or ["--block", "32"])]
    shared += [] if flags else ["--rows", "4"]
    assert main([*shared, "--out", str(tmp_path / "dry"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert not (tmp_path / "dry").exists()
    assert main([*shared, "--out", str(tmp_path / "run")]) == 0
    folder = checkpoint.resolve(tmp_path / "run")
    inside = [folder / "model.safetensors", folder / "training" / "optimizer.pt"]
    (mebibytes,) = numbers(told, r"1 checkpoint of ([\d,.]+) MiB")
    assert mebibytes == pytest.approx(sum(path.stat().st_size for path in inside) / 2**20, rel=0.1)
    (operations,) = numbers(told, r"operations +([\d.e+]+) of training")
    assert operations == pytest.approx(6 * 1024 * (12 * 128**2 * 2 + 600 * 128), rel=0.1)
    (seconds,) = numbers(told, r"time +([\d.]+) s for the steps")
    assert seconds > 0
    after, before = numbers(told, r"memory +([\d.]+) GiB at most, measured, ([\d.]+) of it")
    assert after >= before > 0.1
    assert re.search(r"(\d+ steps of|then) .* corpus tokens = 1,0\d\d", told)
