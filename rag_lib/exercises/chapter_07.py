"""The exercises of chapter 07: one system that answers, cites, votes, and knows when to be silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault

Place = tuple[int, int, int]
Readings = Sequence[tuple[str, float]]

WOMEN = ["Sally Ride flew in 1983.", "Tereshkova, the first woman in space, flew in 1963.", "No woman flew for years."]
PRICES = ["It had 19 50 cent stamps, or 19x50.", "The toy costs 19.50 euros."]
LOGS = np.log([[0.9, 0.5, 0.8], [0.1, 0.4, 0.6]])
PRIOR = np.log([0.7, 0.3])


def cite_cases() -> list[Case]:
    """One place, several, another case, parts of words, signs, none."""
    first = "Who was the first woman in space?"
    return [
        Case(("1963", first, WOMEN), (1, 46, 50), "an answer that one passage has"),
        Case(("flew", first, WOMEN), (1, 38, 42), "an answer that three passages have"),
        Case(("flew", "When?", WOMEN), (0, 11, 15), "passages that share no word with the question"),
        Case(("tereshkova", first, WOMEN), (1, 0, 10), "an answer in lower case"),
        Case(("Teresh", first, WOMEN), None, "an answer that is only a part of a word"),
        Case(("19.50", "And the stamps?", PRICES), (1, 14, 19), "an answer with a full stop"),
        Case(("Gagarin", first, WOMEN), None, "an answer that no passage has"),
    ]


def shares(question: str, text: str) -> int:
    """How many different words of the question a text has."""
    asked, told = (set(re.findall(r"\w+", t.lower())) for t in (question, text))
    return len(asked & told)


def cited(answer: str, question: str, passages: Sequence[str], pattern=r"\b{}\b", escape=re.escape, flags=re.I,
          worth: Callable = shares, late: int = -1) -> Place | None:  # fmt: skip
    """Where an answer stands, with the mistakes that the other settings make."""
    found = [(i, re.search(pattern.format(escape(answer)), text, flags)) for i, text in enumerate(passages)]
    places = [(worth(question, passages[i]), late * i, (i, *match.span())) for i, match in found if match]
    return max(places)[-1] if places else None


def log_marginals_cases() -> list[Case]:
    """Two passages, one, equal priors, and probabilities too small for the computer."""
    return [
        Case((LOGS, PRIOR), marginals(LOGS, PRIOR), "2 passages and 3 tokens"),
        Case((LOGS[:, :1], PRIOR), marginals(LOGS[:, :1], PRIOR), "an answer of one token, for which both are equal"),
        Case((LOGS[:1], PRIOR[:1] * 0), marginals(LOGS[:1], PRIOR[:1] * 0), "a single passage"),
        Case((LOGS - 600, PRIOR), marginals(LOGS - 600, PRIOR), "tokens whose probabilities are all about e^-600"),
    ]


def marginals(logs: np.ndarray, prior: np.ndarray, add: Callable = np.logaddexp.reduce) -> tuple[float, float]:
    """The logarithms of p_sequence and p_token; `add` joins the passages."""
    return float(add(prior + logs.sum(axis=1))), float(add(prior[:, None] + logs, axis=0).sum())


def naive(logs: np.ndarray, prior: np.ndarray) -> tuple[float, float]:
    """The same by way of probabilities, which become 0 where they are small."""
    table, weights = np.exp(logs), np.exp(prior)
    with np.errstate(divide="ignore"):
        return float(np.log(weights @ table.prod(axis=1))), float(np.log(weights @ table).sum())


def weighted_vote_cases() -> list[Case]:
    """Agreement in other words, weights, a tie, a single reading."""
    two = [("The Moon", 0.5), ("Mars", 0.6), ("moon.", 0.4)]
    return [
        Case(([("Titan", 0.5), *two[1:2], ("titan.", 0.4)], [1.0] * 3), ("Titan", 0.9), "a full stop and a capital"),
        Case((two, [1.0, 1.0, 1.0]), ("The Moon", 0.9), "two of three that agree but for case, article and full stop"),
        Case((two, [0.2, 1.0, 0.5]), ("Mars", 0.6), "unequal weights"),
        Case(([("Io", 0.3), ("Titan", 0.3)], [1.0, 1.0]), ("Io", 0.3), "two with equal support, the earlier first"),
        Case(([("a dog", 0.8)], [0.5]), ("a dog", 0.4), "a single reading"),
        Case(([("cat", 0.9), ("dog", 0.6), ("dog", 0.6), ("dog", 0.0)], [1.0] * 4), ("dog", 1.2), "four readings"),
    ]


def plain(text: str) -> str:
    """A text without case, articles and punctuation."""
    return " ".join(word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the"))


def voted(readings: Readings, weights: Sequence[float], key: Callable = plain, join=lambda a, b: a + b,
          tie: int = -1) -> tuple[str, float]:  # fmt: skip
    """The answer with the most support, with the mistakes that the other settings make."""
    support: dict[str, tuple[float, int]] = {}
    for i, ((text, strength), weight) in enumerate(zip(readings, weights, strict=True)):
        total, first = support.get(key(text), (0.0, i))
        support[key(text)] = join(total, weight * strength), first
    total, first = max(support.values(), key=lambda pair: (round(pair[0], 9), tie * pair[1]))
    return readings[first][0], total


def threshold_cases() -> list[Case]:
    """Costs high and low, ties, answers that are all right or all wrong."""
    scores, right = [0.9, 0.8, 0.6, 0.5, 0.2], [1, 1, 0, 1, 0]
    settings = {
        (*map(tuple, (scores, right)), 1.5): "five answers, a wrong one at a cost of 1.5",
        (*map(tuple, (scores, right)), 5.0): "five answers, a wrong one at a cost of 5",
        (*map(tuple, (scores, right)), 0.5): "five answers, a wrong one at half the cost of silence",
        ((0.9, 0.3), (0, 0), 2.0): "two wrong answers",
        ((0.3, 0.9), (1, 1), 2.0): "two right answers",
        ((0.9, 0.5, 0.4), (1, 1, 0), 1.0): "a wrong answer that costs as much as silence",
    }
    return [Case((list(s), list(r), c), cheapest(s, r, c), about) for (s, r, c), about in settings.items()]


def cheapest(scores, right, cost, silence=1.0, sign=1, silent=(np.inf,), strict=False) -> float:
    """The threshold with the lowest cost; of several the lowest (sign 1) or the highest (-1)."""

    def total(threshold: float) -> float:
        given = [s > threshold if strict else s >= threshold for s in scores]
        return round(sum((not r) * cost if g else silence for g, r in zip(given, right, strict=True)), 9)

    return float(min({*scores, *silent}, key=lambda t: (total(t), sign * t)))


SAID = {
    "The robot is Kepi.": ("kepi", 0.7),
    "It has been here since 2010.": ("2010", 0.9),
    "Ask the guide.": ("Mars", 0.95),
    "Nobody knows.": ("nobody", 0.2),
}
TEXTS = ["Nobody knows.", "The robot is Kepi.", "Ask the guide.", "It has been here since 2010."]


def read(question: str, text: str) -> tuple[str, float]:
    """A reader that has an answer ready for every text."""
    return SAID[text]


def find_two(question: str) -> list[int]:
    """A retriever that finds rows 1 and 3."""
    return [1, 3]


def find_all(question: str) -> list[int]:
    """A retriever that finds everything."""
    return [2, 1, 3, 0]


def find_first(question: str) -> list[int]:
    """A retriever that finds row 1 alone."""
    return [1]


def find_nothing(question: str) -> list[int]:
    """A retriever that finds nothing."""
    return []


def pipeline_cases() -> list[Case]:
    """The strongest, thresholds, case, what cannot be cited, nothing found."""
    settings = [
        (find_two, 0.5, ("2010", 3, 23, 27), "two passages, the second of which answers more strongly"),
        (find_first, 0.5, ("Kepi", 1, 13, 17), "an answer that the reader writes in lower case"),
        (find_all, 0.5, ("2010", 3, 23, 27), "a strongest answer that its passage does not hold"),
        (find_two, 0.9, ("2010", 3, 23, 27), "a strength that just reaches the threshold"),
        (find_first, 0.8, None, "a strength below the threshold"),
        (find_nothing, 0.5, None, "a question for which nothing is found"),
    ]
    return [Case(("Who?", find, read, TEXTS, t), expected, about) for find, t, expected, about in settings]


def piped(question, find, read, texts, threshold, order=max, held=True, own=True, strict=False, row=None):
    """The pipeline, with the mistakes that the other settings make."""
    answers = [(*read(question, texts[i])[::-1], i) for i in find(question)]
    if held:
        answers = [a for a in answers if a[1].lower() in texts[a[2]].lower()]
    if not answers:
        return None
    strength, text, i = order(answers)
    start = texts[i].lower().find(text.lower())
    if strength < threshold or (strict and strength == threshold) or start < 0:
        return None
    end = start + len(text)
    return texts[i][start:end] if own else text, find(question).index(i) if row else i, start, end


EXERCISES = (
    Exercise(
        "cite",
        cite_cases,
        (
            Fault(
                "It takes the first passage that has the answer, whatever the question says.",
                lambda a, q, ps: cited(a, q, ps, worth=lambda q, p: 0),
            ),
            Fault("Case makes a difference; the reader writes in lower case.", lambda *x: cited(*x, flags=0)),
            Fault(
                "A part of a word counts as the answer: it must not begin or end inside a word.",
                lambda *x: cited(*x, pattern="{}"),
            ),
            Fault(
                "A full stop stands for any character: `re.escape` takes an answer as it is.",
                lambda *x: cited(*x, escape=str),
            ),
            Fault("Of two equally good passages the earlier is wanted.", lambda *x: cited(*x, late=1)),
            Fault(
                "The place is that of the passage among all; number, start and end are wanted.",
                lambda *x: (cited(*x) or [None])[0],
            ),
        ),
        (
            "`re.search(rf'\\b{re.escape(answer)}\\b', text, re.IGNORECASE)` has a `.span()`.",
            "`max(places, key=…)` returns the first of several that are equally good.",
        ),
    ),
    Exercise(
        "log_marginals",
        log_marginals_cases,
        (
            Fault("The two are swapped.", lambda logs, prior: marginals(logs, prior)[::-1]),
            Fault(
                "Small probabilities become 0 and their logarithm -inf: stay in logarithms, `np.logaddexp.reduce`.",
                naive,
            ),
            Fault(
                "The prior makes no difference: all passages count alike.",
                lambda logs, prior: marginals(logs, prior * 0),
            ),
            Fault("It takes the best passage; the sum over the passages is wanted.", lambda *a: marginals(*a, np.max)),
            Fault(
                "Those are probabilities; their logarithms are wanted.",
                lambda logs, prior: tuple(np.exp(marginals(logs, prior))),
            ),
            Fault(
                "In p_sequence the prior counts once for every token; a passage is chosen once.",
                lambda logs, prior: (
                    float(np.logaddexp.reduce((prior[:, None] + logs).sum(axis=1))),
                    marginals(logs, prior)[1],
                ),
            ),
        ),
        (
            "A product of probabilities is a sum of logarithms, a sum of probabilities a `np.logaddexp.reduce`.",
            "Sequence: sum over the tokens first (axis=1), then add the prior, then join. Token: join first (axis=0).",
        ),
    ),
    Exercise(
        "weighted_vote",
        weighted_vote_cases,
        (
            Fault(
                "Answers that differ only in case, article or full stop do not vote together.",
                lambda *a: voted(*a, key=str),
            ),
            Fault(
                "Articles are left in: 'The Moon' and 'moon' are one answer.",
                lambda *a: voted(*a, key=lambda t: t.lower().strip(" .")),
            ),
            Fault("The weights make no difference.", lambda rs, ws: voted(rs, [1.0] * len(ws))),
            Fault(
                "Each reading has one vote; its weight times its strength is wanted.",
                lambda rs, ws: voted([(t, 1.0) for t, _ in rs], [1.0] * len(ws)),
            ),
            Fault("The strongest voice wins; what agrees is added up.", lambda *a: voted(*a, join=max)),
            Fault("Of two with equal support the earlier is wanted.", lambda *a: voted(*a, tie=1)),
            Fault(
                "It returns the text as it was compared; as it was first written is wanted.",
                lambda rs, ws: (plain(voted(rs, ws)[0]), voted(rs, ws)[1]),
            ),
        ),
        (
            "Make a key of each text: lower case, `re.findall(r'\\w+', …)`, without a, an, the, joined by blanks.",
            "Keep two dictionaries from keys: to the support, and to the text as it was first written.",
        ),
    ),
    Exercise(
        "cheapest_threshold",
        threshold_cases,
        (
            Fault("Silence costs nothing here; it costs 1 a question.", lambda s, r, c: cheapest(s, r, c, 0.0)),
            Fault("Of equally cheap thresholds the lowest is wanted.", lambda s, r, c: cheapest(s, r, c, sign=-1)),
            Fault(
                "To say nothing at all is a choice too: threshold infinity.",
                lambda s, r, c: cheapest(s, r, c, silent=()),
            ),
            Fault(
                "An answer that just reaches the threshold is given: >=, not >.",
                lambda s, r, c: cheapest(s, r, c, strict=True),
            ),
            Fault("The cost of a wrong answer is not used.", lambda s, r, c: cheapest(s, r, 1.0)),
            Fault(
                "That is the lowest cost; the threshold is wanted.",
                lambda s, r, c: sum((not b) * c if a >= cheapest(s, r, c) else 1 for a, b in zip(s, r, strict=True)),
            ),
        ),
        (
            "Try every score, and `float('inf')`: only at a score does it change who is answered.",
            "`min(candidates, key=lambda t: (cost(t), t))` takes the lowest of the cheapest.",
        ),
    ),
    Exercise(
        "cited_answer",
        pipeline_cases,
        (
            Fault(
                "It answers from the first passage; the strongest answer is wanted.",
                lambda *a: piped(*a, order=lambda answers: answers[0]),
            ),
            Fault(
                "A strongest answer that its passage does not hold ends the search: leave it out and take the next.",
                lambda *a: piped(*a, held=False),
            ),
            Fault("The threshold is not used.", lambda q, f, r, ts, t: piped(q, f, r, ts, 0.0)),
            Fault("A strength that just reaches the threshold is enough.", lambda *a: piped(*a, strict=True)),
            Fault(
                "The answer is as the reader wrote it; as the passage writes it is wanted: text[start:end].",
                lambda *a: piped(*a, own=False),
            ),
            Fault(
                "The number is the place among the passages found; the row in `texts` is wanted.",
                lambda *a: piped(*a, row=True),
            ),
            Fault(
                "It fails where nothing was found: then there is no answer, None.",
                lambda q, f, r, ts, t: piped(q, f, r, ts, t) if f(q) else max(f(q)),
            ),
        ),
        (
            "Collect (strength, row, start, end) for every row found whose text holds the answer.",
            "`max(found, default=None)`, then compare its strength with the threshold.",
        ),
    ),
)
