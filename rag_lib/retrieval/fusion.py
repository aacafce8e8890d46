"""Several rankings become one (taught in notebooks/05_retrieval.ipynb)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_lib.hits import Hit, best, check_k


class Fusion(Protocol):
    """A way to merge rankings; `temperature` as with a Retriever, for the fused scores."""

    temperature: float

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """The k best of all that are in a ranking, ties by id.

        Raises:
            ValueError: k is not at least 1.
        """


@dataclass(frozen=True)
class ReciprocalRankFusion:
    """By the sum of 1 / (constant + rank), ranks from 1 (Cormack et al., 2009)."""

    constant: int = 60
    temperature: float = 0.0012

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """See `Fusion`."""
        scores: dict[str, float] = {}
        for ranking in rankings:
            for rank, hit in enumerate(ranking, start=1):
                scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (self.constant + rank)
        return best([Hit(i, s) for i, s in scores.items()], check_k(k))


@dataclass(frozen=True)
class MinMaxFusion:
    """By the mean of the scores, each ranking's scores stretched to 0 … 1; not found counts 0.

    Unlike ranks, scores keep how far ahead the first is (Bruch et al., 2023, "An Analysis of Fusion Functions").
    """

    temperature: float = 0.14

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """See `Fusion`."""
        scores: dict[str, float] = {}
        for ranking in rankings:
            low, high = min((h.score for h in ranking), default=0.0), max((h.score for h in ranking), default=0.0)
            for hit in ranking:
                stretched = (hit.score - low) / (high - low) if high > low else 1.0
                scores[hit.id] = scores.get(hit.id, 0.0) + stretched / len(rankings)
        return best([Hit(i, s) for i, s in scores.items()], check_k(k))
