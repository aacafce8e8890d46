"""The exercises of chapter 05: rankings measured, fused and looked at again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rag_lib.evaluation.ranking import ndcg_at_k
from rag_lib.exercises.exercise import Case, Exercise, Fault

Ranking = Sequence[str]
Grades = Mapping[str, int]

RANKING = ["x", "b", "y", "a", "c"]
GRADES = {"a": 2, "b": 1, "c": 1, "d": 1}
LEFT, RIGHT = {"a": 20.0, "b": 10.0, "c": 0.0}, {"c": 0.9, "d": 0.8, "a": 0.7}


def average_precision_cases() -> list[Case]:
    """All found, some missing, one relevant, grades of 0."""
    return [
        Case((["a", "x", "b"], {"a": 1, "b": 1}), (1 + 2 / 3) / 2, "relevant passages at ranks 1 and 3"),
        Case((["x", "y", "a"], {"a": 1}), 1 / 3, "a single relevant passage, at rank 3"),
        Case((["a", "x"], {"a": 1, "b": 1}), 0.5, "a relevant passage that was not found"),
        Case((["a", "b"], {"a": 2, "b": 1}), 1.0, "a perfect ranking with grades 2 and 1"),
        Case((["x", "a"], {"x": 0, "a": 1}), 0.5, "a passage that was judged not relevant"),
        Case((["x"], {"a": 1}), 0.0, "nothing found"),
    ]


def precisions(ranking: Ranking, grades: Grades, shift: int = 0) -> list[float]:
    """The precision at the rank of each relevant passage; `shift` makes it off by one."""
    found, values = 0, []
    for rank, passage in enumerate(ranking, start=1):
        if grades.get(passage, 0) > 0:
            found += 1
            values.append(found / (rank + shift))
    return values


def relevant(grades: Grades) -> int:
    """How many are relevant."""
    return sum(grade > 0 for grade in grades.values())


def ndcg_cases() -> list[Case]:
    """What the finished version says of a middling, an ideal, a short and a useless ranking."""
    settings = [(RANKING, GRADES, 5), (RANKING, GRADES, 2), (["a", "b", "c", "d"], GRADES, 4), (["a"], GRADES, 3),
                (["x", "y"], GRADES, 2), (["b", "a"], {"a": 3, "b": 1, "x": 0}, 10)]  # fmt: skip
    about = ["the ranking of section 5.2", "the same ranking at k = 2", "the ideal order", "a ranking shorter than k",
             "a ranking with nothing relevant", "k beyond all that there is"]  # fmt: skip
    return [Case(s, ndcg_at_k(*s), what) for s, what in zip(settings, about, strict=True)]


def dcg(grades: Sequence[int], discount=lambda rank: np.log2(rank + 1)) -> float:
    """Grades over the discount of their ranks, summed."""
    return float(sum(grade / discount(rank) for rank, grade in enumerate(grades, start=1)))


def gains(ranking: Ranking, grades: Grades, k: int) -> list[int]:
    """The grades of the first k."""
    return [grades.get(passage, 0) for passage in ranking[:k]]


def ideal(grades: Grades) -> list[int]:
    """All grades, best first."""
    return sorted(grades.values(), reverse=True)


def rrf_cases() -> list[Case]:
    """Two rankings, one, a tie, another constant."""
    two = [["a", "b", "c"], ["c", "d"]]
    return [
        Case((two, 60), [("c", 1 / 63 + 1 / 61), ("a", 1 / 61), ("b", 1 / 62), ("d", 1 / 62)], "two rankings"),
        Case((two, 0), [("c", 1 / 3 + 1), ("a", 1.0), ("b", 0.5), ("d", 0.5)], "the constant 0"),
        Case(([["b", "a"]], 60), [("b", 1 / 61), ("a", 1 / 62)], "a single ranking"),
        Case(([["b"], ["a"]], 60), [("a", 1 / 61), ("b", 1 / 61)], "two that are equal, in the order of their names"),
        Case(([["a"], []], 60), [("a", 1 / 61)], "an empty ranking"),
    ]


def fused(rankings: Sequence[Ranking], value, start: int = 1, sign: int = -1) -> list[tuple[str, float]]:
    """Passages by the sum of `value(rank)`."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, start):
            scores[passage] = scores.get(passage, 0.0) + value(rank)
    return sorted(scores.items(), key=lambda item: (sign * item[1], item[0]))


def fuse_scores_cases() -> list[Case]:
    """Weights, a tie, a ranking of one, an empty one."""
    return [
        Case(([LEFT, RIGHT], [0.5, 0.5]), {"a": 0.5, "b": 0.25, "c": 0.5, "d": 0.25}, "two rankings of equal weight"),
        Case(([LEFT, RIGHT], [0.8, 0.2]), {"a": 0.8, "b": 0.4, "c": 0.2, "d": 0.1}, "the weights 0.8 and 0.2"),
        Case(([LEFT, RIGHT], [2.0, 1.0]), {"a": 2.0, "b": 1.0, "c": 1.0, "d": 0.5}, "weights that add up to 3"),
        Case(([{"a": 3.0, "b": 3.0}], [1.0]), {"a": 1.0, "b": 1.0}, "a ranking whose scores are all equal"),
        Case(([LEFT, {}], [0.5, 0.5]), {"a": 0.5, "b": 0.25, "c": 0.0}, "an empty ranking"),
    ]


def stretch(ranking: dict[str, float], tie: float = 1.0) -> dict[str, float]:
    """Scores from 0 to 1; `tie` where all are equal."""
    low, high = min(ranking.values(), default=0.0), max(ranking.values(), default=0.0)
    return {p: (s - low) / (high - low) if high > low else tie for p, s in ranking.items()}


def unguarded(ranking: dict[str, float]) -> dict[str, float]:
    """Scores from 0 to 1, by a division that fails where all are equal."""
    low, high = min(ranking.values(), default=0.0), max(ranking.values(), default=0.0)
    return {p: (s - low) / (high - low) for p, s in ranking.items()}


def together(rankings: Sequence[dict]) -> dict[tuple[str, float], float]:
    """The scores of all rankings, stretched by one scale."""
    return stretch({item: item[1] for ranking in rankings for item in ranking.items()})


def weighted(rankings: Sequence[dict], weights: Sequence[float], scale, join=lambda a, b: a + b) -> dict[str, float]:
    """The scaled scores times the weights, joined."""
    total: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for passage, score in scale(ranking).items():
            total[passage] = join(total[passage], weight * score) if passage in total else weight * score
    return total


def max_sim_cases() -> list[Case]:
    """Token vectors of length one, of several numbers of tokens."""
    q = np.array([[1.0, 0.0], [0.0, 1.0]])
    p = np.array([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]])
    q3 = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    return [
        Case((q, p), 0.9, "2 tokens against 3"),
        Case((q3, p), (1 + 1 + 0.8) / 3, "3 tokens against 3"),
        Case((p, q), (0.8 + 1 + 0) / 3, "question and passage exchanged"),
        Case((q[:1], p[2:]), 0.0, "a right angle"),
    ]


EXERCISES = (
    Exercise(
        "average_precision",
        average_precision_cases,
        (
            Fault(
                "Relevant passages that were not found are left out of the mean: divide by how many are relevant.",
                lambda r, g: float(np.mean(precisions(r, g) or [0.0])),
            ),
            Fault(
                "Ranks are counted from 0; the first rank is 1.",
                lambda r, g: sum(precisions(r, g, -1)) / relevant(g),
            ),
            Fault(
                "That is the reciprocal rank: it stops at the first relevant passage.",
                lambda r, g: (precisions(r, g) or [0.0])[0],
            ),
            Fault(
                "The precision is taken at every rank; only the ranks of relevant passages count.",
                lambda r, g: float(np.mean([sum(x > 0 for x in gains(r, g, n)) / n for n in range(1, len(r) + 1)])),
            ),
            Fault(
                "That is the precision of the whole ranking; the order makes no difference to it.",
                lambda r, g: len(precisions(r, g)) / len(r),
            ),
            Fault(
                "That is the recall; the order makes no difference to it.",
                lambda r, g: len(precisions(r, g)) / relevant(g),
            ),
            Fault(
                "A passage that was judged not relevant (grade 0) counts as relevant.",
                lambda r, g: sum(precisions(r, dict.fromkeys(g, 1))) / len(g),
            ),
        ),
        (
            "Walk down the ranking and count the relevant passages; at each one the precision is found / rank.",
            "Divide the sum by the number of passages with a grade above 0, found or not.",
        ),
    ),
    Exercise(
        "ndcg",
        ndcg_cases,
        (
            Fault(
                "The ideal order is made of what was found; it is made of all judged passages, or misses cost nothing.",
                lambda r, g, k: dcg(gains(r, g, k)) / (dcg(sorted(gains(r, g, k), reverse=True)) or 1),
            ),
            Fault(
                "Each grade counts as 2^grade - 1, as some do; here the grade itself is the gain.",
                lambda r, g, k: dcg([2**n - 1 for n in gains(r, g, k)]) / dcg([2**n - 1 for n in ideal(g)[:k]]),
            ),
            Fault(
                "The discount is off by one: the first rank is divided by log2(2), which is 1.",
                lambda r, g, k: (
                    dcg(gains(r, g, k), lambda n: np.log2(n + 2)) / dcg(ideal(g)[:k], lambda n: np.log2(n + 2))
                ),
            ),
            Fault(
                "The ideal order is not cut off after k, so that no ranking of k passages can reach 1.",
                lambda r, g, k: dcg(gains(r, g, k)) / dcg(ideal(g)),
            ),
            Fault(
                "That is the DCG: it is not divided by that of the ideal order.", lambda r, g, k: dcg(gains(r, g, k))
            ),
            Fault(
                "Grades are discounted by the rank itself; the discount is log2(rank + 1).",
                lambda r, g, k: dcg(gains(r, g, k), lambda n: n) / dcg(ideal(g)[:k], lambda n: n),
            ),
            Fault(
                "It looks at all of the ranking; the first k are wanted.",
                lambda r, g, k: dcg(gains(r, g, len(r))) / dcg(ideal(g)[:k]),
            ),
            Fault(
                "The grades make no difference: a passage of grade 2 is worth twice one of grade 1.",
                lambda r, g, k: dcg([min(x, 1) for x in gains(r, g, k)]) / dcg([min(x, 1) for x in ideal(g)[:k]]),
            ),
        ),
        (
            "DCG: `sum(grade / np.log2(rank + 1) for rank, grade in enumerate(grades, start=1))`.",
            "The ideal order: all grades of the judgements, sorted from high to low, the first k.",
        ),
    ),
    Exercise(
        "rrf",
        rrf_cases,
        (
            Fault(
                "Ranks are counted from 0; the first rank is 1.",
                lambda rs, c: fused(rs, lambda n: 1 / (c + n) if c + n else 2.0, start=0),
            ),
            Fault(
                "The best come last: sort from high to low.",
                lambda rs, c: fused(rs, lambda n: 1 / (c + n), sign=1),
            ),
            Fault("The constant is not used.", lambda rs, c: fused(rs, lambda n: 1 / n)),
            Fault(
                "It returns the passages alone; pairs of passage and score are wanted.",
                lambda rs, c: [p for p, _ in fused(rs, lambda n: 1 / (c + n))],
            ),
            Fault(
                "The best of a passage's shares is kept; its shares of all rankings are added.",
                lambda rs, c: sorted(
                    {p: max(1 / (c + r.index(p) + 1) for r in rs if p in r) for r in rs for p in r}.items(),
                    key=lambda item: (-item[1], item[0]),
                ),
            ),
            Fault(
                "Equal scores are in the order in which they were met; the names decide between them.",
                lambda rs, c: sorted(
                    {p: sum(1 / (c + r.index(p) + 1) for r in rs if p in r) for r in rs for p in r}.items(),
                    key=lambda item: -item[1],
                ),
            ),
            Fault(
                "It takes the mean over the rankings; reciprocal rank fusion adds.",
                lambda rs, c: fused(rs, lambda n: 1 / (c + n) / len(rs)),
            ),
        ),
        (
            "`enumerate(ranking, start=1)` gives the ranks.",
            "`sorted(scores.items(), key=lambda item: (-item[1], item[0]))` breaks ties by name.",
        ),
    ),
    Exercise(
        "fuse_scores",
        fuse_scores_cases,
        (
            Fault(
                "The scores are added as they are, and the larger scale drowns the other: stretch each to 0 … 1 first.",
                lambda rs, ws: weighted(rs, ws, dict),
            ),
            Fault(
                "The scores are divided by the largest; the smallest must become 0: (s - min) / (max - min).",
                lambda rs, ws: weighted(rs, ws, lambda r: {p: s / max(r.values()) for p, s in r.items()}),
            ),
            Fault(
                "The weights make no difference.",
                lambda rs, ws: weighted(rs, [1 / len(rs)] * len(rs), stretch),
            ),
            Fault(
                "The sum is divided by the weights; it is a sum, not a mean.",
                lambda rs, ws: weighted(rs, [w / sum(ws) for w in ws], stretch),
            ),
            Fault(
                "Scores that are all equal are divided by 0: give them 1.",
                lambda rs, ws: weighted(rs, ws, unguarded),
            ),
            Fault(
                "Scores that are all equal become 0, as if nothing had been found: give them 1.",
                lambda rs, ws: weighted(rs, ws, lambda r: stretch(r, 0.0)),
            ),
            Fault(
                "A passage keeps its last score; the scores of all rankings are added.",
                lambda rs, ws: weighted(rs, ws, stretch, lambda a, b: b),
            ),
            Fault(
                "All scores together are stretched; each ranking has a scale of its own.",
                lambda rs, ws: weighted(rs, ws, lambda r: {p: together(rs)[p, s] for p, s in r.items()}),
            ),
        ),
        (
            "Stretch one ranking first: low and high are the smallest and the largest of its values.",
            "`total[p] = total.get(p, 0.0) + weight * stretched[p]`; what a ranking does not hold adds nothing.",
        ),
    ),
    Exercise(
        "max_sim",
        max_sim_cases,
        (
            Fault(
                "The maximum is over the question's tokens; each of them looks for its best in the passage (axis=1).",
                lambda q, p: float((q @ p.T).max(axis=0).mean()),
            ),
            Fault(
                "It adds up the question's tokens; the mean is wanted, so that long questions do not score higher.",
                lambda q, p: float((q @ p.T).max(axis=1).sum()),
            ),
            Fault(
                "It takes the mean over all pairs; each token of the question counts with its best counterpart only.",
                lambda q, p: float((q @ p.T).mean()),
            ),
            Fault(
                "It takes the best pair of all; every token of the question has a say.",
                lambda q, p: float((q @ p.T).max()),
            ),
            Fault(
                "It returns the maximum for each token; their mean is wanted.",
                lambda q, p: (q @ p.T).max(axis=1),
            ),
        ),
        ("All cosines are `q @ p.T`, of shape (question's tokens, passage's tokens); take the maximum of each row.",),
    ),
)
