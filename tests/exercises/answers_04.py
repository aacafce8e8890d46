"""Answers to the exercises of chapter 04, right ones, and wrong ones with what the check says."""

import numpy as np


def names_by_loop(rows, names, dead, k):
    found = []
    for row in rows.tolist():
        if row != -1 and names[row] not in dead and len(found) < k:
            found.append(names[row])
    return found


def names_by_mask(rows, names, dead, k):
    alive = np.array([name not in dead for name in names])
    real = rows[rows >= 0]
    return [names[row] for row in real[alive[real]]][:k]


def names_of_padding(rows, names, dead, k):
    return [name for name in map(names.__getitem__, rows) if name not in dead][:k]


def names_of_the_dead(rows, names, dead, k):
    return [names[row] for row in rows if row >= 0][:k]


def names_cut_early(rows, names, dead, k):
    return [names[row] for row in rows[:k] if row >= 0 and names[row] not in dead]


def names_without_zero(rows, names, dead, k):
    return [names[row] for row in rows if row > 0 and names[row] not in dead][:k]


def nearest_by_lists(scores, k):
    return [sorted(range(len(row)), key=lambda i: -row[i])[:k] for row in scores.tolist()]


def nearest_by_lexsort(scores, k):
    return np.stack([np.lexsort((np.arange(len(row)), -row))[:k] for row in scores])


def nearest_ascending(scores, k):
    return scores.argsort(axis=1)[:, :k]


def nearest_columns(scores, k):
    return (-scores).argsort(axis=0, kind="stable")[:k].T


def nearest_reversed(scores, k):
    return scores.argsort(axis=1, kind="stable")[:, ::-1][:, :k]


def nearest_partition(scores, k):
    found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1)
    return np.take_along_axis(found, order, axis=1)


def nearest_values(scores, k):
    return np.sort(scores, axis=1)[:, ::-1][:, :k]


def step_by_loop(x, centres):
    groups = [[] for _ in centres]
    for point in x:
        groups[min(range(len(centres)), key=lambda c: np.linalg.norm(point - centres[c]))].append(point)
    return [sum(group) / len(group) if group else centre for group, centre in zip(groups, centres, strict=True)]


def step_by_matrix(x, centres):
    nearest = np.linalg.norm(x[:, None] - centres[None], axis=2).argmin(axis=1)
    member = (nearest[:, None] == np.arange(len(centres))).astype(float)
    counts = member.sum(axis=0)[:, None]
    return np.where(counts > 0, member.T @ x / np.maximum(counts, 1), centres)


def step_nan(x, centres):
    nearest = np.linalg.norm(x[:, None] - centres[None], axis=2).argmin(axis=1)
    member = (nearest[:, None] == np.arange(len(centres))).astype(float)
    with np.errstate(invalid="ignore"):
        return member.T @ x / member.sum(axis=0)[:, None]


def step_zero(x, centres):
    near = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    sums = np.array([x[near == c].sum(axis=0) for c in range(len(centres))])
    return sums / np.maximum(np.bincount(near, minlength=len(centres)), 1)[:, None]


def step_farthest(x, centres):
    nearest = np.linalg.norm(x[:, None] - centres[None], axis=2).argmax(axis=1)
    return np.array([x[nearest == c].mean(axis=0) if (nearest == c).any() else centres[c] for c in range(len(centres))])


def step_by_product(x, centres):
    nearest = (x @ centres.T).argmax(axis=1)
    return np.array([x[nearest == c].mean(axis=0) if (nearest == c).any() else centres[c] for c in range(len(centres))])


def step_assignment(x, centres):
    return np.linalg.norm(x[:, None] - centres[None], axis=2).argmin(axis=1)


def lists_by_sets(q, x, centres, lists, k, probes):
    nearest = sorted(range(len(centres)), key=lambda c: np.linalg.norm(centres[c] - q))[:probes]
    rows = {int(row) for c in nearest for row in lists[c]}
    return sorted(rows, key=lambda row: -float(x[row] @ q))[:k]


def lists_by_mask(q, x, centres, lists, k, probes):
    scores = np.full(len(x), -np.inf)
    for c in np.argsort((centres**2).sum(axis=1) - 2 * centres @ q)[:probes]:
        scores[lists[c]] = x[lists[c]] @ q
    return [row for row in np.argsort(-scores).tolist() if scores[row] > -np.inf][:k]


def lists_places(q, x, centres, lists, k, probes):
    nearest = np.argsort(np.linalg.norm(centres - q, axis=1))[:probes]
    candidates = np.concatenate([lists[c] for c in nearest])
    return np.argsort(-(x[candidates] @ q))[:k].tolist()


def lists_farthest(q, x, centres, lists, k, probes):
    nearest = np.argsort(-np.linalg.norm(centres - q, axis=1))[:probes]
    candidates = np.concatenate([lists[c] for c in nearest])
    return candidates[np.argsort(-(x[candidates] @ q))][:k].tolist()


def lists_exact(q, x, centres, lists, k, probes):
    return np.argsort(-(x @ q))[:k].tolist()


def lists_one(q, x, centres, lists, k, probes):
    rows = lists[np.linalg.norm(centres - q, axis=1).argmin()]
    return sorted(rows.tolist(), key=lambda row: -float(x[row] @ q))[:k]


def table_by_loop(q, codebooks, codes):
    width = codebooks.shape[2]
    return [sum(float(codebooks[j][c] @ q[j * width : (j + 1) * width]) for j, c in enumerate(code)) for code in codes]


def table_by_columns(q, codebooks, codes):
    scores = np.zeros(len(codes))
    for j, part in enumerate(np.split(q, len(codebooks))):
        scores += (codebooks[j] @ part)[codes[:, j]]
    return scores


def table_interleaved(q, codebooks, codes):
    m = len(codebooks)
    return sum((codebooks[j] @ q[j::m])[codes[:, j]] for j in range(m))


def table_distance(q, codebooks, codes):
    decoded = np.stack([np.concatenate([codebooks[j][c] for j, c in enumerate(code)]) for code in codes])
    return ((decoded - q) ** 2).sum(axis=1)


def table_unsummed(q, codebooks, codes):
    table = np.einsum("jcd,jd->jc", codebooks, q.reshape(len(codebooks), -1))
    return table[np.arange(len(codebooks)), codes]


def table_mean(q, codebooks, codes):
    return table_unsummed(q, codebooks, codes).mean(axis=-1)


RIGHT = {
    "living_names": [names_by_loop, names_by_mask],
    "nearest_rows": [nearest_by_lists, nearest_by_lexsort],
    "kmeans_step": [step_by_loop, step_by_matrix],
    "search_lists": [lists_by_sets, lists_by_mask],
    "table_scores": [table_by_loop, table_by_columns],
}
WRONG = {
    "living_names": [
        (names_of_padding, "names[-1]"),
        (names_of_the_dead, "dead are handed out"),
        (names_cut_early, "drop first, cut then"),
        (names_without_zero, "Row 0"),
    ],
    "nearest_rows": [
        (nearest_ascending, "farthest"),
        (nearest_columns, "along axis 1"),
        (nearest_reversed, "larger row comes first"),
        (nearest_partition, "larger than the collection"),
        (nearest_values, "rows are wanted"),
    ],
    "kmeans_step": [
        (step_nan, "becomes nan"),
        (step_zero, "becomes 0"),
        (step_farthest, "farthest centre"),
        (step_by_product, "|c|² is missing"),
        (step_assignment, "new centres are wanted"),
    ],
    "search_lists": [
        (lists_places, "places among the candidates"),
        (lists_farthest, "farthest lists"),
        (lists_exact, "nothing is saved"),
        (lists_one, "one list"),
    ],
    "table_scores": [
        (table_interleaved, "dealt out to the parts"),
        (table_distance, "distances"),
        (table_unsummed, "not added up"),
        (table_mean, "mean of the parts"),
    ],
}
