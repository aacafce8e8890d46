"""RAG from scratch: the small shared module behind the course's notebooks.

    text files → Document → Passage → BM25 and vectors → Retriever → [Hit] → Generator → Answer(text, citations)

Import what you need from the module of that name; importing `rag_lib` itself loads nothing.
"""

__version__ = "0.1.0"
