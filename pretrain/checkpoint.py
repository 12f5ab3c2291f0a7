"""Checkpoints: plain ``save_pretrained`` folders that say what they are, whole or absent.

    RUN/step-00001000/   config.json  model.safetensors  tokenizer.json  tokenizer_config.json  README.md
                         manifest.json (sha256 of every file)
                         training/    optimizer.pt  state.json
    RUN/latest           a relative link to the newest

``AutoModel.from_pretrained`` opens a step folder with no code of ours; ``config.objective`` names the objective and
its numbers, and the tokenizer frames texts as pretraining did.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from foundation import durable
from foundation.refusal import BadCheckpoint

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def step_folders(run: Path) -> list[Path]:
    """Return the step folders of a run, newest first."""
    return sorted((path for path in run.glob("step-*") if path.is_dir()), reverse=True)


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """Return the newest whole checkpoint of a run, and what is wrong with each newer one."""
    damaged = []
    for folder in step_folders(run):
        found = durable.problems(folder)
        if not found:
            return folder, damaged
        damaged.append(f"{folder.name} is damaged: {found[0]}")
    return None, damaged


def resolve(path: Path) -> Path:
    """Return the checkpoint folder that a run, a step folder or any transformers folder stands for.

    Raises:
        BadCheckpoint: if it is none of these, or no checkpoint of the run is whole.
    """
    path = Path(path)
    if not path.exists():
        raise BadCheckpoint(
            f"{path} does not exist", "give a run (pretrain --out RUN), one of its steps, or a model folder"
        )
    if (path / "config.json").is_file():
        if not any((path / name).is_file() for name in WEIGHTS):
            raise BadCheckpoint(
                f"{path} has a config.json but no {WEIGHTS[0]}", "the folder is not whole; copy it again"
            )
        if (path / durable.MANIFEST).is_file() and (found := durable.problems(path)):
            raise BadCheckpoint(f"{path} is damaged: {found[0]}", "take another step of the run")
        return path
    found, damaged = newest(path)
    if found is None:
        what = "; ".join(damaged) or f"{path} is no checkpoint: it holds no step-… folder and no config.json"
        raise BadCheckpoint(what, "give a run (pretrain --out RUN), one of its steps, or a model folder")
    return found


def save(
    run: Path, step: int, model: Any, tokenizer: Any, card: str, optimizer: Any, state: dict[str, Any], keep: int
) -> Path:
    """Write the checkpoint of a step as a whole, point ``latest`` to it, then remove all but the newest `keep`."""
    import torch

    folder = run / f"step-{step:08d}"
    with durable.new_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        (temporary / "training").mkdir()
        torch.save(optimizer.state_dict(), temporary / "training" / "optimizer.pt")
        (temporary / "training" / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    durable.point(run / "latest", folder.name)
    for old in step_folders(run)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def restore(folder: Path, model: Any, optimizer: Any, device: Any) -> dict[str, Any]:
    """Load weights and optimizer of a checkpoint into place; return its state (step, tokens, seconds)."""
    import torch
    from safetensors.torch import load_model

    load_model(model, str(folder / WEIGHTS[0]), device=str(device))
    optimizer.load_state_dict(torch.load(folder / "training" / "optimizer.pt", map_location=device, weights_only=True))
    return json.loads((folder / "training" / "state.json").read_text(encoding="utf-8"))
