"""Answers to the exercises of chapter 02, right ones, and wrong ones with what the check says."""

import math
from collections import Counter, defaultdict

import numpy as np


def idf_log1p(df, n):
    return np.log1p((n - df + 0.5) / (df + 0.5))


def idf_one_fraction(df, n):
    return np.log(n + 1) - np.log(df + 0.5)


def idf_atire(df, n):
    return np.log(n) - np.log(df)


def idf_robertson(df, n):
    return np.log(n - df + 0.5) - np.log(df + 0.5)


def idf_base_ten(df, n):
    return np.log10((n + 1) / (df + 0.5))


def postings_by_counter(documents):
    index = defaultdict(dict)
    for row, document in enumerate(documents):
        for term, f in Counter(document).items():
            index[term][row] = f
    return index


def postings_by_term(documents):
    vocabulary = {term for document in documents for term in document}
    return {t: {i: d.count(t) for i, d in enumerate(documents) if d.count(t)} for t in vocabulary}


def postings_as_sets(documents):
    index = {}
    for row, document in enumerate(documents):
        for term in document:
            index.setdefault(term, {})[row] = 1
    return index


def postings_total(documents):
    total = Counter(term for document in documents for term in document)
    return {t: {i: f for i, d in enumerate(documents) if t in d} for t, f in total.items()}


def postings_with_zeros(documents):
    vocabulary = {term for document in documents for term in document}
    return {t: {i: d.count(t) for i, d in enumerate(documents)} for t in vocabulary}


def postings_from_one(documents):
    return {t: {i + 1: f for i, f in rows.items()} for t, rows in postings_by_counter(documents).items()}


def bm25(documents, k1, b, ratio=lambda d, mean: len(d) / mean, factor=1.0, idf=True, saturate=True):
    mean = np.mean([len(d) for d in documents])
    weights = {}
    for term, rows in postings_by_counter(documents).items():
        rarity = math.log((len(documents) + 1) / (len(rows) + 0.5)) if idf else 1.0
        weights[term] = {}
        for row, f in rows.items():
            tf = f / (f + k1 * (1 - b + b * ratio(documents[row], mean))) if saturate else f
            weights[term][row] = factor * rarity * tf
    return weights


def bm25_by_arrays(documents, k1, b):
    vocabulary = sorted({t for d in documents for t in d})
    f = np.array([[d.count(t) for d in documents] for t in vocabulary], dtype=float)
    lengths = f.sum(axis=0)
    df = (f > 0).sum(axis=1, keepdims=True)
    rarity = np.log1p((len(documents) - df + 0.5) / (df + 0.5))
    with np.errstate(invalid="ignore"):
        w = rarity * f / (f + k1 * (1 - b + b * lengths / lengths.mean()))
    return {t: {i: w[r, i] for i in np.flatnonzero(f[r])} for r, t in enumerate(vocabulary)}


def bm25_without_length(documents, k1, b):
    return bm25(documents, k1, b, ratio=lambda d, mean: 1.0)


def bm25_upside_down(documents, k1, b):
    return bm25(documents, k1, b, ratio=lambda d, mean: mean / len(d))


def bm25_atire_factor(documents, k1, b):
    return bm25(documents, k1, b, factor=k1 + 1)


def bm25_unsaturated(documents, k1, b):
    return bm25(documents, k1, b, saturate=False)


def bm25_without_idf(documents, k1, b):
    return bm25(documents, k1, b, idf=False)


def search_by_counter(terms, weights, k):
    scores = Counter()
    for term in terms:
        if term in weights:
            scores.update(weights[term])
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def search_by_array(terms, weights, k):
    size = 1 + max((row for rows in weights.values() for row in rows), default=-1)
    scores = np.zeros(size)
    for term in terms:
        for row, w in weights.get(term, {}).items():
            scores[row] += w
    order = np.argsort(-scores, kind="stable")
    return [(int(row), scores[row]) for row in order if scores[row] > 0][:k]


def search_known_only(terms, weights, k):
    scores = defaultdict(float)
    for term in terms:
        for row, w in weights[term].items():
            scores[row] += w
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def search_ascending(terms, weights, k):
    return sorted(search_by_counter(terms, weights, 10**6), key=lambda pair: (pair[1], pair[0]))[:k]


def search_set_of_terms(terms, weights, k):
    return search_by_counter(set(terms), weights, k)


def search_late_ties(terms, weights, k):
    return sorted(search_by_counter(terms, weights, 10**6), key=lambda pair: (pair[1], pair[0]))[::-1][:k]


def search_rows(terms, weights, k):
    return [row for row, _ in search_by_counter(terms, weights, k)]


def pairs_by_index(terms):
    pairs = [terms[i] + "_" + terms[i + 1] for i in range(len(terms) - 1)]
    return [*terms, *pairs]


def pairs_by_join(terms):
    return list(terms) + ["_".join(terms[i - 1 : i + 1]) for i in range(1, len(terms))]


def pairs_alone(terms):
    return [f"{terms[i]}_{terms[i + 1]}" for i in range(len(terms) - 1)]


def pairs_all(terms):
    return terms + [f"{a}_{b}" for i, a in enumerate(terms) for b in terms[i + 1 :]]


def pairs_short(terms):
    return terms + [f"{terms[i]}_{terms[i + 1]}" for i in range(len(terms) - 2)]


RIGHT = {
    "idf": [idf_log1p, idf_one_fraction],
    "postings": [postings_by_counter, postings_by_term],
    "bm25_weights": [bm25, bm25_by_arrays],
    "search_words": [search_by_counter, search_by_array],
    "with_pairs": [pairs_by_index, pairs_by_join],
}
WRONG = {
    "idf": [(idf_atire, "ATIRE"), (idf_robertson, "Robertson"), (idf_base_ten, "base 10")],
    "postings": [
        (postings_as_sets, "how often it has it"),
        (postings_total, "whole collection"),
        (postings_with_zeros, "leave them out"),
        (postings_from_one, "counted from 1"),
    ],
    "bm25_weights": [
        (bm25_without_length, "length of the text makes no difference"),
        (bm25_upside_down, "upside down"),
        (bm25_atire_factor, "k1 + 1 times"),
        (bm25_unsaturated, "saturate"),
        (bm25_without_idf, "multiply by the idf"),
    ],
    "search_words": [
        (search_known_only, "KeyError"),
        (search_ascending, "worst come first"),
        (search_set_of_terms, "not through a set"),
        (search_late_ties, "smaller row"),
        (search_rows, "pairs of row and score"),
    ],
    "with_pairs": [
        (pairs_alone, "single terms are gone"),
        (pairs_all, "only neighbours"),
        (pairs_short, "last pair is missing"),
    ],
}
