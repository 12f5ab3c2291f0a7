"""Keep the pages that large arrays have had: glibc gives every array above 128 KiB back and faults it in again.

A training step frees and allocates the same arrays each time; on a CPU the page faults are a good part of it.
Called by commands, never at import, and only where glibc is.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_pages() -> bool:
    """Tell glibc's malloc to keep freed memory; return whether it was told. Costs some resident memory."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc, such as musl
        return False
    return all(
        mallopt(option, value) == 1
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
    )
