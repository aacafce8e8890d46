"""Numbers and formulas that the checks of several chapters use."""

from __future__ import annotations

import numpy as np


def random(seed: int, *shape: int) -> np.ndarray:
    """Normal numbers that are the same in every run."""
    return np.random.default_rng(seed).normal(size=shape)


def unit(v: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def softmax(scores: np.ndarray, axis: int = -1, shift: bool = True) -> np.ndarray:
    """Exponentials with sum 1 along an axis; without `shift` they overflow for large scores."""
    with np.errstate(all="ignore"):
        e = np.exp(scores - scores.max(axis=axis, keepdims=True) * shift)
        return e / e.sum(axis=axis, keepdims=True)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithms of the softmax of each row."""
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
