"""Answers to the exercises of chapter 12, right ones, and wrong ones with what the check says."""

import re
from collections import Counter

import numpy as np


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def grams(text, n):
    w = words(text)
    return list(zip(*(w[i:] for i in range(n)), strict=False))


def rouge_by_counters(summary, reference, n):
    s, r = Counter(grams(summary, n)), Counter(grams(reference, n))
    shared = sum(min(count, r[gram]) for gram, count in s.items())
    p, q = shared / max(1, sum(s.values())), shared / max(1, sum(r.values()))
    return p, q, 2 * p * q / (p + q) if shared else 0.0


def rouge_by_removal(summary, reference, n):
    s, left, shared = grams(summary, n), grams(reference, n), 0
    whole = len(left)
    for gram in s:
        if gram in left:
            left.remove(gram)
            shared += 1
    return [shared / (len(s) or 1), shared / (whole or 1), 2 * shared / (len(s) + whole or 1)]


def rouge_of_sets(summary, reference, n):
    s, r = set(grams(summary, n)), set(grams(reference, n))
    return len(s & r) / max(1, len(s)), len(s & r) / max(1, len(r)), 2 * len(s & r) / max(1, len(s) + len(r))


def rouge_swapped(summary, reference, n):
    return rouge_by_counters(reference, summary, n)


def rouge_f1(summary, reference, n):
    return rouge_by_counters(summary, reference, n)[2]


def rouge_divided(summary, reference, n):
    s, r = Counter(grams(summary, n)), Counter(grams(reference, n))
    shared = (s & r).total()
    return shared / s.total(), shared / r.total(), 2 * shared / (s.total() + r.total())


def steps_of(weights):
    return np.array([row / row.sum() if row.sum() else np.full(len(row), 1 / len(row)) for row in weights])


def rank_by_solving(weights, d):
    n = len(weights)
    return np.linalg.solve(np.eye(n) - d * steps_of(weights).T, np.full(n, (1 - d) / n))


def rank_by_walking(weights, d):
    n = len(weights)
    walk = d * steps_of(weights) + (1 - d) / n
    return np.linalg.matrix_power(walk, 256)[0]


def rank_leaking(weights, d):
    n, rank = len(weights), np.full(len(weights), 1 / len(weights))
    steps = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    for _ in range(300):
        rank = (1 - d) / n + d * rank @ steps
    return rank


def rank_at_rest(weights, d):
    n = len(weights)
    still = weights.sum(axis=1) == 0
    steps = np.diag(still.astype(float)) + steps_of(weights) * ~still[:, None]
    return np.linalg.solve(np.eye(n) - d * steps.T, np.full(n, (1 - d) / n))


def rank_backwards(weights, d):
    n = len(weights)
    return np.linalg.solve(np.eye(n) - d * steps_of(weights), np.full(n, (1 - d) / n))


def rank_once(weights, d):
    return (1 - d) / len(weights) + d * steps_of(weights).mean(axis=0)


def rank_degree(weights, d):
    return weights.sum(axis=1) / weights.sum()


def mmr_by_loop(relevance, vectors, n, balance):
    chosen = []
    while len(chosen) < n and len(chosen) < len(vectors):
        gains = {
            i: balance * relevance[i] - (1 - balance) * max((float(v @ vectors[j]) for j in chosen), default=0.0)
            for i, v in enumerate(vectors)
            if i not in chosen
        }
        chosen.append(max(gains, key=gains.get))
    return chosen


def mmr_running(relevance, vectors, n, balance):
    left, repeats, chosen = list(range(len(vectors))), np.full(len(vectors), -np.inf), []
    for _ in range(min(n, len(vectors))):
        cost = np.where(np.isinf(repeats), 0, repeats)
        best = max(left, key=lambda i: balance * relevance[i] - (1 - balance) * cost[i])
        chosen.append(best)
        left.remove(best)
        repeats = np.maximum(repeats, vectors @ vectors[best])
    return np.array(chosen)


def mmr_swapped(relevance, vectors, n, balance):
    return mmr_by_loop(relevance, vectors, n, 1 - balance)


def mmr_of_relevance(relevance, vectors, n, balance):
    return np.argsort(-relevance)[:n].tolist()


def mmr_sorted(relevance, vectors, n, balance):
    return sorted(mmr_by_loop(relevance, vectors, n, balance))


def budget_by_loop(parts, budget):
    groups, words_in = [], 0
    for part in parts:
        size = len(part.split())
        if not groups or words_in + size > budget:
            groups.append([])
            words_in = 0
        groups[-1].append(part)
        words_in += size
    return groups


def budget_by_recursion(parts, budget):
    if not parts:
        return []
    n = 1
    while n < len(parts) and len(" ".join(parts[: n + 1]).split()) <= budget:
        n += 1
    return [parts[:n], *budget_by_recursion(parts[n:], budget)]


def budget_strict(parts, budget):
    return budget_by_loop(parts, budget - 1)


def budget_losing(parts, budget):
    return budget_by_loop([part for part in parts if len(part.split()) <= budget], budget)


def budget_texts(parts, budget):
    return list(map(" ".join, budget_by_recursion(parts, budget)))


def unsupported_by_loop(sentence, source):
    found = re.findall(r"\w+", sentence)
    common = [len({w.lower() for w in found} & {w.lower() for w in re.findall(r"\w+", s)}) for s in source]
    near = re.findall(r"\w+", source[common.index(max(common))])
    return {w for i, w in enumerate(found) if (w.isdigit() or (i > 0 and w != w.lower())) and w not in near}


def unsupported_by_patterns(sentence, source):
    asked = set(re.findall(r"\w+", sentence.lower()))
    near = sorted(source, key=lambda s: -len(asked & set(re.findall(r"\w+", s.lower()))))[0]
    named = re.findall(r"(?<=\W)[A-Z]\w*", sentence) + re.findall(r"\b\d+\b", sentence)
    return set(named) - set(re.findall(r"\w+", near))


def unsupported_anywhere(sentence, source):
    return unsupported_by_patterns(sentence, [" ".join(source)])


def unsupported_in_text(sentence, source):
    def shared(other):
        return len({*re.findall(r"\w+", other.lower())} & {*re.findall(r"\w+", sentence.lower())})

    return {w for w in unsupported_by_patterns(sentence, [""]) if w not in max(source, key=shared)}


def unsupported_first(sentence, source):
    return unsupported_by_patterns(f"- {sentence}", source)


def unsupported_numbers(sentence, source):
    return {w for w in unsupported_by_patterns(sentence, source) if w.isdigit()}


RIGHT = {
    "rouge": [rouge_by_counters, rouge_by_removal],
    "page_rank": [rank_by_solving, rank_by_walking],
    "choose_by_mmr": [mmr_by_loop, mmr_running],
    "in_budget": [budget_by_loop, budget_by_recursion],
    "unsupported": [unsupported_by_loop, unsupported_by_patterns],
}
WRONG = {
    "rouge": [
        (rouge_of_sets, "counts once"),
        (rouge_swapped, "exchanged"),
        (rouge_f1, "F1 alone"),
        (rouge_divided, "divides by 0"),
    ],
    "page_rank": [
        (rank_leaking, "loses what it has"),
        (rank_at_rest, "keeps what it has"),
        (rank_backwards, "against the edges"),
        (rank_once, "one round only"),
        (rank_degree, "sum of each sentence's edges"),
    ],
    "choose_by_mmr": [
        (mmr_swapped, "turned round"),
        (mmr_of_relevance, "Repetition costs nothing"),
        (mmr_sorted, "sorted by place"),
    ],
    "in_budget": [
        (budget_strict, "exactly is allowed"),
        (budget_losing, "is lost"),
        (budget_texts, "lists of parts are wanted"),
    ],
    "unsupported": [
        (unsupported_anywhere, "whole source"),
        (unsupported_in_text, "A part of a word"),
        (unsupported_first, "first word counts"),
        (unsupported_numbers, "names are not"),
    ],
}
