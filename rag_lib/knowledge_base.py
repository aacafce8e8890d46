"""Passages with both their indexes: what a folder of documents becomes before it can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag_lib.analysis import Analyzer
from rag_lib.bm25 import BM25
from rag_lib.documents import Document, Passage
from rag_lib.encoders import Encoder
from rag_lib.splitting import Splitting, split_documents
from rag_lib.vector_index import FaissIndex


@dataclass(frozen=True)
class Settings:
    """How a knowledge base is made from documents."""

    splitting: Splitting = field(default_factory=Splitting)
    analyzer: Analyzer = field(default_factory=Analyzer)


class KnowledgeBase:
    """Passages, their BM25 index and their vectors, all under the same passage ids."""

    def __init__(
        self, passages: Sequence[Passage], vectors: np.ndarray, settings: Settings, fingerprint: str, source: str = ""
    ) -> None:
        if len({p.id for p in passages}) != len(passages):
            raise ValueError("a passage id occurs twice")
        self.passages: dict[str, Passage] = {p.id: p for p in passages}
        self.vectors = vectors
        self.settings = settings
        self.fingerprint = fingerprint  # of the encoder that made the vectors
        self.source = source  # digest of the documents
        ids = list(self.passages)
        self.bm25 = BM25(ids, [indexed_text(p) for p in passages], settings.analyzer)
        self.index = FaissIndex(vectors.shape[1])
        self.index.add(ids, vectors)

    def __len__(self) -> int:
        return len(self.passages)


def indexed_text(passage: Passage) -> str:
    """What both indexes see of a passage: its title says what "he" and "it" stand for."""
    return f"{passage.title}. {passage.text}"


def build(
    documents: Sequence[Document],
    encoder: Encoder,
    settings: Settings | None = None,
    source: str = "",
    known: Mapping[str, np.ndarray] | None = None,
    progress: bool = False,
) -> KnowledgeBase:
    """A knowledge base of documents.

    Args:
        source: digest of the documents, kept so that a saved index can be seen to be out of date.
        known: vectors by indexed text from an earlier build with the same encoder; they are not computed again.

    Raises:
        ValueError: the documents hold no passage.
    """
    settings = settings or Settings()
    passages = split_documents(documents, settings.splitting)
    if not passages:
        raise ValueError("the documents hold no passage")
    texts = [indexed_text(p) for p in passages]
    known = dict(known or {})
    new = sorted({t for t in texts if t not in known})
    known |= zip(new, encoder.encode_passages(new, progress=progress), strict=True)
    return KnowledgeBase(passages, np.stack([known[t] for t in texts]), settings, encoder.fingerprint(), source)
