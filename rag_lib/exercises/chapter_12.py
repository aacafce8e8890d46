"""The exercises of chapter 12: summaries measured, chosen, packed and checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import random, unit

DOG = ("the dog saw the cat", "a dog saw the dog")


def rouge_cases() -> list[Case]:
    """Repetition, length, pairs, case and signs, nothing."""
    settings = [
        (*DOG, 1, "words that occur several times"),
        (*DOG, 2, "pairs of words"),
        ("The Moon!", "the moon, and its craters", 1, "capitals, signs and a longer reference"),
        ("Mars", "the moon", 1, "nothing in common"),
        ("", "the moon", 1, "an empty summary"),
        ("the", "moon", 3, "texts shorter than n"),
    ]
    return [Case((s, r, n), scores(s, r, n), about) for s, r, n, about in settings]


def runs(text: str, n: int, clean: bool = True) -> Counter:
    """How often each run of n words occurs."""
    w = re.findall(r"[a-z0-9]+", text.lower()) if clean else text.split()
    return Counter(tuple(w[i : i + n]) for i in range(len(w) - n + 1))


def scores(summary: str, reference: str, n: int, clean: bool = True, once: bool = False) -> tuple[float, float, float]:
    """Precision, recall and F1, with the mistakes that the other settings make."""
    s, r = (runs(text, n, clean) for text in (summary, reference))
    if once:
        s, r = Counter(set(s)), Counter(set(r))
    shared, p, q = (s & r).total(), max(s.total(), 1), max(r.total(), 1)
    return shared / p, shared / q, 2 * shared / max(s.total() + r.total(), 1)


def rank_cases() -> list[Case]:
    """A chain, a node without edges, unequal weights."""
    chain = np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
    alone = np.array([[0.0, 2, 0], [2, 0, 0], [0, 0, 0]])
    many = np.abs(random(17, 5, 5)) * (1 - np.eye(5))
    return [
        Case((chain, 0.85), walked(chain, 0.85), "three sentences in a chain"),
        Case((many, 0.85), walked(many, 0.85), "five sentences with edges of all widths"),
        Case((many, 0.5), walked(many, 0.5), "d = 0.5"),
        Case((alone, 0.85), walked(alone, 0.85), "a sentence that shares a word with none"),
    ]


def walked(w: np.ndarray, d: float, alone: str = "jumps", axis: int = 1, rounds: int = 500, jump: bool = True,
           back: bool = False) -> np.ndarray:  # fmt: skip
    """PageRank, with the mistakes that the other settings make."""
    n, out = len(w), w.sum(axis=axis, keepdims=True)
    steps = np.where(out > 0, w / np.maximum(out, 1e-12), {"jumps": 1 / n, "stays": np.eye(n), "loses": 0.0}[alone])
    rank = np.full(n, 1 / n)
    for _ in range(rounds):
        rank = (1 - d) / n * jump + d * (rank @ steps if (axis == 1) != back else steps @ rank)
    return rank


def choose_cases() -> list[Case]:
    """Relevance alone, repetition, a balance, more than there are."""
    v = unit(np.array([[1.0, 0.1], [1, 0], [0.2, 1], [-0.5, 1], [0.7, 0.7]]))
    relevance = np.array([0.9, 0.88, 0.6, 0.2, 0.5])
    settings = [(3, 1.0, "balance 1, which is relevance alone"), (3, 0.5, "balance 0.5"), (4, 0.7, "balance 0.7"),
                (9, 0.6, "more than there are"), (1, 0.5, "a single one")]  # fmt: skip
    return [Case((relevance, v, n, b), chosen(relevance, v, n, b), about) for n, b, about in settings]


def chosen(relevance, v, n, balance, join: Callable = np.max, swap: bool = False, again: bool = False) -> list[int]:
    """Maximal marginal relevance, with the mistakes that the other settings make."""
    found: list[int] = []
    balance = 1 - balance if swap else balance
    while len(found) < min(n, len(v)):
        repeats = join(v @ v[found].T, axis=1) if found else np.zeros(len(v))
        gain = balance * relevance - (1 - balance) * repeats
        if not again:
            gain[found] = -np.inf
        found.append(int(gain.argmax()))
    return found


def pack_cases() -> list[Case]:
    """Groups that fit exactly, a part that is too long, none."""
    parts = ["a b c", "d e", "f g h i", "j"]
    return [
        Case((parts, 5), [["a b c", "d e"], ["f g h i", "j"]], "parts that fill the budget exactly"),
        Case((parts, 6), packed(parts, 6), "a budget of 6 words"),
        Case((parts, 12), [parts], "a budget for all of them"),
        Case((parts, 3), packed(parts, 3), "a part that is longer than the budget, by itself"),
        Case(([], 5), [], "no parts"),
    ]


def packed(parts: Sequence[str], budget: int, size: Callable = lambda t: len(t.split()), full: int = 0) -> list:
    """Neighbours in groups, with the mistakes that the other settings make."""
    groups: list[list[str]] = []
    for part in parts:
        if groups and sum(map(size, groups[-1])) + size(part) + full <= budget:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


SOURCE = ["Laika flew in Sputnik 2 on 3 November 1957.", "Gagarin flew in 1961.", "She died in orbit after 7 hours."]


def unsupported_cases() -> list[Case]:
    """What is there, numbers and names that are not, far away, first words, commas in numbers."""
    settings = [
        ("Laika flew in 1957.", set(), "a sentence that is supported"),
        ("Laika flew in 1958.", {"1958"}, "a year that is nowhere"),
        ("Later Laika flew in Vostok 2.", {"Vostok"}, "a name that is nowhere"),
        ("Laika flew in Sputnik 2 in 1961.", {"1961"}, "a year that another sentence has"),
        ("The dog flew with Gagarin in Sputnik 2 in November 1957.", {"Gagarin"}, "a name of another sentence"),
        ("The dog flew in Sputnik 2 on 3 November 57.", {"57"}, "a number that is only a part of one"),
        ("Nothing is said here.", set(), "a sentence without names and numbers"),
    ]
    return [Case((s, SOURCE), wanted, about) for s, wanted, about in settings]


def facts(sentence: str, first: bool = False, small: bool = True) -> set[str]:
    """Numbers, and words with a capital but for the first word."""
    words = re.findall(r"\w+", sentence)
    named = {w for i, w in enumerate(words) if (i or first) and w[0].isupper()}
    return named | ({w for w in words if w.isdigit()} if small else set())


def missing(sentence: str, source: Sequence[str], whole: bool = False, **settings: bool) -> set[str]:
    """Facts that the nearest sentence does not have, with the mistakes that the other settings make."""
    own = set(re.findall(r"\w+", sentence.lower()))
    near = max(source, key=lambda s: len(own & set(re.findall(r"\w+", s.lower()))))
    known = set(re.findall(r"\w+", " ".join(source) if whole else near))
    return facts(sentence, **settings) - known


EXERCISES = (
    Exercise(
        "rouge",
        rouge_cases,
        (
            Fault(
                "A run that both have twice counts once: `Counter(a) & Counter(b)` keeps the smaller count.",
                lambda *a: scores(*a, once=True),
            ),
            Fault(
                "Capitals and signs make a difference: words are runs of letters and digits in lower case.",
                lambda *a: scores(*a, clean=False),
            ),
            Fault("Precision and recall are exchanged.", lambda s, r, n: scores(r, s, n)),
            Fault("It counts single words, whatever n is.", lambda s, r, n: scores(s, r, 1)),
            Fault("It returns F1 alone; precision, recall and F1 are wanted.", lambda *a: scores(*a)[2]),
            Fault(
                "It divides by 0 where a text is empty or shorter than n.",
                lambda s, r, n: scores(s, r, n) if runs(s, n) and runs(r, n) else 1 / len(runs(s, n)) / len(runs(r, n)),
            ),
        ),
        (
            "`zip(*(words[i:] for i in range(n)))` gives the runs of n words.",
            "`(a & b).total()` is what both have; precision divides it by the summary's runs.",
        ),
    ),
    Exercise(
        "page_rank",
        rank_cases,
        (
            Fault(
                "A sentence without edges loses what it has: from there the walker goes anywhere, 1 / n each.",
                lambda w, d: walked(w, d, alone="loses"),
            ),
            Fault(
                "A sentence without edges keeps what it has: from there the walker goes anywhere, 1 / n each.",
                lambda w, d: walked(w, d, alone="stays"),
            ),
            Fault(
                "It walks against the edges: what a sentence gets comes along its column, `rank @ steps`.",
                lambda w, d: walked(w, d, back=True),
            ),
            Fault(
                "Each column is divided by its sum; a sentence divides its rank among its neighbours, along its row.",
                lambda w, d: walked(w, d, axis=0),
            ),
            Fault("Nobody jumps: add (1 - d) / n to each.", lambda w, d: walked(w, d, jump=False)),
            Fault("It is one round only: go on until nothing changes.", lambda w, d: walked(w, d, rounds=1)),
            Fault("d is not used.", lambda w, d: walked(w, 0.85)),
            Fault("That is the sum of each sentence's edges, not their rank.", lambda w, d: w.sum(axis=1) / w.sum()),
        ),
        (
            "Make the steps first: each row of the weights over its sum, a row of zeros becomes 1 / n.",
            "Start with 1 / n and repeat rank = (1 - d) / n + d * rank @ steps.",
        ),
    ),
    Exercise(
        "choose_by_mmr",
        choose_cases,
        (
            Fault("The balance is turned round: it belongs to the relevance.", lambda *a: chosen(*a, swap=True)),
            Fault("Repetition costs nothing.", lambda r, v, n, b: chosen(r, v, n, 1.0)),
            Fault("One is chosen twice.", lambda *a: chosen(*a, again=True)),
            Fault(
                "It takes the mean of the likenesses to those chosen; the largest is wanted.",
                lambda *a: chosen(*a, join=np.mean),
            ),
            Fault(
                "They are sorted by place; the order in which they were chosen is wanted.",
                lambda *a: sorted(chosen(*a)),
            ),
        ),
        (
            "For all items at once: `(vectors @ vectors[chosen].T).max(axis=1)`, 0 while nothing is chosen.",
            "Set the gain of what is chosen to minus infinity, then `argmax`.",
        ),
    ),
    Exercise(
        "in_budget",
        pack_cases,
        (
            Fault("A group that fills the budget exactly is allowed.", lambda p, b: packed(p, b, full=1)),
            Fault("It counts characters; the budget is in words.", lambda p, b: packed(p, b, len)),
            Fault("Every part is a group of its own: join neighbours while they fit.", lambda p, b: [[x] for x in p]),
            Fault(
                "A part that is longer than the budget is lost; it is a group of its own.",
                lambda p, b: packed([x for x in p if len(x.split()) <= b], b),
            ),
            Fault("It begins with an empty group.", lambda p, b: [[], *packed(p, b)]),
            Fault(
                "The groups are joined to texts; lists of parts are wanted.",
                lambda p, b: [" ".join(g) for g in packed(p, b)],
            ),
        ),
        ("Add a part to the last group if there is one and the words of both fit; else begin a new group.",),
    ),
    Exercise(
        "unsupported",
        unsupported_cases,
        (
            Fault(
                "It looks at the whole source: what stands far away proves nothing; look at the nearest sentence.",
                lambda *a: missing(*a, whole=True),
            ),
            Fault(
                "A part of a word counts as the word: compare with the words of the sentence, not with its text.",
                lambda s, t: {w for w in missing(s, t) if not any(w in other for other in t)},
            ),
            Fault("The first word counts as a name; it has a capital anyway.", lambda *a: missing(*a, first=True)),
            Fault("Names are looked at, numbers are not.", lambda *a: missing(*a, small=False)),
            Fault("It returns what is supported; what is not is wanted.", lambda s, t: facts(s) - missing(s, t)),
            Fault("Numbers are looked at, names are not.", lambda s, t: {w for w in missing(s, t) if w.isdigit()}),
        ),
        (
            "The nearest sentence shares the most different words (in lower case); `max(source, key=…)` finds it.",
            "Names are words with a capital, but for the first word; numbers are words of digits.",
        ),
    ),
)
