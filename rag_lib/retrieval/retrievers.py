"""From a query to the best passages (taught in notebooks/05_retrieval.ipynb)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag_lib.hits import Hit, best, check_k
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.vector_index import VectorIndex
from rag_lib.retrieval.base import FUSED, RERANKED, Reranker, Retriever, check_query
from rag_lib.retrieval.fusion import Fusion, MinMaxFusion
from rag_lib.retrieval.rerankers import fair_scores


class LexicalRetriever:
    """By the words that query and passage share: BM25."""

    temperature = 1.0

    def __init__(self, index: BM25) -> None:
        self.index = index

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The at most k best passages that share a term with the query."""
        return self.index.search(check_query(query), k)


class DenseRetriever:
    """By meaning: the cosine between the embeddings of query and passage."""

    temperature = 0.04

    def __init__(self, index: VectorIndex, encoder: Encoder) -> None:
        self.index = index
        self.encoder = encoder

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k passages whose embeddings are nearest to the query's."""
        return self.index.search(self.encoder.encode_queries([check_query(query)]), check_k(k))[0]


class HybridRetriever:
    """By words and by meaning: the first `depth` hits of several retrievers, fused."""

    def __init__(self, retrievers: Sequence[Retriever], fuse: Fusion | None = None, depth: int = FUSED) -> None:
        self.retrievers = list(retrievers)
        self.fuse = fuse or MinMaxFusion()
        self.temperature = self.fuse.temperature
        self.depth = check_k(depth)

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k passages with the best fused scores."""
        return self.fuse([r.retrieve(query, max(check_k(k), self.depth)) for r in self.retrievers], k)


class RerankedRetriever:
    """The first `depth` hits of a retriever in a reranker's order, which reads `passages[hit.id]` (`fair_scores`)."""

    def __init__(
        self, retriever: Retriever, reranker: Reranker, passages: Mapping[str, Passage], depth: int = RERANKED
    ) -> None:
        self.retriever = retriever
        self.reranker = reranker
        self.temperature = reranker.temperature
        self.passages = passages
        self.depth = check_k(depth)

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k best passages of the first `depth`, or of the first k where that is more."""
        query = check_query(query)
        hits = self.retriever.retrieve(query, max(check_k(k), self.depth))
        scores = fair_scores(self.reranker, query, [self.passages[h.id] for h in hits])
        return best([Hit(h.id, float(s)) for h, s in zip(hits, scores, strict=True)], k)
