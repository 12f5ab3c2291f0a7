"""The model card of a checkpoint: what it was made from, under what recipe, and the commands that make it again.

No path of the machine stands in it: sources are named as files are, the corpus and the run by what they hold.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import shlex
from pathlib import Path
from typing import Any

from corpora.requests import Build
from corpora.store import Corpus
from foundation import request
from foundation.command import DISTRIBUTION
from pretrain.log import duration
from pretrain.recipes import Recipe
from pretrain.run import Run, name_of

_PIPELINES = {"encoder": "fill-mask", "decoder": "text-generation", "encoder-decoder": "text2text-generation"}
_ELSEWHERE = {"out", "corpus", "fingerprint", "allow_change", "dry_run", "keep", "checkpoint_tokens"}
_ELSEWHERE |= {"checkpoint_minutes", "milestones", "milestone_words", "track", "minutes", "measured_steps"}
_MAKERS = ("torch", "transformers", "tokenizers", "accelerate", "numpy")


def card(run: Run, recipe: Recipe, config: Any, corpus: Corpus, state: dict[str, Any], told: str, sha256: str) -> str:
    """Return the README.md of a checkpoint, with the metadata that model hubs read.

    `state` holds the step, and the tokens, words and seconds behind it; `told` what its evaluation says, if it had
    one; `sha256` is that of the weights.
    """
    meta, objective = corpus.meta, name_of(run)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _MAKERS)
    shown = json.dumps(public(run), indent=2)
    return f"""---
library_name: transformers
pipeline_tag: {_PIPELINES[run.objective.shape]}
tags: [pretraining, {objective}]
---

# {config.architectures[0]}, pretrained with {objective}

Step {state["step"]:,}: {state["tokens"]:,} corpus tokens read (about {state["words"]:,} words), \
{duration(state["seconds"])} of training.{f" Evaluation: {told}." if told else ""}

- text: {meta["words"]:,} words in {meta["documents"]:,} documents from {_sources(meta)}; \
{meta["parts"]["held-out"]["words"]:,} of the words are held out
- corpus: fingerprint `{corpus.fingerprint}`
- blocks: {run.block_tokens} corpus tokens, packing {run.packing}
- vocabulary: {corpus.vocabulary.size:,} pieces, sha256 `{corpus.vocabulary.sha256}`
- objective: {objective}, {_numbers(request.to_dict(run)["objective"])}
- recipe: {_numbers(dataclasses.asdict(recipe))}
- weights: sha256 `{sha256}`; `manifest.json` has that of every file
- made by {DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)} with Python {platform.python_version()}, {versions}

The commands that make it again:

```bash
{building(corpus)}
{command(run, corpus)}
```

All that decided what was done, as `--config` reads it:

```json
{shown}
```
"""


def public(run: Run) -> dict[str, Any]:
    """Return the record of a run without what is of this machine."""
    values = request.to_dict(run)
    return {name: _public(value) for name, value in values.items() if name not in ("out", "corpus")}


def command(run: Run, corpus: Corpus) -> str:
    """Return the command of a run, as flags where its numbers can be flags, else with its record as a file."""
    ends = ["--corpus", "CORPUS", "--fingerprint", corpus.fingerprint, "--out", "RUN"]
    objective = request.differing(run.objective)
    if not all(isinstance(value, (int, float, str)) for value in objective.values()):
        return shlex.join(["pretrain", "--config", "run.json", *ends])
    words = ["pretrain", "--objective", request.to_dict(run)["objective"]["name"]]
    words += [word for name, value in objective.items() for word in request.flag(f"objective.{name}", value)]
    chosen = {name: value for name, value in request.differing(run).items() if name not in {"objective", *_ELSEWHERE}}
    if (steps := getattr(run, "measured_steps", None)) is not None:
        chosen["steps"] = steps  # what --minutes came to on the machine of the run
    return shlex.join(
        [*words, *(word for name, value in chosen.items() for word in request.flag(name, _public(value))), *ends]
    )


def building(corpus: Corpus) -> str:
    """Return the command that builds the corpus, its sources being named without their folders."""
    asked = request.from_dict(Build, {**corpus.meta["request"], "out": "CORPUS"})
    flags = {name: value for name, value in request.differing(asked).items() if name not in ("sources", "out")}
    words = [word for name, value in flags.items() for word in request.flag(name, value)]
    return shlex.join(["corpora", "build", *map(_public, asked.sources), *words, "--out", "CORPUS"])


def _public(value: Any) -> Any:
    """Return a value, and of a file or folder its name without the way to it."""
    away = isinstance(value, Path) or (isinstance(value, str) and "/" in value and not value.startswith("hub:"))
    return Path(value).name if away else value


def _sources(meta: dict[str, Any]) -> str:
    names = [_public(source) for source in meta["request"]["sources"]]
    packages = meta.get("packages") or {}
    with_packages = f" ({len(packages)} installed packages)" if packages else ""
    return ", ".join(f"`{name}`" for name in names) + with_packages


def _numbers(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items() if k != "name")
