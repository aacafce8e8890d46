"""The system as a service: a web page and an HTTP interface on one machine.

A visitor's requests come in; answers with their sources, products and summaries go out, while documents are added,
replaced and removed.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "settings": "Settings",
        "work": "Busy Closing Late WorkQueue",
        "cache": "AnswerCache",
        "assistant": "Assistant",
        "app": "create_app",
    },
)
