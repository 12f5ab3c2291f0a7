"""The compiled loops, where numba is installed."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def compiled() -> Any:
    """Return the compiled loops, or None where numba is not installed; what they do is done by numpy then."""
    try:
        from foundation import kernels
    except ImportError:
        return None
    return kernels
