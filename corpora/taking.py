"""Taking a tokenizer that others have made: any that ``transformers.AutoTokenizer`` opens, by name or folder.

    tokenizer   has                      lacks               can serve
    BERT's      [PAD] [MASK] [CLS] [SEP] <s> </s> sentinels  token-masking, sentence-order, next-sentence
    GPT-2's     <|endoftext|>            all others          none, as it has no padding
    T5's        <pad> </s> sentinels     <mask> <s> …        span-corruption, deshuffling

What is missing is said, or added: behind the ids that are there, under the names of our own vocabularies, so that every
objective can be learned. A model whose weights are to be used then needs rows for these ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.specials import FIRST, MARKS, ROLES, SENTINELS, SPECIALS
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData, BadUsage

# What objectives need of a vocabulary. This room does not know them, so a test holds the table against them.
NEEDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("mask", "cls", "sep", "pad"): ("token-masking", "sentence-order", "next-sentence"),
    ("sentinels", "eos", "pad"): ("span-corruption",),
    ("mask", "bos", "eos", "pad"): (
        "text-infilling",
        "token-deletion",
        "sentence-permutation",
        "document-rotation",
        "masked-next-token",
    ),
    ("eos", "pad"): ("deshuffling",),
    ("bos", "eos", "pad"): ("next-token", "prefix-language-model"),
    ("bos", "eos", "pad", "fim_prefix", "fim_suffix", "fim_middle"): ("fill-in-the-middle",),
}
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Taken:
    """A tokenizer that was taken, saved in the folder of its vocabulary."""

    vocabulary: Vocabulary
    added: tuple[str, ...]
    """The special tokens that were added, in the order of their ids."""

    def told(self) -> str:
        """Return which objectives it can serve, what the others lack, and what was added."""
        found = {need: lacking(self.vocabulary, need) for need in NEEDS}
        able = [name for need, names in NEEDS.items() if not found[need] for name in names]
        unable = [f"{', '.join(NEEDS[need])} (no {', '.join(lack)})" for need, lack in found.items() if lack]
        lines = [f"serves {', '.join(able) or 'no objective'}"]
        lines += [f"cannot serve {'; '.join(unable)}: give --add-special"] if unable else []
        lines += [f"added {', '.join(_shortened(self.added))}"] if self.added else []
        return "\n".join(lines)


def lacking(vocabulary: Vocabulary, roles: Iterable[str]) -> list[str]:
    """Return which of the roles a vocabulary does not have."""
    found = {role: getattr(vocabulary, role) for role in roles}
    return [role for role, value in found.items() if value is None or (role == "sentinels" and not len(value))]


def opened(source: str | Path) -> Any:
    """Return the fast tokenizer of a folder, or of a name on the hub (with or without ``hub:`` before it).

    Raises:
        BadUsage: if it is neither a folder nor a name.
        BadData: if it cannot be opened, or has no fast form.
    """
    from transformers import AutoTokenizer

    folder, name = Path(source), str(source).removeprefix("hub:")
    if not folder.is_dir() and not _NAME.fullmatch(name):
        raise BadUsage(f"--tokenizer {source}: no such folder", "give a corpus, a checkpoint, a model folder or a name")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else name)
    except Exception as error:  # whatever a library of the tokenizer's own raises
        first = str(error).strip().partition("\n")[0]
        raise BadData(
            f"--tokenizer {source}: cannot be opened: {first}", "give a folder or a name that AutoTokenizer opens"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise BadData(
            f"--tokenizer {source}: {type(tokenizer).__name__} has no tokenizer.json", "give a fast tokenizer"
        )
    return tokenizer


def taken(source: str | Path, folder: Path, add_special: bool = False) -> Taken:
    """Save the tokenizer of `source` in `folder`, with the special tokens that it lacks if they are to be added.

    Raises:
        BadUsage, BadData: if it cannot be opened, has no ordinary pieces, or nothing says where a text ends.
    """
    tokenizer = opened(source)
    before = Vocabulary.of(tokenizer)
    if not len(before.draw):
        raise BadData(f"--tokenizer {source}: it has special tokens alone", "give a tokenizer that was trained")
    added = _missing(before) if add_special else []
    if added:
        tokenizer.add_tokens(added, special_tokens=True)
        tokenizer.add_special_tokens({f"{role}_token": known[0] for role, known in ROLES.items() if known[0] in added})
    elif before.end is None:
        raise BadData(
            f"--tokenizer {source}: it has no token that ends a text", "give --add-special, or another tokenizer"
        )
    tokenizer.save_pretrained(str(folder))
    return Taken(Vocabulary.open(folder), tuple(added))


def _missing(vocabulary: Vocabulary) -> list[str]:
    """Return our names of the special tokens that a vocabulary lacks; no objective needs the unknown one."""
    names = {role: known[0] for role, known in (ROLES | MARKS).items() if role != "unk"}
    absent = {names[role] for role in lacking(vocabulary, names)}
    if not len(vocabulary.sentinels):
        absent |= set(SPECIALS[FIRST - SENTINELS :])
    return [name for name in SPECIALS if name in absent]


def _shortened(names: tuple[str, ...]) -> list[str]:
    """Return names with the sentinels between the first and the last left out."""
    marks = [name for name in names if name.startswith("<extra_id_")]
    return [*names[: len(names) - len(marks)], *([f"{marks[0]} … {marks[-1]}"] if marks else [])]
