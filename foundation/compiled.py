"""The compiled loops, where numba is installed and worth its loading.

To load numba takes half a second, which the batches of a short run never win back: so numpy answers at first.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

PATIENCE = 2000
"""Calls of a process that numpy answers before numba is loaded."""
_calls = itertools.count()


def compiled() -> Any:
    """Return the compiled loops, or None while numpy does the same: at first, and where numba is not installed."""
    return None if next(_calls) < PATIENCE else at_once()


@functools.cache
def at_once() -> Any:
    """Load the compiled loops now, for this call and all behind it; return them, or None without numba."""
    global PATIENCE
    PATIENCE = 0
    try:
        from foundation import kernels
    except ImportError:
        return None
    return kernels
