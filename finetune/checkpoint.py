"""A checkpoint as fine-tuning sees it: a folder, its model as pretrained or with fresh weights, its tokenizer.

The model is opened under the class that the folder names, not as ``AutoModel``: that one invents what the folder
lacks (a pooler, whole layers) with a warning only. Here nothing of a backbone may be missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from foundation import durable, keys
from foundation.refusal import BadCheckpoint


@dataclass(frozen=True)
class Checkpoint:
    """A folder that save_pretrained wrote; `fresh` keeps its shape and tokenizer and takes new weights."""

    folder: Path
    fresh: bool = False

    @classmethod
    def open(cls, path: Path, *, fresh: bool = False) -> Checkpoint:
        """Return the checkpoint that a run, a step folder or a Hugging Face folder stands for.

        Raises:
            BadCheckpoint: if the folder is none or is damaged.
        """
        from pretrain.checkpoint import resolve

        return cls(resolve(path), fresh)

    @cached_property
    def config(self) -> PreTrainedConfig:
        """The configuration of the model."""
        with _refusing(self.folder):
            return AutoConfig.from_pretrained(self.folder)

    @property
    def family(self) -> str:
        """The family of the architecture: bert, modernbert, gpt2, t5, bart, mbart …"""
        return self.config.model_type

    @property
    def objective(self) -> str | None:
        """The pretraining objective that the checkpoint says it learned."""
        said = getattr(self.config, "objective", None)
        return said.get("name") if isinstance(said, dict) else said

    @property
    def kind(self) -> type[PreTrainedModel]:
        """The class under which the folder was saved."""
        names = self.config.architectures or []
        found = next((getattr(transformers, name) for name in names if hasattr(transformers, name)), None)
        if found is None:
            what = f"{self.folder}/config.json names no class of transformers (architectures: {names})"
            raise BadCheckpoint(what, "save the model with save_pretrained")
        return found

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of configuration, tokenizer and weights; of the weights not, where fresh ones are taken."""
        endings = {".json"} if self.fresh else {".json", ".safetensors", ".bin"}
        skipped = {durable.MANIFEST, "training_args.json"}
        files = [p for p in sorted(self.folder.iterdir()) if p.suffix in endings and p.name not in skipped]
        return hashlib.sha256("".join(f"{p.name} {durable.sha256(p)}\n" for p in files).encode()).hexdigest()

    def tokenizer(self) -> Any:
        """Return the (fast) tokenizer saved beside the model.

        Raises:
            BadCheckpoint: if there is none, it cannot pad, or it knows tokens for which the model has no embedding.
        """
        with _refusing(self.folder):
            found = AutoTokenizer.from_pretrained(self.folder)
        size = self.config.vocab_size
        if len(found) > size:
            what = f"{self.folder}: the tokenizer has {len(found)} tokens, the model {size} embeddings"
            raise BadCheckpoint(what, "the tokenizer is not the one of this model")
        if found.pad_token_id is None:
            if found.eos_token is None:
                raise BadCheckpoint(f"{self.folder}: the tokenizer has neither a pad nor an end token")
            found.pad_token = found.eos_token  # padding is told by the mask, never by the id
        found.truncation_side = "right"
        return found

    def model(self, key: keys.Word) -> PreTrainedModel:
        """Return the model in float32: the pretrained weights, or fresh ones of this key.

        Raises:
            BadCheckpoint: if weights are missing or do not fit.
        """
        if self.fresh:
            from pretrain.models import fresh

            assert self.kind is not None  # refuse a folder that names no class before anything is built
            return fresh(self.config, keys.number(key, "weights")).train(False)
        with _refusing(self.folder):
            loaded: Any = self.kind.from_pretrained(self.folder, dtype=torch.float32, output_loading_info=True)
        model, report = loaded
        missing = sorted(name for name in report["missing_keys"] if not _unused(name))
        wrong = [*missing, *(str(entry) for entry in report["mismatched_keys"])]
        if wrong:
            what = f"{self.folder}: {len(wrong)} weights are missing or do not fit ({', '.join(wrong[:3])} …)"
            raise BadCheckpoint(what, f"the folder says that it is a {self.kind.__name__}; see its config.json")
        return model.train(False)


def _unused(name: str) -> bool:
    """Say whether a missing weight belongs to what fine-tuning drops anyway: BERT's pooler and its two heads."""
    return ".pooler." in name or name.startswith(("pooler.", "cls."))


class _refusing:  # noqa: N801  (used as a statement, like contextlib.suppress)
    """Turn what transformers raises about a folder into a refusal, and keep its progress bars quiet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        transformers.utils.logging.disable_progress_bar()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        known = isinstance(error, (OSError, ValueError, KeyError, RuntimeError))
        if error is not None and (known or type(error).__name__ == "SafetensorError"):
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            remedy = "give a folder that save_pretrained wrote"
            raise BadCheckpoint(f"{self.folder} cannot be opened: {said}", remedy) from error
