"""A run reads the rows of its packing: what is counted is what is read, and documents of a row can be isolated."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from corpora.packing import PACKINGS
from foundation import durable
from objectives import OBJECTIVES
from objectives.__main__ import main as objectives
from objectives.feed import Feed
from pretrain.__main__ import main
from pretrain.run import Run
from pretrain.start import _feeds

from .test_attention import LEARNED, SAME, changed, learners, real, said  # noqa: F401

SMALL = ["--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "1", "--threads", "1"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PRETRAINING_OBJECTIVES_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_pass_reads_every_row_once_and_counts_every_token(packing, corpus, tmp_path):
    run = Run(out=tmp_path, block=32, rows=6, packing=packing)
    feed, held_out, plan = _feeds(run, corpus)
    tokens = len(corpus.part("train"))
    assert plan.steps == -(-feed.blocks // 6)
    if packing != "stream":
        assert plan.fill == feed.table.fill
        assert (plan.steps * 6 - feed.blocks) * 32 >= plan.tokens(plan.steps) - tokens >= 0
    assert plan.positions == plan.steps * 6 == feed.total
    assert held_out.packing == packing
    read = feed.read(np.arange(feed.blocks)).lengths
    assert read.sum() == tokens
    for asked in (1, 500, tokens, 3 * tokens):
        longer = Run(out=tmp_path, block=32, rows=6, packing=packing, tokens=asked).plan(tokens, 1, feed.table.fill)
        assert longer.tokens(longer.steps) >= asked > longer.tokens(longer.steps - 1)
        assert longer.steps_to(asked) == longer.steps


def test_tokens_and_words_of_a_run_are_those_of_its_rows(corpus, corpus_folder, tmp_path):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *SMALL, "--packing", "document"]
    assert main([*flags, "--steps", "5"]) == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["packing"] == "document"
    feed = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES["token-masking"](), 32, 0, packing="document")
    fill = len(corpus.part("train")) / feed.blocks
    last = durable.read_json_lines(tmp_path / "run" / "metrics.jsonl")[-1]
    assert last["tokens"] == int(5 * 6 * fill)
    assert main([*flags, "--steps", "5"]) == 0


def test_a_run_is_not_continued_with_another_packing(corpus_folder, tmp_path, capsys):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *SMALL, "--steps", "2"]
    assert main([*flags, "--packing", "best-fit"]) == 0
    card = (next((tmp_path / "run").glob("step-*")) / "README.md").read_text()
    assert "--packing best-fit" in card
    assert "packing best-fit" in card
    capsys.readouterr()
    assert main(flags) == 2
    assert "packing: 'best-fit' there, 'stream' asked" in capsys.readouterr().err


def test_what_a_packed_run_saw_is_shown(corpus, corpus_folder, tmp_path, capsys):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *SMALL, "--steps", "2"]
    assert main([*flags, "--packing", "best-fit"]) == 0
    capsys.readouterr()
    assert objectives(["show", "--run", str(tmp_path / "run"), "--step", "1", "--rows", "6"]) == 0
    shown = capsys.readouterr().out
    feed = Feed(corpus.part("train"), corpus.vocabulary, OBJECTIVES["token-masking"](), 32, 0, packing="best-fit")
    for index in feed.indices(np.arange(6, 12)):
        assert f"block {index:,} of {feed.blocks:,}" in shown


def test_stages_that_cut_blocks_are_refused_where_rows_are_short(corpus_folder, tmp_path, capsys):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), "--packing", "document"]
    assert main([*flags, "--stages", "16x8@0.5", "32x4"]) == 2
    assert "a short row is not cut into pieces" in capsys.readouterr().err
    assert main([*flags, *SMALL[4:], "--stages", "32x2@0.5", "32x4", "--steps", "4"]) == 0


@pytest.mark.parametrize("family", LEARNED)
def test_documents_of_a_packed_row_say_nothing_to_each_other(family, corpus, learners):  # noqa: F811
    objective = OBJECTIVES[LEARNED[family]](isolated=True)
    feed = Feed(corpus.part("train"), corpus.vocabulary, objective, 48, 0, packing="best-fit")
    batch = feed.at(np.arange(16))
    inputs = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.inputs.items()}
    documents = real(inputs)
    first = int(documents[documents >= 0].min())
    several = (documents > first).any(dim=1)
    assert several.any()
    for ids in [name for name in inputs if name.endswith("input_ids")]:
        moved = changed(inputs, first, ids)
        moved[ids] = moved[ids] % corpus.vocabulary.size
        apart = (said(learners(family), inputs) - said(learners(family), moved)).abs().amax(dim=-1)
        assert apart[documents > first].max() < SAME
        assert apart[documents == first].max() > 1e-3
