"""Retriever and generator as one.

A question goes in; an answer comes out with the passages that support it, and how it came about can be traced.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "rag": "Answer Citation Found RAG",
        "marginalization": "RAGSequence RAGToken sequence_log_likelihood token_log_likelihood",
        "tracing": "Trace trace trace_of trace_stream",
    },
)
