"""A run that begins from another's weights has them, says which are fresh, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from corpora.requests import Build
from corpora.store import Corpus, build
from foundation.refusal import BadData
from objectives import OBJECTIVES
from objectives.feed import Feed
from pretrain import checkpoint, evaluation, models
from pretrain.__main__ import main
from pretrain.learner import Learner
from pretrain.run import Run
from pretrain.start import _HELD_OUT

COMMON = ["--block", "32", "--rows", "4", "--eval-tokens", "640", "--evaluations", "1", "--threads", "1"]


def pretrain(corpus: Path, out: Path, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), "--track", "none", *COMMON, *flags])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.resolve(run) / "model.safetensors")


def begun(corpus, source: Path | str, objective: str, out: Path, **more) -> models.Begun:
    fields = {"block": 32, "out": out, **more}
    return models.begin(Run(objective=OBJECTIVES[objective](), from_=str(source), **fields), corpus)


@pytest.fixture(scope="module")
def sources(corpus_folder, tmp_path_factory) -> dict[str, Path]:
    """Small runs, by objective (and family where it is not the objective's own)."""
    made = {}
    for objective, family in (("token-masking", "bert"), ("next-token", "gpt2"), ("next-token", "llama")):
        made[family] = tmp_path_factory.mktemp("source") / family
        flags = ["--objective", objective, "--family", family, "--steps", "3"]
        assert pretrain(corpus_folder, made[family], *flags) == 0
    return made


def test_what_is_kept_has_the_source_s_bits_and_what_is_fresh_is_listed(corpus, sources, tmp_path, capsys):
    found = begun(corpus, sources["bert"], "sentence-order", tmp_path / "run")
    given, own = weights(sources["bert"]), found.model.state_dict()
    assert found.taken is not None
    fresh = {"bert.pooler.dense", "cls.seq_relationship"}
    positions = "bert.embeddings.position_embeddings"
    assert {name.rpartition(".")[0] for name in found.taken["fresh"]} == {*fresh, positions}
    assert found.taken["fresh"][f"{positions}.weight"] == 128  # two sentences take a position more than one text
    trained = {name: weight.numel() for name, weight in found.model.named_parameters()}
    assert sum(found.taken["kept"].values()) + sum(found.taken["fresh"].values()) == sum(trained.values())
    assert all(torch.equal(own[name][: len(value)], value) for name, value in given.items())
    other = begun(corpus, sources["bert"], "sentence-order", tmp_path / "run", seed=1).model.state_dict()
    assert not torch.equal(own["bert.pooler.dense.weight"], other["bert.pooler.dense.weight"])
    assert any("fresh" in line and "bert.pooler (2)" in line for line in found.said)


def test_before_its_first_step_it_answers_as_its_source_did(corpus, sources, tmp_path):
    found = begun(corpus, sources["gpt2"], "next-token", tmp_path / "run")
    held_out = Feed(corpus.part("held-out"), corpus.vocabulary, OBJECTIVES["next-token"](), 32, _HELD_OUT)
    learner = Learner(found.model, found.family)
    told = json.loads((sources["gpt2"] / "summary.json").read_text())["held_out"]
    assert evaluation.evaluate(learner, held_out, 640, torch.device("cpu"))["tokens"] == pytest.approx(
        told["tokens"], abs=1e-6
    )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_next_token_goes_on_as_masked_next_token(family, corpus_folder, sources, tmp_path, capsys):
    flags = ["--objective", "masked-next-token", "--from", str(sources[family]), "--steps", "2"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    assert "kept" in capsys.readouterr().out
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["from"] == str(sources[family])
    record = json.loads((tmp_path / "run" / "from.json").read_text())
    assert record["folder"] == "step-00000003"
    assert record["fresh"] == ({"transformer.wpe.weight": 128} if family == "gpt2" else {})
    shutil.rmtree(tmp_path / "again", ignore_errors=True)
    assert main(["--config", str(tmp_path / "run" / "run.json"), "--out", str(tmp_path / "again")]) == 0
    one, two = weights(tmp_path / "run"), weights(tmp_path / "again")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_that_is_continued_needs_its_source_no_longer(corpus_folder, sources, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(sources["gpt2"], source, symlinks=True)
    flags = ["--objective", "next-token", "--from", str(source), "--decay", "constant"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags, "--steps", "2") == 0
    assert pretrain(corpus_folder, tmp_path / "whole", *flags, "--steps", "4") == 0
    shutil.rmtree(source)
    more = ["--steps", "4", "--allow-change", "steps", "warmup"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags, *more) == 0
    assert checkpoint.resolve(tmp_path / "run").name == "step-00000004"


def test_its_random_arm_is_a_model_of_the_same_shape(corpus_folder, sources, tmp_path):
    from finetune.checkpoint import Checkpoint

    flags = ["--objective", "sentence-order", "--from", str(sources["bert"]), "--steps", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    trained = Checkpoint.open(tmp_path / "run").model("key")
    random = Checkpoint.open(tmp_path / "run", fresh=True).model("key")
    assert type(random) is type(trained)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert not torch.equal(random.state_dict()[name], trained.state_dict()[name])


@pytest.fixture(scope="module")
def foreign(corpus, corpus_folder, tmp_path_factory) -> Path:
    """A RoBERTa as somebody else has saved it, with the tokenizer of the corpus."""
    from transformers import AutoTokenizer, RobertaConfig, RobertaForMaskedLM

    folder = tmp_path_factory.mktemp("foreign") / "roberta"
    numbers = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    config = RobertaConfig(
        **numbers, vocab_size=corpus.vocabulary.size + 5, max_position_embeddings=48, pad_token_id=corpus.vocabulary.pad
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(corpus_folder).save_pretrained(folder)
    return folder


def test_a_folder_of_transformers_is_a_source(foreign, corpus, tmp_path):
    found = begun(corpus, foreign, "token-masking", tmp_path / "run")
    assert (found.name, found.taken["fresh"]) == ("roberta", {})
    given, own = load_file(foreign / "model.safetensors"), found.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in given.items())
    batch = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES["token-masking"](), 32, 0).at(np.arange(3))
    assert batch.inputs["input_ids"].shape[1] == 34


def test_a_name_of_the_hub_is_read_from_the_cache(foreign, corpus_folder, tmp_path):
    home, revision = tmp_path / "hub", "0" * 40
    model = home / "models--somebody--small"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    shutil.copytree(foreign, model / "snapshots" / revision)
    flags = ["--objective", "token-masking", "--from", "hub:somebody/small", "--steps", "1", "--track", "none"]
    command = [sys.executable, "-m", "pretrain", "--corpus", str(corpus_folder), *COMMON, *flags]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(home)}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["from"] == "hub:somebody/small"
    command[command.index("hub:somebody/small")] = "hub:somebody/else"
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "two")], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert "--from hub:somebody/else" in done.stderr


def test_another_vocabulary_is_refused(sources, tmp_path, capsys):
    (tmp_path / "text.txt").write_text("\n\n".join(f"Quite other words, number {n}." for n in range(40)))
    other = build(Build(sources=(str(tmp_path / "text.txt"),), out=tmp_path / "other", vocabulary=540, held_out=0.2))
    flags = ["--objective", "next-token", "--from", str(sources["gpt2"]), "--steps", "1"]
    assert pretrain(other, tmp_path / "run", *flags) == 4
    shown = capsys.readouterr().err
    assert "another vocabulary than the corpus" in shown
    assert "corpora build TEXT --tokenizer" in shown
    assert not (tmp_path / "run").exists()


def test_another_text_is_learned_in_the_vocabulary_of_the_source(corpus, sources, tmp_path):
    """Domain-adaptive pretraining: the text is new, the pieces are the source's."""
    (tmp_path / "text.txt").write_text("\n\n".join(f"Quite other words, number {n}." for n in range(60)))
    request = Build(sources=(str(tmp_path / "text.txt"),), out=tmp_path / "other", held_out=0.2)
    other = build(dataclasses.replace(request, tokenizer=checkpoint.resolve(sources["gpt2"])))
    assert Corpus.open(other).vocabulary.pieces == corpus.vocabulary.pieces
    assert build(dataclasses.replace(request, tokenizer=checkpoint.resolve(sources["gpt2"]))) == other
    flags = ["--objective", "next-token", "--from", str(sources["gpt2"]), "--steps", "8"]
    assert pretrain(other, tmp_path / "run", *flags, "--evaluations", "2") == 0
    told = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    first, last = [record["held_out"]["tokens"] for record in told if "held_out" in record]
    assert last < first


def test_a_tokenizer_that_cannot_end_a_text_is_refused(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    (tmp_path / "words").mkdir()
    Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tmp_path / "words" / "tokenizer.json"))
    (tmp_path / "text.txt").write_text("a a a")
    request = Build(sources=(str(tmp_path / "text.txt"),), out=tmp_path / "other", tokenizer=tmp_path / "words")
    with pytest.raises(BadData, match="no token that ends a text"):
        build(request)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("family", "fresh"), [("gpt2", {"transformer.wpe.weight": 32 * 128}), ("llama", {})])
def test_positions_reach_further_and_those_never_learned_are_said_to_be_fresh(family, fresh, corpus, sources, tmp_path):
    found = begun(corpus, sources[family], "next-token", tmp_path / "run", block=64)
    assert found.model.config.max_position_embeddings == 64
    assert found.said[0].startswith("positions: 32 there, 64 here")
    assert found.taken["fresh"] == fresh


@pytest.mark.parametrize(
    ("source", "flags", "code", "words"),
    [
        ("gpt2", ["--objective", "token-masking"], 2, "family gpt2 cannot learn TokenMasking"),
        ("gpt2", ["--objective", "next-token", "--family", "llama"], 2, "is a gpt2, not a llama"),
        ("nowhere", ["--objective", "next-token"], 4, "nowhere does not exist"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source, flags, code, words, corpus_folder, sources, tmp_path, capsys):
    address = str(sources.get(source, source))
    assert pretrain(corpus_folder, tmp_path / "run", "--from", address, "--steps", "1", *flags) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
