"""What no objective can do is refused before anything runs, with the number, its limit and the remedy."""

from __future__ import annotations

import re

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage
from objectives import OBJECTIVES, Member
from objectives.document_rotation import DocumentRotation
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.presets import UL2
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

from .conftest import plain
from .kinds import kinds

RATES = {
    "token-masking": ("rate", "last_rate", "masked", "random"),
    "sentence-order": ("rate", "masked"),
    "next-sentence": ("rate", "random"),
    "masked-next-token": ("rate", "last_rate"),
    "span-corruption": ("density",),
    "text-infilling": ("rate", "deletion", "permutation", "rotation"),
    "token-deletion": ("deletion",),
    "sentence-permutation": ("permutation",),
    "document-rotation": ("rotation",),
    "fill-in-the-middle": ("rate", "spm"),
}


def refused(what: str, remedy: str, call) -> None:
    with pytest.raises(BadUsage) as caught:
        call()
    assert re.search(what, caught.value.what), caught.value.what
    assert re.search(remedy, caught.value.remedy), caught.value.remedy


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in RATES.items() for field in fields])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_share_lies_between_nothing_and_everything(name, field, value):
    refused(rf"{field} = {value}", "between 0 and 1", lambda: OBJECTIVES[name](**{field: value}))


def test_shares_do_not_sum_to_more_than_everything():
    refused(r"masked \+ random = 1\.1", "between 0 and 1", lambda: TokenMasking(masked=0.8, random=0.3))


@pytest.mark.parametrize(
    ("kind", "mean"), [(SpanCorruption, 0.5), (TextInfilling, 0.0), (TextInfilling, 101.0), (SpanCorruption, -3.0)]
)
def test_a_span_is_a_token_at_least(kind, mean):
    refused(rf"mean = {mean} is .*1", "length in tokens", lambda: kind(mean=mean))


def test_a_span_is_no_longer_than_its_row(vocabulary):
    refused("mean = 64 .*block 32", "larger --block", lambda: SpanCorruption(mean=64.0).check(vocabulary, 32))
    refused("mean = 40 .*block 32", "smaller --objective.mean", lambda: TextInfilling(mean=40.0).check(vocabulary, 32))
    refused("mean = 64 .*block 48", "larger --block", lambda: UL2().check(vocabulary, 48))
    SpanCorruption(mean=8.0).check(vocabulary, 32)
    UL2().check(vocabulary, 512)


def test_there_are_as_many_sentinels_as_spans(vocabulary):
    dense = SpanCorruption(density=0.5, mean=1.0)
    refused("block 600 gives 300 spans.*256 sentinels", "shorter --block", lambda: dense.check(vocabulary, 600))
    dense.check(vocabulary, 512)
    few = kinds()["t5"]
    refused("670 spans|spans.*100 sentinels", "--objective.density", lambda: SpanCorruption().check(few, 2010))
    SpanCorruption().check(few, 2000)
    refused("spans.*100 sentinels", "--objective.mean", lambda: dense.collate(plain(few, 1, 300), few))
    turned = SpanCorruption(density=0.5, mean=1.0, rolled=True)
    refused("257 spans.*256 sentinels", "", lambda: turned.check(vocabulary, 512))


def bare() -> Vocabulary:
    tokenizer = Tokenizer(models.WordLevel(unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["a b c"], trainers.WordLevelTrainer(special_tokens=["?"], show_progress=False))
    return Vocabulary.of(tokenizer)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "mixture"])
def test_a_vocabulary_without_what_is_needed_is_refused(name):
    objective = OBJECTIVES[name]()
    refused(f"no ({'|'.join(objective.needs)}) token.*needs", "corpora build", lambda: objective.check(bare(), 512))


def test_t5s_vocabulary_has_no_masks_and_no_modes():
    few = kinds()["t5"]
    refused("no mask token", "corpora build", lambda: TokenMasking().check(few, 64))
    refused("no <nlu> token", "leave the mode out", lambda: SpanCorruption(mode="nlu").check(few, 64))
    refused("no <nlu> token", "leave the mode out", lambda: UL2().check(few, 512))
    prefix = PrefixLanguageModel(form="encoder-decoder", mode="s2s")
    refused("no <s2s> token", "leave the mode out", lambda: prefix.check(few, 64))


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "mixture"])
def test_a_row_is_two_tokens_at_least(name, vocabulary):
    refused(r"--block 1\b", "at least 2|larger --block", lambda: OBJECTIVES[name]().check(vocabulary, 1))
    refused(r"--length 0", "least is", lambda: OBJECTIVES[name]().span(0))


def test_a_mixture_has_members_of_one_shape_with_weights():
    refused("no members", "ul2", Mixture)
    refused("no members", "members", OBJECTIVES["mixture"])
    both = (Member(objective=TokenMasking()), Member(objective=NextToken()))
    refused("TokenMasking an encoder.*NextToken an? decoder", "masked-next-token", lambda: Mixture(members=both))
    for weights in ((-1.0, 2.0), (0.0, 0.0)):
        members = tuple(Member(objective=NextToken(), weight=weight) for weight in weights)
        refused(re.escape(str(weights[0])), "at least 0", lambda members=members: Mixture(members=members))
    fading = (Member(objective=NextToken(), last_weight=0.0),)
    refused("weights", "not all of them 0", lambda: Mixture(members=fading))
    for wrong in ("nan", "inf"):
        members = (Member(objective=NextToken(), weight=float(wrong)), Member(objective=MaskedNextToken()))
        refused(wrong, "weights", lambda members=members: Mixture(members=members))


@pytest.mark.parametrize("density", [0.0, 0.6, -0.5, float("nan")])
def test_a_prefix_leaves_half_of_the_row_at_most_to_be_asked(density):
    refused(rf"density = {density}.*0\.5", "mean share", lambda: PrefixLanguageModel(density=density))


def test_documents_behind_the_split_of_two_sides_cannot_be_isolated():
    for asked in (lambda: PrefixLanguageModel(form="encoder-decoder", isolated=True), lambda: UL2(isolated=True)):
        with pytest.raises(BadUsage, match=r"(?s)no prefix to read.*--objective.form decoder"):
            asked()


def test_a_mode_token_needs_an_encoder():
    refused("mode = 's2s'", "encoder-decoder", lambda: PrefixLanguageModel(mode="s2s"))


@pytest.mark.parametrize("unit", ["n-gram", "span"])
def test_runs_of_words_cannot_be_drawn_independently(unit):
    refused(unit, "--objective.unit", lambda: TokenMasking(unit=unit, independent=True))


def test_next_sentence_needs_strangers(vocabulary):
    refused("no strangers", "Blocks.others", lambda: NextSentence().collate(plain(vocabulary, 2, 8), vocabulary))


def test_the_borders_themselves_are_taken(vocabulary):
    for objective in (TokenMasking(rate=0.0), TokenMasking(rate=1.0, masked=1.0, random=0.0), DocumentRotation()):
        objective.check(vocabulary, 2)
        objective.collate(plain(vocabulary, 3, 2), vocabulary)
    for objective in (
        TextInfilling(rate=1.0, mean=1.0),
        SpanCorruption(density=1.0, mean=1.0),
        TextInfilling(mean=100.0),
    ):
        assert len(objective.restore(objective.collate(plain(vocabulary, 3, 12), vocabulary), vocabulary)) == 3
