"""What is built with retriever and generator beyond answering a question.

A text, a conversation or a customer goes in; a summary, a reply or a recommendation comes out, each with its grounds.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "grounding": "Claim GroundingSettings Grounds",
        "summarization": """
            METHODS NotAbout Summary choose lead leans map_reduce mmr pagerank read_document refine relevance
            retrieve_first sentences_of summarize textrank word_overlap
        """,
    },
)
