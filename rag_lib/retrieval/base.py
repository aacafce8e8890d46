"""What a retriever and a reranker are (taught in notebooks/05_retrieval.ipynb)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.text import check_text, shown

PASSAGES = 5  # read for a question; chosen on the museum's validation questions
FUSED = 100  # hits of each retriever that a hybrid fuses
RERANKED = 20  # hits that a reranker looks at again
LONGEST_QUESTION = 20_000  # characters; no generator reads so many, and to count tokens of a million takes long


class EmptyQuestion(ValueError):
    """A question without a single character."""


class QuestionTooLong(ValueError):
    """A question that leaves no room for a passage."""


class Retriever(Protocol):
    """Anything that ranks passages for a query.

    Attributes:
        temperature: what scores are divided by to become logarithms of odds: p(passage | query) is proportional to
            exp(score / temperature) among the passages found. It belongs to the scale of the retriever's scores, and
            was chosen on the museum's validation questions (`python -m rag_lib evaluate museum`).
    """

    temperature: float

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The at most k best passages, best first, ties by id.

        Raises:
            EmptyQuestion: there is nothing in the query.
            ValueError: k is not at least 1.
        """


class Reranker(Protocol):
    """Anything that scores a few passages for a query; `temperature` as with a Retriever."""

    temperature: float

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """Scores (len(passages),), higher is better."""


def check_query(query: str) -> str:
    """The query as one clean line.

    Raises:
        TypeError: it is no text.
        EmptyQuestion: nothing is left.
        QuestionTooLong: it has more than LONGEST_QUESTION characters.
    """
    if len(check_text(query, "a question")) > LONGEST_QUESTION:
        raise QuestionTooLong(
            f"no passage fits beside a question of {len(query):,} characters: ask it in fewer than "
            f"{LONGEST_QUESTION:,}, and put long texts into the documents"
        )
    query = shown(query, None)
    if not query:
        raise EmptyQuestion("the question is empty")
    return query


def passage_probabilities(hits: Sequence[Hit], temperature: float) -> np.ndarray:
    """p(passage | query), (len(hits),): the softmax of the scores divided by the temperature."""
    logits = np.array([hit.score for hit in hits], dtype=float) / temperature
    odds = np.exp(logits - logits.max(initial=-np.inf))
    return odds / odds.sum()
