"""Fine-tuning of the retriever and of the generator.

Questions with passages (and answers) go in; trained weights come out, in a folder where a killed run goes on.
`retriever` and `generator` are rooms of their own; what they share is here.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "run": "CheckpointUnusable TrainingRun",
    },
)
