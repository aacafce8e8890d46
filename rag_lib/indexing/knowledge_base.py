"""Passages with both their indexes: what a folder of documents becomes before it can be asked.

Taught in notebooks/04_vector_index.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rag_lib.hits import check_has
from rag_lib.indexing.analysis import EMPTY_WORDS, Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.budget import Fitted, fit, generator_budget
from rag_lib.indexing.documents import Document, Passage, Skipped, indexed_text
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.indexing.vector_index import FaissIndex, VectorIndex
from rag_lib.text import kind


@dataclass(frozen=True)
class IndexSettings:
    """How a knowledge base is made from documents."""

    splitting: Splitting = field(default_factory=Splitting)
    analyzer: Analyzer = field(default_factory=Analyzer)


class KnowledgeBase:
    """Passages, their BM25 index and their vectors, all under the same passage ids.

    Args:
        vectors: (len(passages), dimension), the vector of each passage.
        fingerprint: of the encoder that made them.
        source: digest of the documents.
        skipped: the files that were left out.
        cut: how many passages are not read whole, because their title, or a word, is too long for a model.
        index: an index of any kind, empty or holding these vectors already; a flat one where None.
        terms: the terms of each passage, where the analyser of the settings made them before.

    Raises:
        ValueError: a passage id occurs twice, or there are not as many vectors, or an index of other passages.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        vectors: np.ndarray,
        settings: IndexSettings,
        fingerprint: str,
        source: str = "",
        skipped: Sequence[Skipped] = (),
        index: VectorIndex | None = None,
        cut: int = 0,
        terms: Sequence[Sequence[str]] | None = None,
    ) -> None:
        ids = [p.id for p in passages]
        if len(set(ids)) != len(ids):
            raise ValueError("a passage id occurs twice")
        self.passages: dict[str, Passage] = dict(zip(ids, passages, strict=True))
        self.vectors = vectors
        self.settings = settings
        self.fingerprint = fingerprint
        self.source = source
        self.skipped = tuple(skipped)
        self.cut = cut
        self.bm25 = BM25(ids, map(indexed_text, passages), settings.analyzer, terms=terms)
        self.index = FaissIndex(vectors.shape[1]) if index is None else index
        if not len(self.index):
            self.index.add(ids, vectors)
        if len(self.index) != len(ids):
            raise ValueError(f"an index of {len(self.index)} vectors for {len(ids)} passages")

    def __len__(self) -> int:
        return len(self.passages)

    def knows(self, question: str) -> bool:
        """Whether the passages have a content word of the question: else none of them can answer it.

        Words that every question has are no content, and a letter or a digit alone is none ("V-2" is).
        """
        analyze = replace(self.settings.analyzer, stop_words=True)
        terms = set(analyze(question)) - set(analyze(EMPTY_WORDS))
        known = {term for term in terms if term in self.bm25.terms}
        return any(len(term) > 1 for term in known) or (len(known) > 1 and any(map(str.isalpha, known)))


def check_knowledge(knowledge: KnowledgeBase) -> None:
    """Raises TypeError for what is no knowledge base, such as its folder's name."""
    check_has(knowledge, "a knowledge base, which build or open_folder makes of documents", "knows")


def check_encoder(encoder: Encoder) -> None:
    """Raises TypeError for what is no encoder, such as its name."""
    check_has(encoder, "an encoder, which make_encoder loads by its name", "encode_passages")


def build(
    documents: Sequence[Document],
    encoder: Encoder,
    settings: IndexSettings | None = None,
    source: str = "",
    skipped: Sequence[Skipped] = (),
    index: VectorIndex | None = None,
    known: Mapping[str, np.ndarray] | None = None,
    progress: bool = False,
) -> KnowledgeBase:
    """A knowledge base of documents, in passages that the encoder and the bundled generator can read whole.

    Args:
        source, skipped, index: see `KnowledgeBase`.
        known: vectors by indexed text from an earlier build with the same encoder; they are not computed again.

    Raises:
        TypeError: they are no documents, or the encoder or the settings are none.
        ValueError: the documents hold no passage.
    """
    check_encoder(encoder)
    settings = IndexSettings() if settings is None else settings
    if not isinstance(settings, IndexSettings):
        raise TypeError(f"the settings of a knowledge base are IndexSettings, not {kind(settings)}")
    passages, cut = fitted_passages(documents, encoder, settings)
    if not passages:
        raise ValueError("the documents hold no passage")
    vectors = embed(passages, encoder, known or {}, progress)
    return KnowledgeBase(passages, vectors, settings, encoder.fingerprint(), source, skipped, index, cut)


def fitted_passages(documents: Iterable[Document], encoder: Encoder, settings: IndexSettings) -> Fitted:
    """The passages of documents, short enough for the encoder and for the bundled generator."""
    budgets = [encoder.budget] if encoder.budget else []
    return fit(split_documents(documents, settings.splitting), [*budgets, generator_budget()])


def embed(
    passages: Sequence[Passage], encoder: Encoder, known: Mapping[str, np.ndarray], progress: bool = False
) -> np.ndarray:
    """The vectors (len(passages), dimension) of at least one passage; those of `known` texts are not computed again."""
    texts = [indexed_text(p) for p in passages]
    new = sorted({t for t in texts if t not in known})
    vectors = {**known, **dict(zip(new, encoder.encode_passages(new, progress=progress), strict=True))}
    return np.stack([vectors[t] for t in texts])
