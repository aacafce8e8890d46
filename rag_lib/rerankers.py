"""A second look at the passages found (taught in notebooks/05_retrieval.ipynb).

A retriever must score every passage, so it compares vectors made in advance. A reranker scores only a few, so it can
afford to look at question and passage together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from rag_lib.documents import Passage
from rag_lib.hits import Hit, best, check_k
from rag_lib.knowledge_base import KnowledgeBase, indexed_text
from rag_lib.models import ModelUnavailable, hub_errors
from rag_lib.retrievers import Retriever, check_query

if TYPE_CHECKING:
    from rag_lib.encoders import SentenceEncoder

CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


class Reranker(Protocol):
    """Anything that scores a few passages for a query."""

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """Scores (len(passages),), higher is better."""


class CrossEncoderReranker:
    """Question and passage read together by one encoder (Nogueira and Cho, 2019): exact, and slow.

    Raises:
        ModelUnavailable: the model cannot be had, or gives more than one score.
    """

    def __init__(self, name: str = CROSS_ENCODER, device: str = "cpu", batch_size: int = 16) -> None:
        from sentence_transformers import CrossEncoder

        with hub_errors(name):
            self.model = CrossEncoder(name, device=device, model_kwargs={"dtype": torch.float32})
        if self.model.num_labels != 1:
            raise ModelUnavailable(f"{name} gives {self.model.num_labels} scores for a pair; a reranker gives one")
        self.batch_size = batch_size

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """The model's logits (len(passages),)."""
        if not len(passages):
            return np.zeros(0, dtype=np.float32)
        return self.model.predict(
            [(query, indexed_text(p)) for p in passages],
            batch_size=self.batch_size,
            activation_fn=torch.nn.Identity(),  # a sigmoid would make ties of large logits
            show_progress_bar=False,
        )


class MaxSimReranker:
    """Late interaction (Khattab and Zaharia, 2020): every token of the query finds its nearest token of the passage."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder

    def token_vectors(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text its tokens' vectors (tokens, dimension) of length one."""
        vectors = self.encoder.model.encode(
            list(texts), output_value="token_embeddings", batch_size=16, show_progress_bar=False
        )
        return [torch.nn.functional.normalize(v, dim=1).cpu().numpy() for v in vectors]

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """The mean cosine (len(passages),) between a token of the query and the passage's token nearest to it."""
        (q,) = self.token_vectors([query])
        return np.array([(q @ p.T).max(axis=1).mean() for p in self.token_vectors([indexed_text(p) for p in passages])])


class RerankedRetriever:
    """The first `depth` hits of a retriever in the order of a reranker."""

    def __init__(self, retriever: Retriever, reranker: Reranker, knowledge: KnowledgeBase, depth: int = 20) -> None:
        self.retriever = retriever
        self.reranker = reranker
        self.knowledge = knowledge
        self.depth = check_k(depth)

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k best passages of the first `depth`, or of the first k where that is more."""
        query = check_query(query)
        hits = self.retriever.retrieve(query, max(check_k(k), self.depth))
        scores = self.reranker.scores(query, [self.knowledge.passages[h.id] for h in hits])
        return best([Hit(h.id, float(s)) for h, s in zip(hits, scores, strict=True)], k)
