"""A run that begins from another's weights: domain-adaptive pretraining, or the next objective on the same model.

``--from`` takes a run, one of its steps, any folder that save_pretrained wrote, or ``hub:NAME`` (``hub:NAME@REVISION``)
and begins with its configuration, its weights and its vocabulary (Gururangan et al. 2020, §3). What the objective
needs and the source does not have (the head that says an order) begins fresh, by the run's seed; which is which is
said at the start and written to OUT/from.json. The corpus must be in the source's vocabulary, or its embeddings would
mean other words.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
import transformers

from corpora.vocabulary import Vocabulary
from foundation import durable
from foundation.refusal import BadCheckpoint, BadUsage
from objectives import Objective
from pretrain import checkpoint, generic
from pretrain.families import class_name

RECORD = "from.json"
_HUB = "hub:"
_TOKENIZER = ("model", "normalizer", "pre_tokenizer", "added_tokens")
"""The parts of a tokenizer that decide which ids a text has; how it is framed is the objective's."""


def find(address: str) -> Path:
    """Return the folder that an address stands for.

    Raises:
        BadCheckpoint: if there is none, or it is not whole.
    """
    if not address.startswith(_HUB):
        return checkpoint.resolve(Path(address))
    from huggingface_hub import snapshot_download

    name, _, revision = address.removeprefix(_HUB).partition("@")
    files = ["*.json", "*.safetensors", "*.model", "*.txt"]
    try:
        return checkpoint.resolve(Path(snapshot_download(name, revision=revision or None, allow_patterns=files)))
    except (OSError, ValueError) as error:  # what the hub's client raises: no such name, no connection, no permission
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadCheckpoint(
            f"--from {address}: {said}", "check the name; HF_HUB_OFFLINE=1 reads the cache only"
        ) from error


def configure(
    folder: Path, family: str, objective: Objective, block: int, vocabulary: Vocabulary, dropout: float
) -> tuple[Any, list[str]]:
    """Return the source's configuration for another objective, and what was changed in it.

    Raises:
        BadUsage: if its architecture cannot learn the objective.
        BadData: if the source has no tokenizer.
        BadCheckpoint: if the source cannot be read, or has another vocabulary.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise BadCheckpoint(f"{folder}/config.json cannot be read", "give a folder of transformers") from error
    kind = config.model_type
    if family and generic.model_type(family) != kind and family.partition("-")[0] != kind:
        raise BadUsage(f"--from {folder} is a {kind}, not a {family}", "leave --family out")
    config.architectures = [class_name(kind, objective)]
    _same_words(folder, vocabulary, config)
    start = objective.frame.start
    ids = {role: getattr(vocabulary, role) for role in ("pad", "bos", "eos", "cls", "sep")}
    ids |= {"vocab_size": config.vocab_size, "start": getattr(vocabulary, start) if start else None}
    generic.set_run(config, objective.shape, ids, dropout)
    return config, _make_room(config, objective.reach(block))


def _same_words(folder: Path, vocabulary: Vocabulary, config: Any) -> None:
    source = Vocabulary.open(folder)
    one, other = (json.loads(each.tokenizer.to_str()) for each in (source, vocabulary))
    differing = [part for part in _TOKENIZER if one.get(part) != other.get(part)]
    if differing:
        shared = len(set(source.pieces) & set(vocabulary.pieces))
        raise BadCheckpoint(
            f"--from {folder} has another vocabulary than the corpus: {shared:,} of its {source.size:,} pieces are"
            f" among the corpus's {vocabulary.size:,}; its {' and '.join(differing)} differ",
            f"build the corpus in its vocabulary: corpora build TEXT --tokenizer {folder} --out CORPUS",
        )
    if config.vocab_size < vocabulary.size:
        raise BadCheckpoint(f"{folder}: {config.vocab_size} embeddings for {vocabulary.size} pieces")


def _make_room(config: Any, positions: int) -> list[str]:
    """Let the positions of a model reach further; those that nobody has learned yet begin fresh."""
    room = generic.room(config)
    if room is None or room >= positions:
        return []
    config.max_position_embeddings += positions - room
    return [f"positions: {room} there, {positions} here; where they are learned, the further ones begin fresh"]


def take(model: Any, folder: Path) -> dict[str, Any]:
    """Copy the weights of `folder` into a model; return which were kept, which stay fresh, which were not needed.

    Raises:
        BadCheckpoint: if a weight has another shape, or the body of the model is not there.
    """
    config = copy.deepcopy(model.config)
    there = getattr(transformers.AutoConfig.from_pretrained(folder), "max_position_embeddings", None)
    if there is not None:
        config.max_position_embeddings = there
    try:
        with torch.random.fork_rng(devices=[]):
            loaded, told = type(model).from_pretrained(
                folder, config=config, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadCheckpoint(f"{folder} cannot be opened as a {type(model).__name__}: {said}") from error
    missing = set(told["missing_keys"]) | {str(entry[0]) for entry in told["mismatched_keys"]}
    body = f"{model.base_model_prefix}."
    lacking = sorted(n for n in missing if (n.startswith(body) or config.is_encoder_decoder) and "pooler" not in n)
    if lacking:
        raise BadCheckpoint(
            f"{folder} lacks {len(lacking)} weights of a {type(model).__name__} ({', '.join(lacking[:3])} …)",
            "give a checkpoint of this architecture",
        )
    own, given = model.state_dict(), loaded.state_dict()
    with torch.no_grad():
        for name in own.keys() - missing:
            own[name][: len(given[name])].copy_(given[name]) if own[name].ndim else own[name].copy_(given[name])
    kept: dict[str, int] = {}
    fresh: dict[str, int] = {}
    for name, weight in model.named_parameters():
        known = 0 if name in missing else given[name].numel()
        kept |= {name: known} if known else {}
        fresh |= {name: weight.numel() - known} if known < weight.numel() else {}
    return {"kept": kept, "fresh": fresh, "unused": sorted(told["unexpected_keys"])}


def lines(address: str, folder: Path, weights: dict[str, Any]) -> list[str]:
    """Return what was kept, for the reader."""
    kept, fresh, unused = weights["kept"], weights["fresh"], weights["unused"]
    said = [f"from {address} ({folder.name}): kept {sum(kept.values()):,} parameters: {_groups(kept)}"]
    if fresh:
        said.append(f"fresh {sum(fresh.values()):,} parameters: {_groups(fresh)}")
    if unused:
        said.append(f"not needed: {_groups(unused)}")
    return said


def _groups(names: Any) -> str:
    """Return names by their first two parts, with how many each group has."""
    counts: dict[str, int] = {}
    for name in names:
        group = ".".join(name.split(".")[:2])
        counts[group] = counts.get(group, 0) + 1
    return ", ".join(group if count == 1 else f"{group} ({count})" for group, count in counts.items())


def record(out: Path, address: str, folder: Path, weights: dict[str, Any]) -> None:
    """Write OUT/from.json: the source with its hash, and what was taken of it."""
    hashes = {path.name: durable.sha256(path) for path in sorted(folder.glob("*.safetensors"))}
    durable.write_json(out / RECORD, {"from": address, "folder": folder.name, "sha256": hashes, **weights})
