"""A stand-in, in memory only, for the live collection of `rag_lib.indexing`.

MERGE: delete this file, and import LiveCollection, Change and Snapshot from `rag_lib.indexing` in `assistant.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag_lib.indexing.documents import Document, indexed_text
from rag_lib.indexing.encoders import Encoder
from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase, build


@dataclass(frozen=True)
class Change:
    """What became of a document: "added", "replaced", "unchanged" or "removed", and the version it made."""

    kind: str
    version: int
    passages: int


@dataclass(frozen=True)
class Snapshot:
    """The whole collection at one moment."""

    version: int
    knowledge: KnowledgeBase


class LiveCollection:
    """Documents that can be added, replaced and removed; built anew at every change."""

    def __init__(self, encoder: Encoder, documents: Iterable[Document]) -> None:
        self.encoder = encoder
        self.documents: dict[str, Document] = {}
        self.changes: dict[str, int] = {}
        self.current = Snapshot(0, KnowledgeBase([], np.zeros((0, 1)), IndexSettings(), encoder.fingerprint()))
        self.put_many(documents)

    @classmethod
    def open(cls, folder: Path, encoder: Encoder, documents: Iterable[Document] = ()) -> LiveCollection:
        """A collection of these documents."""
        return cls(encoder, documents)

    def put(self, document: Document) -> Change:
        """Adds or replaces a document."""
        return self.put_many([document])[0]

    def put_many(self, documents: Iterable[Document]) -> list[Change]:
        """Adds or replaces documents."""
        kinds = {}
        for document in documents:
            old = self.documents.get(document.id)
            kinds[document.id] = "unchanged" if old == document else "replaced" if old else "added"
            self.documents[document.id] = document
        changed = {i for i, kind in kinds.items() if kind != "unchanged"}
        if changed:
            self._build(changed)
        return [Change(kind, self.current.version, self._passages(i)) for i, kind in kinds.items()]

    def remove(self, document_id: str) -> Change:
        """Removes a document; raises KeyError where there is none."""
        gone = self._passages(document_id)
        del self.documents[document_id]
        self._build({document_id})
        return Change("removed", self.current.version, gone)

    def snapshot(self) -> Snapshot:
        """The collection as it is."""
        return self.current

    def document_ids(self) -> list[str]:
        """The ids, sorted."""
        return sorted(self.documents)

    def changed_since(self, version: int) -> frozenset[str]:
        """The documents that changed after a version."""
        return frozenset(i for i, v in self.changes.items() if v > version)

    def compact(self) -> None:
        """Nothing to do in memory."""

    def close(self) -> None:
        """Nothing to do in memory."""

    def _passages(self, document_id: str) -> int:
        return sum(p.document_id == document_id for p in self.current.knowledge.passages.values())

    def _build(self, changed: set[str]) -> None:
        version, old = self.current.version + 1, self.current.knowledge
        known = {indexed_text(p): v for p, v in zip(old.passages.values(), old.vectors, strict=True)}
        if self.documents:
            knowledge = build([self.documents[i] for i in self.document_ids()], self.encoder, known=known)
        else:
            knowledge = KnowledgeBase([], np.zeros((0, 1)), IndexSettings(), self.encoder.fingerprint())
        self.changes |= dict.fromkeys(changed, version)
        self.current = Snapshot(version, knowledge)
