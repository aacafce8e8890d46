"""A retriever by its name, as the command line and the notebooks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag_lib.retrieval.base import Retriever
from rag_lib.retrieval.fusion import FUSIONS
from rag_lib.text import check_text

if TYPE_CHECKING:  # so that the command line can name the retrievers without loading any model
    from rag_lib.indexing.base import Encoder
    from rag_lib.indexing.knowledge_base import KnowledgeBase
    from rag_lib.retrieval.cross_encoder import CrossEncoder


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


def read_together(
    knowledge: KnowledgeBase, encoder: Encoder, half: bool | None = False, folder: Path | None = None
) -> Retriever:
    """The hybrid's first hits in the order of a cross-encoder of our own: the museum's, or that of a folder."""
    from rag_lib.models.weights import MUSEUM_CROSS_ENCODER
    from rag_lib.retrieval.retrievers import RerankedRetriever

    model = cross_encoder(folder or MUSEUM_CROSS_ENCODER, half)
    return RerankedRetriever(fused(knowledge, encoder), model, knowledge.passages)


@lru_cache(maxsize=1)  # a collection that changes has a new retriever for every version
def cross_encoder(folder: Path, half: bool | None) -> CrossEncoder:
    """A cross-encoder of our own, loaded once for all retrievers that use the same."""
    from rag_lib.retrieval.cross_encoder import CrossEncoder

    return CrossEncoder.load(folder, half)


def ensemble(knowledge: KnowledgeBase, encoder: Encoder, half: bool | None = False) -> Retriever:
    """The hybrid's first hits in the order of late interaction and our cross-encoder together."""
    from rag_lib.models.weights import MUSEUM_CROSS_ENCODER
    from rag_lib.retrieval.rerankers import EnsembleReranker, MaxSimReranker
    from rag_lib.retrieval.retrievers import RerankedRetriever

    both = EnsembleReranker([(MaxSimReranker(encoder), 1.0), (cross_encoder(MUSEUM_CROSS_ENCODER, half), 0.5)])
    return RerankedRetriever(fused(knowledge, encoder), both, knowledge.passages)


def published(knowledge: KnowledgeBase, encoder: Encoder, name: str) -> Retriever:
    """The hybrid's first hits in the order of a cross-encoder of the hub."""
    from rag_lib.retrieval.rerankers import CrossEncoderReranker
    from rag_lib.retrieval.retrievers import RerankedRetriever

    return RerankedRetriever(fused(knowledge, encoder), CrossEncoderReranker(name), knowledge.passages)


def dpr(knowledge: KnowledgeBase, encoder: Encoder, folder: Path | None = None) -> Retriever:
    """DPR with two trained towers: the museum's, or those in a folder."""
    from rag_lib.models.weights import MUSEUM_DPR
    from rag_lib.retrieval.dpr import DPREncoder, DPRRetriever

    towers = folder or MUSEUM_DPR
    return DPRRetriever(knowledge.passages, DPREncoder(f"{towers}/question", f"{towers}/passage"), progress=True)


def dpr_untrained(knowledge: KnowledgeBase, encoder: Encoder) -> Retriever:
    """DPR with its two towers as they start."""
    from rag_lib.retrieval.dpr import DPRRetriever

    return DPRRetriever(knowledge.passages, progress=True)


READING_TOGETHER = {"cross-encoder": read_together, "ensemble": ensemble}  # those with a cross-encoder of our own
RETRIEVERS: dict[str, Callable[[KnowledgeBase, Encoder], Retriever]] = {
    "bm25": lexical,
    "dense": dense,
    **{name: partial(fused, fusion=name) for name in FUSIONS},
    "reranked": reranked,
    **READING_TOGETHER,
    "dpr": dpr,
    "dpr-untrained": dpr_untrained,
}
DEFAULT = "ensemble"  # what a question is asked with, unless another is named
PUBLISHED = "cross-encoder/"  # how the names of cross-encoders on the hub begin
OTHERS = f"{PUBLISHED}… of the hub, or the folder of a cross-encoder or a DPR that you trained"


def check_retriever(name: str) -> None:
    """Looks for the model of a retriever that is named by it, before anything is embedded.

    Raises:
        ModelUnavailable: a cross-encoder of the hub is not there.
    """
    if name.startswith(PUBLISHED):
        from rag_lib.retrieval.rerankers import CrossEncoderReranker

        CrossEncoderReranker(name)


def make_retriever(name: str, knowledge: KnowledgeBase, encoder: Encoder, half: bool | None = False) -> Retriever:
    """A retriever by one of the names in RETRIEVERS, a cross-encoder of the hub by its name, or a folder's.

    Args:
        name: or "cross-encoder/…"; or the folder of a cross-encoder or a DPR that `train retriever --model` wrote. A
            DPR has encoders of its own and embeds the passages anew the first time.
        half: whether a cross-encoder of our own computes in bfloat16: see `CrossEncoder.load`.

    Raises:
        TypeError: the name is no text.
        ValueError: another name.
        ModelUnavailable: its model is not there, or damaged.
    """
    check_text(name, "a retriever's name")
    if name in READING_TOGETHER:
        return READING_TOGETHER[name](knowledge, encoder, half)
    if name in RETRIEVERS:
        return RETRIEVERS[name](knowledge, encoder)
    if name.startswith(PUBLISHED):
        return published(knowledge, encoder, name)
    if all((Path(name) / tower).is_dir() for tower in ("question", "passage")):
        return dpr(knowledge, encoder, Path(name))
    if (Path(name) / "shards.json").is_file():
        return read_together(knowledge, encoder, half, Path(name))
    raise ValueError(f"no retriever is called {name!r}; there are {', '.join(RETRIEVERS)}, {OTHERS}")
