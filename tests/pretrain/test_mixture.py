"""One batch of several objectives: its gradient is theirs, whatever the padding between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from objectives import IGNORED, OBJECTIVES, Batch, Member
from objectives.feed import Feed
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking
from pretrain import models
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.questions import ready

CPU = torch.device("cpu")


def of(*objectives, isolated: bool = False) -> Mixture:
    return Mixture(members=tuple(Member(objective=one) for one in objectives), isolated=isolated)


MIXTURES = [
    pytest.param(OBJECTIVES["ul2"](), "t5", id="ul2-t5"),
    pytest.param(of(SpanCorruption(), TextInfilling(), isolated=True), "bart", id="isolated-bart"),
    pytest.param(OBJECTIVES["gpt-bert"](), "gpt2", id="gpt-bert"),
    pytest.param(
        of(NextToken(), MaskedNextToken(), PrefixLanguageModel(), isolated=True), "gpt2", id="decoders-isolated"
    ),
    pytest.param(of(TokenMasking(), SentenceOrder(), NextSentence()), "bert", id="encoders"),
    pytest.param(of(TextInfilling(), SpanCorruption()), "bart", id="bart-and-t5"),
]


def gradients(learner: Learner, batch: Batch) -> dict[str, dict[str, torch.Tensor]]:
    """By role the gradient of the summed loss, by parameter."""
    found = {}
    given = ready(batch, CPU)
    for role, loss in learner(given.inputs, given.questions).items():
        learner.zero_grad()
        loss.backward(retain_graph=True)
        found[role] = {n: p.grad.clone() for n, p in learner.named_parameters() if p.grad is not None}
    return found


@pytest.mark.parametrize(("mixture", "family"), MIXTURES)
def test_the_gradient_of_a_mixed_batch_is_the_weighted_sum_of_those_of_pure_batches(mixture, family, corpus):
    config = configure(family, "tiny", mixture, 48, corpus.vocabulary, 0.0)
    learner = Learner(models.fresh(config, 0).double(), FAMILIES[family])
    feed = Feed(corpus.part("train"), corpus.vocabulary, mixture, 48, 1)
    blocks = feed.read(np.arange(24))
    mixed = mixture.collate(blocks, corpus.vocabulary)
    assert len(set(mixed.members.tolist())) == len(mixture.members)
    together = gradients(learner, mixed)
    count = {role: (labels != IGNORED).sum() for role, labels in mixed.targets.items()}
    weighted: dict[str, dict[str, torch.Tensor]] = {role: {} for role in together}
    for number, member in enumerate(mixture.members):
        rows = np.flatnonzero(mixed.members == number)
        pure = member.objective.collate(blocks.take(rows), corpus.vocabulary)
        for role, found in gradients(learner, pure).items():
            asked = (pure.targets[role] != IGNORED).sum()
            share = asked / count[role]  # of the mean over the mixed batch, the mean over the pure one has this weight
            for name, gradient in found.items():
                weighted[role][name] = weighted[role].get(name, 0) + share * gradient / max(asked, 1)
    for role, found in together.items():
        for name, gradient in found.items():
            expected = weighted[role].get(name, torch.zeros_like(gradient))
            torch.testing.assert_close(gradient / max(count[role], 1), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("mixture", "family"), MIXTURES)
def test_a_row_of_a_mixed_batch_is_the_row_of_its_member(mixture, family, corpus):
    feed = Feed(corpus.part("train"), corpus.vocabulary, mixture, 48, 1)
    blocks = feed.read(np.arange(24))
    mixed = mixture.collate(blocks, corpus.vocabulary)
    for row in range(24):
        member = mixture.members[mixed.members[row]].objective
        alone = member.collate(blocks.take(np.array([row])), corpus.vocabulary)
        for name, array in alone.inputs.items():
            if name != "attention_mask":
                np.testing.assert_array_equal(
                    mixed.inputs[name][row, ..., : array.shape[-1]] if array.ndim > 1 else mixed.inputs[name][row],
                    array[0],
                )
        assert mixed.lengths[row] == alone.lengths[0]
        for role, labels in alone.targets.items():
            shared = mixed.targets[role][row]
            assert shared[shared != IGNORED].tolist() == labels[0][labels[0] != IGNORED].tolist()


def test_the_mix_follows_its_schedule(corpus):
    mixture = Mixture(
        members=(
            Member(objective=NextToken(), weight=1.0, last_weight=0.0),
            Member(objective=MaskedNextToken(), weight=0.0, last_weight=1.0),
        )
    )
    feed = Feed(corpus.part("train"), corpus.vocabulary, mixture, 16, 1, total=3000)
    shares = [mixture.draw(feed.read(np.arange(start, start + 300))).mean() for start in (0, 1350, 2700)]
    assert shares[0] == pytest.approx(0.05, abs=0.06)
    assert shares[1] == pytest.approx(0.5, abs=0.12)
    assert shares[2] == pytest.approx(0.95, abs=0.06)
    assert Feed(corpus.part("train"), corpus.vocabulary, mixture, 16, 1).at(np.arange(50)).members.all()
