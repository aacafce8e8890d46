"""How good a ranking is: recall@k, reciprocal rank and nDCG, as trec_eval computes them.

Taught in notebooks/05_retrieval.ipynb. A ranking is a list of ids, best first. Judgements are a mapping id → grade,
where a grade above 0 means relevant and an id that is not in it counts as grade 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def relevant_ids(grades: Mapping[str, int]) -> set[str]:
    """The ids judged relevant.

    Raises:
        ValueError: there are none, and every metric would divide by zero.
    """
    relevant = {i for i, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("nothing is judged relevant: leave such a query out and count it")
    return relevant


def recall_at_k(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """The share of the relevant ids that are among the first k."""
    relevant = relevant_ids(grades)
    return len(relevant & set(ranking[:k])) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """1 / rank of the first relevant id, 0 where none is among the first k; its mean over queries is MRR@k."""
    relevant = relevant_ids(grades)
    return next((1 / rank for rank, i in enumerate(ranking[:k], start=1) if i in relevant), 0.0)


def dcg(gains: Sequence[int]) -> float:
    """Gains in the order of their ranks, each divided by log2(rank + 1), summed (Järvelin and Kekäläinen, 2002)."""
    return sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def ndcg_at_k(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """DCG of the first k over that of the best possible order: 1 for a perfect ranking. The gain is the grade."""
    relevant = relevant_ids(grades)
    gains = [grades[i] if i in relevant else 0 for i in ranking[:k]]
    ideal = sorted((grades[i] for i in relevant), reverse=True)[:k]
    return float(dcg(gains) / dcg(ideal))


def randomization_test(a: Sequence[float], b: Sequence[float], resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of Fisher's paired randomisation test: how often would chance give as large a mean difference?

    If the two systems did not differ, the sign of each query's difference would be a coin's (Smucker et al., 2007).

    Raises:
        ValueError: the two are not of the same length, or empty.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired values must be as many, and some: {len(a)} and {len(b)}")
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    rng = np.random.default_rng(seed)
    observed = abs(difference.sum())
    extreme = sum(abs((difference * rng.choice((-1, 1), len(a))).sum()) >= observed - 1e-9 for _ in range(resamples))
    return (extreme + 1) / (resamples + 1)  # the observed signs are one of the possible ones
