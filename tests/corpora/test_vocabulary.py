from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from corpora.vocabulary import FIRST, SMALLEST, SPECIALS, Vocabulary, save, train
from foundation.refusal import BadData, BadUsage
from tests.corpora.conftest import prose
from tests.objectives.kinds import TEXTS, encode, kinds

TOKENIZER = train(prose(40), 600)
VOCABULARY = Vocabulary.of(TOKENIZER)


def test_special_tokens_come_first_in_their_order() -> None:
    assert FIRST == 269
    assert [TOKENIZER.id_to_token(number) for number in range(FIRST)] == list(SPECIALS)
    assert SPECIALS[:7] == ("<pad>", "<unk>", "<s>", "</s>", "<mask>", "<sep>", "<cls>")
    assert (VOCABULARY.pad, VOCABULARY.unk, VOCABULARY.bos, VOCABULARY.eos) == (0, 1, 2, 3)
    assert (VOCABULARY.mask, VOCABULARY.sep, VOCABULARY.cls) == (4, 5, 6)
    assert VOCABULARY.sentinels.tolist() == list(range(13, 269))


def test_only_ordinary_pieces_are_drawn() -> None:
    assert VOCABULARY.ordinary.tolist() == [False] * FIRST + [True] * (VOCABULARY.size - FIRST)
    assert VOCABULARY.draw.tolist() == list(range(FIRST, VOCABULARY.size))


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_text_comes_back_byte_for_byte_and_has_no_special_token(text: str) -> None:
    ids = VOCABULARY.encode(text)
    assert VOCABULARY.decode(ids) == text
    assert all(number >= FIRST for number in ids)


def test_a_special_token_written_in_a_text_is_text() -> None:
    text = "It says <mask> and </s> and <extra_id_0>."
    ids = VOCABULARY.encode(text)
    assert min(ids) >= FIRST
    assert VOCABULARY.decode(ids) == text
    assert VOCABULARY.decode([2, *VOCABULARY.encode("Hello")]) == "<s>Hello"


def test_viewing_a_tokenizer_leaves_it_as_it_is() -> None:
    assert TOKENIZER.encode("<mask>").ids == [4]


def test_a_word_starts_where_a_piece_opens_with_white_space() -> None:
    pieces = {piece: bool(start) for piece, start in zip(VOCABULARY.pieces, VOCABULARY.word_start, strict=True)}
    assert pieces["Ġthe"]
    assert pieces["Ċ"]
    assert pieces["<s>"]
    assert not pieces["e"]


def test_training_is_deterministic() -> None:
    assert train(prose(40), 600).to_str() == TOKENIZER.to_str()


def test_a_small_text_fills_no_large_vocabulary() -> None:
    assert SMALLEST < Vocabulary.of(train(prose(2), 30_000)).size < 1000


@pytest.mark.parametrize("size", [0, 269, SMALLEST - 1])
def test_a_vocabulary_without_room_for_the_bytes_is_refused(size: int) -> None:
    with pytest.raises(BadUsage, match="at least 525"):
        train([], size)


def test_transformers_opens_what_we_save(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save(TOKENIZER, tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert (opened.pad_token_id, opened.unk_token_id, opened.bos_token_id, opened.eos_token_id) == (0, 1, 2, 3)
    assert (opened.mask_token_id, opened.sep_token_id, opened.cls_token_id) == (4, 5, 6)
    assert sorted(opened.all_special_ids) == list(range(FIRST))
    assert len(opened) == VOCABULARY.size
    assert opened("The river rose.").input_ids == VOCABULARY.encode("The river rose.")
    assert opened.decode(VOCABULARY.encode("The café rose .")) == "The café rose ."
    again = Vocabulary.of(opened)
    assert (again.mask, again.sentinels.tolist()) == (4, VOCABULARY.sentinels.tolist())
    opened.save_pretrained(tmp_path / "again")
    assert Vocabulary.open(tmp_path / "again").mask == 4


def test_a_vocabulary_opens_from_its_folder(tmp_path: Path) -> None:
    save(TOKENIZER, tmp_path)
    opened = Vocabulary.open(tmp_path)
    assert opened.folder == tmp_path
    assert opened.sha256 == VOCABULARY.sha256


def test_roles_come_from_the_configuration_where_there_is_one(tmp_path: Path) -> None:
    save(TOKENIZER, tmp_path)
    config = {"mask_token": {"content": "<sep>", "lstrip": False}, "cls_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").unlink()
    assert Vocabulary.open(tmp_path).mask == 5


def test_sentinels_are_in_the_order_of_their_names() -> None:
    tokenizer = train(prose(3), 600)
    tokenizer.add_special_tokens(["<extra_id_256>"])
    found = Vocabulary.of(tokenizer).sentinels
    assert found[:2].tolist() == [13, 14]
    assert found[-1] == tokenizer.get_vocab_size() - 1
    assert len(found) == 257


def test_word_pieces_and_metaspace_are_understood() -> None:
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    wordpiece.train_from_iterator(prose(9), trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    view = Vocabulary.of(wordpiece)
    assert (view.pad, view.mask, view.bos) == (0, 4, None)
    assert not any(view.word_start[number] for number, piece in enumerate(view.pieces) if piece.startswith("##"))
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)], 0, False))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    assert Vocabulary.of(unigram).word_start.tolist() == [True, True, False]
    assert Vocabulary.of(unigram).draw.dtype == np.int64


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no tokenizer\.json"):
        Vocabulary.open(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BadData, match="cannot be read"):
        Vocabulary.open(tmp_path)
    with pytest.raises(BadData, match="no fast tokenizer"):
        Vocabulary.of(object())


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_ordinary_ids_are_those_of_the_table(kind: str) -> None:
    vocabulary = kinds()[kind]
    every = np.arange(vocabulary.size)
    assert vocabulary.is_ordinary(every).tolist() == vocabulary.ordinary.tolist()
    assert vocabulary.is_ordinary(every[-6:].reshape(2, 3)).tolist() == vocabulary.ordinary[-6:].reshape(2, 3).tolist()
    assert not vocabulary.is_ordinary(vocabulary.sentinels).any()
    assert vocabulary.is_ordinary(vocabulary.draw).all()
    assert vocabulary.is_ordinary(encode(vocabulary, TEXTS[0])).all()


UNIGRAM = [("▁", -2.0), ("▁the", -3.0), ("fox", -3.5), (",", -4.0)]


def of_transformers(name: str):
    import transformers

    marks = [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    first = {"T5": ("<pad>", "</s>", "<unk>"), "Albert": ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")}
    first["XLMRoberta"] = ("<s>", "<pad>", "</s>", "<unk>")
    last = {"T5": marks, "Albert": [], "XLMRoberta": [("<mask>", 0.0)]}
    given = {kind: [*((piece, 0.0) for piece in first[kind]), *UNIGRAM, *last[kind]] for kind in first}
    given["Bert"] = {
        piece: n for n, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox", "##es", ","])
    }
    given["GPT2"] = {piece: n for n, piece in enumerate(["a", "b", "Ġ", "Ġa", "<|endoftext|>"])}
    merges = {"merges": [("Ġ", "a")]} if name == "GPT2" else {}
    return getattr(transformers, f"{name}Tokenizer")(vocab=given[name], **merges)


@pytest.mark.parametrize(
    ("name", "roles", "ordinary"),
    [
        ("T5", {"pad": 0, "eos": 1, "unk": 2}, ["▁", "▁the", "fox", ","]),
        ("Albert", {"pad": 0, "unk": 1, "bos": 2, "cls": 2, "eos": 3, "sep": 3, "mask": 4}, ["▁", "▁the", "fox", ","]),
        (
            "XLMRoberta",
            {"bos": 0, "cls": 0, "pad": 1, "eos": 2, "sep": 2, "unk": 3, "mask": 8},
            ["▁", "▁the", "fox", ","],
        ),
        ("Bert", {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, ["the", "fox", "##es", ","]),
        ("GPT2", {"unk": 4, "bos": 4, "eos": 4}, ["a", "b", "Ġ", "Ġa"]),
    ],
)
def test_tokenizers_of_transformers_keep_their_roles(
    name: str, roles: dict[str, int], ordinary: list[str], tmp_path: Path
) -> None:
    tokenizer = of_transformers(name)
    tokenizer.save_pretrained(tmp_path)
    for view in (Vocabulary.of(tokenizer), Vocabulary.open(tmp_path)):
        found = {role: getattr(view, role) for role in ("pad", "unk", "bos", "eos", "mask", "sep", "cls")}
        assert {role: number for role, number in found.items() if number is not None} == roles
        assert [view.pieces[number] for number in view.draw] == ordinary
        assert view.is_ordinary(np.arange(view.size)).tolist() == view.ordinary.tolist()
        assert view.sentinels.tolist() == (list(range(106, 6, -1)) if name == "T5" else [])


@pytest.mark.parametrize("name", ["T5", "Albert", "XLMRoberta", "Bert"])
def test_no_text_says_a_special_token_of_a_foreign_tokenizer(name: str) -> None:
    view = Vocabulary.of(of_transformers(name))
    for text in ("the fox </s> [SEP]", "</s>the<s>", "[MASK] <mask><extra_id_0>", "fox<pad>", "[CLS]"):
        assert {view.pieces[number] for number in view.encode(text) if not view.ordinary[number]} <= {"<unk>", "[UNK]"}
    assert [view.pieces[number] for number in view.encode("the fox,")][-2:] == ["fox", ","]


def test_sentinels_are_special_even_where_the_tokenizer_does_not_say_so() -> None:
    plain = Tokenizer(models.WordLevel({"<unk>": 0, "fox": 1, "<extra_id_1>": 2, "<extra_id_0>": 3}, "<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    view = Vocabulary.of(plain)
    assert view.draw.tolist() == [1]
    assert view.sentinels.tolist() == [3, 2]
    assert view.encode("fox <extra_id_0> fox") == [1, 0, 0, 1]
