"""What a batch says of each of its rows, read without any code of ours: the laws compare this."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives import IGNORED, Batch, Objective
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence

EMPTY = {"token_type_ids": 0, "segment": -1, "decoder_segment": -1}


def told(batch: Batch) -> np.ndarray:
    return batch.targets["tokens"] != IGNORED


def answers(batch: Batch) -> np.ndarray:
    """The positions of each row of targets up to the last one that is asked."""
    asked = told(batch)
    return (asked * np.arange(1, asked.shape[1] + 1)).max(axis=1, initial=0)


def arrays(batch: Batch, objective: Objective, vocabulary: Vocabulary) -> dict[str, tuple[np.ndarray, Any, Any]]:
    """Each array of a batch with the length of each row in it and what stands behind it; None: it is no row."""
    own, said = batch.lengths, answers(batch)
    if objective.shape != "encoder-decoder":
        said = own
    hidden = told(batch) if batch.hidden is None else batch.hidden
    found: dict[str, tuple[np.ndarray, Any, Any]] = {
        "tokens": (batch.targets["tokens"], said, IGNORED),
        "hidden": (hidden, said, False),
    }
    for name, array in batch.inputs.items():
        if name == "attention_mask":
            found[name] = array, own, 0
        elif array.ndim == 1:
            found[name] = array, None, None
        else:
            found[name] = array, said if name.startswith("decoder") else own, EMPTY.get(name, vocabulary.pad)
    for role in objective.weights.keys() - {"tokens"}:
        found[role] = batch.targets[role], None, None
    if batch.origin is not None:
        found["origin"] = batch.origin, own, -1
    if batch.members is not None:
        found["members"] = batch.members, None, None
    return found


def _given(objective: Objective) -> str:
    """The array that is told each answer one place later, so that the last one stands where nothing is asked."""
    return {"decoder": "input_ids", "encoder-decoder": "decoder_input_ids"}.get(objective.shape, "")


def is_padded(batch: Batch, objective: Objective, vocabulary: Vocabulary) -> bool:
    """Arrays of one side are of one width, and behind each row stands nothing but padding."""
    width, said = batch.inputs["input_ids"].shape[1], batch.targets["tokens"].shape[1]
    if objective.shape != "encoder-decoder" and said != width:
        return False
    for name, (array, sizes, nothing) in arrays(batch, objective, vocabulary).items():
        if sizes is None:
            continue
        if array.shape[1] != (said if name.startswith("decoder") or name in ("tokens", "hidden") else width):
            return False
        inside = np.arange(array.shape[1]) < sizes[:, None]
        behind = np.arange(array.shape[1]) >= sizes[:, None] + (name == _given(objective))
        if not (array[behind] == nothing).all() or (name == "attention_mask" and not array[inside].all()):
            return False
        if "segment" in name and (array[inside] < 0).any():
            return False
    return True


def read(batch: Batch, objective: Objective, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Each row by itself; what an objective leaves out because nothing is to be said, is said."""
    found = arrays(batch, objective, vocabulary)
    found.pop("attention_mask", None)
    rows = []
    for index, length in enumerate(batch.lengths.tolist()):
        row: dict[str, Any] = {"length": length, "prefix": 0, "token_type_ids": [0] * length, "origin": [-1] * length}
        for name, (array, sizes, _) in found.items():
            row[name] = array[index].tolist() if sizes is None else array[index, : sizes[index]].tolist()
        rows.append(row)
    return rows


def texts(objective: Objective, whole: Blocks, batch: Batch) -> list[np.ndarray]:
    """The tokens that each row shows: those of its block, and where a stranger may stand in it, those of both."""
    rows = [ids[:length] for ids, length in zip(whole.ids, whole.lengths, strict=True)]
    if not objective.strangers:
        return rows
    own = np.ones(len(rows), dtype=bool)
    if isinstance(objective, Mixture):
        mine = [n for n, member in enumerate(objective.members) if isinstance(member.objective, NextSentence)]
        own = np.isin(batch.members, mine)
    for index in np.flatnonzero(own):
        both = np.concatenate([whole.ids[index], whole.others.ids[index]])
        rows[index] = both[batch.origin[index][batch.origin[index] >= 0]]
    return rows
