"""The exercises of chapter 10: a finished system measured, and its failures taken apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault

Outcome = dict[str, object]


def scores_cases() -> list[Case]:
    """Articles, parts, several accepted, repetitions, nothing in common."""
    settings = [
        ("the Lowell Observatory.", ["Lowell Observatory"], "an answer with an article and a full stop"),
        ("Lowell", ["Lowell Observatory"], "a part of the accepted answer"),
        ("in October 1957", ["4 October 1957", "October 1957"], "two accepted answers"),
        ("moon moon", ["the moon"], "a word that is said twice"),
        ("Mars", ["Venus", "the Moon"], "nothing in common"),
        ("", ["Venus"], "an empty answer"),
    ]
    return [Case((said, right), judged(said, right), about) for said, right, about in settings]


def plain(text: str, articles: bool = True, signs: bool = True) -> list[str]:
    """The words of an answer as they are compared."""
    words = re.findall(r"\w+", text.lower()) if signs else text.lower().split()
    return [w for w in words if not (articles and w in ("a", "an", "the"))]


def judged(said: str, accepted: Sequence[str], join: Callable = max, once: bool = False, **settings: bool):
    """Exact match and F1, with the mistakes that the other settings make."""
    pairs = []
    for right in accepted:
        a, b = plain(said, **settings), plain(right, **settings)
        shared = len(set(a) & set(b)) if once else (Counter(a) & Counter(b)).total()
        pairs.append((float(a == b), 2 * shared / max(len(a) + len(b), 1)))
    return tuple(join(values) for values in zip(*pairs, strict=True))


def blame_cases() -> list[Case]:
    """Every cause, once, and the order of the causes."""
    base = {"gold": ["a"], "found": ["b", "a"], "cited": "a", "right": True, "score": 0.9}
    changes = [
        ({}, "right", "an answer that is right"),
        ({"found": ["b", "c"], "cited": "b", "right": False}, "not retrieved", "no right passage among those found"),
        ({"cited": "b", "right": False}, "not read", "a right passage that was found, and another one cited"),
        ({"right": False}, "cut otherwise", "the right passage with other words of it"),
        ({"score": 0.2}, "kept silent", "a right answer below the threshold"),
        ({"gold": [], "cited": "b", "right": False}, "unanswerable, answered", "a question without an answer"),
        ({"gold": [], "cited": "b", "right": False, "score": 0.1}, "right", "silence where there is no answer"),
        ({"found": ["b"], "cited": "b", "right": False, "score": 0.1}, "not retrieved", "a wrong one, kept back"),
    ]
    return [Case((base | change, 0.5), cause, about) for change, cause, about in changes]


def blamed(o: Outcome, threshold: float, silent_first=False, over=False, empty=True, order=True) -> str:
    """The first link that broke, with the mistakes that the other settings make."""
    given = o["score"] > 1 if over else o["score"] >= threshold
    if empty and not o["gold"]:
        return "unanswerable, answered" if given else "right"
    if silent_first and not given:
        return "kept silent"
    if o["right"]:
        return "right" if given else "kept silent"
    causes = {"not retrieved": not set(o["gold"]) & set(o["found"]), "not read": o["cited"] not in o["gold"]}
    for cause in causes if order else reversed(causes):
        if causes[cause]:
            return cause
    return "cut otherwise"


def auroc_cases() -> list[Case]:
    """Perfect, by chance, ties, unequal numbers."""
    settings = [([0.9, 0.8], [0.1], "scores that tell apart"), ([0.4, 0.9, 0.6], [0.5, 0.7], "scores that overlap"),
                ([0.5, 0.9], [0.5, 0.2], "a tie"), ([0.1], [0.8, 0.9], "scores that are upside down")]  # fmt: skip
    return [Case((a, b), area(a, b), about) for a, b, about in settings]


def area(above: Sequence[float], below: Sequence[float], tie: float = 0.5) -> float:
    """The share of pairs in the right order."""
    pairs = [(a > b) + tie * (a == b) for a in above for b in below]
    return float(np.mean(pairs))


TIED, TURNS = [0.9, 0.3] * 30, [1] * 30 + [0] * 30  # so many that a sort that is not stable shows


def calibration_cases() -> list[Case]:
    """Bins of equal size, of unequal size, a single one."""
    s, right = [0.9, 0.2, 0.8, 0.4, 0.6, 0.7], [1, 0, 1, 1, 0, 0]
    return [
        Case((s, right, 3), error(s, right, 3), "six answers in three bins"),
        Case((s, right, 1), error(s, right, 1), "a single bin"),
        Case((s[:5], right[:5], 2), error(s[:5], right[:5], 2), "five answers in two bins"),
        Case(([0.3, 0.3], [0, 0], 2), 0.3, "answers that are all wrong"),
        Case((TIED, TURNS, 4), error(TIED, TURNS, 4), "many answers with the same two scores"),
    ]


def error(scores, right, bins, sort=True, weigh=True, power=1, wide=False, sign=1, kind="stable") -> float:
    """The expected calibration error, with the mistakes that the other settings make."""
    s, r = np.array(scores, dtype=float), np.array(right, dtype=float)
    order = np.argsort(sign * s, kind=kind) if sort else np.arange(len(s))
    if wide:
        places = np.minimum((s * bins).astype(int), bins - 1)
        parts = [np.flatnonzero(places == b) for b in range(bins)]
    else:
        parts = np.array_split(order, bins)
    found = [(len(p), abs(s[p].mean() - r[p].mean()) ** power) for p in parts if len(p)]
    return float(np.average([d for _, d in found], weights=[n for n, _ in found] if weigh else None))


TEXTS = ["Kepler wrote to Galileo", "Galileo saw four moons of Jupiter", "Io is a moon", "Tickets cost 14 euros"]


QUESTION = "what did the one to whom kepler wrote see"
FOUND = {QUESTION: [0, 2, 3], f"{QUESTION} {TEXTS[0]}": [1, 0, 2], TEXTS[0]: [0, 3, 1]}


def find(query: str, k: int) -> list[int]:
    """What a retriever finds for the question, for the question with the text found first, and for that text alone."""
    return FOUND.get(query, [3, 2, 1])[:k]


def find_few(query: str, k: int) -> list[int]:
    """A retriever that finds one text, whatever is asked."""
    return [3][:k]


def find_nothing(query: str, k: int) -> list[int]:
    """A retriever that finds nothing."""
    return []


def twice_cases() -> list[Case]:
    """A second search that helps, small k, little or nothing found."""
    settings = [(find, 3, "a question that needs two texts"), (find, 1, "k = 1"), (find, 2, "k = 2"),
                (find_few, 2, "two searches with one result"), (find_nothing, 2, "nothing found")]  # fmt: skip
    return [Case((QUESTION, f, TEXTS, k), twice(QUESTION, f, TEXTS, k), about) for f, k, about in settings]


def twice(question, find, texts, k, keep=True, again=True, lead=True, cut=True, double=False) -> list[int]:
    """Two searches, with the mistakes that the other settings make."""
    first = find(question, k)
    if not first:
        return []
    query = f"{question} {texts[first[0]]}" if keep else texts[first[0]]
    second = find(query, k) if again else []
    rows = [*first[:1], *second, *first[1:]] if lead else [*second, *first]
    rows = rows if double else list(dict.fromkeys(rows))
    return rows[:k] if cut else rows


EXERCISES = (
    Exercise(
        "answer_scores",
        scores_cases,
        (
            Fault("Articles are left in: a, an and the do not count.", lambda *a: judged(*a, articles=False)),
            Fault("Signs are left in: a full stop is no part of a word.", lambda *a: judged(*a, signs=False)),
            Fault("Of several accepted answers the best counts, not the mean.", lambda *a: judged(*a, join=np.mean)),
            Fault("It looks at the first accepted answer only.", lambda s, right: judged(s, right[:1])),
            Fault(
                "A word that is said twice is shared twice: count words, and take the smaller count.",
                lambda s, right: judged(" ".join(dict.fromkeys(plain(s))), right) if s else judged(s, right),
            ),
            Fault(
                "Words are counted once, and a word that is said twice is two words: `Counter`, not `set`.",
                lambda s, right: (
                    judged(s, right)[0],
                    judged(" ".join(set(plain(s))), [" ".join(set(plain(r))) for r in right])[1],
                ),
            ),
            Fault("It returns F1 alone; the pair of exact match and F1 is wanted.", lambda *a: judged(*a)[1]),
        ),
        (
            "Make a list of words first: lower case, `\\w+`, without articles.",
            "F1 is 2 · shared / (words said + words accepted), where `(Counter(a) & Counter(b)).total()` are shared.",
        ),
    ),
    Exercise(
        "first_cause",
        blame_cases,
        (
            Fault(
                "A wrong answer that was kept back is blamed on silence: silence did not make it wrong.",
                lambda *a: blamed(*a, silent_first=True),
            ),
            Fault("The threshold is not used: every answer counts as given.", lambda o, t: blamed(o, 0.0)),
            Fault(
                "A question without an answer is not seen first: silence is right there, an answer is not.",
                lambda *a: blamed(*a, empty=False),
            ),
            Fault(
                "What was not found cannot be read: blame the search before the reading.",
                lambda *a: blamed(*a, order=False),
            ),
            Fault("No answer counts as given.", lambda *a: blamed(*a, over=True)),
        ),
        (
            "Go along the chain: is there an answer at all? Is it right? Was it found? Was it read?",
            "A passage was found if `set(gold) & set(found)` is not empty.",
        ),
    ),
    Exercise(
        "auroc",
        auroc_cases,
        (
            Fault("The other way round: with an answer should score above without one.", lambda a, b: area(b, a)),
            Fault("A tie counts one half.", lambda a, b: area(a, b, 0.0)),
            Fault("A tie counts one half, not a whole one.", lambda a, b: area(a, b, 1.0)),
            Fault("That is the difference of the means.", lambda a, b: float(np.mean(a) - np.mean(b))),
        ),
        ("Compare every score of the first list with every one of the second: 1, ½ or 0; then the mean.",),
    ),
    Exercise(
        "calibration_error",
        calibration_cases,
        (
            Fault(
                "The answers are not sorted by score before they are cut into bins.", lambda *a: error(*a, sort=False)
            ),
            Fault(
                "They are sorted from high to low; the first bins, which may have one more, have the lowest scores.",
                lambda *a: error(*a, sign=-1),
            ),
            Fault("Equal scores keep their order: sort with `kind='stable'`.", lambda *a: error(*a, kind="quicksort")),
            Fault("The bins are of equal width; of as many answers each is wanted.", lambda *a: error(*a, wide=True)),
            Fault("There is one bin for all; cut them into `bins` bins.", lambda s, r, b: error(s, r, 1)),
            Fault("A bin counts in proportion to its answers.", lambda *a: error(*a, weigh=False)),
            Fault("The distance is squared; its size is wanted.", lambda *a: error(*a, power=2)),
            Fault(
                "It compares answer by answer; in a bin, mean score and share right are compared.",
                lambda s, r, b: float(np.mean(np.abs(np.array(s) - np.array(r)))),
            ),
        ),
        (
            "`np.array_split(np.argsort(scores, kind='stable'), bins)` cuts them, sorted; larger bins come first.",
            "Sum over the bins: (answers in it / all) · |mean score - share right|.",
        ),
    ),
    Exercise(
        "search_twice",
        twice_cases,
        (
            Fault(
                "It searches once: the second query is the question and the text found first.",
                lambda *a: twice(*a, again=False),
            ),
            Fault(
                "The question is left out of the second query: the question, a blank, then the text.",
                lambda *a: twice(*a, keep=False),
            ),
            Fault(
                "The best of the first search comes first, before all of the second.", lambda *a: twice(*a, lead=False)
            ),
            Fault("A row stands in the list twice.", lambda *a: twice(*a, double=True)),
            Fault("It returns more than k.", lambda *a: twice(*a, cut=False)),
            Fault(
                "It fails where the first search finds nothing.",
                lambda *a: twice(*a) if a[1](a[0], a[3]) else a[2][a[1](a[0], 1)[0]],
            ),
        ),
        ("`list(dict.fromkeys(rows))` drops what comes a second time and keeps the order.",),
    ),
)
