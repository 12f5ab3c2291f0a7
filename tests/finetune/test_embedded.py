from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import pytest

from finetune import embedded
from finetune.disguise import hide, shuffle
from finetune.embedded import make, split
from foundation.refusal import BadData


class Docstring(NamedTuple):
    library: str
    module: str
    name: str
    text: str
    summary: bool = True


VERBS = ("returns", "computes", "finds", "sorts", "checks", "draws", "reads", "writes", "merges", "splits", "joins")
NOUNS = ("array", "frame", "graph", "tensor", "table", "figure", "matrix", "string", "number", "series", "window")


def docstrings(libraries: int = 3, modules: int = 30, each: int = 4) -> list[Docstring]:
    made = []
    for library in range(libraries):
        for module in range(modules):
            for place in range(each):
                number = (library * modules + module) * each + place
                first, second = VERBS[number % 11], NOUNS[number // 11 % 11]
                third, fourth = VERBS[number // 7 % 11], NOUNS[number // 13 % 11]
                letters = "".join(chr(97 + number // 26**power % 26) for power in range(3))
                text = (
                    f"This {first} the {second} of {letters} quickly.\n"
                    f"It {third} every {fourth} that lib{library}.core_{place} holds, and the {second} is made "
                    f"new where {letters} asks for it. When nothing {first} the {fourth} it is left alone."
                )
                made.append(Docstring(f"lib{library}", f"lib{library}.m{module}", f"do_{letters}", text))
    return made


RECORDS = docstrings()
TASKS = {name: make(name, train=60, dev=24, test=36, records=RECORDS) for name in embedded.NAMES}


def test_no_module_is_in_two_parts_and_all_parts_are_filled():
    parts = split(RECORDS)
    counts = Counter((module[0], part) for module, part in parts.items())
    assert len(parts) == 90
    for library in ("lib0", "lib1", "lib2"):
        assert counts[library, "train"] == 15
        assert counts[library, "dev"] in (5, 6)


@pytest.mark.parametrize("name", embedded.NAMES)
def test_texts_come_from_modules_of_their_part_only(name: str):
    parts = split(RECORDS)
    task = TASKS[name]
    home = {re.search(r"of (\w\w\w) quickly", r.text)[1]: parts[r.library, r.module] for r in RECORDS}  # type: ignore[index]
    for part in ("train", "dev", "test"):
        examples = task.part(part)
        for text in [*examples.texts, *(examples.pairs or [])]:
            for letters in re.findall(r"\b\w\w\w\b", text):
                assert home.get(letters, part) == part


@pytest.mark.parametrize("name", ["library", "shuffled-words", "pair"])
def test_classes_are_balanced(name: str):
    for part in ("train", "dev", "test"):
        assert len(set(Counter(TASKS[name].part(part).labels).values())) == 1


def test_library_hides_names_and_identifiers():
    for text in TASKS["library"].train.texts:
        assert not re.search(r"lib\d|core_|\w\.\w", text)


def test_hide_replaces_identifiers_and_leaves_prose():
    said = hide(
        "See np.linalg.norm() and my_name or DataFrame(x), e.g. PyTorch's i.e. scikit-learn.", ("torch", "scikit")
    )
    assert said == "See name and name or name, e.g. name's i.e. name."


def test_shuffled_words_keeps_the_words_and_changes_the_order():
    sentence = "The quick brown fox jumps over the lazy dog today."
    other = shuffle(sentence)
    assert sorted(other.split()) == sorted(sentence.split())
    assert sum(a != b for a, b in zip(other.split(), sentence.split(), strict=True)) >= 4
    assert other.split()[0] == "The"
    assert other.split()[-1] == "today."
    assert shuffle(sentence) == other


def test_a_sentence_is_there_intact_and_shuffled_in_one_part():
    task, bags = TASKS["shuffled-words"], {}
    for part in ("train", "dev", "test"):
        examples = task.part(part)
        for text, label in zip(examples.texts, examples.labels, strict=True):
            bags.setdefault(tuple(sorted(text.split())), []).append((part, label))
    for versions in bags.values():
        assert len({part for part, _ in versions}) == 1
        assert sorted(label for _, label in versions) == ["intact", "shuffled"]


def test_pair_uses_each_summary_and_each_body_once():
    for part in ("train", "dev", "test"):
        examples = TASKS["pair"].part(part)
        assert examples.pairs is not None
        assert len(set(examples.texts)) == len(set(examples.pairs)) == len(examples)


def test_summary_is_the_line_above_the_body():
    task = TASKS["summary"]
    known = {record.text.split("\n")[1]: record.text.split("\n")[0] for record in RECORDS}
    assert task.kind == "sequence"
    assert all(known[body] == line for body, line in zip(task.train.texts, task.train.labels, strict=True))


def test_the_same_text_gives_the_same_task_and_fewer_a_subset():
    again = make("library", train=30, dev=24, test=36, records=list(reversed(RECORDS)))
    assert again.test == TASKS["library"].test
    assert set(again.train.texts) < set(TASKS["library"].train.texts)


def test_too_little_documentation_is_refused():
    with pytest.raises(BadData, match="only"):
        make("summary", records=RECORDS[:8])
    with pytest.raises(BadData, match="fewer than two libraries"):
        make("library", records=[])
