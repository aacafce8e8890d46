"""Answers to the exercises of chapter 10, right ones, and wrong ones with what the check says."""

import re
from collections import Counter

import numpy as np


def words(text):
    return [w for w in re.sub(r"[^\w\s]", " ", text.lower()).split() if w not in {"a", "an", "the"}]


def scores_by_counter(said, accepted, words=words):
    def f1(a, b):
        shared = sum((Counter(a) & Counter(b)).values())
        return 2 * (shared / len(a)) * (shared / len(b)) / (shared / len(a) + shared / len(b)) if shared else 0.0

    return (
        max(float(words(said) == words(right)) for right in accepted),
        max(f1(words(said), words(right)) for right in accepted),
    )


def scores_by_removal(said, accepted):
    exact, best = 0.0, 0.0
    for right in accepted:
        left, mine = words(right), words(said)
        total = len(left) + len(mine)
        exact = max(exact, 1.0 if left == mine else 0.0)
        shared = sum(1 for w in mine if w in left and (left.remove(w) or True))
        best = max(best, 2 * shared / total)
    return exact, best


def scores_with_articles(said, accepted):
    return scores_by_counter(said, accepted, lambda t: re.findall(r"\w+", t.lower()))


def scores_with_signs(said, accepted):
    return scores_by_counter(said, accepted, lambda t: [w for w in t.lower().split() if w not in ("a", "an", "the")])


def scores_of_the_first(said, accepted):
    return scores_by_counter(said, accepted[:1])


def scores_f1(said, accepted):
    return scores_by_counter(said, accepted)[1]


def cause_by_steps(outcome, threshold):
    given = outcome["score"] >= threshold
    if not outcome["gold"]:
        return "unanswerable, answered" if given else "right"
    if outcome["right"]:
        return "right" if given else "kept silent"
    if not any(i in outcome["gold"] for i in outcome["found"]):
        return "not retrieved"
    return "cut otherwise" if outcome["cited"] in outcome["gold"] else "not read"


def cause_by_table(outcome, threshold):
    answered, asked = outcome["score"] >= threshold, bool(outcome["gold"])
    rules = [
        ("unanswerable, answered", not asked and answered),
        ("right", not asked or (outcome["right"] and answered)),
        ("kept silent", outcome["right"]),
        ("not retrieved", set(outcome["gold"]).isdisjoint(outcome["found"])),
        ("not read", outcome["cited"] not in outcome["gold"]),
        ("cut otherwise", True),
    ]
    return next(cause for cause, holds in rules if holds)


def cause_silence_first(outcome, threshold):
    if outcome["gold"] and outcome["score"] < threshold:
        return "kept silent"
    return cause_by_steps(outcome, threshold)


def cause_without_threshold(outcome, threshold):
    return cause_by_steps(outcome, -1)


def cause_reading_first(outcome, threshold):
    cause = cause_by_steps(outcome, threshold)
    return "not read" if cause == "not retrieved" else cause


def auroc_by_ranks(answerable, unanswerable):
    both = np.array([*answerable, *unanswerable])
    ranks = np.array([(both < x).sum() + ((both == x).sum() + 1) / 2 for x in answerable])
    n, m = len(answerable), len(unanswerable)
    return (ranks.sum() - n * (n + 1) / 2) / (n * m)


def auroc_by_signs(answerable, unanswerable):
    return (np.sign(np.subtract.outer(answerable, unanswerable)).mean() + 1) / 2


def auroc_strict(answerable, unanswerable):
    return float(np.mean(np.array(answerable)[:, None] > np.array(unanswerable)))


def auroc_upside_down(answerable, unanswerable):
    return 1 - auroc_by_signs(answerable, unanswerable)


def auroc_means(answerable, unanswerable):
    return np.mean(answerable) - np.mean(unanswerable)


def calibration_by_loop(scores, right, bins):
    pairs, total, start = sorted(zip(scores, right, strict=True), key=lambda pair: pair[0]), 0.0, 0
    for b in range(bins):
        size = len(pairs) // bins + (b < len(pairs) % bins)
        part = pairs[start : start + size]
        total += abs(sum(s for s, _ in part) - sum(r for _, r in part))
        start += size
    return total / len(pairs)


def calibration_by_sums(scores, right, bins):
    gaps = np.subtract(scores, right)[np.argsort(scores, kind="stable")]
    return sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps)


def calibration_unsorted(scores, right, bins):
    return sum(abs(part.sum()) for part in np.array_split(np.subtract(scores, right), bins)) / len(scores)


def calibration_downwards(scores, right, bins):
    return calibration_by_loop([-s for s in scores], [-r for r in right], bins)


def calibration_of_pairs(scores, right, bins):
    gaps = np.subtract(scores, right)[np.argsort(scores)]
    return sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps)


def calibration_of_all(scores, right, bins):
    return abs(sum(scores) - sum(right)) / len(scores)


def calibration_unweighted(scores, right, bins):
    gaps = np.subtract(scores, right)[np.argsort(scores, kind="stable")]
    return np.mean([abs(part.mean()) for part in np.array_split(gaps, bins)])


def calibration_single(scores, right, bins):
    return np.abs(np.subtract(scores, right)).mean()


def twice_by_loop(question, find, texts, k):
    first, rows = find(question, k), []
    if first:
        for row in [first[0], *find(question + " " + texts[first[0]], k), *first]:
            if row not in rows:
                rows.append(row)
    return rows[:k]


def twice_by_sorting(question, find, texts, k):
    first = find(question, k)
    second = find(f"{question} {texts[first[0]]}", k) if first else []
    place = {row: (2, i) for i, row in enumerate(first)} | {row: (1, i) for i, row in enumerate(second)}
    place |= dict.fromkeys(first[:1], (0, 0))
    return sorted(place, key=place.get)[:k]


def twice_once(question, find, texts, k):
    return find(question, k)


def twice_without_question(question, find, texts, k):
    first = find(question, k)
    return list(dict.fromkeys([*first[:1], *(find(texts[first[0]], k) if first else []), *first]))[:k]


def twice_doubled(question, find, texts, k):
    first = find(question, k)
    return [*first[:1], *(find(f"{question} {texts[first[0]]}", k) if first else [])][:k]


def twice_long(question, find, texts, k):
    first = find(question, k)
    second = find(f"{question} {texts[first[0]]}", k) if first else []
    return list(dict.fromkeys([*first[:1], *second, *first]))


RIGHT = {
    "answer_scores": [scores_by_counter, scores_by_removal],
    "first_cause": [cause_by_steps, cause_by_table],
    "auroc": [auroc_by_ranks, auroc_by_signs],
    "calibration_error": [calibration_by_loop, calibration_by_sums],
    "search_twice": [twice_by_loop, twice_by_sorting],
}
WRONG = {
    "answer_scores": [
        (scores_with_articles, "Articles are left in"),
        (scores_with_signs, "Signs are left in"),
        (scores_of_the_first, "first accepted answer only"),
        (scores_f1, "F1 alone"),
    ],
    "first_cause": [
        (cause_silence_first, "silence did not make it wrong"),
        (cause_without_threshold, "threshold is not used"),
        (cause_reading_first, "search before the reading"),
    ],
    "auroc": [
        (auroc_strict, "A tie counts one half."),
        (auroc_upside_down, "other way round"),
        (auroc_means, "difference of the means"),
    ],
    "calibration_error": [
        (calibration_unsorted, "not sorted"),
        (calibration_downwards, "from high to low"),
        (calibration_of_pairs, "keep their order"),
        (calibration_of_all, "one bin for all"),
        (calibration_unweighted, "in proportion to its answers"),
        (calibration_single, "answer by answer"),
    ],
    "search_twice": [
        (twice_once, "searches once"),
        (twice_without_question, "left out of the second query"),
        (twice_doubled, "twice"),
        (twice_long, "more than k"),
    ],
}
