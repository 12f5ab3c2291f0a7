"""BART text infilling with sentence permutation (Lewis et al. 2020, §2.2, §5.1).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <mask> me to your party <mask> week.
    answer   Thank you for inviting me to your party last week.

Sentences change places inside their document; then spans, their lengths drawn from a Poisson law, become one
``<mask>`` each, a span of length zero a ``<mask>`` between two words. ``objectives/denoising.py`` has the laws.
"""

from __future__ import annotations

from dataclasses import dataclass

from objectives.denoising import Denoising


@dataclass(frozen=True, kw_only=True)
class TextInfilling(Denoising):
    """Hide spans behind one mask each and permute sentences, ask for the whole text."""

    rate: float = 0.3
    """Share of the ordinary tokens of a row that is hidden behind masks."""
    permutation: float = 1.0
    """Share of the sentences of each document that change places."""
