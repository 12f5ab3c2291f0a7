"""Pictures of batches written by hand: what will be drawn of an objective is told by its arrays alone."""

from __future__ import annotations

import numpy as np
import pytest

from objectives.batch import IGNORED, Batch
from objectives.drawing import Terminal
from objectives.objective import Shape
from objectives.picture import of_batch
from objectives.reading import Row
from objectives.sources import as_block, words

TEXT = "a b c d e f g h"
OTHER = "x y z w"
VOCABULARY = words(TEXT, OTHER)


def row(pieces: str) -> np.ndarray:
    """One row of ids; a full stop is a position that is not asked."""
    return np.array([[VOCABULARY.pieces.index(p) if p != "." else IGNORED for p in pieces.split()]])


def lines(
    shape: Shape, asked: str, answer: str, *, order: int | None = None, other: str | None = None, given=None, **more
) -> str:
    """What a terminal shows of a batch of one row."""
    extra = {name: np.array(more.pop(name)) for name in ("prefix", "segment", "decoder_segment") if name in more}
    inputs = {"input_ids": row(asked)} | extra
    if shape == "encoder-decoder":
        inputs["decoder_input_ids"] = (
            given if given is not None else np.concatenate([row("</s>"), row(answer)[:, :-1]], axis=1)
        )
    targets = {"tokens": row(answer)} | ({} if order is None else {"order": np.array([order])})
    arrays = {name: np.array(value) for name, value in more.items()}
    looks = {"origin": "origins", "hidden": "hides"}
    batch = Batch(inputs, targets, **{looks[name]: lambda array=array: array for name, array in arrays.items()})
    picture = of_batch("title", batch, 0, as_block(TEXT, other, 0, VOCABULARY), VOCABULARY, shape)
    return "\n".join(Terminal(90, colours=False).lines(picture))


def hidden(places: str) -> np.ndarray:
    return np.array([[letter == "^" for letter in places]])


def test_a_prefix_ends_at_a_border_and_what_follows_it_was_asked():
    shown = lines("decoder", "<s> a b c d e f g", ". . . d e f g h", prefix=[4])
    assert shown.splitlines()[1:5] == [
        "  original  a b c d e f g h",
        "                  ^ ^ ^ ^ ^",
        "  asked     <s> a b c ‖ d e f g",
        "  answer            d   e f g h",
    ]
    assert "the first 4 positions, up to ‖, see each other" in shown


def test_a_masked_word_of_a_decoder_is_said_by_the_position_before_it():
    shown = lines("decoder", "<s> a <mask> c x e f g h", ". b . d e . . . .", prefix=[9])
    assert shown.splitlines()[1:5] == [
        "  original  a b c d e f g h",
        "              ^   ^ ^",
        "  asked     <s> a <mask> c  x e f g h",
        "  answer        b        ≠d =e",
    ]
    assert "all positions see each other" in shown


def test_a_causal_row_keeps_and_replaces_nothing():
    shown = lines("decoder", "<s> a b c d e f g", "a b c d e f g h", prefix=[0])
    assert "=" not in shown
    assert "^" not in shown
    assert "each position sees what stands before it" in shown


def test_a_filled_middle_has_its_place_in_the_text():
    shown = lines(
        "decoder",
        "<fim_prefix> a b <fim_suffix> e f g h <fim_middle> c d",
        "a b <fim_suffix> e f g h <fim_middle> c d </s>",
        origin=[[-1, 0, 1, -1, 4, 5, 6, 7, -1, 2, 3]],
        hidden=hidden("        ^^ "),
    )
    assert "  original  [1] a b [2] c d [3] e f g h\n                        ^ ^\n" in shown


def test_without_an_origin_moved_pieces_are_found_by_their_words():
    shown = lines("decoder", "<s> e f g h c d a", "e f g h c d a b", hidden=hidden("    ^^  "))
    assert shown.splitlines()[1:3] == ["  original  [1] a b [2] c d [3] e f g h", "                        ^ ^"]


def test_a_rotation_shows_where_its_pieces_begin():
    shown = lines("encoder-decoder", "d e f g h a b c </s>", TEXT, origin=[[3, 4, 5, 6, 7, 0, 1, 2, -1]])
    assert "  original  [1] a b c [2] d e f g h\n  asked     [2] d e f g h [1] a b c </s>\n" in shown


def test_pieces_that_an_objective_says_nothing_of_are_found_by_their_words():
    rotated = lines("encoder-decoder", "<s> d e f g h a b c </s>", TEXT)
    assert "  original  [1] a b c [2] d e f g h\n  asked     <s> [2] d e f g h [1] a b c </s>\n" in rotated
    shuffled = lines("encoder-decoder", "d h a c b g e f", TEXT)
    assert "  place     4 8 1 3 2 7 5 6\n" in shuffled
    assert "[" not in lines("encoder-decoder", "a b d c <mask>", TEXT)
    filled = lines("decoder", "<fim_prefix> a b <fim_suffix> f g h <fim_middle> c d", "a b . f g h . c d e")
    assert "  original  [1] a b [2] c d e [3] f g h\n" in filled
    assert "[" not in lines("decoder", "<s> a b c d e f g", TEXT)


def test_a_special_token_ends_a_piece_even_where_the_words_go_on():
    text = "a b c a b d"
    vocabulary = words(text)
    tokens = vocabulary.encode(text)
    middle = vocabulary.pieces.index("<fim_middle>")
    blocks = as_block(text, None, 0, vocabulary)
    batch = Batch({"input_ids": np.array([[*tokens[2:5], middle, tokens[0], tokens[1], tokens[5]]])}, {})
    read = Row(batch, 0, "encoder-decoder", vocabulary, 6)
    assert read.sources(tokens, blocks.sentences[0].tolist()) == [2, 3, 4, -1, 0, 1, 5]


def test_sentences_that_begin_alike_are_told_apart_by_their_ends():
    text = "A b c one. A b c d two. A b c d three."
    vocabulary = words(text)
    order = [9, 10, 11, 12, 13, 4, 5, 6, 7, 8, 0, 1, 2, 3]
    blocks = as_block(text, None, 0, vocabulary)
    batch = Batch({"input_ids": blocks.ids[:, order]}, {"tokens": blocks.ids})
    read = Row(batch, 0, "encoder-decoder", vocabulary, 14)
    assert read.sources(blocks.ids[0].tolist(), blocks.sentences[0].tolist()) == order


def test_shuffled_words_show_their_places():
    shown = lines("encoder-decoder", "d h a c b g e f", TEXT, origin=[[3, 7, 0, 2, 1, 6, 4, 5]])
    assert "  asked     d h a c b g e f\n  place     4 8 1 3 2 7 5 6\n" in shown


def test_deleted_words_are_marked_in_the_text_and_in_the_answer():
    shown = lines("encoder-decoder", "a c d g h", TEXT, hidden=hidden(" ^  ^^  "))
    assert shown.splitlines()[1:6] == [
        "  original  a b c d e f g h",
        "              ^     ^ ^",
        "  asked     a c d g h",
        "  answer    a b c d e f g h",
        "              ^     ^ ^",
    ]


def test_documents_that_do_not_see_each_other_have_a_border_on_both_sides():
    numbers = [[0, 0, 1, 1, 1]]
    shown = lines(
        "encoder-decoder", "a c d g h", TEXT,
        hidden=hidden(" ^  ^^  "), segment=numbers, decoder_segment=[[0, 0, 0, 1, 1, 1, 1, 1]],
    )  # fmt: skip
    assert "asked     a c | d g h" in shown
    assert "answer    a b c | d e f g h" in shown
    assert "asked: 2 documents that do not see each other" in shown


def test_a_stranger_is_shown_beside_the_text_with_what_was_asked_of_it():
    shown = lines("encoder", "<cls> a b <sep> x <mask> z <sep>", ". . . . . y . .", order=1, other=OTHER)
    assert "  stranger  x y z w\n              ^\n" in shown
    assert "order     1: the second is a stranger" in shown
    alike = lines(
        "encoder", "<cls> a b <sep> c <mask> <sep>", ". . . . . d .",
        order=1, other="e c d", origin=[[-1, 0, 1, -1, 9, 10, -1]],
    )  # fmt: skip
    assert "  original  a b c d e f g h\n  stranger  e c d\n                ^\n" in alike
    follows = lines("encoder", "<cls> a b <sep> c <mask> e <sep>", ". . . . . d . .", order=0, other=OTHER)
    assert "stranger  " not in follows


@pytest.mark.parametrize("order", [0, 1, IGNORED])
def test_an_order_is_said_in_words(order):
    shown = lines("encoder", "<cls> a <mask> c d e f g h", ". . b . . . . . .", order=order)
    assert {0: "0: in their order", 1: "1: swapped", IGNORED: "not asked"}[order] in shown


def test_a_prefix_of_an_encoder_decoder_asks_for_the_rest():
    shown = lines("encoder-decoder", "<s2s> a b c </s>", "d e f g h </s>")
    assert shown.splitlines()[1:3] == ["  original  a b c d e f g h", "                  ^ ^ ^ ^ ^"]


def test_sentinels_are_mapped_whatever_their_order():
    shown = lines("encoder-decoder", "a <extra_id_5> d e <extra_id_2> h", "<extra_id_5> b c <extra_id_2> f g </s>")
    assert "  map       <extra_id_5> → b c\n            <extra_id_2> → f g" in shown
    assert shown.splitlines()[2] == "              ^ ^     ^ ^"


def test_what_a_decoder_hears_is_said_only_if_it_is_the_answer():
    assert "begins with </s> and hears the answer so far" in lines("encoder-decoder", "a b c", TEXT)
    deaf = lines("encoder-decoder", "a b c", TEXT, given=row("</s> a b c <mask> <mask> f g"))
    assert deaf.endswith("begins with </s>")
