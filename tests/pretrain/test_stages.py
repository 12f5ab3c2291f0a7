"""Stages cut a run into steps of growing shape; whatever they are, every token of an epoch is read exactly once."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from corpora.part import Part
from foundation.refusal import BadUsage
from objectives import OBJECTIVES, Member
from objectives.__main__ import main as objectives
from objectives.feed import Feed
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.sentence_order import SentenceOrder
from objectives.stages import Stage, plan, read
from objectives.token_masking import TokenMasking
from pretrain import checkpoint
from pretrain.__main__ import main
from pretrain.session import Session

POSED = {name: kind() for name, kind in OBJECTIVES.items() if name != "mixture"} | {
    "mixture": Mixture(members=(Member(objective=SentenceOrder()), Member(objective=TokenMasking(unit="word")))),
}
STAGES = [
    ("32x6",),
    ("16x8@0.5", "32x4"),
    ("8x3@0.3", "32x5"),
    ("32x2@0.25", "8x1@0.5", "16x7"),
    ("4x16@0.1", "8x8@0.2", "16x4@0.3", "32x2"),
]


def numbered(length: int, documents: int = 11) -> Part:
    """A part whose tokens are their own places, so that what is read says where it stood."""
    rng = np.random.default_rng(length)
    starts = np.concatenate([[0], np.sort(rng.choice(np.arange(1, length), documents - 1, replace=False))])
    inside = rng.choice(length, length // 5, replace=False)
    return Part.of("train", np.arange(length, dtype=np.uint32), np.append(starts, length), np.union1d(starts, inside))


def every(starts) -> np.ndarray:
    return starts.at(np.arange(len(starts)))


def rows_of(feed: Feed, steps, step: int):
    place = steps.at(step)
    examples = place.first + np.arange(place.rows)
    return feed.read(examples, place.pieces), examples // place.pieces


@pytest.mark.parametrize("texts", STAGES)
@pytest.mark.parametrize("length", [32 * 20, 32 * 20 + 17, 32 * 21 - 1])
def test_every_token_of_an_epoch_is_read_exactly_once(texts, length, corpus):
    feed = Feed(numbered(length), corpus.vocabulary, NextToken(), 32, 3)
    steps = plan(read(texts), tokens=feed.blocks * 32)
    seen = np.zeros(length, dtype=int)
    for step in range(steps.steps):
        blocks, positions = rows_of(feed, steps, step)
        for ids, size in zip(blocks.ids[positions < feed.blocks], blocks.lengths[positions < feed.blocks], strict=True):
            assert size > 0
            seen[ids[:size]] += 1
    assert seen.tolist() == [1] * length


def test_a_last_block_of_fewer_tokens_than_pieces_is_read_as_a_whole_and_gives_no_empty_row(corpus):
    feed = Feed(numbered(32 * 4 + 2), corpus.vocabulary, NextToken(), 32, 3)
    blocks = feed.read(np.arange(feed.blocks * 8), 8)
    assert blocks.lengths.min() == 1
    seen = np.concatenate([ids[:size] for ids, size in zip(blocks.ids, blocks.lengths, strict=True)])
    assert set(seen.tolist()) == set(range(32 * 4 + 2))
    assert len(seen) == 32 * 4 + 8


def test_the_pieces_of_a_block_follow_each_other_and_have_keys_of_their_own(corpus):
    feed = Feed(numbered(32 * 20), corpus.vocabulary, NextToken(), 32, 3)
    whole, pieces = feed.read(np.arange(5)), feed.read(np.arange(20), 4)
    assert pieces.ids.reshape(5, 32).tolist() == whole.ids.tolist()
    assert len({*whole.keys.tolist(), *pieces.keys.tolist()}) == 25


def test_a_piece_knows_where_sentences_and_documents_start_in_it_and_which_document_it_begins_in(corpus):
    part = numbered(32 * 20 + 21)
    feed = Feed(part, corpus.vocabulary, NextSentence(), 32, 3)
    blocks = feed.read(np.arange(feed.blocks * 4), 4)
    inside = np.arange(8) < blocks.lengths[:, None]
    assert np.array_equal(blocks.sentences, np.isin(blocks.ids, every(part.sentences)) & inside)
    assert np.array_equal(blocks.documents, np.isin(blocks.ids, every(part.documents)) & inside)
    assert blocks.documents.sum() == 11
    assert blocks.texts is not None
    for row, text in enumerate(blocks.texts):
        assert part.document_of(blocks.ids[row, :1]) == text
    assert blocks.others is not None
    assert blocks.others.ids.shape == blocks.ids.shape


@pytest.mark.parametrize("objective", [name for name in POSED if not POSED[name].strangers])
def test_every_objective_learns_from_pieces_and_can_undo_them(objective, corpus):
    posed, whole = POSED[objective], corpus.part("train")
    tokens, documents, sentences = (
        np.asarray(found) for found in (whole.tokens(0, 64 * 9 + 3), every(whole.documents), every(whole.sentences))
    )
    part = Part.of("train", tokens, np.append(documents[documents < len(tokens)], len(tokens)), sentences)
    feed = Feed(part, corpus.vocabulary, posed, 64, 0)
    examples = np.arange(feed.blocks * 4)
    read_back = posed.restore(feed.at(examples, 4), corpus.vocabulary)
    blocks = feed.read(examples, 4)
    assert blocks.ids.shape[1] == 16
    wanted = [ids[:size].tolist() for ids, size in zip(blocks.ids, blocks.lengths, strict=True)]
    assert [np.asarray(ids).tolist() for ids in read_back] == wanted


@pytest.mark.parametrize(("rows", "block", "tokens"), [(6, 32, 1), (6, 32, 192), (6, 32, 193), (7, 50, 99_999)])
def test_one_stage_is_the_plain_run(rows, block, tokens):
    steps = plan((Stage(block, rows, 1.0),), tokens=tokens)
    assert steps.steps == max(1, math.ceil(tokens / (rows * block)))
    assert (steps.positions, steps.per_step) == (steps.steps * rows, rows * block)
    for step in (0, 1, steps.steps):
        place = steps.at(step)
        assert (place.first, place.pieces, steps.tokens(step)) == (step * rows, 1, step * rows * block)


@pytest.mark.parametrize("texts", STAGES)
def test_stages_have_their_shares_and_the_budget_is_met(texts):
    stages = read(texts)
    for budget in ({"tokens": 1_000_000}, {"steps": 9_999}):
        steps = plan(stages, **budget)
        whole = steps.tokens(steps.steps)
        if "steps" in budget:
            assert steps.steps == 9_999
        else:
            assert 0 <= whole - 1_000_000 < stages[-1].tokens
        for stage, count in zip(stages, steps.steps_of, strict=True):
            assert count * stage.tokens == pytest.approx(stage.share * whole, abs=2 * len(stages) * 32 * 32)


@pytest.mark.parametrize("texts", STAGES)
def test_steps_to_is_the_first_step_behind_which_so_many_tokens_are_read(texts):
    steps = plan(read(texts), tokens=20_000)
    counted = [steps.tokens(done) for done in range(steps.steps + 5)]
    for tokens in range(0, counted[-1], 61):
        assert steps.steps_to(tokens) == next(done for done, behind in enumerate(counted) if behind >= tokens)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("64",), "is no stage"),
        (("0x4",), "is no stage"),
        (("64x8@1.5",), "not those of a whole"),
        (("64x8@0.5", "128x4@0.4"), "not those of a whole"),
        (("64x8@1", "128x4"), "not those of a whole"),
        (("64x8", "128x4"), "only the last"),
        (("48x8@0.5", "128x4"), "do not divide"),
    ],
)
def test_stages_that_cannot_be_are_refused(texts, words):
    with pytest.raises(BadUsage, match=words):
        read(texts)


def test_stages_that_do_not_fit_into_the_steps_are_refused():
    with pytest.raises(BadUsage, match="not enough for 2 stages"):
        plan(read(("16x8@0.5", "32x4")), steps=1)
    with pytest.raises(BadUsage, match="to end with a whole block"):
        plan(read(("16x1@0.5", "32x4")), steps=2)


FLAGS = ["--objective", "next-token", "--stages", "16x8@0.5", "32x4", "--steps", "8", "--eval-tokens", "640"]
FLAGS += ["--evaluations", "2", "--threads", "1", "--checkpoint-tokens", "256"]


def test_a_run_in_stages_is_continued_bit_for_bit_and_shown_as_it_was_read(
    corpus_folder, corpus, tmp_path, monkeypatch, capsys
):
    def pretrain(name: str) -> int:
        return main(["--corpus", str(corpus_folder), "--out", str(tmp_path / name), *FLAGS])

    def weights(name: str) -> dict[str, torch.Tensor]:
        return load_file(checkpoint.resolve(tmp_path / name) / "model.safetensors")

    assert pretrain("whole") == 0
    ordinary = Session.after

    def dies(session, done, losses):
        if done == 6:
            raise KeyboardInterrupt
        ordinary(session, done, losses)

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain("cut") == 130
    monkeypatch.setattr(Session, "after", ordinary)
    assert pretrain("cut") == 0
    whole, cut = weights("whole"), weights("cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    told = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert (told["step"], told["tokens"]) == (8, 8 * 128)
    assert json.loads((tmp_path / "whole" / "latest" / "config.json").read_text())["n_positions"] == 32
    capsys.readouterr()
    assert objectives(["show", "--run", str(tmp_path / "whole"), "--step", "2", "--row", "3", "--rows", "1"]) == 0
    shown = capsys.readouterr().out
    assert "positions 8 to 11" in " ".join(shown.split())
    feed = Feed(corpus.part("train"), corpus.vocabulary, NextToken(), 32, 0)
    block = int(feed.indices(np.array([9]))[0])
    assert f"row 3 · position 9 · block {block:,} of {feed.blocks:,} · piece 2 of 2" in shown
    words = corpus.vocabulary.decode(feed.read(np.array([9])).ids[0, 16:]).replace("</s>", " ").split()
    assert [word for word in words if word not in shown] == []
    assert objectives(["show", "--run", str(tmp_path / "whole"), "--step", "4", "--row", "4"]) == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stages", "16x8@0.5", "32x4", "--block", "64"], "--block 64 beside --stages"),
        (["--stages", "16x8@0.5", "32x4", "--rows", "3"], "--rows 3 beside --stages"),
        (["--stages", "16x8@0.5", "32x4", "--length", "32"], "--length 32 beside --stages"),
        (["--stages", "1x8@0.5", "32x4"], "--block 1 is too short"),
        (["--stages", "sixteen"], "is no stage"),
    ],
)
def test_stages_beside_other_words_for_the_same_are_refused(flags, words, corpus_folder, tmp_path, capsys):
    assert main(["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
