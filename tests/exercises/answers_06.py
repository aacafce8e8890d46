"""Answers to the exercises of chapter 06, right ones, and wrong ones with what the check says."""

import math

import numpy as np


def tempered_by_loop(logits, temperature):
    top = max(logits)
    powers = [math.exp((z - top) / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def tempered_by_logs(logits, temperature):
    z = logits / temperature
    return np.exp(z - np.logaddexp.reduce(z))


def tempered_upside_down(logits, temperature):
    return tempered_by_logs(logits, 1 / temperature)


def tempered_late(logits, temperature):
    return tempered_by_logs(logits, 1) / temperature


def tempered_naive(logits, temperature):
    with np.errstate(all="ignore"):
        return np.exp(logits / temperature) / np.exp(logits / temperature).sum()


def nucleus_by_loop(logits, p):
    probabilities, kept, total = tempered_by_logs(logits, 1), np.zeros(len(logits)), 0.0
    for token in sorted(range(len(logits)), key=lambda t: -logits[t]):
        if total < p:
            kept[token] = probabilities[token]
            total += probabilities[token]
    return kept / total


def nucleus_from_below(logits, p):
    order = np.argsort(logits)
    outside = np.cumsum(tempered_by_logs(logits, 1)[order]) <= 1 - p
    cut = logits.copy()
    cut[order[outside]] = -np.inf
    return tempered_by_logs(cut, 1)


def nucleus_short(logits, p):
    order = np.argsort(-logits)
    probabilities = tempered_by_logs(logits, 1)
    kept = np.zeros(len(logits))
    chosen = order[np.cumsum(probabilities[order]) < p]
    kept[chosen] = probabilities[chosen]
    return kept / max(kept.sum(), 1e-12)


def nucleus_unnormalised(logits, p):
    return np.where(nucleus_by_loop(logits, p) > 0, tempered_by_logs(logits, 1), 0)


def nucleus_sorted(logits, p):
    return sorted(nucleus_by_loop(logits, p), reverse=True)


def greedy_by_loop(step, start, end, most):
    ids = [start]
    for _ in range(most):
        logits = step([ids])[0].tolist()
        ids.append(logits.index(max(logits)))
        if ids[-1] == end:
            break
    return ids


def greedy_by_recursion(step, start, end, most):
    def go_on(ids, left):
        token = int(np.argmax(step(np.array([ids])), axis=1)[0])
        return [*ids, token] if token == end or left == 1 else go_on([*ids, token], left - 1)

    return go_on([start], most)


def greedy_without_start(step, start, end, most):
    return greedy_by_loop(step, start, end, most)[1:]


def greedy_without_end(step, start, end, most):
    return [i for i in greedy_by_loop(step, start, end, most) if i != end]


def greedy_of_the_last(step, start, end, most):
    ids = [start]
    while ids[-1] != end and len(ids) <= most:
        ids.append(int(step([[ids[-1]]])[0].argmax()))
    return ids


def greedy_counting_the_start(step, start, end, most):
    ids = [start]
    while ids[-1] != end and len(ids) < most:
        ids.append(int(step([ids])[0].argmax()))
    return ids


def log_row(step, ids):
    z = np.asarray(step([ids])[0])
    return z - np.logaddexp.reduce(z)


def beam_one_by_one(step, start, end, most, beams, alpha, logs=log_row, length=lambda ids: len(ids) - 1):
    live, done = {(start,): 0.0}, {}
    for n in range(most):
        found = {(*ids, t): s + lp for ids, s in live.items() for t, lp in enumerate(logs(step, list(ids)))}
        best = dict(sorted(found.items(), key=lambda item: item[1], reverse=True)[:beams])
        live = {ids: s for ids, s in best.items() if ids[-1] != end and n < most - 1}
        done |= {ids: s / length(ids) ** alpha for ids, s in best.items() if ids not in live}
        if not live:
            break
    return list(max(done, key=done.get))


def beam_by_arrays(step, start, end, most, beams, alpha):
    scores, rows, best = np.zeros(1), np.array([[start]]), (-np.inf, None)
    for n in range(1, most + 1):
        z = step(rows)
        sums = (scores[:, None] + z - np.logaddexp.reduce(z, axis=1)[:, None]).ravel()
        places = np.argsort(-sums, kind="stable")[:beams]
        rows = np.hstack([rows[places // z.shape[1]], (places % z.shape[1])[:, None]])
        scores = sums[places]
        over = (rows[:, -1] == end) | (n == most)
        best = max([best, *((s / n**alpha, r.tolist()) for s, r in zip(scores[over], rows[over], strict=True))])
        scores, rows = scores[~over], rows[~over]
        if not len(rows):
            break
    return best[1]


def beam_without_penalty(step, start, end, most, beams, alpha):
    return beam_one_by_one(step, start, end, most, beams, 0)


def beam_with_start(step, start, end, most, beams, alpha):
    return beam_one_by_one(step, start, end, most, beams, alpha, length=len)


def beam_of_logits(step, start, end, most, beams, alpha):
    return beam_one_by_one(step, start, end, most, beams, alpha, logs=lambda step, ids: step([ids])[0])


def beam_greedy(step, start, end, most, beams, alpha):
    return greedy_by_loop(step, start, end, most)


def no_repeat_by_table(logits, prefix, n):
    followed = {}
    for i in range(len(prefix) - n + 1):
        followed.setdefault(tuple(prefix[i : i + n - 1]), []).append(prefix[i + n - 1])
    result = np.array(logits)
    result[followed.get(tuple(prefix[len(prefix) + 1 - n :]), [])] = -np.inf
    return result


def no_repeat_by_trying(logits, prefix, n):
    def is_new(token):
        longer = [*prefix, token]
        return longer[-n:] not in [longer[i : i + n] for i in range(len(longer) - n)]

    return [z if is_new(token) else -math.inf for token, z in enumerate(logits)]


def no_repeat_of_anything(logits, prefix, n):
    result = logits.copy()
    result[list(prefix)] = -np.inf
    return result


def no_repeat_zero(logits, prefix, n):
    return np.where(np.isfinite(no_repeat_by_table(logits, prefix, n)), logits, 0)


def no_repeat_longer(logits, prefix, n):
    return no_repeat_by_table(logits, prefix, n + 1)


def no_repeat_once(logits, prefix, n):
    tail, result = prefix[len(prefix) - n + 1 :], logits.copy()
    for i in range(len(prefix) - n + 1):
        if prefix[i : i + n - 1] == tail:
            result[prefix[i + n - 1]] = -np.inf
            break
    return result


RIGHT = {
    "tempered": [tempered_by_loop, tempered_by_logs],
    "nucleus": [nucleus_by_loop, nucleus_from_below],
    "greedy_search": [greedy_by_loop, greedy_by_recursion],
    "beam_search": [beam_one_by_one, beam_by_arrays],
    "no_repeat": [no_repeat_by_table, no_repeat_by_trying],
}
WRONG = {
    "tempered": [
        (tempered_upside_down, "divided by it"),
        (tempered_late, "before the softmax"),
        (tempered_naive, "Large logits become nan"),
    ],
    "nucleus": [
        (nucleus_short, "is left out"),
        (nucleus_unnormalised, "does not add up to 1"),
        (nucleus_sorted, "keeps its place"),
    ],
    "greedy_search": [
        (greedy_without_start, "start token is missing"),
        (greedy_without_end, "end token is missing"),
        (greedy_of_the_last, "last token alone"),
        (greedy_counting_the_start, "for one of the new ones"),
    ],
    "beam_search": [
        (beam_without_penalty, "length makes no difference"),
        (beam_with_start, "counted in the length"),
        (beam_of_logits, "adds logits up"),
        (beam_greedy, "greedy, whatever"),
    ],
    "no_repeat": [
        (no_repeat_of_anything, "All that has been written"),
        (no_repeat_zero, "minus infinity"),
        (no_repeat_longer, "runs of n + 1"),
        (no_repeat_once, "several ways"),
    ],
}
