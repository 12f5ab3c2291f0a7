"""The model card of a checkpoint: what it was made from, by what command, under what recipe."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

from corpora.store import Corpus
from foundation.command import DISTRIBUTION


def card(objective: str, family: str, corpus: Corpus, run: dict[str, Any], state: dict[str, Any]) -> str:
    """Return the README.md of a checkpoint, with the metadata that model hubs read."""
    shown = json.dumps({k: v for k, v in run.items() if k not in ("out", "corpus")}, indent=2)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "tokenizers")
    )
    return f"""---
library_name: transformers
tags: [pretraining, {objective}]
---

# {family}, pretrained with {objective}

Step {state["step"]}, {state["tokens"]:,} corpus tokens read, {state["seconds"]:.0f} seconds of training.

- corpus: {corpus.meta.get("words", "?")} words, fingerprint `{corpus.fingerprint}`
- vocabulary: {corpus.vocabulary.size} pieces, sha256 `{corpus.vocabulary.sha256}`
- made by {DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)} with {versions}

```json
{shown}
```
"""
