"""What every encoder does, apart from those that are bundled, whose import takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rag_lib.indexing.budget import Budget


class Encoder(Protocol):
    """Anything that embeds texts as unit vectors, and their tokens too; one that needs prompts adds them itself.

    Raises:
        TypeError: every method that is given texts, for what is no list of texts.
    """

    name: str
    dimension: int
    budget: Budget | None  # how much of a passage it reads; None for any length

    def fingerprint(self) -> str:
        """Changes whenever the vectors would."""

    def encode_passages(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text a unit vector for each of its tokens, (tokens, dimension), float32."""

    def encode_query_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text a unit vector for each of its tokens, (tokens, dimension), float32."""
