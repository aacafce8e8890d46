"""Several rankings become one (taught in notebooks/05_retrieval.ipynb)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_lib.hits import Hit, best, check_k


class Fusion(Protocol):
    """A way to merge rankings; `temperature` as with a Retriever (`evaluate museum --retrievers NAME` fits one)."""

    temperature: float

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """The k best of all that are in a ranking, ties by id.

        Raises:
            ValueError: k is not at least 1.
        """


def summed(rankings: Iterable[Iterable[tuple[str, float]]], k: int) -> list[Hit]:
    """The k ids with the largest sums of what each ranking gives them, ties by id."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for name, share in ranking:
            scores[name] = scores.get(name, 0.0) + share
    return best([Hit(name, score) for name, score in scores.items()], check_k(k))


@dataclass(frozen=True)
class ReciprocalRankFusion:
    """By the sum of 1 / (constant + rank), ranks from 1 (Cormack et al., 2009)."""

    constant: int = 60
    temperature: float = 0.0012

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """See `Fusion`."""
        return summed(
            (
                [(hit.id, 1 / (self.constant + rank)) for rank, hit in enumerate(ranking, start=1)]
                for ranking in rankings
            ),
            k,
        )


@dataclass(frozen=True)
class MinMaxFusion:
    """By the mean of the scores, each ranking's scores stretched to 0 … 1; not found counts 0.

    Unlike ranks, scores keep how far ahead the first is (Bruch et al., 2023, "An Analysis of Fusion Functions").
    """

    temperature: float = 0.14

    def __call__(self, rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
        """See `Fusion`."""
        return summed(([(h.id, s / len(rankings)) for h, s in stretched(ranking)] for ranking in rankings), k)


def stretched(ranking: Sequence[Hit]) -> list[tuple[Hit, float]]:
    """Each hit with its score stretched to 0 … 1; 1 where all are equal."""
    low, high = min((h.score for h in ranking), default=0.0), max((h.score for h in ranking), default=0.0)
    return [(h, (h.score - low) / (high - low) if high > low else 1.0) for h in ranking]


FUSIONS: dict[str, Callable[[], Fusion]] = {"hybrid": MinMaxFusion, "rrf": ReciprocalRankFusion}  # by retriever's name
