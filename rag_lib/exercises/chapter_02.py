"""The exercises of chapter 02: an inverted index, and BM25 on it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.indexing.bm25 import BM25, IDF

Weights = dict[str, dict[int, float]]

TOY = ["the moon and the tides".split(), "the sun".split(), "the moon the moon".split()]
MUSEUM = [
    "laika was a dog a dog in orbit".split(), "a dog on the moon".split(), "rocket".split(),
    "the rocket the rocket the rocket and laika flew to orbit and orbit and orbit".split(),
]  # fmt: skip
WEIGHTS: Weights = {"moon": {0: 1.0, 2: 3.0}, "sun": {1: 2.0, 0: 1.0}, "tide": {3: 2.0}}


class Split:
    """An analyser that splits at spaces, so that the finished BM25 takes the terms of a case as they are."""

    def of_query(self, text: str) -> list[str]:
        """The terms of a question."""
        return text.split()

    __call__ = of_query


def idf_cases() -> list[Case]:
    """Rare, common, everywhere, and many at once."""
    df = np.array([1, 3, 50, 100])
    return [
        Case((2, 100), float(IDF["lucene"](100, 2)), "a term in 2 of 100 texts"),
        Case((50, 100), float(IDF["lucene"](100, 50)), "a term in half of the texts"),
        Case((100, 100), float(IDF["lucene"](100, 100)), "a term in every text"),
        Case((df, 100), IDF["lucene"](100, df), "an array of document frequencies"),
    ]


def postings_cases() -> list[Case]:
    """Repetitions, several texts, an empty text, none."""
    toy = {"the": {0: 2, 1: 1, 2: 2}, "moon": {0: 1, 2: 2}, "and": {0: 1}, "tides": {0: 1}, "sun": {1: 1}}
    return [
        Case((TOY,), toy, "three texts"),
        Case(([[], ["moon"]],), {"moon": {1: 1}}, "a text without terms"),
        Case(([],), {}, "no text at all"),
    ]


def finished_weights(documents: list[list[str]], k1: float, b: float) -> Weights:
    """The weights of every posting, by the finished version."""
    index = BM25([str(i) for i in range(len(documents))], map(" ".join, documents), Split(), k1, b)
    scores = {term: index.scores(term) for term in index.terms}
    return {t: {row: float(s[row]) for row, d in enumerate(documents) if t in d} for t, s in scores.items()}


def bm25_weights_cases() -> list[Case]:
    """Texts of different lengths under different settings."""
    settings = [(MUSEUM, 1.2, 0.75), (MUSEUM, 1.2, 0.0), (MUSEUM, 3.0, 1.0), (TOY, 0.0, 0.75)]
    about = ["k1 = 1.2 and b = 0.75", "b = 0", "k1 = 3 and b = 1", "k1 = 0"]
    return [Case(s, finished_weights(*s), what) for s, what in zip(settings, about, strict=True)]


def weights(documents: list[list[str]], weigh, length=len, df=None) -> Weights:
    """Weights `weigh(f, idf, |d| / mean)` of all postings, with the mistakes that the other settings make."""
    counts = [Counter(d) for d in documents]
    sizes = [length(d) for d in documents]
    mean = sum(sizes) / len(sizes)
    terms = {t for d in documents for t in d}
    df = df or (lambda t: sum(t in d for d in documents))
    lucene = {t: float(IDF["lucene"](len(documents), df(t))) for t in terms}
    return {
        t: {row: float(weigh(c[t], lucene[t], sizes[row] / mean)) for row, c in enumerate(counts) if t in c}
        for t in terms
    }


def search_words_cases() -> list[Case]:
    """One term, several, unknown ones, repeated ones, ties, and few hits."""
    return [
        Case((["moon"], WEIGHTS, 5), [(2, 3.0), (0, 1.0)], "one term"),
        Case((["moon", "sun"], WEIGHTS, 2), [(2, 3.0), (0, 2.0)], "two terms and k = 2"),
        Case((["sun", "tide"], WEIGHTS, 5), [(1, 2.0), (3, 2.0), (0, 1.0)], "two texts with the same score"),
        Case((["tide", "xylophone"], WEIGHTS, 5), [(3, 2.0)], "a term that no text has"),
        Case((["sun", "sun"], WEIGHTS, 1), [(1, 4.0)], "a question that says a term twice"),
        Case((["xylophone"], WEIGHTS, 5), [], "a question without a known term"),
    ]


def summed(terms: list[str], index: Weights) -> Counter:
    """The scores of the rows that a term of the question occurs in."""
    scores: Counter = Counter()
    for term in terms:
        scores.update(index.get(term, {}))
    return scores


def ranked(scores: dict, sign: int = 1, tie: int = 1) -> list[tuple[int, float]]:
    """Rows and scores, sorted."""
    return sorted(scores.items(), key=lambda item: (-sign * item[1], tie * item[0]))


def with_pairs_cases() -> list[Case]:
    """Several terms, two, one, none."""
    return [
        Case((["first", "woman", "space"],), ["first", "woman", "space", "first_woman", "woman_space"], "three terms"),
        Case((["moon", "moon", "moon"],), ["moon", "moon", "moon", "moon_moon", "moon_moon"], "a repeated term"),
        Case((["moon"],), ["moon"], "a single term"),
        Case(([],), [], "no term"),
    ]


EXERCISES = (
    Exercise(
        "idf",
        idf_cases,
        (
            Fault(
                "That is ATIRE's formula, ln(N / df); Lucene's is wanted, ln(1 + (N - df + 0.5) / (df + 0.5)).",
                lambda df, n: np.log(n / df),
            ),
            Fault(
                "The 1 inside the logarithm is missing: that is Robertson's formula, negative for common terms.",
                lambda df, n: np.log((n - df + 0.5) / (df + 0.5)),
            ),
            Fault(
                "The logarithm has base 10; the natural one is wanted, `np.log`.",
                lambda df, n: np.log10(1 + (n - df + 0.5) / (df + 0.5)),
            ),
            Fault(
                "The logarithm has base 2; the natural one is wanted, `np.log`.",
                lambda df, n: np.log2(1 + (n - df + 0.5) / (df + 0.5)),
            ),
            Fault(
                "The fraction is upside down: rare terms must get more.",
                lambda df, n: np.log(1 + (df + 0.5) / (n - df + 0.5)),
            ),
        ),
        ("The formula is in section 2.7; `np.log` is the natural logarithm, and takes arrays too.",),
    ),
    Exercise(
        "postings",
        postings_cases,
        (
            Fault(
                "Every frequency is 1: it says whether a text has the term; how often it has it is wanted.",
                lambda ds: {t: {i: 1 for i, d in enumerate(ds) if t in d} for t in {t for d in ds for t in d}},
            ),
            Fault(
                "The frequency is that of the whole collection; that of the one text is wanted.",
                lambda ds: {
                    t: {i: sum(d.count(t) for d in ds) for i, e in enumerate(ds) if t in e}
                    for t in {t for d in ds for t in d}
                },
            ),
            Fault(
                "Texts without the term are listed, with 0: leave them out; that is the point of the index.",
                lambda ds: {t: {i: d.count(t) for i, d in enumerate(ds)} for t in {t for d in ds for t in d}},
            ),
            Fault(
                "Rows are counted from 1; Python counts from 0.",
                lambda ds: {
                    t: {i: d.count(t) for i, d in enumerate(ds, 1) if t in d} for t in {t for d in ds for t in d}
                },
            ),
            Fault(
                "It maps texts to terms; an inverted index maps terms to texts.",
                lambda ds: {i: dict(Counter(d)) for i, d in enumerate(ds)},
            ),
        ),
        (
            "`Counter(terms)` counts the terms of one text.",
            "`index.setdefault(term, {})[row] = frequency` makes the inner dictionary where there is none.",
        ),
    ),
    Exercise(
        "bm25_weights",
        bm25_weights_cases,
        (
            Fault(
                "The length of the text makes no difference: k1 is multiplied by 1 - b + b·|d| / mean length.",
                lambda ds, k1, b: weights(ds, lambda f, idf, r: idf * f / (f + k1)),
            ),
            Fault(
                "Long texts are favoured: |d| / mean length is upside down.",
                lambda ds, k1, b: weights(ds, lambda f, idf, r: idf * f / (f + k1 * (1 - b + b / r))),
            ),
            Fault(
                "Everything is k1 + 1 times too large: that is ATIRE's factor. It changes no ranking; Lucene has none.",
                lambda ds, k1, b: weights(ds, lambda f, idf, r: idf * (k1 + 1) * f / (f + k1 * (1 - b + b * r))),
            ),
            Fault(
                "The frequency does not saturate: f / (f + …) belongs where you have f.",
                lambda ds, k1, b: weights(ds, lambda f, idf, r: idf * f),
            ),
            Fault(
                "Rare terms do not count more: multiply by the idf.",
                lambda ds, k1, b: weights(ds, lambda f, idf, r: f / (f + k1 * (1 - b + b * r))),
            ),
            Fault(
                "The length counts different terms; all terms count, repeated ones each time.",
                lambda ds, k1, b: weights(
                    ds, lambda f, idf, r: idf * f / (f + k1 * (1 - b + b * r)), length=lambda d: len(set(d))
                ),
            ),
            Fault(
                "df counts occurrences; it is the number of texts that have the term.",
                lambda ds, k1, b: weights(
                    ds,
                    lambda f, idf, r: idf * f / (f + k1 * (1 - b + b * r)),
                    df=lambda t: min(sum(d.count(t) for d in ds), len(ds)),
                ),
            ),
        ),
        (
            "weight = idf · f / (f + k1 · (1 - b + b · |d| / mean length)), with the idf of the first exercise.",
            "df of a term is the length of its postings, |d| is len(documents[row]).",
        ),
    ),
    Exercise(
        "search_words",
        search_words_cases,
        (
            Fault(
                "A term that no text has is a KeyError: such a term adds nothing; `weights.get(term, {})`.",
                lambda terms, index, k: ranked(summed([t for t in terms if index[t]], index))[:k],
            ),
            Fault("The worst come first: sort from high to low.", lambda ts, ix, k: ranked(summed(ts, ix), -1)[:k]),
            Fault(
                "A term that the question says twice counts once: go through the list of terms, not through a set.",
                lambda terms, index, k: ranked(summed(sorted(set(terms)), index))[:k],
            ),
            Fault(
                "Of two texts with the same score the one with the smaller row is wanted first.",
                lambda terms, index, k: ranked(summed(terms, index), tie=-1)[:k],
            ),
            Fault(
                "All texts that were found are returned: cut after k.",
                lambda terms, index, k: ranked(summed(terms, index)),
            ),
            Fault(
                "Only the rows are returned; pairs of row and score are wanted.",
                lambda terms, index, k: [row for row, _ in ranked(summed(terms, index))[:k]],
            ),
            Fault(
                "The best of a text's weights is kept; the weights of all terms are added.",
                lambda terms, index, k: ranked(
                    {r: max(index.get(t, {}).get(r, 0.0) for t in terms) for r in summed(terms, index)}
                )[:k],
            ),
        ),
        (
            "Collect scores in a dictionary: for each term of the question, add the weight of each of its postings.",
            "`sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]`.",
        ),
    ),
    Exercise(
        "with_pairs",
        with_pairs_cases,
        (
            Fault(
                "The single terms are gone: the pairs come after them.",
                lambda terms: [f"{a}_{b}" for a, b in pairwise(terms)],
            ),
            Fault(
                "The last pair is missing: n terms have n - 1 pairs of neighbours.",
                lambda terms: terms + [f"{terms[i]}_{terms[i + 1]}" for i in range(len(terms) - 2)],
            ),
            Fault(
                "It pairs each term with all that follow; only neighbours belong together.",
                lambda terms: terms + [f"{a}_{b}" for a, b in combinations(terms, 2)],
            ),
            Fault(
                "The last term is paired with the first: there is no neighbour after the end.",
                lambda terms: terms + [f"{a}_{b}" for a, b in zip(terms, terms[1:] + terms[:1], strict=True)],
            ),
        ),
        ("`zip(terms, terms[1:])`, or `itertools.pairwise(terms)`, gives the neighbours.",),
    ),
)
