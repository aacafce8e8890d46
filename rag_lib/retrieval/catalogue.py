"""A retriever by its name, as the command line and the notebooks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag_lib.retrieval.base import Retriever
from rag_lib.retrieval.fusion import FUSIONS

if TYPE_CHECKING:  # so that the command line can name the retrievers without loading any model
    from rag_lib.indexing.encoders import Encoder
    from rag_lib.indexing.knowledge_base import KnowledgeBase


def lexical(knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """BM25."""
    from rag_lib.retrieval.retrievers import LexicalRetriever

    return LexicalRetriever(knowledge.bm25)


def dense(knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """The cosine of embeddings."""
    from rag_lib.retrieval.retrievers import DenseRetriever

    return DenseRetriever(knowledge.index, encoder)


def fused(knowledge: KnowledgeBase, encoder: Encoder, fusion: str = "hybrid") -> Retriever:
    """BM25 and dense, merged by one of FUSIONS."""
    from rag_lib.retrieval.retrievers import HybridRetriever

    return HybridRetriever([lexical(knowledge, encoder), dense(knowledge, encoder)], FUSIONS[fusion]())


def reranked(knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """The hybrid's first hits in the order of late interaction between the encoder's token vectors."""
    from rag_lib.retrieval.rerankers import MaxSimReranker
    from rag_lib.retrieval.retrievers import RerankedRetriever

    return RerankedRetriever(fused(knowledge, encoder), MaxSimReranker(encoder), knowledge.passages)


def dpr(knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """DPR with its two towers as they start, untrained; see `make_retriever` for trained ones."""
    from rag_lib.retrieval.dpr import DPRRetriever

    return DPRRetriever(knowledge.passages, progress=True)


RETRIEVERS: dict[str, Callable[[KnowledgeBase, Encoder], Retriever]] = {
    "bm25": lexical,
    "dense": dense,
    **{name: partial(fused, fusion=name) for name in FUSIONS},
    "reranked": reranked,
    "dpr": dpr,
}


def make_retriever(name: str, knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """A retriever by one of the names in RETRIEVERS, or a DPR trained by `train retriever --model dpr` by its folder.

    `dpr` has encoders of its own and embeds the passages anew the first time.

    Raises:
        ValueError: another name.
    """
    if name in RETRIEVERS:
        return RETRIEVERS[name](knowledge, encoder)
    if all((Path(name) / tower).is_dir() for tower in ("question", "passage")):
        from rag_lib.retrieval.dpr import DPREncoder, DPRRetriever

        return DPRRetriever(knowledge.passages, DPREncoder(f"{name}/question", f"{name}/passage"), progress=True)
    raise ValueError(f"no retriever is called {name!r}; there are {', '.join(RETRIEVERS)}, or the folder of a DPR")
