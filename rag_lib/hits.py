"""What a search returns, and checks of what it and others are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rag_lib.text import kind

COLUMNS = 512


class Hit(NamedTuple):
    """A passage found: its id and its score (higher is better)."""

    id: str
    score: float


def check_k(k: int) -> int:
    """The number of hits asked for.

    Raises:
        ValueError: it is not a whole number of at least 1.
    """
    return check_whole(k, "k")


def check_whole(value: int, name: str, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        ValueError: it is none; the message names it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def check_has(part: object, what: str, *methods: str) -> None:
    """Lets whatever has one of the methods pass, whoever made it.

    Args:
        what: what it should be, for the message.

    Raises:
        TypeError: it has none of them, such as a name in its place, or is a class and not one of its kind.
    """
    if isinstance(part, type) or not any(hasattr(part, method) for method in methods):
        raise TypeError(f"this takes {what}, not {kind(part)}")


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list.

    Raises:
        TypeError: they are one text, whose letters would pass for texts, or not all texts.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise TypeError(f"this takes a list of texts, not {type(texts).__name__}")
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"this takes a list of texts, not one with {type(text).__name__} in it")
    return texts


def best(hits: list[Hit], k: int) -> list[Hit]:
    """The k best hits, ties in the order of their ids."""
    return sorted(hits, key=lambda h: (-h.score, h.id))[:k]


def at_most_the_kth(scores: np.ndarray, k: int) -> float:
    """A lower bound of the k-th highest score, found in one pass; -inf where they are few.

    The scores are laid out in rows; the highest of each column are different ones, so that the k-th best of them is no
    better than the k-th best of all.
    """
    rows = len(scores) // COLUMNS
    if not rows or k > COLUMNS:
        return -np.inf
    highest = scores[: rows * COLUMNS].reshape(rows, COLUMNS).max(axis=0)
    return np.partition(highest, -k)[-k]


def top_k(ids: Sequence[str], scores: np.ndarray, k: int, above: float = -np.inf) -> list[Hit]:
    """The at most k ids whose scores (len(ids),) are highest and above `above`, best first, ties by id.

    All that tie with the k-th are kept until the ids decide, so that the result does not depend on the order of `ids`.
    """
    floor = at_most_the_kth(scores, k)
    found = np.flatnonzero(scores >= floor if floor > above else scores > above)
    if len(found) > k:
        threshold = np.partition(scores[found], -k)[-k]
        found = found[scores[found] >= threshold]
    return best([Hit(ids[i], float(scores[i])) for i in found], k)
