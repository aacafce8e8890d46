"""Files become readings.

The bytes of a text, Markdown, HTML or PDF file come in; what it says of itself, its text, and what is doubtful about it
go out. HTML and PDF are read in a process of its own.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "base": "Reading Unreadable",
        "encodings": "decode",
        "cleaning": "clean join_lines",
        "plain": "parse_front_matter read_markdown read_text",
        "html": "read_html",
        "pdf": "read_pdf",
        "isolated": "IsolatedReader",
    },
)
