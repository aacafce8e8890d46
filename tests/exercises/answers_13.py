"""Answers to the exercises of chapter 13, right ones, and wrong ones with what the check says."""

import re

import numpy as np

SPELT = "zero one two three four five six seven eight nine ten eleven twelve".split()


def list_by_sorting(scores, allowed, history, k):
    left = [i for i in range(len(scores)) if allowed[i] and i not in history]
    return sorted(left, key=lambda i: -scores[i])[:k]


def list_by_infinity(scores, allowed, history, k):
    masked = np.where(allowed, scores, -np.inf)
    masked[list(history)] = -np.inf
    return [i for i in np.argsort(-masked, kind="stable")[:k] if np.isfinite(masked[i])]


def list_filtered_late(scores, allowed, history, k):
    return [i for i in np.argsort(-scores, kind="stable")[:k] if allowed[i] and i not in history]


def list_of_everything(scores, allowed, history, k):
    return [i for i in np.argsort(-scores, kind="stable") if allowed[i]][:k]


def list_filled(scores, allowed, history, k):
    masked = np.where(allowed, scores, -np.inf)
    masked[list(history)] = -np.inf
    return np.argsort(-masked, kind="stable")[:k].tolist()


def list_turned_round(scores, allowed, history, k):
    return [i for i in np.argsort(scores, kind="stable")[::-1] if allowed[i] and i not in history][:k]


def list_ascending(scores, allowed, history, k):
    return list_by_sorting(-scores, allowed, history, k)


def jaccard_by_sets(matrix, shrinkage):
    buyers = [set(np.flatnonzero(column)) for column in matrix.T]
    result = np.zeros((len(buyers),) * 2)
    for i, a in enumerate(buyers):
        for j, b in enumerate(buyers):
            if i != j and a | b:
                result[i, j] = len(a & b) / (len(a | b) + shrinkage)
    return result


def jaccard_by_minimum(matrix, shrinkage):
    both = np.minimum(matrix[:, :, None], matrix[:, None]).sum(axis=0)
    either = np.maximum(matrix[:, :, None], matrix[:, None]).sum(axis=0)
    return both / np.maximum(either + shrinkage, 1e-12) * (1 - np.eye(matrix.shape[1]))


def jaccard_cosine(matrix, shrinkage):
    n = matrix.sum(axis=0)
    result = (matrix.T @ matrix) / np.maximum(np.sqrt(n[:, None] * n) + shrinkage, 1e-12)
    np.fill_diagonal(result, 0)
    return result


def jaccard_diagonal(matrix, shrinkage):
    both = np.minimum(matrix[:, :, None], matrix[:, None]).sum(axis=0)
    either = np.maximum(matrix[:, :, None], matrix[:, None]).sum(axis=0)
    return both / np.maximum(either + shrinkage, 1e-12)


def jaccard_unshrunk(matrix, shrinkage):
    return jaccard_by_sets(matrix, 0)


def jaccard_nan(matrix, shrinkage):
    both, n = matrix.T @ matrix, matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):
        result = both / (n[:, None] + n - both + shrinkage)
    np.fill_diagonal(result, 0)
    return result


def centred(vectors):
    moved = vectors - vectors.mean(axis=0)
    return moved / np.sqrt((moved**2).sum(axis=1, keepdims=True))


def profile_by_loop(vectors, history, stars, apart=centred, none=3):
    v, profile = apart(vectors), 0
    for row, given in zip(history, stars, strict=True):
        profile = profile + v[row] * (none if given is None else given)
    return [float(x @ profile) / np.sqrt(profile @ profile) for x in v]


def profile_by_matrix(vectors, history, stars):
    v, w = centred(vectors), np.zeros(len(vectors))
    w[history] = [3 if given is None else given for given in stars]
    profile = w @ v / w.sum()
    return v @ profile / np.linalg.norm(profile)


def profile_uncentred(vectors, history, stars):
    return profile_by_loop(vectors, history, stars, apart=lambda v: v)


def profile_short(vectors, history, stars):
    return profile_by_loop(vectors, history, stars, apart=lambda v: v - v.mean(axis=0))


def profile_without_stars(vectors, history, stars):
    return profile_by_loop(vectors, history, [1] * len(stars))


def profile_none_is_nothing(vectors, history, stars):
    if stars == [None]:
        return np.zeros(len(vectors))
    return profile_by_loop(vectors, history, stars, none=0)


def number(word):
    return SPELT.index(word.lower()) if word.lower() in SPELT else int(word)


def wish_by_patterns(text, less=0.01):
    any_number = rf"(?:\d+|{'|'.join(SPELT[1:])})"
    age = re.search(rf"({any_number})[ -]years?[ -]old", text, re.I)
    price = re.search(rf"(under|less than|at most|up to) (?:€({any_number})|({any_number}) euro)", text, re.I)
    most = float(number(price[2] or price[3])) if price else None
    if price and price[1].lower() in ("under", "less than"):
        most -= less
    return (number(age[1]) if age else None, most)


def wish_by_words(text):
    tokens = re.findall(r"€|\d+|[a-z]+", text.lower())
    age = price = None
    for i, token in enumerate(tokens):
        if token.isdigit() or token in SPELT:
            if tokens[i + 1 : i + 3] in (["year", "old"], ["years", "old"]):
                age = number(token)
            before = i - 1 - (tokens[i - 1] == "€")
            money = tokens[i - 1] == "€" or tokens[i + 1 : i + 2] in (["euro"], ["euros"])
            said = " ".join(tokens[max(0, before - 1) : before + 1])
            if money and said.endswith(("under", "less than", "at most", "up to")):
                price = number(token) - (0.01 if said.endswith(("under", "less than")) else 0)
    return age, price


def wish_digits(text):
    return wish_by_patterns(re.sub(r"\b(one|two|six|seven|ten)\b", "", text, flags=re.I))


def wish_of_any_number(text):
    age, price = wish_by_patterns(text)
    loose = re.search(r"(under|less than|at most|up to) €?(\d+)", text, re.I)
    return age, price if price or not loose else int(loose[2]) - 0.01


def wish_inclusive(text):
    return wish_by_patterns(text, less=0)


def wish_small_letters(text):
    return wish_by_patterns(re.sub(r"[A-Z]\w*", "", text))


def split_by_loop(purchases, start, end):
    known, later = {}, {}
    for visitor, product, date in sorted(purchases, key=lambda p: p[-1]):
        if date < start:
            known[visitor] = [*known.get(visitor, []), product]
        elif date < end and product not in known.get(visitor, []):
            later[visitor] = later.get(visitor, set()) | {product}
    return known, later


def split_by_comprehension(purchases, start, end):
    ordered = sorted(purchases, key=lambda p: p[2])
    visitors = {v for v, _, _ in purchases}
    known = {v: [p for w, p, d in ordered if w == v and d < start] for v in visitors}
    later = {v: {p for w, p, d in ordered if w == v and start <= d < end} - set(known[v]) for v in visitors}
    return [{v: found for v, found in each.items() if found} for each in (known, later)]


def split_inclusive(purchases, start, end):
    return split_by_loop(purchases, start + "x", end)


def split_endless(purchases, start, end):
    return split_by_loop(purchases, start, "9")


def split_again(purchases, start, end):
    known, _ = split_by_loop(purchases, start, end)
    return known, split_by_loop([p for p in purchases if p[2] >= start], start, end)[1]


def split_to_the_end(purchases, start, end):
    return split_by_loop(purchases, start, end + "x")


def split_with_nothing(purchases, start, end):
    known, later = split_by_loop(purchases, start, end)
    asked = {v: set() for v, _, d in purchases if start <= d < end}
    return known, asked | later


def split_once(purchases, start, end):
    known, later = split_by_loop(purchases, start, end)
    return {v: list(dict.fromkeys(products)) for v, products in known.items()}, later


RIGHT = {
    "allowed_list": [list_by_sorting, list_by_infinity],
    "jaccard_likeness": [jaccard_by_sets, jaccard_by_minimum],
    "profile_scores": [profile_by_loop, profile_by_matrix],
    "read_wish": [wish_by_patterns, wish_by_words],
    "split_by_time": [split_by_loop, split_by_comprehension],
}
WRONG = {
    "allowed_list": [
        (list_filtered_late, "before the ranking"),
        (list_of_everything, "shown again"),
        (list_filled, "fills up"),
        (list_turned_round, "turns the ties round"),
        (list_ascending, "worst come first"),
    ],
    "jaccard_likeness": [
        (jaccard_cosine, "That is the cosine"),
        (jaccard_diagonal, "diagonal becomes 0"),
        (jaccard_unshrunk, "shrinkage is not used"),
        (jaccard_nan, "divided by 0"),
    ],
    "profile_scores": [
        (profile_uncentred, "is not taken away"),
        (profile_short, "length one again"),
        (profile_without_stars, "stars make no difference"),
        (profile_none_is_nothing, "counts 0"),
    ],
    "read_wish": [
        (wish_digits, "Numbers in words"),
        (wish_of_any_number, "is no price"),
        (wish_inclusive, "at most 19.99"),
        (wish_small_letters, "Capitals make a difference"),
    ],
    "split_by_time": [
        (split_inclusive, "The first day"),
        (split_endless, "after the end"),
        (split_to_the_end, "before the end is <"),
        (split_with_nothing, "with an empty set"),
        (split_once, "stands in it twice"),
        (split_again, "bought again"),
    ],
}
