"""The index that would be built anew of a collection's documents, and what is found in one."""

import numpy as np
from fakes import HashEncoder

from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase, build
from rag_lib.retrieval.catalogue import make_retriever

WORDS = ("moon", "sun star", "dog moon cat", "orbit", "xylophone")


def found_in(knowledge: KnowledgeBase) -> dict:
    """What is found, with the scores; and what the knowledge base says that it knows."""
    encoder = HashEncoder()
    found = {
        (name, query, k): make_retriever(name, knowledge, encoder).retrieve(query, k)
        for name in ("bm25", "dense", "hybrid")
        for query in WORDS
        for k in (3, 100)
    }
    return found | {("known", query): knowledge.knows(query) for query in WORDS}


def built_anew(documents: list[Document]) -> KnowledgeBase:
    """The knowledge base of documents, be they none."""
    if documents:
        return build(documents, HashEncoder())
    return KnowledgeBase([], np.zeros((0, 16), dtype=np.float32), IndexSettings(), "hash-0")
