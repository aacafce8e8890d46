"""From a query to the best passages.

A query goes in; hits come out, best first. Each retriever has a temperature that turns its scores into probabilities.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "base": "EmptyQuestion PASSAGES Reranker Retriever check_query passage_probabilities",
        "fusion": "FUSIONS Fusion MinMaxFusion ReciprocalRankFusion",
        "retrievers": "DenseRetriever HybridRetriever LexicalRetriever RerankedRetriever",
        "rerankers": "CrossEncoderReranker EnsembleReranker MaxSimReranker",
        "cross_encoder": "CrossEncoder",
        "dpr": "DPREncoder DPRRetriever",
        "catalogue": "DEFAULT RETRIEVERS make_retriever",
    },
)
