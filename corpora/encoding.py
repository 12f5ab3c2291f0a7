"""Texts as token ids, with the places where documents and sentences begin among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt


@dataclass(frozen=True)
class Encoded:
    """Some documents as they are stored, one after the other."""

    ids: UInt[np.ndarray, " tokens"]
    """Each document followed by its end token."""
    documents: Int64[np.ndarray, " documents"]
    """Where each document begins."""
    sentences: Int64[np.ndarray, " sentences"]
    """Where sentences begin, sorted; a document's first token is one."""
    words: int
    """Words between white space."""
    unknown: int
    """Ids that are ``<unk>``."""
