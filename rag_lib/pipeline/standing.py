"""Which of the passages found are read, and how much their documents have to say on the question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rag_lib.generation.claims import are_alike
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.retrieval.base import PASSAGES, RERANKED

SPARE = RERANKED - PASSAGES  # passages that are looked for beside those read, to take the places of copies
MOST = 3  # passages of a document that are counted
COPIES = 2  # passages alike that are read: one may be altered, and then both should be seen


def without_copies(hits: Sequence[Hit], passages: Mapping[str, Passage], k: int) -> list[Hit]:
    """The first k hits, of passages alike the first COPIES only."""
    kept: list[Hit] = []
    for hit in hits:
        text = passages[hit.id].text
        if sum(are_alike(text, passages[other.id].text) for other in kept) < COPIES:
            kept.append(hit)
        if len(kept) == k:
            break
    return kept


class Standing:
    """How many passages of a document have to do with a question, or with what the document is about, up to MOST."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self.analyze = knowledge.settings.analyzer
        self.of_document: dict[str, list[Passage]] = defaultdict(list)
        for passage in knowledge.passages.values():
            self.of_document[passage.document_id].append(passage)

    def __call__(self, question: str, found: Passage) -> int:
        """The number of passages of the document found whose text shares a term with the question or with its title."""
        terms, count = set(self.analyze(f"{question} {found.title}")), 0
        for passage in self.of_document[found.document_id]:
            count += not terms.isdisjoint(self.analyze(passage.text))
            if count == MOST:
                break
        return count
