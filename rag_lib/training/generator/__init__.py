"""Training the generator to read.

Triples of question, passage and answer go in; an encoder–decoder comes out.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "examples": "Example Phase ReadingTask Triple",
        "features": "GeneratorSettings",
        "learning": "train",
        "recipes": "train_own train_stage",
        "triples": "read_triples",
        "chat": "train_chat",
    },
)
