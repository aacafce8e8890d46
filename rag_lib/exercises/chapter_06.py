"""The exercises of chapter 06: decoding, on any function that says how likely each next token is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import log_softmax, softmax

Step = Callable[[Sequence[Sequence[int]]], np.ndarray]

# Tokens: 0 <s>, 1 </s>, 2 the, 3 Laika, 4 dog, 5 cat. A row says how likely each token is after that of the row.
NEXT = np.array(
    [
        [0, 0, 0.55, 0.45, 0, 0],
        [0, 0.5, 0.5, 0, 0, 0],
        [0, 0, 0, 0.25, 0.4, 0.35],
        [0, 0.7, 0.3, 0, 0, 0],
        [0, 0.9, 0.1, 0, 0, 0],
        [0, 0.8, 0.2, 0, 0, 0],
    ]
)
LOGITS = np.log(NEXT + 1e-9) + np.array([[0.5], [1], [2], [3], [1], [0]])  # of each row another constant
SIX = np.array([1.0, 3.0, -1.0, 2.5, 0.0, -2.0])


def by_last_token(prefixes: Sequence[Sequence[int]]) -> np.ndarray:
    """A step function that looks at the last token alone."""
    return LOGITS[np.asarray(prefixes)[:, -1]]


def by_length(prefixes: Sequence[Sequence[int]]) -> np.ndarray:
    """A step function under which any text has three more tokens, 5, 4 and 3, and ends."""
    return np.tile(4.0 * np.eye(6)[{1: 5, 2: 4, 3: 3}.get(np.asarray(prefixes).shape[1], 1)], (len(prefixes), 1))


def tempered_cases() -> list[Case]:
    """Cold, warm, hot, and large logits."""
    about = {1.0: "temperature 1", 0.5: "temperature 0.5", 3.0: "temperature 3"}
    cases = [Case((SIX, t), softmax(SIX / t), text) for t, text in about.items()]
    return [*cases, Case((SIX + 1000, 1.0), softmax(SIX), "logits about 1,000, whose exponentials are too large")]


def nucleus_cases() -> list[Case]:
    """A sure model and an unsure one, small and large p."""
    return [
        Case((SIX, 0.9), nucleus(SIX, 0.9), "p = 0.9"),
        Case((SIX, 0.3), nucleus(SIX, 0.3), "p = 0.3, which the likeliest token has alone"),
        Case((SIX * 3, 0.9), nucleus(SIX * 3, 0.9), "a model that is sure"),
        Case((SIX / 9, 0.7), nucleus(SIX / 9, 0.7), "a model that is unsure"),
    ]


def inside(logits: np.ndarray, p: float, late: int = 0) -> np.ndarray:
    """Which tokens are in the nucleus; `late` moves its end."""
    order = np.argsort(-logits, kind="stable")
    size = int(np.searchsorted(np.cumsum(softmax(logits)[order]), p)) + 1 + late
    return np.isin(np.arange(len(logits)), order[: max(0, size)])


def nucleus(logits: np.ndarray, p: float, late: int = 0) -> np.ndarray:
    """The probabilities that the nucleus leaves."""
    kept = softmax(logits) * inside(logits, p, late)
    return kept / max(kept.sum(), 1e-12)


def greedy_cases() -> list[Case]:
    """An end, a limit, another start, and a step that looks at the whole prefix."""
    return [
        Case((by_last_token, 0, 1, 9), [0, 2, 4, 1], "a table of next words"),
        Case((by_last_token, 0, 1, 2), [0, 2, 4], "at most 2 new tokens"),
        Case((by_last_token, 3, 1, 9), [3, 1], "another start token"),
        Case((by_length, 0, 1, 9), [0, 5, 4, 3, 1], "a model that looks at the whole prefix"),
    ]


def greedy(step: Step, start: int, end: int, most: int, pick: Callable = np.argmax, window: int = 99) -> list[int]:
    """Greedy decoding; `window` is how much of the prefix the step is shown."""
    ids = [start]
    while len(ids) <= most and (len(ids) == 1 or ids[-1] != end):
        ids.append(int(pick(step([ids[-window:]])[0])))
    return ids


def beam_cases() -> list[Case]:
    """One beam and several, length penalties, a limit, and a step that looks at the whole prefix."""
    settings = {
        (by_last_token, 0, 1, 9, 1, 0.0): "a single beam, which is greedy decoding",
        (by_last_token, 0, 1, 9, 2, 0.0): "2 beams without a length penalty",
        (by_last_token, 0, 1, 9, 3, 1.0): "3 beams and the length penalty 1",
        (by_last_token, 0, 1, 9, 6, 3.0): "6 beams and the length penalty 3",
        (by_last_token, 0, 1, 2, 2, 1.0): "at most 2 new tokens",
        (by_length, 0, 1, 9, 2, 1.0): "a model that looks at the whole prefix",
    }
    return [Case(s, beams(*s), about) for s, about in settings.items()]


def beams(step, start, end, most, width, alpha, logs=log_softmax, length=len, keep=1, pick=max) -> list[int]:
    """Beam search, with the mistakes that the other settings make; `length` of the new tokens."""
    running, finished = [(0.0, [start])], []
    for n in range(1, most + 1):
        table = logs(step([ids for _, ids in running]))
        found = [(s + float(row[t]), [*ids, t]) for (s, ids), row in zip(running, table, strict=True) for t in range(6)]
        found = sorted(found, key=lambda pair: -pair[0])[: width if keep else None]
        over = [pair for pair in found if pair[1][-1] == end or n == most]
        finished += [(score / length(ids[1:]) ** alpha, ids) for score, ids in over]
        running = [pair for pair in found if pair[1][-1] != end][:width]
        if not running:
            break
    return pick(finished, key=lambda pair: pair[0])[1]


def no_repeat_cases() -> list[Case]:
    """Pairs, triples, single tokens, short prefixes."""
    settings = {
        (2, (5, 3, 0, 5)): "n = 2 after 5 3 0 5",
        (2, (0, 3, 2, 0, 3)): "n = 2 after 0 3 2 0 3",
        (3, (1, 2, 4, 0, 1, 2)): "n = 3 after 1 2 4 0 1 2",
        (2, (5, 3, 5, 2, 5)): "n = 2 and a token that went on in two ways",
        (1, (5, 3)): "n = 1, under which no token may come again",
        (3, (5,)): "a prefix shorter than n - 1",
    }
    return [Case((SIX, list(p), n), barred(SIX, p, repeats(p, n)), about) for (n, p), about in settings.items()]


def repeats(prefix: Sequence[int], n: int) -> set[int]:
    """The tokens that would complete a run of n tokens a second time."""
    runs = [tuple(prefix[i : i + n]) for i in range(len(prefix) - n + 1)]
    return {run[-1] for run in runs if run[:-1] == tuple(prefix[len(prefix) - n + 1 :])}


def barred(logits: np.ndarray, prefix: Sequence[int], tokens: set[int], value: float = -np.inf) -> np.ndarray:
    """Logits with another value for some tokens."""
    return np.where(np.isin(np.arange(len(logits)), list(tokens)), value, logits)


EXERCISES = (
    Exercise(
        "tempered",
        tempered_cases,
        (
            Fault("It multiplies by the temperature; the logits are divided by it.", lambda z, t: softmax(z * t)),
            Fault("The temperature is not used.", lambda z, t: softmax(z)),
            Fault(
                "The probabilities are divided, and no longer add up to 1: divide the logits, before the softmax.",
                lambda z, t: softmax(z) / t,
            ),
            Fault(
                "Large logits become nan: subtract the largest from all, before `np.exp`.",
                lambda z, t: softmax(z / t, shift=False),
            ),
            Fault("Those are logits; probabilities are wanted.", lambda z, t: z / t),
        ),
        ("Divide by the temperature, subtract the largest, then `np.exp`, then divide by the sum.",),
    ),
    Exercise(
        "nucleus",
        nucleus_cases,
        (
            Fault(
                "The token that takes the sum to p is left out; it is the last one of the nucleus.",
                lambda z, p: nucleus(z, p, -1),
            ),
            Fault("It keeps one token too many.", lambda z, p: nucleus(z, p, 1)),
            Fault("What is left does not add up to 1: divide by its sum.", lambda z, p: softmax(z) * inside(z, p)),
            Fault(
                "Each token is compared with p by itself; the sum of the likeliest is.",
                lambda z, p: softmax(np.where(softmax(z) >= 1 - p, z, -np.inf)),
            ),
            Fault("The probabilities are sorted; every token keeps its place.", lambda z, p: -np.sort(-nucleus(z, p))),
            Fault(
                "It begins with the unlikeliest tokens: sort from high to low.",
                lambda z, p: softmax(np.where(inside(-z, p), z, -np.inf)),
            ),
        ),
        (
            "`np.argsort(-logits, kind='stable')` has the likeliest token first; `np.cumsum` adds probabilities up.",
            "Keep as many as there are sums below p, and one more.",
        ),
    ),
    Exercise(
        "greedy_search",
        greedy_cases,
        (
            Fault("The start token is missing: it is the first of the result.", lambda *a: greedy(*a)[1:]),
            Fault(
                "The end token is missing: it is the last of the result.",
                lambda s, a, e, m: [i for i in greedy(s, a, e, m) if i != e],
            ),
            Fault(
                "It takes the start token for one of the new ones: at most `most` come after it.",
                lambda s, a, e, m: greedy(s, a, e, m - 1),
            ),
            Fault("It goes on after the end token.", lambda s, a, e, m: greedy(s, a, -1, m)),
            Fault("It takes the unlikeliest token.", lambda s, a, e, m: greedy(s, a, e, m, np.argmin)),
            Fault(
                "The step is shown the last token alone: give it all that has been written.",
                lambda s, a, e, m: greedy(s, a, e, m, window=1),
            ),
            Fault(
                "It never stops: where the end token does not come, `most` new tokens are enough.",
                lambda s, a, e, m: greedy(s, a, e, 9),
            ),
        ),
        ("`step([ids])[0]` are the logits of the token after `ids`; append the place of the largest.",),
    ),
    Exercise(
        "beam_search",
        beam_cases,
        (
            Fault(
                "The length makes no difference: divide the log-probability by (new tokens) ** alpha.",
                lambda s, a, e, m, w, alpha: beams(s, a, e, m, w, 0.0),
            ),
            Fault(
                "The start token is counted in the length; it is given, not written.",
                lambda *args: beams(*args, length=lambda ids: len(ids) + 1),
            ),
            Fault(
                "It adds logits up; of each row take the log-probabilities, logits - log sum exp.",
                lambda *args: beams(*args, logs=lambda z: z),
            ),
            Fault(
                "It is greedy, whatever the number of beams.",
                lambda s, a, e, m, w, alpha: beams(s, a, e, m, 1, alpha),
            ),
            Fault("It returns the worst of the finished ones.", lambda *args: beams(*args, pick=min)),
            Fault(
                "Yours gives finished ones no place among the beams; they take one: cut first, then see which ended.",
                lambda *args: beams(*args, keep=0),
            ),
        ),
        (
            "Keep pairs (log-probability, ids). Extend all of them by all tokens, sort, keep the first `beams`.",
            "`logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)` are log-probabilities.",
            "A pair whose last token is the end goes to the finished ones; in the last round all of them do.",
        ),
    ),
    Exercise(
        "no_repeat",
        no_repeat_cases,
        (
            Fault("All that has been written is barred.", lambda z, ids, n: barred(z, ids, set(ids))),
            Fault(
                "It looks at runs of n + 1 tokens; the last n - 1 tokens and the new one are a run of n.",
                lambda z, ids, n: barred(z, ids, repeats(ids, n + 1)),
            ),
            Fault(
                "It looks at runs of n - 1 tokens; the last n - 1 tokens and the new one are a run of n.",
                lambda z, ids, n: barred(z, ids, repeats(ids, max(1, n - 1))),
            ),
            Fault(
                "A logit of 0 is not impossible: bar a token with minus infinity.",
                lambda z, ids, n: barred(z, ids, repeats(ids, n), 0.0),
            ),
            Fault(
                "Only the first time counts; a run may have gone on in several ways.",
                lambda z, ids, n: barred(z, ids, set(sorted(repeats(ids, n), key=list(ids).index)[:1])),
            ),
            Fault("Nothing is barred.", lambda z, ids, n: z),
        ),
        (
            "The last n - 1 tokens are `prefix[len(prefix) - n + 1:]`; where did they stand before, and what followed?",
            "Take care of n = 1: `prefix[-0:]` is the whole prefix.",
        ),
    ),
)
