"""BART token deletion (Lewis et al. 2020, §2.2).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you me to your party week.
    answer   Thank you for inviting me to your party last week.

Exactly ⌈deletion · m⌉ of the m ordinary tokens of a row go without a trace: the model has to find out where
something is missing, too. ``objectives/denoising.py`` has the laws.
"""

from __future__ import annotations

from dataclasses import dataclass

from objectives.denoising import Denoising


@dataclass(frozen=True, kw_only=True)
class TokenDeletion(Denoising):
    """Delete single tokens, ask for the whole text."""

    deletion: float = 0.15
    """Share of the ordinary tokens of a row that is deleted."""
