"""What can be known from a sample (taught in notebooks/01_documents_and_passages.ipynb and 05_retrieval.ipynb).

Intervals are percentile bootstraps (Efron and Tibshirani, 1993).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def bootstrap(
    values: Sequence[float],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Estimate:
    """Mean of `values` with a percentile bootstrap interval.

    Args:
        groups: what each value belongs to. Whole groups are drawn then, because values of one group are alike: ten
            questions about one article say less than ten about ten (Cameron et al., 2008).

    Raises:
        ValueError: there are no values, or not as many groups.
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        raise ValueError("no values: a mean of nothing has no interval")
    sums, counts = x, np.ones(x.size)
    if groups is not None:
        number: dict[Hashable, int] = {}
        members = [number.setdefault(group, len(number)) for group in groups]
        if len(members) != x.size:
            raise ValueError(f"{len(members)} groups for {x.size} values")
        sums, counts = np.bincount(members, weights=x), np.bincount(members)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(sums), len(sums)) for _ in range(resamples))
    means = np.array([sums[drawn].sum() / counts[drawn].sum() for drawn in draws])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(x.mean()), float(low), float(high), int(x.size))


def resampled_groups(groups: Sequence[Hashable], resamples: int = 1000, seed: int = 0) -> Iterator[np.ndarray]:
    """Positions of the items in bootstrap samples that draw whole groups: for figures that are no means."""
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    whole = [np.array(m) for m in members.values()]
    rng = np.random.default_rng(seed)
    return (np.concatenate([whole[i] for i in rng.integers(0, len(whole), len(whole))]) for _ in range(resamples))


def paired_difference(a: Sequence[float], b: Sequence[float], **bootstrap_options) -> Estimate:
    """Mean of a - b over the same items, with its bootstrap interval.

    Raises:
        ValueError: the two are not of the same length, or empty.
    """
    if len(a) != len(b):
        raise ValueError(f"paired values must be as many: {len(a)} and {len(b)}")
    return bootstrap(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), **bootstrap_options)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The probability that a positive's score is above a negative's, ties counted half (Fawcett, 2006).

    Raises:
        ValueError: one of the two is empty.
    """
    if not len(positive) or not len(negative):
        raise ValueError("AUROC needs positives and negatives")
    p, n = np.asarray(positive, dtype=float)[:, None], np.asarray(negative, dtype=float)
    return float(((p > n) + 0.5 * (p == n)).mean())


def auroc_estimate(positive: Sequence[float], negative: Sequence[float], resamples: int = 2000) -> Estimate:
    """AUROC with a percentile bootstrap interval, positives and negatives drawn anew by themselves."""
    rng = np.random.default_rng(0)
    p, n = np.asarray(positive, dtype=float), np.asarray(negative, dtype=float)
    again = [auroc(rng.choice(p, len(p)), rng.choice(n, len(n))) for _ in range(resamples)]
    low, high = np.quantile(again, [0.025, 0.975])
    return Estimate(auroc(p, n), float(low), float(high), len(p) + len(n))


def risk_coverage(scores: Sequence[float], right: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """What is answered and how much of it is wrong, as the threshold falls (El-Yaniv and Wiener, 2010).

    Args:
        scores: (n,) of the answers; right: (n,) from 0 to 1, 0 where there is no right answer.

    Returns:
        coverage (n,), the share answered when the i + 1 surest are; risk (n,), the share of them that is wrong.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    answered = np.arange(1, len(order) + 1)
    return answered / len(order), 1 - np.cumsum(np.asarray(right, dtype=float)[order]) / answered


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
