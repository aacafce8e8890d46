"""How good a ranking is: recall@k, reciprocal rank and nDCG, as trec_eval computes them; coverage and novelty.

Taught in notebooks/05_retrieval.ipynb, the last two in 13_recommendation.ipynb. A ranking is a list of ids, best first.
Judgements are a mapping id → grade, where a grade above 0 means relevant and an id that is not in it counts as grade 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from rag_lib.hits import check_k, check_whole


def relevant_ids(grades: Mapping[str, int]) -> set[str]:
    """The ids judged relevant.

    Raises:
        ValueError: there are none, and every metric would divide by zero.
    """
    relevant = {i for i, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("nothing is judged relevant: leave such a query out and count it")
    return relevant


def first(ranking: Sequence[str], k: int) -> list[str]:
    """The first k ids, each counted once, where it stands first.

    Raises:
        ValueError: k is not at least 1.
    """
    return list(dict.fromkeys(ranking))[: check_k(k)]


def recall_at_k(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """The share of the relevant ids that are among the first k."""
    relevant = relevant_ids(grades)
    return len(relevant & set(first(ranking, k))) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """1 / rank of the first relevant id, 0 where none is among the first k; its mean over queries is MRR@k."""
    relevant = relevant_ids(grades)
    return next((1 / rank for rank, i in enumerate(first(ranking, k), start=1) if i in relevant), 0.0)


def dcg(gains: Sequence[int]) -> float:
    """Gains in the order of their ranks, each divided by log2(rank + 1), summed (Järvelin and Kekäläinen, 2002)."""
    return sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def ndcg_at_k(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """DCG of the first k over that of the best possible order: 1 for a perfect ranking. The gain is the grade."""
    relevant = relevant_ids(grades)
    gains = [grades[i] if i in relevant else 0 for i in first(ranking, k)]
    ideal = sorted((grades[i] for i in relevant), reverse=True)[:k]
    return float(dcg(gains) / dcg(ideal))


def novelty(ranking: Sequence[str], sold: Mapping[str, int], buyers: int, k: int) -> float:
    """How little known the first k are: their mean -log2 of the share of `buyers` that bought each, in bits.

    One buyer is added to each count, or what nobody bought would be infinitely new (Vargas and Castells, 2011).

    Raises:
        ValueError: the ranking is empty, or k not at least 1.
    """
    if not ranking:
        raise ValueError("an empty ranking is neither new nor old")
    return float(np.mean([-np.log2((sold.get(i, 0) + 1) / (buyers + 1)) for i in ranking[: check_k(k)]]))


def coverage(rankings: Sequence[Sequence[str]], size: int, k: int) -> float:
    """The share of a catalogue of `size` items that is among the first k of any ranking.

    Raises:
        ValueError: the catalogue is empty, or k not at least 1.
    """
    k, size = check_k(k), check_whole(size, "the size of a catalogue")
    return len({i for ranking in rankings for i in ranking[:k]}) / size


Metric = Callable[[Sequence[str], Mapping[str, int]], float]  # of a ranking, given the judgements


def ranking_metrics(cutoffs: Sequence[int]) -> dict[str, Metric]:
    """Recall at each cutoff, the reciprocal rank within the last one and nDCG@10, each under its name."""
    recalls = {f"recall@{k}": partial(recall_at_k, k=k) for k in cutoffs}
    last = max(cutoffs)
    return recalls | {f"MRR@{last}": partial(reciprocal_rank, k=last), "nDCG@10": partial(ndcg_at_k, k=10)}


def of_ranks(ranks: Sequence[int], metric: Metric) -> np.ndarray:
    """A metric question by question, (len(ranks),), from the rank of the one right id: 0 where it was not found."""
    rankings = ([*map(str, range(1, rank)), *["right"] * (rank > 0)] for rank in map(int, ranks))
    return np.array([metric(ranking, {"right": 1}) for ranking in rankings], dtype=float)
