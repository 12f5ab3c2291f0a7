"""What the loop must know of an architecture that it does not know, proven on the model itself before the run.

1. *Where the head begins.* States of the base model, a transform, one linear layer: if these give the model's own
   logits, only asked positions are judged. If they do not (a head that scales or caps its logits, or stands elsewhere),
   the model's logits are taken as they are, at every position.
2. *Which way it reads.* A decoder may not see what it has to say; an encoder has to see both sides.
3. *Whether it honours masks* of four dimensions: isolated documents and prefixes are refused where it does not.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch

from foundation.refusal import BadUsage
from objectives.objective import Objective, Shape
from pretrain import families
from pretrain.attention import prepared
from pretrain.families import Family, Head

_ROWS, _POSITIONS = 2, 12
_SAME = 1e-4
"""Largest difference of equal logits, as a share of the largest."""


def family(model: Any, objective: Objective) -> tuple[Family, list[str]]:
    """Return what the loop must know of a model, and in lines for the reader what was found.

    Raises:
        BadUsage: if it cannot learn the objective.
    """
    shape, name = objective.shape, type(model).__name__
    try:
        with torch.no_grad():
            found, sparse = _seam(model, shape)
            _direction(model, found, name)
            masks = _honours_masks(model, found)
    except BadUsage:
        raise
    except Exception as error:  # what an architecture says of numbers that do not go together
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadUsage(
            f"{name} cannot read {_positions(model)} words: {said}", "give a config.json of your own"
        ) from error
    said = [] if sparse else [f"{name}: its own logits at every position, for want of a head that can be taken apart"]
    if masks:
        return found, said
    if attends(objective):
        raise _no_masks(name)

    def hidden(model: Any, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        mask = inputs.get("attention_mask")
        if isinstance(mask, dict) or (mask is not None and mask.ndim == 4):
            raise _no_masks(name)
        return found.hidden(model, inputs)

    return dataclasses.replace(found, hidden=hidden), said


def attends(objective: Any) -> bool:
    """Say whether batches of an objective may come with attention as data."""
    members = [member.objective for member in getattr(objective, "members", ())]
    return objective.isolated or objective.reads == "both" or any(map(attends, members))


def _no_masks(name: str) -> BadUsage:
    return BadUsage(
        f"{name} does not honour masks of four dimensions, which isolated documents and prefixes need",
        f"give --family {' or '.join(families.FAMILIES)}",
    )


def _seam(model: Any, shape: Shape) -> tuple[Family, bool]:
    """Return the family whose states and head give the model's own logits, and whether its head is sparse."""
    inputs = _sample(model, shape)
    stock = _stock(model, inputs)
    head = _head(model)
    if head is not None:
        for hidden in (_states(shape, scaled=False), _states(shape, scaled=True)):
            try:
                found = _family(model, shape, hidden, head)
                if _close(_logits(model, found, inputs), stock):
                    return found, True
            except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError):
                continue
    return _family(model, shape, lambda model, inputs: {"tokens": _stock(model, inputs)}, _STOCK), False


def _family(model: Any, shape: Shape, hidden: Any, head: Head) -> Family:
    def config(*given: Any) -> Any:
        del given
        return model.config

    return Family(shape, {frozenset({"tokens"}): type(model).__name__}, config, hidden, {"tokens": head})


_STOCK = Head(lambda model, states: states, lambda model: None)
"""What is given are logits already."""


def _stock(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    cached = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
    cross = {name: value for name, value in inputs.items() if name != "cross_attention_mask"}
    return model(**cross, **cached).logits


def _states(shape: Shape, *, scaled: bool) -> Any:
    def hidden(model: Any, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        if shape == "encoder-decoder":
            states = families.encoder_decoder(model, inputs)
        else:
            cached = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
            states = model.base_model(**inputs, **cached)[0]
        return {"tokens": states * model.config.hidden_size**-0.5 if scaled else states}

    return hidden


def _head(model: Any) -> Head | None:
    """Return the modules behind the base model as a transform and the last linear layer."""
    output = model.get_output_embeddings()
    if not isinstance(output, torch.nn.Linear):
        return None
    base = model.base_model_prefix
    behind = [module for name, module in model.named_children() if name != base and module is not model.base_model]
    if model.config.is_encoder_decoder:
        behind = [output]
    shared: dict[int, Any] = {id(p): p for module in behind for p in module.parameters()}
    shared[id(output)] = torch.nn.Identity()
    # The same modules over the same weights, with nothing in the place of the linear layer.
    transform = torch.nn.Sequential(*copy.deepcopy(behind, shared))
    extra = getattr(model, "final_logits_bias", None)

    def bias(model: Any) -> torch.Tensor | None:
        own = model.get_output_embeddings().bias
        return own if extra is None else model.final_logits_bias[0] + (0 if own is None else own)

    return Head(
        lambda model, states: transform.train(model.training)(states),
        lambda model: (model.get_output_embeddings().weight, bias(model)),
    )


def _positions(model: Any) -> int:
    """Return how long the rows are: longer than a small window, which masks must not lift."""
    window, limit = (getattr(model.config, name, None) for name in ("sliding_window", "max_position_embeddings"))
    wanted = window + 4 if isinstance(window, int) and _POSITIONS < window + 4 <= 256 else _POSITIONS
    return min(wanted, limit) if isinstance(limit, int) and limit > _POSITIONS else wanted


def _sample(model: Any, shape: Shape, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return rows of random ordinary words, as long on each side."""
    size, chance = model.config.vocab_size, torch.Generator().manual_seed(seed)
    width = _positions(model)
    names = ["input_ids"] + (["decoder_input_ids"] if shape == "encoder-decoder" else [])
    device = next(model.parameters()).device
    return {name: torch.randint(size // 2, size - 1, (_ROWS, width), generator=chance).to(device) for name in names}


def _logits(model: Any, found: Family, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits of every position ``[rows, positions, vocabulary]``."""
    states = found.hidden(model, prepared(model, found.shape, inputs))["tokens"]
    head = found.heads["tokens"]
    read, output = head.transform(model, states), head.output(model)
    return read if output is None else torch.nn.functional.linear(read, *output)


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= _SAME * max(1.0, float(other.abs().max())))


def _changed(inputs: dict[str, torch.Tensor], name: str, places: slice) -> dict[str, torch.Tensor]:
    """Return the inputs with other words at some places."""
    ids = inputs[name].clone()
    ids[:, places] += 1
    return {**inputs, name: ids}


def _direction(model: Any, found: Family, name: str) -> None:
    """Refuse a decoder that sees what it has to say, and an encoder that sees one side only."""
    inputs = _sample(model, found.shape)
    written = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    before = _logits(model, found, inputs)
    behind = _logits(model, found, _changed(inputs, written, slice(-1, None)))
    sees = not _close(behind[:, :-1], before[:, :-1])
    if found.shape == "encoder" and not sees:
        raise BadUsage(f"{name} does not see what stands behind a position", "give a family that reads both ways")
    if found.shape != "encoder" and sees:
        raise BadUsage(
            f"{name} sees what stands behind a position, which is what it would have to say",
            "give a family that reads from left to right",
        )


def _honours_masks(model: Any, found: Family) -> bool:
    """Say whether documents of a row are strangers, and a document alone is as it is without a mask."""
    inputs = _sample(model, found.shape)
    width = inputs["input_ids"].shape[1]
    half = torch.arange(width, device=inputs["input_ids"].device) >= width // 2
    sides = {name.replace("input_ids", "segment"): half.long().expand(_ROWS, -1) for name in inputs}
    one = {name: torch.zeros_like(value) for name, value in sides.items()}
    try:
        if not _close(_logits(model, found, {**inputs, **one}), _logits(model, found, inputs)):
            return False
        two = _logits(model, found, {**inputs, **sides})
        for name in inputs:
            other = _logits(model, found, {**_changed(inputs, name, slice(0, width // 2)), **sides})
            if not _close(other[:, half], two[:, half]) or _close(other[:, ~half], two[:, ~half]):
                return False
        if found.shape == "decoder":
            prefix = {"prefix": torch.full((_ROWS,), width, device=half.device)}
            whole = _logits(model, found, {**inputs, **prefix})
            other = _logits(model, found, {**_changed(inputs, "input_ids", slice(-1, None)), **prefix})
            return not _close(other[:, 0], whole[:, 0])
    except Exception:  # an architecture may refuse such a mask in any way
        return False
    return True
