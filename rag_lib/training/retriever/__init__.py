"""Training encoders to bring questions and their passages together.

Pairs of questions and passages go in; an encoder comes out, or DPR's two.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "pairs": "Pair bm25_scores read_pairs with_negatives",
        "contrastive": "OneTower RetrieverSettings TwoTowers contrastive_loss train",
        "recipes": "dense_ranks squad_pairs train_dpr train_on_pairs",
    },
)
