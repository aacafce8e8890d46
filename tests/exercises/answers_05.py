"""Answers to the exercises of chapter 05, right ones, and wrong ones with what the check says."""

import math
from collections import defaultdict

import numpy as np


def max_sim_by_loop(question, passage):
    return sum(max(float(q @ p) for p in passage) for q in question) / len(question)


def max_sim_by_einsum(question, passage):
    return np.einsum("qd,pd->qp", question, passage).max(axis=-1).mean()


def max_sim_other_axis(question, passage):
    return np.mean(np.max(question @ passage.T, axis=0))


def max_sim_sum(question, passage):
    return np.sum(np.max(question @ passage.T, axis=1))


def max_sim_all_pairs(question, passage):
    return np.mean(question @ passage.T)


def max_sim_one_vector(question, passage):
    return question.mean(axis=0) @ passage.mean(axis=0)


def max_sim_best_pair(question, passage):
    return np.max(question @ passage.T)


def ap_by_array(ranking, grades):
    hit = np.array([grades.get(p, 0) > 0 for p in ranking], dtype=float)
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return (precision * hit).sum() / sum(g > 0 for g in grades.values())


def ap_by_ranks(ranking, grades):
    ranks = sorted(ranking.index(p) + 1 for p, g in grades.items() if g > 0 and p in ranking)
    return sum((i + 1) / rank for i, rank in enumerate(ranks)) / len([g for g in grades.values() if g > 0])


def ap_of_the_found(ranking, grades):
    ranks = sorted(ranking.index(p) + 1 for p, g in grades.items() if g > 0 and p in ranking)
    return sum((i + 1) / rank for i, rank in enumerate(ranks)) / len(ranks) if ranks else 0.0


def ap_from_zero(ranking, grades):
    total = found = 0
    for rank, p in enumerate(ranking):
        if grades.get(p, 0) > 0:
            found += 1
            total += found / rank
    return total / sum(g > 0 for g in grades.values())


def ap_reciprocal_rank(ranking, grades):
    return next((1 / rank for rank, p in enumerate(ranking, 1) if grades.get(p, 0) > 0), 0.0)


def ap_every_rank(ranking, grades):
    hits = np.cumsum([grades.get(p, 0) > 0 for p in ranking])
    return float(np.mean(hits / np.arange(1, len(ranking) + 1)))


def ap_judged(ranking, grades):
    return ap_by_ranks(ranking, dict.fromkeys(grades, 1))


def ndcg_by_arrays(ranking, grades, k):
    def dcg(g):
        return (np.array(g, dtype=float) / np.log(np.arange(2, len(g) + 2))).sum()  # the base cancels

    return dcg([grades.get(p, 0) for p in ranking[:k]]) / dcg(sorted(grades.values())[::-1][:k])


def ndcg_by_loop(ranking, grades, k):
    got = best = 0.0
    for rank in range(1, k + 1):
        if rank <= len(ranking) and ranking[rank - 1] in grades:
            got += grades[ranking[rank - 1]] / math.log2(rank + 1)
        if rank <= len(grades):
            best += sorted(grades.values(), reverse=True)[rank - 1] / math.log2(rank + 1)
    return got / best


def ndcg_ideal_of_found(ranking, grades, k):
    gains = [grades.get(p, 0) for p in ranking[:k]]
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(gains, reverse=True)))
    return sum(g / math.log2(i + 2) for i, g in enumerate(gains)) / ideal if ideal else 0.0


def ndcg_long_ideal(ranking, grades, k):
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(grades.values(), reverse=True)))
    return sum(grades.get(p, 0) / math.log2(i + 2) for i, p in enumerate(ranking[:k])) / ideal


def ndcg_off_by_one(ranking, grades, k):
    ideal = sum(g / math.log2(i + 3) for i, g in enumerate(sorted(grades.values(), reverse=True)[:k]))
    return sum(grades.get(p, 0) / math.log2(i + 3) for i, p in enumerate(ranking[:k])) / ideal


def ndcg_of_powers(ranking, grades, k):
    return ndcg_by_loop(ranking, {passage: 2**grade - 1 for passage, grade in grades.items()}, k)


def ndcg_without_ideal(ranking, grades, k):
    return sum(grades.get(p, 0) / math.log2(i + 2) for i, p in enumerate(ranking[:k]))


def ndcg_by_rank(ranking, grades, k):
    ideal = sum(g / (i + 1) for i, g in enumerate(sorted(grades.values(), reverse=True)[:k]))
    return sum(grades.get(p, 0) / (i + 1) for i, p in enumerate(ranking[:k])) / ideal


def rrf_by_defaultdict(rankings, constant):
    scores = defaultdict(float)
    for ranking in rankings:
        for i, passage in enumerate(ranking):
            scores[passage] += 1 / (constant + i + 1)
    return [(p, -s) for s, p in sorted((-s, p) for p, s in scores.items())]


def rrf_by_index(rankings, constant):
    names = sorted({p for ranking in rankings for p in ranking})
    scores = {p: sum(1 / (constant + r.index(p) + 1) for r in rankings if p in r) for p in names}
    return sorted(scores.items(), key=lambda item: item[1], reverse=True)


def rrf_from_zero(rankings, constant):
    scores = defaultdict(float)
    for ranking in rankings:
        for rank, passage in enumerate(ranking):
            scores[passage] += 1 / (constant + rank) if constant + rank else 2.0
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def rrf_ascending(rankings, constant):
    return sorted(rrf_by_index(rankings, constant), key=lambda item: (item[1], item[0]))


def rrf_without_constant(rankings, constant):
    return rrf_by_index(rankings, 0)


def rrf_names(rankings, constant):
    return [passage for passage, _ in rrf_by_index(rankings, constant)]


def fuse_by_arrays(rankings, weights):
    total = defaultdict(float)
    for ranking, weight in zip(rankings, weights, strict=True):
        if ranking:
            s = np.array(list(ranking.values()))
            span = s.max() - s.min()
            s = (s - s.min()) / span if span else np.ones(len(s))
            for passage, value in zip(ranking, s, strict=True):
                total[passage] += weight * value
    return dict(total)


def fuse_by_passage(rankings, weights):
    def stretched(ranking, passage):
        low, high = min(ranking.values()), max(ranking.values())
        return 1.0 if low == high else (ranking[passage] - low) / (high - low)

    names = {p for ranking in rankings for p in ranking}
    pairs = list(zip(rankings, weights, strict=True))
    return {p: sum(w * stretched(r, p) for r, w in pairs if p in r) for p in names}


def fuse_raw(rankings, weights):
    total = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for passage, score in ranking.items():
            total[passage] = total.get(passage, 0) + weight * score
    return total


def fuse_unweighted(rankings, weights):
    return fuse_by_passage(rankings, [1 / len(rankings)] * len(rankings))


def fuse_division_by_zero(rankings, weights):
    total = defaultdict(float)
    for ranking, weight in zip(rankings, weights, strict=True):
        for passage, score in ranking.items():
            low, high = min(ranking.values()), max(ranking.values())
            total[passage] += weight * (score - low) / (high - low)
    return total


def fuse_mean(rankings, weights):
    return {passage: score / sum(weights) for passage, score in fuse_by_passage(rankings, weights).items()}


def fuse_last(rankings, weights):
    total = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        total |= fuse_by_passage([ranking], [weight])
    return total


def fuse_by_maximum(rankings, weights):
    scaled = [{p: s / max(r.values()) for p, s in r.items()} for r in rankings]
    return fuse_raw(scaled, weights)


RIGHT = {
    "max_sim": [max_sim_by_loop, max_sim_by_einsum],
    "average_precision": [ap_by_array, ap_by_ranks],
    "ndcg": [ndcg_by_arrays, ndcg_by_loop],
    "rrf": [rrf_by_defaultdict, rrf_by_index],
    "fuse_scores": [fuse_by_arrays, fuse_by_passage],
}
WRONG = {
    "max_sim": [
        (max_sim_other_axis, "over the question's tokens"),
        (max_sim_sum, "mean is wanted"),
        (max_sim_all_pairs, "all pairs"),
        (max_sim_one_vector, "all pairs"),
        (max_sim_best_pair, "best pair"),
    ],
    "average_precision": [
        (ap_of_the_found, "not found are left out"),
        (ap_from_zero, "counted from 0"),
        (ap_reciprocal_rank, "reciprocal rank"),
        (ap_every_rank, "at every rank"),
        (ap_judged, "grade 0"),
    ],
    "ndcg": [
        (ndcg_ideal_of_found, "made of what was found"),
        (ndcg_long_ideal, "not cut off after k"),
        (ndcg_off_by_one, "off by one"),
        (ndcg_of_powers, "2^grade - 1"),
        (ndcg_without_ideal, "not divided"),
        (ndcg_by_rank, "log2(rank + 1)"),
    ],
    "rrf": [
        (rrf_from_zero, "counted from 0"),
        (rrf_ascending, "best come last"),
        (rrf_without_constant, "constant is not used"),
        (rrf_names, "pairs of passage and score"),
    ],
    "fuse_scores": [
        (fuse_raw, "drowns the other"),
        (fuse_unweighted, "weights make no difference"),
        (fuse_division_by_zero, "divided by 0"),
        (fuse_mean, "not a mean"),
        (fuse_last, "last score"),
        (fuse_by_maximum, "divided by the largest"),
    ],
}
