"""What a live collection keeps of each document, so that a change of one computes nothing of the others again."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Passage, indexed_text
from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase, embed, fitted_passages


@dataclass(frozen=True)
class Entry:
    """A document with all that two indexes need of it.

    Attributes:
        vectors: (len(passages), dimension), the vector of each passage.
        terms: the terms of each passage.
        cut: how many of its passages are not read whole, as in a KnowledgeBase.
    """

    document: Document
    passages: tuple[Passage, ...]
    vectors: np.ndarray
    terms: tuple[list[str], ...]
    cut: int

    @cached_property
    def digest(self) -> str:
        """See `content_hash`."""
        return content_hash(self.document)


def content_hash(document: Document) -> str:
    """SHA-256 over all that a document says, by which a document is told from a newer one with the same id."""
    content = [document.title, document.text, document.metadata]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checked(document: Document) -> Document:
    """The document, as a copy that nobody else can change.

    Raises:
        TypeError: it is no document, or its metadata are not texts.
    """
    if not isinstance(document, Document):
        raise TypeError(f"a collection takes documents, Document(id, title, text), not {type(document).__name__}")
    if not all(isinstance(text, str) for pair in document.metadata.items() for text in pair):
        raise TypeError(f"the metadata of the document {document.id!r} must be texts with names that are texts")
    return replace(document, metadata=dict(document.metadata))


def terms_of(passages: Sequence[Passage], analyzer: Analyzer) -> tuple[list[str], ...]:
    """The terms of each passage; each term is in memory once, however many passages have it."""
    return tuple([sys.intern(term) for term in analyzer(indexed_text(p))] for p in passages)


def make_entries(
    documents: Sequence[Document],
    encoder: Encoder,
    settings: IndexSettings,
    before: Mapping[str, Entry],
    progress: bool = False,
) -> list[Entry]:
    """The entries of documents; a passage that their entries `before` have too keeps its vector.

    Raises:
        ValueError: a document holds no passage.
    """
    fitted = [fitted_passages([d], encoder, settings) for d in documents]
    for document, (passages, _) in zip(documents, fitted, strict=True):
        if not passages:
            raise ValueError(f"the document {document.id!r} holds no text that could be found")
    if not fitted:
        return []
    old = [before[d.id] for d in documents if d.id in before]
    known = {indexed_text(p): v for e in old for p, v in zip(e.passages, e.vectors, strict=True)}
    vectors = embed([p for passages, _ in fitted for p in passages], encoder, known, progress)
    parts = divided(vectors, [len(passages) for passages, _ in fitted])
    return [
        Entry(d, tuple(passages), part, terms_of(passages, settings.analyzer), cut)
        for d, (passages, cut), part in zip(documents, fitted, parts, strict=True)
    ]


def knowledge_of(entries: Iterable[Entry], settings: IndexSettings, fingerprint: str, dimension: int) -> KnowledgeBase:
    """The knowledge base of entries, as `knowledge_base.build` would make it of their documents, without encoding."""
    entries = list(entries)
    return KnowledgeBase(
        [p for e in entries for p in e.passages],
        joined(entries, dimension),
        settings,
        fingerprint,
        cut=sum(e.cut for e in entries),
        terms=[t for e in entries for t in e.terms],
    )


def joined(entries: Iterable[Entry], dimension: int) -> np.ndarray:
    """The vectors of all passages, (passages, dimension)."""
    return np.concatenate([np.zeros((0, dimension), dtype=np.float32), *(e.vectors for e in entries)])


def row_of(entry: Entry) -> dict:
    """An entry as values of JSON, without its vectors and its terms."""
    return {"document": asdict(entry.document), "passages": [asdict(p) for p in entry.passages], "cut": entry.cut}


def entries_of(rows: Iterable[dict], vectors: np.ndarray, analyzer: Analyzer) -> list[Entry]:
    """The entries that `row_of` was given, from their rows and all their vectors in one matrix.

    Raises:
        ValueError: there are more or fewer vectors than passages.
    """
    rows = [(Document(**row["document"]), tuple(Passage(**p) for p in row["passages"]), row["cut"]) for row in rows]
    if len(vectors) != (count := sum(len(passages) for _, passages, _ in rows)):
        raise ValueError(f"{len(vectors)} vectors for {count} passages")
    parts = divided(vectors, [len(passages) for _, passages, _ in rows])
    return [
        Entry(document, passages, part, terms_of(passages, analyzer), cut)
        for (document, passages, cut), part in zip(rows, parts, strict=True)
    ]


def divided(vectors: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """The rows of a matrix in stretches of these lengths."""
    return np.split(vectors, np.cumsum(lengths)[:-1]) if len(lengths) else []


def as_text(vectors: np.ndarray) -> str:
    """Vectors as letters, for a line of JSON."""
    return base64.b64encode(vectors.astype("<f4").tobytes()).decode()


def from_text(text: str, dimension: int) -> np.ndarray:
    """The vectors that `as_text` was given."""
    data = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    return data.astype(np.float32).reshape(-1, dimension)
