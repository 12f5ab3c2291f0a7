"""Mixtures: rows go to members by their weights, and each is what its member makes of it alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from objectives import IGNORED, Member
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.presets import GPTBERT, UL2
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

from .chances import follows
from .conftest import blocks, edges, plain
from .rows import is_padded, read

MOVING = Mixture(
    members=(
        Member(objective=NextToken(), weight=3.0, last_weight=1.0),
        Member(objective=MaskedNextToken(), weight=1.0, last_weight=5.0),
    )
)
MIXTURES = [
    UL2(),
    GPTBERT(),
    MOVING,
    Mixture(members=(Member(objective=SpanCorruption()), Member(objective=TextInfilling(), weight=3.0))),
    Mixture(members=tuple(Member(objective=one) for one in (TokenMasking(), SentenceOrder(), NextSentence()))),
]


def follows_its_weights(objective: Mixture, vocabulary) -> bool:
    """At every point of the run rows go to members in proportion to weights that move in a straight line."""
    for progress in (0.0, 0.25, 0.5, 1.0):
        whole = plain(vocabulary, 2500, 8, seed=int(progress * 4))
        whole.others = plain(vocabulary, 2500, 8)
        whole.progress = np.full(2500, progress)
        ends = [(m.weight, m.weight if m.last_weight is None else m.last_weight) for m in objective.members]
        law = {n: (1 - progress) * start + progress * end for n, (start, end) in enumerate(ends)}
        if not follows(Counter(objective.collate(whole, vocabulary).members.tolist()), law):
            return False
    return True


@pytest.mark.parametrize("objective", MIXTURES, ids=lambda one: type(one).__name__)
def test_rows_go_to_members_by_their_weights(objective, vocabulary):
    assert follows_its_weights(objective, vocabulary)


def asks_as_its_members(objective: Mixture, vocabulary) -> bool:
    """Each row is exactly what its member alone makes of it."""
    for whole in (edges(vocabulary), blocks(vocabulary, 40, 70, ragged=True, progress=0.5)):
        batch = objective.collate(whole, vocabulary)
        rows = read(batch, objective, vocabulary)
        for number, member in enumerate(objective.members):
            mine = np.flatnonzero(batch.members == number)
            alone = read(member.objective.collate(whole.take(mine), vocabulary), member.objective, vocabulary)
            for place, row in zip(mine, alone, strict=True):
                if any(rows[place][name] != value for name, value in row.items()):
                    return False
                if "order" in rows[place] and "order" not in row and rows[place]["order"] != IGNORED:
                    return False
    return True


@pytest.mark.parametrize("objective", MIXTURES, ids=lambda one: type(one).__name__)
def test_each_row_is_what_its_member_makes_of_it(objective, vocabulary):
    assert asks_as_its_members(objective, vocabulary)


def is_level(objective: Mixture, vocabulary) -> bool:
    """Whatever its longest row is asked, all arrays of one side are of one width."""
    for seed in range(20):
        whole = blocks(vocabulary, 6, 30, ragged=True, seed=seed)
        if not is_padded(objective.collate(whole, vocabulary), objective, vocabulary):
            return False
    return True


@pytest.mark.parametrize("objective", MIXTURES, ids=lambda one: type(one).__name__)
def test_arrays_of_a_mixture_are_of_one_width(objective, vocabulary):
    assert is_level(objective, vocabulary)
    if not isinstance(objective, UL2):
        assert is_level(replace(objective, isolated=True), vocabulary)


def names_its_modes(objective: Mixture, vocabulary) -> bool:
    """UL2's rows begin with the token of their denoiser: regular <nlu>, sequential <s2s>, extreme <nlg>."""
    batch = objective.collate(plain(vocabulary, 300, 128), vocabulary)
    modes = [vocabulary.nlu, vocabulary.nlu, vocabulary.s2s, *[vocabulary.nlg] * 4]
    return batch.inputs["input_ids"][:, 0].tolist() == [modes[number] for number in batch.members]


def test_ul2_names_its_modes(vocabulary):
    assert names_its_modes(UL2(), vocabulary)


def test_a_batch_of_one_members_rows_is_still_a_whole_batch(vocabulary):
    whole = blocks(vocabulary, 6, 40)
    roles = MIXTURES[-1].collate(whole.take(np.array([0])), vocabulary).targets
    assert roles.keys() == {"tokens", "order"}
    assert len(roles["order"]) == 1
    for objective in MIXTURES:
        assert len(objective.collate(whole.take(np.arange(0)), vocabulary).targets["tokens"]) == 0


def test_a_mixture_is_as_long_and_as_needy_as_its_members():
    for objective in MIXTURES:
        members = [member.objective for member in objective.members]
        assert objective.positions(100) == max(one.positions(100) for one in members)
        assert objective.reach(100) == max(one.reach(100) for one in members)
        assert set(objective.needs) == {need for one in members for need in one.needs}
        assert objective.strangers == any(one.strangers for one in members)
        assert {one.shape for one in members} == {objective.shape}


def test_gpt_bert_masks_less_and_less(vocabulary):
    shares = []
    for progress in (0.0, 1.0):
        whole = plain(vocabulary, 100, 100)
        whole.progress[:] = progress
        batch = GPTBERT().collate(whole, vocabulary)
        asked = (batch.targets["tokens"] != IGNORED).sum(axis=1)
        shares.append(set(asked[batch.members == 1].tolist()))
        assert set(asked[batch.members == 0].tolist()) == {100}
    assert shares == [{30}, {15}]
