"""Does "87 % sure" mean right in 87 of 100 cases? (Taught in notebooks/07_rag_pipeline.ipynb.)"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from rag_lib.evaluation.statistics import Estimate, resampled_groups


def fit_logistic(x: np.ndarray, y: Sequence[float], ridge: float = 1e-2, steps: int = 50) -> tuple[np.ndarray, float]:
    """Weights (d,) and bias of a logistic regression, by Newton's method.

    It minimises -Σ log p(y_i | x_i) + ridge/2 · |weights|². The bias is not penalised.

    Args:
        x: features (n, d). y: (n,), 1.0 where the answer was right, else 0.0.

    Raises:
        ValueError: all answers are right, or none is: there is nothing to tell apart.
    """
    y = np.asarray(y, dtype=float)
    if not 0 < y.sum() < len(y):
        raise ValueError("a logistic regression needs right answers and wrong ones")
    a = np.column_stack([x, np.ones(len(y))])
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    w = np.zeros(a.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(a @ w)))
        gradient = a.T @ (p - y) + penalty @ w
        hessian = (a * (p * (1 - p))[:, None]).T @ a + penalty
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    return w[:-1], float(w[-1])


def calibration_curve(
    probabilities: Sequence[float], right: Sequence[float], bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, share that was right, and number of answers, (bins,), of bins with as many answers each."""
    p, r = np.asarray(probabilities, dtype=float), np.asarray(right, dtype=float)
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    said, was = (np.array([values[part].mean() for part in parts]) for values in (p, r))
    return said, was, np.array([len(part) for part in parts])


def calibration_error(probabilities: Sequence[float], right: Sequence[float], bins: int = 10) -> float:
    """Expected calibration error (Naeini et al., 2015): how far off the probabilities are, bin by bin, on average."""
    said, was, count = calibration_curve(probabilities, right, bins)
    return float((count * np.abs(said - was)).sum() / count.sum())


def calibration_estimate(
    probabilities: Sequence[float], right: Sequence[float], groups: Sequence[Hashable], bins: int = 10
) -> Estimate:
    """The expected calibration error with a bootstrap interval that draws whole groups."""
    p, r = np.asarray(probabilities, dtype=float), np.asarray(right, dtype=float)
    again = [calibration_error(p[drawn], r[drawn], bins) for drawn in resampled_groups(groups)]
    low, high = np.quantile(again, [0.025, 0.975])
    return Estimate(calibration_error(p, r, bins), float(low), float(high), len(p))
