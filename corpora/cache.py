"""The folder in which what was costly to make is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PRETRAINING_OBJECTIVES_CACHE"


def cache_folder() -> Path:
    """Return $PRETRAINING_OBJECTIVES_CACHE, or ~/.cache/pretraining-objectives; nothing is created."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "pretraining-objectives"
