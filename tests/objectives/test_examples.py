"""Examples are read as they come, from wherever they come; what is none is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from corpora.blocks import Blocks
from corpora.part import Part
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData, BadUsage
from objectives.batch import Batch
from objectives.collator import Collator
from objectives.examples import Examples, contents
from objectives.next_token import NextToken
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

SAID = "The cat sat on the mat. A dog ran over the hill and far away. Birds fly, and fish swim in the deep sea."


def rows(vocabulary: Vocabulary, number: int) -> list[dict[str, Any]]:
    """Some rows of running text, each of other words and another length."""
    text = vocabulary.encode(SAID)
    return [{"input_ids": [*text[place:], *text[: place // 2]]} for place in range(number)]


def framing(vocabulary: Vocabulary) -> Any:
    """A tokenizer of transformers that puts <cls> and <sep> around a text."""
    backend = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    marks = [("<cls>", vocabulary.cls), ("<sep>", vocabulary.sep)]
    backend.post_processor = TemplateProcessing(single="<cls> $A <sep>", pair=None, special_tokens=marks)
    names = {f"{role}_token": f"<{role}>" for role in ("pad", "mask", "cls", "sep", "unk")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", **names)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_lists_arrays_and_tensors_are_taken_alike(vocabulary):
    given = Collator(SentenceOrder(), vocabulary, block=64)
    told = [{**row, "sentences": [0, 3, 9], "documents": [0]} for row in rows(vocabulary, 5)]

    def as_kind(kind: Any) -> list[dict[str, Any]]:
        return [{key: kind(value) for key, value in row.items()} for row in told]

    wanted = given(as_kind(list))
    unsigned = [{**row, "input_ids": row["input_ids"].astype(np.uint16)} for row in as_kind(np.asarray)]
    for features in (as_kind(np.asarray), as_kind(torch.tensor), unsigned):
        assert same(given(features), wanted)


def test_padding_and_the_frame_are_taken_off(vocabulary):
    tokenizer = framing(vocabulary)
    given = Collator(TokenMasking(rate=0.5), tokenizer, length=64)
    text = "The cat sat on the mat."
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer(text)["input_ids"]
    assert whole == [vocabulary.cls, *bare, vocabulary.sep]
    pads, zeros = [vocabulary.pad] * 4, [0] * 4
    wanted = given([{"input_ids": bare}])
    assert wanted["input_ids"].shape == (1, len(whole))
    ones = [1] * len(whole)
    for feature in (
        {"input_ids": whole},
        dict(tokenizer(text)),
        {"input_ids": whole + pads, "attention_mask": ones + zeros},
        {"input_ids": pads + whole, "attention_mask": zeros + ones},
        {"input_ids": pads + whole + pads, "attention_mask": zeros + ones + zeros, "labels": [7], "text": text},
    ):
        assert same(given([feature]), wanted)


def test_only_the_exact_frame_is_taken_off(vocabulary):
    given = Collator(NextToken(), framing(vocabulary), block=32)
    text = vocabulary.encode("The cat sat on the mat.")
    for row in ([vocabulary.cls, *text], [*text, vocabulary.sep], [*text[:2], vocabulary.sep, *text[2:]]):
        assert given([{"input_ids": row}])["labels"][0, 1:].tolist() == row
    doubled = [vocabulary.cls, vocabulary.cls, *text, vocabulary.sep, vocabulary.sep]
    assert given([{"input_ids": doubled}])["labels"][0, 1:].tolist() == doubled[1:-1]


def test_offsets_count_from_the_row_as_it_is_given(vocabulary):
    given = Collator(SentenceOrder(rate=0.5), framing(vocabulary), length=64, seed=1)
    text = vocabulary.encode(SAID)
    starts = [0, 5, 9, 14]
    bare = [{"input_ids": text, "sentences": starts, "documents": [0], "id": n} for n in range(6)]
    shifted = [
        {
            "input_ids": [vocabulary.pad, vocabulary.cls, *text, vocabulary.sep],
            "attention_mask": [0] + [1] * (len(text) + 2),
            "sentences": [start + 2 for start in starts] + [len(text) + 2],
            "documents": [1],
            "id": n,
        }
        for n in range(6)
    ]
    wanted = given(bare)
    assert (wanted["next_sentence_label"] == 1).any()
    assert same(given(shifted), wanted)


def test_sentences_are_found_behind_stops(vocabulary):
    given = Collator(TextInfilling(), vocabulary, block=64)
    said = ["The cat 3.14 dog.", " The bird!", " The fish?", ' "The road."', " The mat."]
    text = [piece for sentence in said for piece in vocabulary.encode(sentence)]
    assert text == vocabulary.encode("".join(said))
    wanted = np.cumsum([0, *(len(vocabulary.encode(sentence)) for sentence in said[:-1])]).tolist()
    ids = np.array([[*text, vocabulary.eos, *text]])
    found = np.flatnonzero(given._sentences(ids)[0]).tolist()
    assert found == [*wanted, *(len(text) + 1 + place for place in wanted)]
    assert np.flatnonzero(given._documents(ids)[0]).tolist() == [0, len(text) + 1]


def test_documents_begin_with_a_sentence_unless_sentences_are_told(vocabulary):
    given = Collator(TextInfilling(), vocabulary, block=64)
    row = rows(vocabulary, 1)[0]["input_ids"]
    blocks, _ = given._blocks([{"input_ids": row, "sentences": [2], "documents": [0, 7]}], "example")
    assert np.flatnonzero(blocks.sentences[0]).tolist() == [2]  # so the document at 7 is the rest of one
    assert np.flatnonzero(blocks.documents[0]).tolist() == [0, 7]
    blocks, _ = given._blocks([{"input_ids": row, "documents": [0, 7]}], "example")
    assert blocks.sentences[0, [0, 7]].all()


def test_torch_is_imported_by_the_first_batch_only():
    asked = "import sys, objectives.collator, objectives.examples; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_stops_of_scripts_without_spaces_end_sentences_too():
    pieces = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "猫。": 4, "犬": 5, "e.": 6, "##cat": 7, "The": 8}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["<pad>", "<s>", "</s>", "<unk>"])
    given = Collator(NextToken(), tokenizer, block=16)
    row = [5, 4, 7, 6, 7, 6, 8, 3, 7, 2, 7]
    assert np.flatnonzero(given._sentences(np.array([row]))[0]).tolist() == [0, 2, 6, 10]


def masked(given: Collator, features: list[dict[str, Any]]) -> list[list[int]]:
    return [row.tolist() for row in given(features)["labels"]]


def test_noise_follows_the_id_if_there_is_one_and_else_what_the_row_says(vocabulary):
    given = Collator(TokenMasking(), vocabulary, block=64)
    row = vocabulary.encode(SAID)

    def noise(*features: dict[str, Any]) -> list[list[int]]:
        return masked(given, [{"input_ids": row, **feature} for feature in features])

    bare, again, one, two, named, text = noise({}, {}, {"id": 1}, {"id": 2}, {"id": "1"}, {"id": "b"})
    assert bare == again
    distinct = [bare, one, two, named, text]
    assert all(a != b for n, a in enumerate(distinct) for b in distinct[:n])
    assert noise({"id": 1, "idx": 2}, {"idx": 1, "index": 2}, {"index": 1}, {"example_id": np.int64(1)}) == [one] * 4
    assert noise({"id": torch.tensor(1)}, {"id": None, "idx": 1}, {"id": np.uint16(1)}) == [one] * 3


def test_rows_that_say_other_things_have_other_keys_and_their_order_counts(vocabulary):
    rng = np.random.default_rng(0)
    ids = rng.choice(vocabulary.draw, size=(4000, 6))
    ids = np.unique(np.concatenate([ids, ids[:, ::-1]]), axis=0)
    everywhere = np.ones(ids.shape, dtype=bool)
    assert len(np.unique(contents(ids, everywhere))) == len(ids)
    wide = np.concatenate([ids, rng.choice(vocabulary.draw, size=ids.shape)], axis=1)
    inside = np.arange(12) < np.full((len(ids), 1), 6)
    assert (contents(wide, inside) == contents(ids, everywhere)).all()
    assert (contents(ids, np.arange(6) < np.full((len(ids), 1), 5)) != contents(ids, everywhere)).all()


def test_the_noise_of_another_seed_or_pass_is_another(vocabulary):
    bare = rows(vocabulary, 4)
    for features in (bare, [{**row, "id": number} for number, row in enumerate(bare)]):
        given = Collator(TokenMasking(), vocabulary, block=64)
        first = masked(given, features)
        given.epoch = 1
        second = masked(given, features)
        given.epoch = 0
        assert masked(given, features) == first
        assert first != second
        assert masked(Collator(TokenMasking(), vocabulary, block=64, seed=1), features) not in (first, second)


REFUSED: list[tuple[list[Any], str]] = [
    ([], "a batch without examples"),
    ([[1, 2, 3]], "example 0 is no dict: there are no input_ids"),
    ([{"input_ids": [300, 301]}, {"text": "a"}], "example 1 has text: there are no input_ids"),
    ([{"input_ids": [300, 301]}, {"input_ids": [300, 5000]}], "example 1 holds the id 5000, the vocabulary ends at"),
    ([{"input_ids": [300, -1]}], "example 0 holds the id -1"),
    ([{"input_ids": [300] * 20}, {"input_ids": [300] * 99}], "example 1 has 99 tokens, the limit is 48"),
    ([{"input_ids": [0.5, 1.0]}], "example 0: input_ids of shape .2. and type float64 is no list of whole numbers"),
    ([{"input_ids": [[300, 301]]}], "example 0: input_ids of shape .1, 2."),
    ([{"input_ids": [300], "attention_mask": [1, 1]}], "example 0 has 1 input_ids and an attention_mask of 2"),
    ([{"input_ids": []}, {"input_ids": [3]}], "2 examples hold no word to ask for"),
    ([{"input_ids": [300, 301], "id": 0.5}], "example 0: the id 0.5 is neither a whole number nor a string"),
    ([{"input_ids": [300, 301], "sentences": [9]}], "example 0: sentences names the offset 9, the row has 2 tokens"),
    ([{"input_ids": [300, 301], "documents": [-1]}], "example 0: documents names the offset -1"),
]


@pytest.mark.parametrize(("features", "message"), REFUSED)
def test_what_is_no_example_is_refused(features, message, vocabulary):
    with pytest.raises(BadData, match=message) as refused:
        Collator(SentenceOrder(), vocabulary, block=48)(features)
    assert refused.value.remedy


def test_what_does_not_go_together_is_refused(vocabulary):
    with pytest.raises(BadUsage, match="both length 64 and block 32 are given"):
        Collator(TokenMasking(), vocabulary, 64, block=32)
    with pytest.raises(BadUsage, match="--length 2 holds no example"):
        Collator(TokenMasking(), vocabulary, length=2)
    with pytest.raises(BadUsage, match="256 sentinels"):
        Collator(SpanCorruption(density=0.5, mean=1.0), vocabulary, block=600)
    with pytest.raises(BadUsage, match="documents cannot be isolated"):
        Collator(SpanCorruption(isolated=True), vocabulary)
    plain = Tokenizer(models.WordLevel({"a": 0, "<s>": 1, "</s>": 2}, unk_token="a"))
    with pytest.raises(BadUsage, match="the vocabulary has no mask token"):
        Collator(TokenMasking(), plain, block=8)
    given = Collator(TokenMasking(), vocabulary)
    given.progress = 1.5
    with pytest.raises(BadUsage, match=r"progress 1.5"):
        given([{"input_ids": vocabulary.draw[:4]}])


def test_an_objective_with_strangers_needs_some(vocabulary):
    class Estranged(TokenMasking):
        strangers = True

    for others in (None, []):
        with pytest.raises(BadUsage, match="Estranged sets a stranger beside each text\n  give others="):
            Collator(Estranged(), vocabulary, others=others)


def test_a_stranger_never_says_the_same(vocabulary):
    class Estranged(TokenMasking):
        strangers = True

        def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
            pairs.append(blocks)
            return super().collate(blocks, vocabulary)

    pairs: list[Blocks] = []
    others = [{**row, "id": 0} for row in rows(vocabulary, 3)]
    given = Collator(Estranged(), vocabulary, block=64, others=others)
    given([{**others[0], "id": number} for number in range(60)])
    (blocks,) = pairs
    assert blocks.others is not None
    firsts = [row["input_ids"][0] for row in others]
    assert set(blocks.others.ids[:, 0].tolist()) == set(firsts[1:])
    assert (np.asarray(blocks.texts) != np.asarray(blocks.others.texts)).all()


def test_weights_that_stock_models_do_not_have_are_refused(vocabulary):
    class Uneven(SentenceOrder):
        weights = {"tokens": 1.0, "order": 0.5}

    with pytest.raises(BadUsage, match="weighs its targets"):
        Collator(Uneven(), vocabulary)


def test_examples_of_nothing_are_refused():
    part = Part.of("train", np.arange(20, dtype=np.uint16), np.array([0, 20]), np.array([0]))
    empty = Part.of("held-out", part.tokens(0, 0), [0], [])
    with pytest.raises(BadData, match="the part held-out of the corpus is empty"):
        Examples(empty, 8)
    with pytest.raises(BadUsage, match="block 0, passes 1"):
        Examples(part, 0)
    with pytest.raises(IndexError, match="a position outside"):
        Examples(part, 8)[10**6]
