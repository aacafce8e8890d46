"""From a query to the best passages (taught in notebooks/05_retrieval.ipynb)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rag_lib.hits import Hit, best, check_k

if TYPE_CHECKING:  # so that the command line can name the retrievers without loading any model
    from rag_lib.encoders import Encoder
    from rag_lib.knowledge_base import KnowledgeBase


PASSAGES = 5  # read for a question; chosen on the museum's validation questions

Fusion = Callable[[Sequence[Sequence[Hit]], int], list[Hit]]


class EmptyQuestion(ValueError):
    """A question without a single character."""


class Retriever(Protocol):
    """Anything that ranks passages for a query."""

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The at most k best passages, best first."""


def check_query(query: str) -> str:
    """The query without white space around it.

    Raises:
        EmptyQuestion: nothing is left.
    """
    query = " ".join(query.split())
    if not query:
        raise EmptyQuestion("the question is empty")
    return query


class LexicalRetriever:
    """By the words that query and passage share: BM25."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self.knowledge = knowledge

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The at most k best passages that share a term with the query."""
        return self.knowledge.bm25.search(check_query(query), k)


class DenseRetriever:
    """By meaning: the cosine between the embeddings of query and passage."""

    def __init__(self, knowledge: KnowledgeBase, encoder: Encoder) -> None:
        self.knowledge = knowledge
        self.encoder = encoder

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k passages whose embeddings are nearest to the query's."""
        return self.knowledge.index.search(self.encoder.encode_queries([check_query(query)]), check_k(k))[0]


def reciprocal_rank_fusion(rankings: Sequence[Sequence[Hit]], k: int, constant: int = 60) -> list[Hit]:
    """Rankings merged by the sum of 1 / (constant + rank), ranks from 1 (Cormack et al., 2009)."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (constant + rank)
    return best([Hit(i, s) for i, s in scores.items()], check_k(k))


def min_max_fusion(rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """Rankings merged by the mean of their scores, each ranking's scores stretched to 0 … 1; not found counts 0.

    Unlike ranks, scores keep how far ahead the first is (Bruch et al., 2023, "An Analysis of Fusion Functions").
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        low, high = min((h.score for h in ranking), default=0.0), max((h.score for h in ranking), default=0.0)
        for hit in ranking:
            stretched = (hit.score - low) / (high - low) if high > low else 1.0
            scores[hit.id] = scores.get(hit.id, 0.0) + stretched / len(rankings)
    return best([Hit(i, s) for i, s in scores.items()], check_k(k))


class HybridRetriever:
    """By words and by meaning: the first `depth` hits of several retrievers, fused."""

    def __init__(self, retrievers: Sequence[Retriever], fuse: Fusion = min_max_fusion, depth: int = 100) -> None:
        self.retrievers = list(retrievers)
        self.fuse = fuse
        self.depth = depth

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k passages with the best fused scores."""
        return self.fuse([r.retrieve(query, max(check_k(k), self.depth)) for r in self.retrievers], k)


RETRIEVERS = ("bm25", "dense", "hybrid", "dpr", "reranked")


def make_retriever(name: str, knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """A retriever by one of the names in RETRIEVERS.

    `dpr` has encoders of its own and embeds the passages anew the first time; `reranked` is the hybrid's first hits in
    the order of late interaction between the encoder's token vectors.

    Raises:
        ValueError: another name.
    """
    if name == "bm25":
        return LexicalRetriever(knowledge)
    if name == "dense":
        return DenseRetriever(knowledge, encoder)
    if name == "hybrid":
        return HybridRetriever([LexicalRetriever(knowledge), DenseRetriever(knowledge, encoder)])
    if name == "dpr":
        from rag_lib.dpr import DPRRetriever

        return DPRRetriever(knowledge, progress=True)
    if name == "reranked":
        from rag_lib.rerankers import MaxSimReranker, RerankedRetriever

        return RerankedRetriever(make_retriever("hybrid", knowledge, encoder), MaxSimReranker(encoder), knowledge)
    raise ValueError(f"no retriever is called {name!r}; there are {', '.join(RETRIEVERS)}")
