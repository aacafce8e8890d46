"""Documents become passages under two indexes.

Text files go in; a KnowledgeBase comes out, whose passages can be searched by words and by vectors, and kept on disk.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "documents": "Collection Document NoDocuments Passage Skipped Source Unreadable indexed_text load_documents",
        "sentences": "sentence_spans",
        "splitting": "Splitting passage_spans split_document split_documents",
        "analysis": "STOP_WORDS Analyzer",
        "base": "Encoder",
        "budget": "Budget fit",
        "bm25": "BM25",
        "encoders": "MiniLMEncoder SentenceEncoder make_encoder",
        "vector_index": "FaissIndex NumpyIndex VectorIndex make_index",
        "knowledge_base": "IndexSettings KnowledgeBase build",
        "live.versions": "Snapshot",
        "live.access": "readable",
        "live.collection": "Change LiveCollection",
        "store": "IndexUnusable load load_index open_folder save save_index",
    },
)
