"""Answers to the exercises of chapter 07, right ones, and wrong ones with what the check says."""

import math
import re
from collections import defaultdict

import numpy as np


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def cite_by_loop(answer, question, passages):
    best, most = None, -1
    for number, text in enumerate(passages):
        match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE)
        if match and len(words(question) & words(text)) > most:
            best, most = (number, match.start(), match.end()), len(words(question) & words(text))
    return best


def cite_by_find(answer, question, passages):
    def place(text):
        start = text.lower().find(answer.lower())
        around = text[max(0, start - 1) : start] + text[start + len(answer) : start + len(answer) + 1]
        return start if start >= 0 and not any(c.isalnum() for c in around) else -1

    rows = [i for i, text in enumerate(passages) if place(text) >= 0]
    if not rows:
        return None
    row = sorted(rows, key=lambda i: -len(words(question) & words(passages[i])))[0]
    return row, place(passages[row]), place(passages[row]) + len(answer)


def cite_first(answer, question, passages):
    for number, text in enumerate(passages):
        if match := re.search(rf"\b{re.escape(answer)}\b", text, re.IGNORECASE):
            return number, *match.span()
    return None


def cite_case(answer, question, passages):
    return cite_by_loop(answer, question, [text if answer in text else "" for text in passages])


def cite_parts(answer, question, passages):
    rows = [i for i, text in enumerate(passages) if answer.lower() in text.lower()]
    if not rows:
        return None
    row = max(rows, key=lambda i: len(words(question) & words(passages[i])))
    start = passages[row].lower().index(answer.lower())
    return row, start, start + len(answer)


def cite_pattern(answer, question, passages):
    found = [(i, m) for i, text in enumerate(passages) if (m := re.search(rf"\b{answer}\b", text, re.IGNORECASE))]
    if not found:
        return None
    row, match = max(found, key=lambda pair: len(words(question) & words(passages[pair[0]])))
    return row, match.start(), match.end()


def marginals_by_loop(logs, prior):
    def add(values):
        top = max(values)
        return top + math.log(sum(math.exp(v - top) for v in values))

    sequence = add([p + sum(row) for p, row in zip(prior, logs, strict=True)])
    return sequence, sum(add([p + row[t] for p, row in zip(prior, logs, strict=True)]) for t in range(logs.shape[1]))


def marginals_by_shift(logs, prior):
    joint, top = prior + logs.sum(axis=1), logs.max(axis=0)
    token = (np.log(np.exp(prior) @ np.exp(logs - top)) + top).sum()
    return joint.max() + np.log(np.exp(joint - joint.max()).sum()), token


def marginals_swapped(logs, prior):
    return marginals_by_loop(logs, prior)[::-1]


def marginals_naive(logs, prior):
    with np.errstate(divide="ignore"):
        return (
            np.log((np.exp(prior) * np.exp(logs.sum(axis=1))).sum()),
            np.log((np.exp(prior)[:, None] * np.exp(logs)).sum(axis=0)).sum(),
        )


def marginals_without_prior(logs, prior):
    return marginals_by_loop(logs, np.zeros_like(prior))


def marginals_of_the_best(logs, prior):
    return (prior + logs.sum(axis=1)).max(), (prior[:, None] + logs).max(axis=0).sum()


def key(text):
    return re.sub(r"\s+", " ", re.sub(r"\b(a|an|the)\b|[^\w\s]", " ", text.lower())).strip()


def vote_by_defaultdict(readings, weights):
    support, first = defaultdict(float), {}
    for (text, strength), weight in zip(readings, weights, strict=True):
        support[key(text)] += weight * strength
        first.setdefault(key(text), text)
    best = max(support, key=support.get)
    return first[best], support[best]


def vote_by_pairs(readings, weights):
    voices = [(key(t), s * w, t) for (t, s), w in zip(readings, weights, strict=True)]
    totals = [(sum(v for k, v, _ in voices if k == mine), text) for mine, _, text in voices]
    return sorted(totals, key=lambda pair: -pair[0])[0][::-1]


def vote_of_texts(readings, weights):
    support = {}
    for (text, strength), weight in zip(readings, weights, strict=True):
        support[text] = support.get(text, 0) + weight * strength
    return max(support.items(), key=lambda item: item[1])


def vote_unweighted(readings, weights):
    return vote_by_pairs(readings, np.ones(len(weights)))


def vote_of_the_strongest(readings, weights):
    return max(((t, s * w) for (t, s), w in zip(readings, weights, strict=True)), key=lambda pair: pair[1])


def vote_with_articles(readings, weights):
    support, first = {}, {}
    for (text, strength), weight in zip(readings, weights, strict=True):
        bare = re.sub(r"[^\w ]", "", text.lower())
        support[bare] = support.get(bare, 0) + weight * strength
        first.setdefault(bare, text)
    best = max(support, key=support.get)
    return first[best], support[best]


def threshold_by_loop(scores, right, wrong_cost):
    best, lowest = math.inf, len(scores)
    for threshold in sorted(set(scores), reverse=True):
        cost = sum(1 if s < threshold else (0 if r else wrong_cost) for s, r in zip(scores, right, strict=True))
        if cost <= lowest:
            best, lowest = threshold, cost
    return best


def threshold_by_cumsum(scores, right, wrong_cost):
    order = np.argsort(-np.array(scores))
    steps = np.where(np.array(right)[order] > 0, -1.0, wrong_cost - 1.0)  # what each further answer changes
    costs = np.concatenate([[0.0], np.cumsum(steps)])
    last = len(costs) - 1 - int(np.argmin(costs[::-1]))
    return float(np.array(scores)[order][last - 1]) if last else math.inf


def threshold_of_free_silence(scores, right, wrong_cost):
    def cost(t):
        return sum(wrong_cost for s, r in zip(scores, right, strict=True) if s >= t and not r)

    return min([*scores, math.inf], key=lambda t: (cost(t), t))


def threshold_highest(scores, right, wrong_cost):
    def cost(t):
        return sum(1 if s < t else wrong_cost * (1 - r) for s, r in zip(scores, right, strict=True))

    return min(sorted([*scores, math.inf], reverse=True), key=cost)


def threshold_never_silent(scores, right, wrong_cost):
    def cost(t):
        return sum(1 if s < t else wrong_cost * (1 - r) for s, r in zip(scores, right, strict=True))

    return min(sorted(scores), key=cost)


def threshold_exclusive(scores, right, wrong_cost):
    def cost(t):
        return sum(1 if s <= t else wrong_cost * (1 - r) for s, r in zip(scores, right, strict=True))

    return min([*sorted(scores), math.inf], key=cost)


def pipeline_by_loop(question, find, read, texts, threshold):
    best, most = None, threshold
    for row in find(question):
        answer, strength = read(question, texts[row])
        start = texts[row].lower().find(answer.lower())
        if start >= 0 and strength >= most:
            best, most = (texts[row][start : start + len(answer)], row, start, start + len(answer)), strength
    return best


def pipeline_by_sorting(question, find, read, texts, threshold):
    readings = sorted(((row, *read(question, texts[row])) for row in find(question)), key=lambda r: -r[2])
    for row, answer, strength in readings:
        if (match := re.search(re.escape(answer), texts[row], re.IGNORECASE)) and strength >= threshold:
            return match[0], row, match.start(), match.end()
    return None


def pipeline_first(question, find, read, texts, threshold):
    rows = find(question)
    return pipeline_by_loop(question, lambda q: rows[:1], read, texts, threshold)


def pipeline_uncitable(question, find, read, texts, threshold):
    rows = sorted(find(question), key=lambda row: -read(question, texts[row])[1])
    return pipeline_by_loop(question, lambda q: rows[:1], read, texts, threshold)


def pipeline_without_threshold(question, find, read, texts, threshold):
    return pipeline_by_loop(question, find, read, texts, 0)


def pipeline_lower_case(question, find, read, texts, threshold):
    found = pipeline_by_loop(question, find, read, texts, threshold)
    return found and (found[0].lower(), *found[1:])


def pipeline_place(question, find, read, texts, threshold):
    found = pipeline_by_loop(question, find, read, texts, threshold)
    return found and (found[0], find(question).index(found[1]), *found[2:])


RIGHT = {
    "cite": [cite_by_loop, cite_by_find],
    "log_marginals": [marginals_by_loop, marginals_by_shift],
    "weighted_vote": [vote_by_defaultdict, vote_by_pairs],
    "cheapest_threshold": [threshold_by_loop, threshold_by_cumsum],
    "cited_answer": [pipeline_by_loop, pipeline_by_sorting],
}
WRONG = {
    "cite": [
        (cite_first, "first passage that has the answer"),
        (cite_case, "Case makes a difference"),
        (cite_parts, "part of a word"),
        (cite_pattern, "any character"),
    ],
    "log_marginals": [
        (marginals_swapped, "swapped"),
        (marginals_naive, "stay in logarithms"),
        (marginals_without_prior, "prior makes no difference"),
        (marginals_of_the_best, "takes the best passage"),
    ],
    "weighted_vote": [
        (vote_of_texts, "do not vote together"),
        (vote_unweighted, "weights make no difference"),
        (vote_of_the_strongest, "strongest voice wins"),
        (vote_with_articles, "Articles are left in"),
    ],
    "cheapest_threshold": [
        (threshold_of_free_silence, "Silence costs nothing"),
        (threshold_highest, "the lowest is wanted"),
        (threshold_never_silent, "To say nothing at all"),
        (threshold_exclusive, ">=, not >"),
    ],
    "cited_answer": [
        (pipeline_first, "from the first passage"),
        (pipeline_uncitable, "leave it out and take the next"),
        (pipeline_without_threshold, "threshold is not used"),
        (pipeline_lower_case, "as the passage writes it"),
        (pipeline_place, "row in `texts`"),
    ],
}
