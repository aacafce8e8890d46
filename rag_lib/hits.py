"""What a search returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Hit(NamedTuple):
    """A passage found: its id and its score (higher is better)."""

    id: str
    score: float


def check_k(k: int) -> int:
    """The number of hits asked for.

    Raises:
        ValueError: it is not a whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, not {k!r}")
    return int(k)


def best(hits: list[Hit], k: int) -> list[Hit]:
    """The k best hits, ties in the order of their ids."""
    return sorted(hits, key=lambda h: (-h.score, h.id))[:k]
