"""What every test stands on: annotations of array shapes are checked while the tests run."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from jaxtyping import install_import_hook

_HOOK = install_import_hook(["foundation.keys", "corpora", "objectives"], "beartype.beartype")
