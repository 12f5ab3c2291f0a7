"""Laws that every objective obeys, on every kind of vocabulary that it takes, on full, ragged and strange rows.

``test_broken`` holds for each law an objective that breaks it and is caught.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.blocks import Blocks
from objectives import OBJECTIVES
from objectives.masking import Masking
from objectives.mixture import Mixture
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel

from .conftest import EDGES, blocks, edges, made
from .digests import digest
from .kinds import kinds
from .rows import is_padded, read, texts, told
from .variants import ALL, NAMED, OPEN, VARIANTS, accepted

PAIRS = [(name, kind) for name in ALL for kind in accepted(name)]
NOISY = [name for name in VARIANTS if name not in ("next-token", "long-spans")]  # one span of a short row is its end


def shapes(vocabulary, seed: int = 0) -> list[Blocks]:
    """Strange rows, such that are all shorter than the block, full ones, and ragged ones of several spans."""
    strange = edges(vocabulary)
    short = strange.take(np.flatnonzero(strange.lengths < strange.ids.shape[1]))
    full, ragged = (blocks(vocabulary, 8, 48, seed=seed), blocks(vocabulary, 12, 100, ragged=True, seed=seed))
    return [strange, short, full, ragged]


def is_pure(objective, vocabulary, wholes=None) -> bool:
    """A row is the same alone, without the padding that others cause, in any order and among any others."""
    rng = np.random.default_rng(0)
    for whole in wholes or shapes(vocabulary):
        expected = read(objective.collate(whole, vocabulary), objective, vocabulary)
        order = rng.permutation(len(whole))
        parts = [order, order[: (len(order) + 2) // 3], *order[:4, None]]
        for part in parts:
            taken = whole.take(part)
            if len(part) == 1 and whole.others is not None:
                taken = narrow(taken)
            if read(objective.collate(taken, vocabulary), objective, vocabulary) != unplaced(
                expected, part, whole, taken
            ):
                return False
    return True


def narrow(whole: Blocks) -> Blocks:
    """The same rows without columns that are padding everywhere."""
    both = [whole] if whole.others is None else [whole, whole.others]
    width = max(1, *(int(one.lengths.max()) for one in both))
    found = [
        Blocks(one.ids[:, :width], one.lengths, one.sentences[:, :width], one.documents[:, :width], one.keys)
        for one in both
    ]
    found[0].progress, found[0].texts = whole.progress, whole.texts
    if len(found) > 1:
        found[1].texts, found[0].others = whole.others.texts, found[1]
    return found[0]


def unplaced(expected: list[dict], part: np.ndarray, whole: Blocks, taken: Blocks) -> list[dict]:
    """What is expected of some rows; places of a stranger are counted from the width of the block."""
    less, width = whole.ids.shape[1] - taken.ids.shape[1], whole.ids.shape[1]
    rows = [dict(expected[row]) for row in part]
    for row in rows:
        row["origin"] = [place - less * (place >= width) for place in row["origin"]]
    return rows


def restores(objective, vocabulary, wholes=None) -> bool:
    """The text of each row is read from inputs and targets alone."""
    for whole in wholes or shapes(vocabulary, seed=1):
        batch = objective.collate(whole, vocabulary)
        back, wanted = objective.restore(batch, vocabulary), texts(objective, whole, batch)
        if [len(row) for row in back] != [len(row) for row in wanted]:
            return False
        if not (np.concatenate(back) == np.concatenate(wanted)).all():
            return False
    return True


def is_innocent(objective, vocabulary, wholes=None) -> bool:
    """Special tokens of the text stay: none is hidden, moved out of the row, or drawn as a word."""
    ordinary, marks = vocabulary.ordinary, {vocabulary.eos, vocabulary.unk}
    for whole in wholes or [*shapes(vocabulary, seed=2), blocks(vocabulary, 60, 64, seed=5)]:
        batch = objective.collate(whole, vocabulary)
        framing = Counter({vocabulary.eos: [objective.frame.before, objective.frame.after].count("eos")})
        for row, text in zip(read(batch, objective, vocabulary), texts(objective, whole, batch), strict=True):
            shown, wanted = (Counter(one for one in ids if one in marks) for ids in (row["input_ids"], text.tolist()))
            if shown != wanted + framing:
                return False
            own = (vocabulary.bos, vocabulary.mask, vocabulary.sep, vocabulary.cls, vocabulary.nlu, vocabulary.nlg)
            allowed = {*own, *marks, *vocabulary.sentinels.tolist()}
            if any(not ordinary[one] and one not in allowed for one in row["input_ids"]):
                return False
            hits = [one for one, hit in zip(row["tokens"], row["hidden"], strict=True) if hit]
            if (batch.hidden is not None or objective.shape != "encoder-decoder") and not ordinary[hits].all():
                return False
    return True


def asks_everyone(objective, vocabulary) -> bool:
    """Every row with an ordinary token has a target, so that no batch of text has a loss over nothing."""
    for whole in [*shapes(vocabulary, seed=3), blocks(vocabulary, 60, 20, ragged=True, seed=9)]:
        number = told(objective.collate(whole, vocabulary)).sum(axis=1)
        inside = np.arange(whole.ids.shape[1]) < whole.lengths[:, None]
        text = (vocabulary.ordinary[whole.ids] & inside).any(axis=1)
        if not (number[text] > (objective.shape == "encoder-decoder")).all():  # there </s> is always asked
            return False
    return True


def leaves_its_input_alone(objective, vocabulary) -> bool:
    for whole in shapes(vocabulary, seed=4):
        seen = [
            array for one in (whole, whole.others) for array in (one.ids, one.lengths, one.sentences, one.documents)
        ]
        seen += [whole.keys, whole.progress, whole.texts, whole.others.texts]
        copies = [array.copy() for array in seen]
        batch = objective.collate(whole, vocabulary)
        for array in (*batch.inputs.values(), *(value for role, value in batch.targets.items() if role != "tokens")):
            if array.flags.writeable:
                array[...] = -7  # nor is any of it handed out as if it were the model's
        if not all((array == copy).all() for array, copy in zip(seen, copies, strict=True)):
            return False
    return True


def follows_its_key(objective, vocabulary) -> bool:
    """Another key gives another batch, the same key the same."""
    one, other, again = (blocks(vocabulary, 8, 64, seed=1) for _ in range(3))
    other.keys = other.keys + np.uint64(1)
    first, second, third = (read(objective.collate(b, vocabulary), objective, vocabulary) for b in (one, other, again))
    return first != second and first == third


def pads(objective, vocabulary) -> bool:
    wholes = shapes(vocabulary, seed=7)
    return all(is_padded(objective.collate(whole, vocabulary), objective, vocabulary) for whole in wholes)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_row_of_a_batch_is_the_row_alone(name, kind):
    assert is_pure(ALL[name], kinds()[kind])


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_corruption_loses_nothing(name, kind):
    assert restores(ALL[name], kinds()[kind])


@pytest.mark.parametrize("name", VARIANTS)
def test_ten_thousand_documents_come_back(name):
    taken = accepted(name)
    for turn in range(4):
        vocabulary = kinds()[taken[turn % len(taken)]]
        assert restores(VARIANTS[name], vocabulary, [blocks(vocabulary, 2500, 8 * (turn + 1), ragged=True, seed=turn)])


HIDING = [name for name in VARIANTS if not isinstance(VARIANTS[name], Mixture | NextToken | PrefixLanguageModel)]
HIDING = [name for name in HIDING if VARIANTS[name].shape != "decoder" or isinstance(VARIANTS[name], Masking)]


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[0] in HIDING])
def test_special_tokens_are_never_hidden_nor_drawn(name, kind):
    assert is_innocent(ALL[name], kinds()[kind])


@pytest.mark.parametrize("name", ALL)
def test_every_row_with_text_has_a_target(name):
    assert asks_everyone(ALL[name], kinds()[accepted(name)[0]])


@pytest.mark.parametrize("name", ALL)
def test_blocks_are_not_written_to(name):
    assert leaves_its_input_alone(ALL[name], kinds()[accepted(name)[0]])


@pytest.mark.parametrize("name", NOISY)
def test_other_keys_give_other_noise(name):
    assert follows_its_key(VARIANTS[name], kinds()[accepted(name)[0]])


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_rows_are_padded_on_the_right_in_every_array(name, kind):
    assert pads(ALL[name], kinds()[kind])


def test_vocabularies_with_all_marks_are_taken_by_all_and_t5s_by_what_needs_only_sentinels():
    ours = {"bytes", "bytes-prefix", "wordpiece", "unigram", "words"}
    for name in ALL:
        assert ours <= set(accepted(name))
    taken = {name for name in VARIANTS if "t5" in accepted(name)}
    assert taken == {"span-corruption", "rolled", "deshuffling", "prefix-in-encoder"}
    assert set(NAMED) == set(OBJECTIVES)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(ALL)),
    rows=st.lists(st.text("wwwSD.?", max_size=20), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_rows_that_nobody_thought_of_obey_too(name, rows, seed):
    vocabulary = kinds()["bytes"]
    whole = made(vocabulary, [*rows, EDGES[-1]], seed)
    assert is_pure(ALL[name], vocabulary, [whole])
    assert restores(ALL[name], vocabulary, [whole])
    if name.removesuffix("-isolated") in HIDING:
        assert is_innocent(ALL[name], vocabulary, [whole])


DIGESTS: dict[str, str] = {
    "token-masking": "144fe28f31d68d5f",
    "sentence-order": "afd267a22d0b9b0d",
    "next-sentence": "e2addc9663909899",
    "span-corruption": "e3737799e7860509",
    "text-infilling": "a295844c56bb4968",
    "token-deletion": "7fd1c049abc98b0b",
    "sentence-permutation": "c07f29f85dcbf11f",
    "document-rotation": "2eaa6c8f1f3988a7",
    "deshuffling": "992794c8fe5220cd",
    "next-token": "8199ccafbb59ab69",
    "prefix-language-model": "8627caaba0c7333a",
    "fill-in-the-middle": "41af974a886efae5",
    "masked-next-token": "52914c1c38b7c88e",
    "ul2": "07391a6385a378ad",
    "gpt-bert": "c1940703b59d7261",
    "mixture": "a8101b8bf2e08f51",
    "words": "577ab3fc0877f9cc",
    "words-alike": "7d2b1f9a829276bd",
    "n-grams": "4a6ca5ab43d5e96f",
    "spans-alike": "536de81e3aec8f7d",
    "independent": "31b75f41db0bfaf8",
    "independent-words": "dc072f2385d59b4c",
    "order-of-words": "de2ad42c5f559ec7",
    "masked-next-words": "074c491d085a3e04",
    "rolled": "cd7776a28bddcac3",
    "dense": "2ed7a586321f6e73",
    "long-spans": "bfe6b1755cbe95d6",
    "prefix-in-encoder": "6e75abdd11abaa06",
    "prefix-with-mode": "5d3e74b727ede633",
    "overlap": "b316f0d4f1fdfe4d",
    "all-noises": "83a996a893c18924",
    "all-noises-overlap": "27c69e8a9766c6f9",
    "prefix-first": "9888186212a1c9d1",
    "suffix-first": "47175f027c22d3d9",
    "mixed-encoders": "96219384d93b64e1",
    "mixed-decoders": "dbe627d88731021d",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_first_batch_is_the_same_on_every_machine(name):
    assert digest(VARIANTS[name]) == DIGESTS[name]


def test_isolation_changes_the_attention_only():
    for name, objective in VARIANTS.items():
        if name in OPEN or any(one.objective.strangers for one in getattr(objective, "members", ())):
            continue
        vocabulary = kinds()[accepted(name)[0]]
        whole = blocks(vocabulary, 10, 40, ragged=True)
        open_, closed = (one.collate(whole, vocabulary) for one in (objective, replace(objective, isolated=True)))
        assert closed.inputs.keys() - open_.inputs.keys() <= {"segment", "decoder_segment"}
        for array, other in [*((v, closed.inputs[k]) for k, v in open_.inputs.items())]:
            assert (array == other).all()
        assert (open_.targets["tokens"] == closed.targets["tokens"]).all()
