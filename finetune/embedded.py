"""Four tasks from the documentation installed beside Python, disjoint by module from the pretraining text.

``library``         which of eight libraries does this docstring document, its names and identifiers hidden
``shuffled-words``  is this sentence intact, or was a window of six words shuffled: each sentence is there in both
                    versions, so words say nothing and only order counts
``pair``            does this body belong to this summary line, or to another docstring of the same library
``summary``         write the summary line of this body (sequence to sequence)

Train, dev and test are disjoint by module too, and the same modules are train for all four tasks. Which examples
are drawn depends on the text of each alone and on how many are asked for, never on the seed of a run; asking for
fewer gives a subset of what asking for more gives.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Protocol

from finetune.disguise import HIDDEN, hide, shuffle
from finetune.tasks import PARTS, Examples, Task
from foundation import keys
from foundation.refusal import BadData

SIZES = {"train": 1000, "dev": 300, "test": 600}
SHARES = {"train": 0.5, "dev": 0.17, "test": 0.33}
LIBRARIES = 8
_KEY = keys.fold(0, "embedded tasks")
_ALIASES = {
    "sklearn": ("scikit",),
    "stdlib": ("python",),
    "huggingface_hub": ("huggingface", "hugging face"),
    "matplotlib": ("pyplot",),
    "PIL": ("pillow",),
}


class Record(Protocol):
    """A docstring as corpora.installed gives it: paragraphs are lines, the first is the summary if `summary`."""

    @property
    def library(self) -> str: ...  # noqa: D102
    @property
    def module(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def summary(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Item:
    """One example to be: the group within which it is balanced or paired, its texts and its label."""

    library: str
    module: str
    text: str
    pair: str | None = None
    label: str = ""

    @cached_property
    def rank(self) -> int:
        """A number that orders items for drawing: a key of the text alone."""
        digest = hashlib.blake2b(f"{self.text}\0{self.pair}".encode(), digest_size=8).digest()
        return keys.number(_KEY, "draw", int.from_bytes(digest, "little"))


def make(
    name: str, *, train: int = 1000, dev: int = 300, test: int = 600, records: Iterable[Record] | None = None
) -> Task:
    """Return one of the embedded tasks, with at most so many examples in each part.

    Raises:
        BadData: if the documentation installed here is too small for it.
    """
    if records is None:
        return _made(name, train, dev, test)
    records = list(records)
    part_of = split(records)
    items, finish = TASKS[name](records)
    sizes = {"train": train, "dev": dev, "test": test}
    parts = {}
    for part in PARTS:
        chosen = finish([item for item in items if part_of[item.library, item.module] == part], sizes[part])
        chosen.sort(key=lambda item: keys.number(item.rank, "order"))
        if len(chosen) < min(16, sizes[part]):
            what = f"task {name}: only {len(chosen)} examples for {part} in the documentation installed here"
            raise BadData(what, "install more documented packages, or give a table of your own with --task FILE")
        pairs = [item.pair or "" for item in chosen] if name == "pair" else None
        parts[part] = Examples([item.text for item in chosen], pairs, [item.label for item in chosen])
    kind = {"pair": "pair", "summary": "sequence"}.get(name, "classification")
    classes = () if kind == "sequence" else tuple(sorted(set(parts["train"].labels)))
    return Task(
        name, kind, parts["train"], parts["dev"], parts["test"], classes, note=f"embedded, {len(part_of)} modules"
    )


@cache
def _made(name: str, train: int, dev: int, test: int) -> Task:
    return make(name, train=train, dev=dev, test=test, records=_reserved())


@cache
def _reserved() -> tuple[Record, ...]:
    from corpora.installed import reserved

    return reserved()


def split(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Return the part of each module (library, module): no module is in two, and each library fills its shares.

    The modules of a library, in keyed order, go where the share is least filled, so that one large module cannot
    leave a part of its library empty.
    """
    sizes = Counter((record.library, record.module) for record in records)
    ordered = sorted(sizes, key=lambda module: (module[0], keys.number(_KEY, "module", *module), module[1]))
    filled: dict[tuple[str, str], int] = defaultdict(int)
    parts = {}
    for library, module in ordered:
        part = min(SHARES, key=lambda part: (filled[library, part] + sizes[library, module]) / SHARES[part])
        parts[library, module] = part
        filled[library, part] += sizes[library, module]
    return parts


def _unique(items: Iterable[Item]) -> list[Item]:
    """Return the items in order of drawing, of those with the same letters the first only."""
    seen: set[str] = set()
    kept = []
    for item in sorted(items, key=lambda item: (item.rank, item.library, item.module)):
        letters = re.sub(r"[^a-z]+", " ", item.text.lower())
        if letters not in seen:
            seen.add(letters)
            kept.append(item)
    return kept


def _readable(text: str, least: int, most: int = 10_000) -> bool:
    """Say whether a text has so many words, nearly all of them words, and not too many hidden."""
    words = text.split()
    if not least <= len(words) <= most:
        return False
    letters = sum(word.strip(".,;:!?()\"'`-").replace("-", "").replace("'", "").isalpha() for word in words)
    return letters >= 0.8 * len(words) and sum(HIDDEN in word for word in words) <= 0.2 * len(words)


def _first(items: list[Item], size: int) -> list[Item]:
    return items[:size]


Made = tuple[list[Item], Callable[[list[Item], int], list[Item]]]


def _library(records: Sequence[Record]) -> Made:
    largest = [library for library, _ in Counter(record.library for record in records).most_common(LIBRARIES)]
    if len(largest) < 2:
        raise BadData("task library: fewer than two libraries are documented here", "install more packages")
    names = [name for library in largest for name in (library, *_ALIASES.get(library, ()))]
    items = []
    for record in records:
        if record.library in largest:
            text = hide(" ".join(record.text.split()), names)
            if _readable(text, 12):
                items.append(Item(record.library, record.module, text, label=record.library))

    def balanced(items: list[Item], size: int) -> list[Item]:
        groups = [[item for item in items if item.library == library] for library in largest]
        count = min(size // len(largest), *map(len, groups))
        return [item for group in groups for item in group[:count]]

    return _unique(items), balanced


def _shuffled_words(records: Sequence[Record]) -> Made:
    from corpora.sentences import starts

    items = []
    for record in records:
        for paragraph in record.text.split("\n"):
            edges = [*starts(paragraph), len(paragraph)]
            for begin, end in itertools.pairwise(edges):
                sentence = " ".join(paragraph[begin:end].split())
                if _readable(sentence, 8, 40) and sentence[0].isupper() and sentence[-1] in ".!?":
                    items.append(Item(record.library, record.module, sentence, label="intact"))

    def balanced(items: list[Item], size: int) -> list[Item]:
        # Both versions of a sentence are in the same part: its words alone cannot be learned by heart.
        chosen = items[: size // 2]
        return chosen + [replace(item, text=shuffle(item.text), label="shuffled") for item in chosen]

    return _unique(items), balanced


def _bodies(records: Sequence[Record], hidden: bool) -> list[Item]:
    """Return docstrings that have a summary line and a body, as (body, summary); names hidden if asked."""
    items = []
    for record in records:
        summary, _, body = record.text.partition("\n")
        if not record.summary or len(body) < 40:
            continue
        summary, body = " ".join(summary.split()), " ".join(body.split())
        if hidden:
            own = record.name.rpartition(".")[2]
            plain = re.compile(rf"(?<!\w){re.escape(own)}(?!\w)") if len(own) > 2 else None
            summary, body = (hide(plain.sub(HIDDEN, t) if plain else t, ()) for t in (summary, body))
        if _readable(summary, 4, 20) and _readable(body, 12):
            items.append(Item(record.library, record.module, body, label=summary))
    return _unique(items)


def _pair(records: Sequence[Record]) -> Made:
    def balanced(items: list[Item], size: int) -> list[Item]:
        # Within a library, in order of drawing: two keep their bodies, the next two exchange theirs. Every summary
        # and every body is used once, so neither alone says anything, nor does the library.
        groups: dict[str, list[Item]] = defaultdict(list)
        for item in items[: size + 4 * len({item.library for item in items})]:
            groups[item.library].append(item)
        chosen: list[list[Item]] = []
        for group in groups.values():
            for four in (group[start : start + 4] for start in range(0, len(group) - 3, 4)):
                bodies = [four[0].text, four[1].text, four[3].text, four[2].text]
                labels = ["same", "same", "other", "other"]
                chosen.append(
                    [replace(i, text=i.label, pair=b, label=w) for i, b, w in zip(four, bodies, labels, strict=True)]
                )
        chosen.sort(key=lambda four: four[0].rank)
        return [item for four in chosen[: size // 4] for item in four]

    return _bodies(records, hidden=True), balanced


def _summary(records: Sequence[Record]) -> Made:
    return _bodies(records, hidden=False), _first


TASKS: dict[str, Callable[[Sequence[Record]], Made]] = {
    "library": _library,
    "shuffled-words": _shuffled_words,
    "pair": _pair,
    "summary": _summary,
}
NAMES = tuple(TASKS)
