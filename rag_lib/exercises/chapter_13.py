"""The exercises of chapter 13: what a shop may show, to whom, and how that is measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import random, unit

Purchase = tuple[str, str, str]
Wish = tuple[int | None, float | None]

SCORES = np.array([0.4, 0.9, 0.1, 0.7, 0.7, 0.3])
ALL = np.ones(6, dtype=bool)


def list_cases() -> list[Case]:
    """Conditions, a history, ties, few that are left."""
    some = np.array([True, False, True, True, True, True])
    return [
        Case((SCORES, ALL, [], 2), [1, 3], "two of six"),
        Case((SCORES, some, [], 2), [3, 4], "a condition that the best one breaks"),
        Case((SCORES, ALL, [1, 3], 2), [4, 0], "products that the visitor has already"),
        Case((SCORES, some & (SCORES < 0.5), [0], 4), [5, 2], "fewer than k that are left"),
        Case((SCORES, ~ALL, [], 3), [], "conditions that nothing meets"),
    ]


def listed(scores, allowed, history, k, early=False, bought=True, sign=1, fill=False) -> list[int]:
    """The best list, with the mistakes that the other settings make."""
    ok = allowed.copy()
    if bought:
        ok[list(history)] = False
    order = [int(i) for i in np.argsort(-sign * scores, kind="stable")]
    if early:
        return [i for i in order[:k] if ok[i]]
    found = [i for i in order if ok[i]]
    return (found + [i for i in range(len(scores)) if not ok[i]] * fill)[:k]


def likeness_cases() -> list[Case]:
    """A toy, a product that nobody bought, a shrinkage, many visitors."""
    toy = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])
    unsold = np.array([[1.0, 0, 1, 0], [1, 0, 0, 0]])
    many = (random(18, 12, 5) > 0.3).astype(float)
    return [
        Case((toy, 0.0), alike(toy, 0.0), "three visitors and three products"),
        Case((toy, 2.0), alike(toy, 2.0), "a shrinkage of 2"),
        Case((many, 1.0), alike(many, 1.0), "12 visitors and 5 products"),
        Case((unsold, 0.0), alike(unsold, 0.0), "two products that nobody bought"),
    ]


def alike(m: np.ndarray, shrinkage: float, below: str = "union", diagonal: float = 0, turn: bool = False) -> np.ndarray:
    """Jaccard's likeness, with the mistakes that the other settings make."""
    m = m.T if turn else m
    both = m.T @ m
    n = np.diag(both)
    sums = {
        "union": n[:, None] + n - both,
        "sum": n[:, None] + n,
        "roots": np.sqrt(np.outer(n, n)),
        "one": both * 0 + 1,
    }
    under = sums[below] + shrinkage
    result = np.divide(both, under, out=np.zeros_like(both), where=under > 0)
    if diagonal == 0:
        np.fill_diagonal(result, 0)
    return result


def unguarded(m: np.ndarray, shrinkage: float) -> np.ndarray:
    """Jaccard's likeness in which two products that nobody bought have nan."""
    unsold = (m.sum(axis=0) == 0) & (shrinkage == 0)
    return np.where(np.outer(unsold, unsold) & ~np.eye(len(unsold), dtype=bool), np.nan, alike(m, shrinkage))


def profile_cases() -> list[Case]:
    """Equal stars, different ones, none, a single purchase."""
    v = unit(random(19, 6, 3) + 2)
    settings = [([0, 2], [5, 5], "two purchases with five stars each"), ([0, 2], [5, 1], "stars that differ"),
                ([1, 3, 4], [4, None, 2], "a purchase without stars"), ([5], [None], "a single purchase")]  # fmt: skip
    return [Case((v, h, s), profiled(v, h, s), about) for h, s, about in settings]


def profiled(v, history, stars, centre=True, again=True, weigh=True, none=3, length=True, join=np.sum) -> np.ndarray:
    """Scores by a profile, with the mistakes that the other settings make."""
    apart = v - v.mean(axis=0) if centre else v
    apart = unit(apart) if again else apart
    w = np.array([(none if s is None else s) if weigh else 1 for s in stars], dtype=float)
    profile = join(w[:, None] * apart[list(history)], axis=0)
    return apart @ (profile / max(np.linalg.norm(profile), 1e-12) if length else profile)


def wish_cases() -> list[Case]:
    """Ages and prices in several forms, both, none, other numbers."""
    settings = [
        ("Something for a 6-year-old", (6, None), "an age"),
        ("FOR A 9-YEAR-OLD", (9, None), "an age in capitals"),
        ("a gift for my Seven-Year-Old, under 20 euros", (7, 19.99), "an age in words, and a price"),
        ("books, at most €15", (None, 15.0), "a price with a sign"),
        ("up to 12 euros, please", (None, 12.0), "up to a price"),
        ("a jigsaw of 500 pieces about 1969", (None, None), "numbers that are no price and no age"),
        ("for a 10 year old, less than €8", (10, 7.99), "an age without hyphens, and less than a price"),
        ("under 20 pieces", (None, None), "under a number that is no price"),
    ]
    return [Case((text,), expected, about) for text, expected, about in settings]


WORDS = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True))


def wished(text: str, words=WORDS, flags=re.I, less: float = 0.01, unit_needed: bool = True) -> Wish:
    """Age and price, with the mistakes that the other settings make."""
    number = rf"(\d+{''.join('|' + w for w in words)})"
    age = re.search(rf"\b{number}[- ]years?[- ]old\b", text, flags)
    money = rf"(?:€{number}|{number} euros?)" if unit_needed else rf"€?{number}()"
    price = re.search(rf"\b(under|less than|at most|up to) {money}", text, flags)
    value = dict(words)
    years = age and (value.get(age[1].lower()) or int(age[1]))
    if not price:
        return years, None
    most = price[2] or price[3]
    most = float(value.get(most.lower()) or int(most))
    return years, most - less * (price[1].lower() in ("under", "less than"))


BOUGHT = [
    ("ida", "map", "2026-01-05"), ("jon", "kit", "2026-02-28"), ("ida", "kit", "2026-03-01"),
    ("ida", "pin", "2026-02-01"),
    ("ida", "map", "2026-04-02"), ("jon", "book", "2026-06-01"), ("eva", "book", "2026-05-31"),
    ("eva", "kit", "2026-07-15"),
]  # fmt: skip


def split_cases() -> list[Case]:
    """The ends of the time, repetitions, visitors without a past or without a future."""
    settings = [("2026-03-01", "2026-06-01", "March to May"), ("2026-06-01", "2026-09-01", "June to August"),
                ("2027-01-01", "2027-02-01", "a time without purchases")]  # fmt: skip
    cases = [Case((BOUGHT, a, b), parted(BOUGHT, a, b), about) for a, b, about in settings]
    again = [("ida", "map", "2026-01-05"), ("ida", "map", "2026-02-05"), ("ida", "map", "2026-04-02")]
    return [
        *cases,
        Case((BOUGHT[::-1], "2026-06-01", "2026-09-01"), cases[1].expected, "purchases in another order"),
        Case((again, "2026-03-01", "2026-06-01"), ({"ida": ["map", "map"]}, {}), "a visitor who only repeats herself"),
    ]


def parted(bought: Sequence[Purchase], start, end, before: Callable = lambda d, t: d < t, again=False, late=False,
           empty=False, sort=True, end_too=False, once=False, repeaters=False) -> tuple[dict, dict]:  # fmt: skip
    """Histories and what came later, with the mistakes that the other settings make."""
    known, later = {}, {}
    for visitor, product, date in sorted(bought, key=lambda p: p[2]) if sort else bought:
        if before(date, start) and not (once and product in known.get(visitor, [])):
            known.setdefault(visitor, []).append(product)
    for visitor, product, date in bought:
        if not before(date, start) and (late or date < end or (end_too and date == end)):
            new = again or product not in known.get(visitor, [])
            if new or repeaters:
                later.setdefault(visitor, set()).update({product} if new else ())
    if empty:
        later |= {visitor: set() for visitor in known if visitor not in later}
    return known, later


EXERCISES = (
    Exercise(
        "allowed_list",
        list_cases,
        (
            Fault(
                "It ranks first and filters then, so that too few are left: a condition comes before the ranking.",
                lambda *a: listed(*a, early=True),
            ),
            Fault("What the visitor has already is shown again.", lambda *a: listed(*a, bought=False)),
            Fault("The worst come first.", lambda *a: listed(*a, sign=-1)),
            Fault(
                "Of equal scores the later place comes first: turning `argsort` round turns the ties round too.",
                lambda s, ok, h, k: [len(s) - 1 - i for i in listed(s[::-1], ok[::-1], [len(s) - 1 - i for i in h], k)],
            ),
            Fault(
                "Where too few are left it fills up with what is not allowed; a shorter list is right.",
                lambda *a: listed(*a, fill=True),
            ),
            Fault("The conditions are not used.", lambda s, ok, h, k: listed(s, ok | True, h, k)),
        ),
        ("Sort all places by score (`np.argsort(-scores, kind='stable')`), keep those that are allowed, then cut.",),
    ),
    Exercise(
        "jaccard_likeness",
        likeness_cases,
        (
            Fault(
                "That is the cosine: Jaccard divides by who bought either, n_i + n_j - n_ij.",
                lambda *a: alike(*a, below="roots"),
            ),
            Fault(
                "Who bought both is counted twice below the line: n_i + n_j - n_ij.", lambda *a: alike(*a, below="sum")
            ),
            Fault("It is not divided: n_ij is larger for what sells well.", lambda *a: alike(*a, below="one")),
            Fault("A product is like itself: the diagonal becomes 0.", lambda *a: alike(*a, diagonal=1)),
            Fault("The shrinkage is not used.", lambda m, s: alike(m, 0.0)),
            Fault("A product that nobody bought is divided by 0: its likenesses are 0.", unguarded),
            Fault("It compares visitors; products are columns.", lambda *a: alike(*a, turn=True)),
        ),
        (
            "`both = matrix.T @ matrix` has n_ij, and n_i on its diagonal.",
            "`n[:, None] + n - both + shrinkage` is what it is divided by; `np.divide(…, where=…)` leaves out 0.",
        ),
    ),
    Exercise(
        "profile_scores",
        profile_cases,
        (
            Fault(
                "The mean of all products is not taken away: everybody asks for the average space product.",
                lambda *a: profiled(*a, centre=False),
            ),
            Fault(
                "Centred vectors are shorter than one: stretch them to length one again.",
                lambda *a: profiled(*a, again=False),
            ),
            Fault("The stars make no difference.", lambda *a: profiled(*a, weigh=False)),
            Fault("A purchase without stars counts 0; it counts 3.", lambda *a: profiled(*a, none=0)),
            Fault("A purchase without stars counts 5; it counts 3.", lambda *a: profiled(*a, none=5)),
            Fault(
                "The profile is not of length one, so that the scores are no cosines.",
                lambda *a: profiled(*a, length=False),
            ),
        ),
        (
            "Three steps: take `vectors.mean(axis=0)` away, stretch the rows to length one, add up stars · row.",
            "Then stretch the profile to length one, and multiply all rows with it.",
        ),
    ),
    Exercise(
        "read_wish",
        wish_cases,
        (
            Fault("Numbers in words are not read.", lambda t: wished(t, words={})),
            Fault("Capitals make a difference.", lambda t: wished(t, flags=0)),
            Fault("Under 20 means at most 19.99.", lambda t: wished(t, less=0.0)),
            Fault("A number without € or euros is no price.", lambda t: wished(t, unit_needed=False)),
            Fault("Prices are not read.", lambda t: (wished(t)[0], None)),
            Fault("Ages are not read.", lambda t: (None, wished(t)[1])),
            Fault(
                "At most 15 means 15.00: only under and less than take a cent away.",
                lambda t: (wished(t)[0], wished(t, less=0.0)[1] and wished(t, less=0.0)[1] - 0.01),
            ),
        ),
        (
            "One pattern for a number: `(\\d+|one|two|…)`; one for an age around it, and one for a price.",
            "A price is `(under|less than|at most|up to) ` and then `€` and a number, or a number and ` euro`.",
        ),
    ),
    Exercise(
        "split_by_time",
        split_cases,
        (
            Fault(
                "The first day belongs to what came later: before the start is <, not <=.",
                lambda *a: parted(*a, before=lambda d, t: d <= t),
            ),
            Fault(
                "The end does not belong to the time: before the end is <, not <=.", lambda *a: parted(*a, end_too=True)
            ),
            Fault("What came after the end is counted too.", lambda *a: parted(*a, late=True)),
            Fault(
                "A visitor who only bought again what was known appears with an empty set; such visitors are left out.",
                lambda *a: parted(*a, repeaters=True),
            ),
            Fault(
                "A history tells every purchase: what was bought twice stands in it twice.",
                lambda *a: parted(*a, once=True),
            ),
            Fault(
                "What a visitor bought again counts as later; it is in the history, and no list will show it.",
                lambda *a: parted(*a, again=True),
            ),
            Fault(
                "Visitors who bought nothing new are left out of what came later.", lambda *a: parted(*a, empty=True)
            ),
            Fault(
                "A history is in the order of time, whatever the order of the purchases.",
                lambda *a: parted(*a, sort=False),
            ),
        ),
        (
            "ISO dates can be compared as text: `date < start`.",
            "`known.setdefault(visitor, []).append(product)`; go through the purchases sorted by date.",
        ),
    ),
)
