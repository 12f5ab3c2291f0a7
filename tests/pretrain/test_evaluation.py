"""What an evaluation tells is what a stock model's logits say, computed by hand from the text."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from corpora.requests import Build
from corpora.store import Corpus, build
from objectives import IGNORED, OBJECTIVES
from objectives.feed import Feed
from objectives.next_token import NextToken
from pretrain import evaluation, models
from pretrain.evaluation import bytes_asked, evaluate
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.run import default_family

BLOCK = 24
CPU = torch.device("cpu")
POSED = {name: kind() for name, kind in OBJECTIVES.items() if name != "mixture"}


def held_out(corpus, objective, block=BLOCK, part="held-out") -> Feed:
    return Feed(corpus.part(part), corpus.vocabulary, objective, block, 7)


def learner(corpus, objective) -> Learner:
    family = default_family(objective)
    config = configure(family, "tiny", objective, BLOCK, corpus.vocabulary, 0.0)
    config.first_weights = "stock"
    return Learner(models.fresh(config, 3), FAMILIES[family])


def test_bits_per_byte_are_those_of_the_text_said_token_by_token(corpus):
    objective = NextToken()
    taught = learner(corpus, objective)
    part, vocabulary = corpus.part("held-out"), corpus.vocabulary
    found = evaluate(taught, held_out(corpus, objective), len(part) + BLOCK, CPU)
    nats, right, text = 0.0, 0, b""
    for first in range(0, len(part), BLOCK):  # the last one is shorter
        ids = [int(token) for token in part.tokens(first, first + BLOCK)]
        given = torch.tensor([[vocabulary.bos, *ids[:-1]]])
        with torch.no_grad():
            shares = taught.model(input_ids=given).logits[0].double().log_softmax(-1)
        nats -= sum(shares[place, token].item() for place, token in enumerate(ids))
        right += sum(int(shares[place].argmax()) == token for place, token in enumerate(ids))
        text += vocabulary.decode([token for token in ids if token != vocabulary.eos]).encode()
    assert len(part) % BLOCK
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text), rel=1e-5)
    assert found["tokens"] == pytest.approx(nats / len(part), rel=1e-5)
    assert found["accuracy/tokens"] == pytest.approx(right / len(part), abs=1e-12)


def test_the_bytes_of_a_text_are_those_of_its_characters_in_utf8(tmp_path):
    texts = ["Grüße aus Köln, für 3 €!", "Ein zweiter Text: „ja“ – 你好, мир.", "plain words, and no more of them"] * 9
    (tmp_path / "text.txt").write_text("\n\n".join(texts), encoding="utf-8")
    asked = Build(
        sources=(str(tmp_path / "text.txt"),),
        out=tmp_path / "built",
        vocabulary=560,
        held_out=0.3,
        keep_duplicates=True,
    )
    folder = build(asked)
    corpus = Corpus.open(folder)
    counted = 0
    for part in ("train", "held-out"):
        feed = held_out(corpus, NextToken(), 16, part)
        blocks = feed.read(np.arange(feed.blocks))
        found = bytes_asked(blocks, feed.objective.collate(blocks, feed.vocabulary), feed)
        assert found is not None
        counted += found
    assert counted == corpus.meta["bytes"] == sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize("name", POSED)
def test_only_the_likelihood_of_the_text_is_given_per_byte(name, corpus):
    feed = held_out(corpus, POSED[name])
    blocks = feed.read(np.arange(8))
    found = bytes_asked(blocks, feed.objective.collate(blocks, feed.vocabulary), feed)
    assert (found is not None) == (name == "next-token")


def test_documents_hidden_from_each_other_are_still_said_from_left_to_right(corpus):
    found = evaluate(learner(corpus, NextToken()), held_out(corpus, NextToken(isolated=True)), 240, CPU)
    assert found["bits_per_byte"] > 0


def test_chance_is_the_share_of_the_commoner_order(corpus):
    objective = POSED["sentence-order"]
    feed = held_out(corpus, objective)
    found = evaluate(learner(corpus, objective), feed, 40 * BLOCK, CPU)
    orders = feed.at(np.arange(min(40, feed.blocks))).targets["order"]
    counted = Counter(orders[orders != IGNORED].tolist())
    assert len(counted) == 2
    assert found["chance/order"] == max(counted.values()) / counted.total()
    assert 0.5 <= found["chance/order"] < 1
    assert "bits_per_byte" not in found


def test_an_evaluation_is_told_in_words():
    found = {"tokens": 4.0, "accuracy/tokens": 0.25, "order": 0.6, "accuracy/order": 0.7, "chance/order": 0.52}
    assert evaluation.words(found, {"tokens": 5.5, "order": 0.69}) == (
        "held-out loss 4.000 nats per target (unigram entropy 5.500), 25.0% of the targets right,"
        " order accuracy 0.700 (chance 0.520)"
    )
    assert evaluation.words({"tokens": 4.0, "accuracy/tokens": 0.25, "bits_per_byte": 1.5}, {"tokens": 5.5}).endswith(
        ", 1.500 bits per byte"
    )
