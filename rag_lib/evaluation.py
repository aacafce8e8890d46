"""Answer metrics and what can be known from a sample (taught in notebooks/10_open_domain_qa.ipynb).

Exact match and F1 follow SQuAD's official script (Rajpurkar et al., 2016); intervals are percentile bootstraps
(Efron and Tibshirani, 1993).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from rag_lib.analysis import Analyzer
from rag_lib.bm25 import BM25
from rag_lib.prompts import Source
from rag_lib.splitting import Splitting, passage_spans

if TYPE_CHECKING:
    from rag_lib.generators import Generator

ARTICLE_WORDS = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's official normalisation)."""
    return " ".join(ARTICLE_WORDS.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 when the normalised prediction equals any normalised answer, else 0.0."""
    return float(any(normalize_answer(prediction) == normalize_answer(a) for a in answers))


def token_f1(prediction: str, answer: str) -> float:
    """Harmonic mean of word precision and recall between two normalised texts."""
    p, a = normalize_answer(prediction).split(), normalize_answer(answer).split()
    if not p or not a:
        return float(p == a)
    common = sum((Counter(p) & Counter(a)).values())
    return 2 * common / (len(p) + len(a))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Best token F1 of the prediction over all acceptable answers."""
    return max((token_f1(prediction, a) for a in answers), default=0.0)


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def bootstrap(values: Sequence[float], level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Mean of `values` with a percentile bootstrap interval.

    Raises:
        ValueError: there are no values.
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        raise ValueError("no values: a mean of nothing has no interval")
    rng = np.random.default_rng(seed)
    means = np.array([x[rng.integers(0, x.size, x.size)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(x.mean()), float(low), float(high), int(x.size))


def paired_difference(a: Sequence[float], b: Sequence[float], **bootstrap_options) -> Estimate:
    """Mean of a - b over the same items, with its bootstrap interval.

    Raises:
        ValueError: the two are not of the same length, or empty.
    """
    if len(a) != len(b):
        raise ValueError(f"paired values must be as many: {len(a)} and {len(b)}")
    return bootstrap(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), **bootstrap_options)


def score_answers(
    predictions: Sequence[str], answers: Sequence[Sequence[str]], metric: Callable[[str, Sequence[str]], float]
) -> list[float]:
    """The metric of every prediction against its acceptable answers."""
    return [metric(p, a) for p, a in zip(predictions, answers, strict=True)]


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


def rouge_l(prediction: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, lower case, without punctuation (Lin, 2004)."""
    p, r = (re.findall(r"[a-z0-9]+", text.lower()) for text in (prediction, reference))
    if not p or not r:
        return 0.0
    row = [0] * (len(r) + 1)  # row[j]: the longest common subsequence of the words of p so far and r[:j]
    for word in p:
        diagonal = 0
        for j, other in enumerate(r, start=1):
            row[j], diagonal = (diagonal + 1 if word == other else max(row[j], row[j - 1])), row[j]
    return 2 * row[-1] / (len(p) + len(r))


LONG = 250  # words that surely fit into a generator's input


def sources_of(row: dict) -> list[Source]:
    """The passage of a row laid out as in SQuAD; a long one as shorter passages, the likeliest first."""
    title, context = str(row.get("title", "")).replace("_", " "), row["context"]
    if len(context.split()) <= LONG:
        return [Source(title, context)]
    pieces = [context[a:b] for a, b in passage_spans(context, Splitting(LONG // 2))]
    ranks = BM25(range(len(pieces)), pieces, Analyzer()).scores(row["question"])
    return [Source(title, pieces[i]) for i in sorted(range(len(pieces)), key=lambda i: -ranks[i])]


def answer_rows(generator: Generator, rows: Sequence[dict], progress: bool = True, chunk: int = 64) -> list[str]:
    """The generator's answers to rows laid out as in SQuAD, each read from its own passage."""
    predictions: dict[int, str] = {}
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["context"]))
    with tqdm(total=len(rows), desc="answering", disable=not progress) as bar:
        for i in range(0, len(order), chunk):
            part = [rows[j] for j in order[i : i + chunk]]
            sources = [sources_of(r) for r in part]
            generations = generator.generate([r["question"] for r in part], sources)
            predictions |= zip(order[i : i + chunk], (g.text for g in generations), strict=True)
            bar.update(len(part))
    return [predictions[i] for i in range(len(rows))]
