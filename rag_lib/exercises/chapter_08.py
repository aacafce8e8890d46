"""The exercises of chapter 08: what a retriever is trained with, and the step itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import log_softmax, random, softmax, unit

SCORES = np.array([[0.9, 0.2, 0.4, 0.5], [0.3, 0.6, 0.7, 0.6], [0.1, 0.8, 0.5, 0.2]])


def ranks_cases() -> list[Case]:
    """First, last, ties."""
    tied = np.array([[0.5, 0.5, 0.1], [0.2, 0.7, 0.7]])
    return [
        Case((SCORES, np.array([0, 1, 2])), [1, 3, 2], "three questions, the second with a tie"),
        Case((tied, np.array([0, 2])), [2, 2], "two right passages that tie with a wrong one"),
        Case((SCORES[:1], np.array([1])), [4], "a right passage that comes last"),
    ]


def ranked(scores: np.ndarray, right: np.ndarray, beats: Callable = np.greater_equal, axis: int = 1) -> np.ndarray:
    """How many scores beat the right one."""
    own = scores[np.arange(len(right)), right]
    return beats(scores, own[:, None]).sum(axis=axis)


def loss_cases() -> list[Case]:
    """A plain batch, hard negatives, doubles, a small temperature, rows far apart."""
    s, far = random(8, 3, 5) / 3, np.array([[0], [1000], [-1000]])
    plain, hard, double = list("abc"), list("abcde"), list("abace")
    return [
        Case((s[:, :3], plain, 1.0), in_batch(s[:, :3], plain, 1.0), "3 pairs without hard negatives"),
        Case((s, hard, 0.5), in_batch(s, hard, 0.5), "3 pairs and 2 hard negatives"),
        Case((s, double, 0.5), in_batch(s, double, 0.5), "a batch in which passage a stands twice"),
        Case((s, hard, 0.001), in_batch(s, hard, 0.001), "τ = 0.001, where exponentials are too large"),
        Case((s + far, hard, 1.0), in_batch(s + far, hard, 1.0), "rows of scores that lie far apart"),
    ]


def in_batch(s, names, tau, double: bool = True, mean: Callable = np.mean, shift: bool = True) -> float:
    """The contrastive loss of a batch, with the mistakes that the other settings make."""
    own = np.arange(len(s))
    again = (np.array(names)[None] == np.array(names)[own, None]) & (np.arange(s.shape[1])[None] != own[:, None])
    logits = np.where(again & double, -np.inf, s / tau)
    if shift:
        return float(-mean(log_softmax(logits)[own, own]))
    with np.errstate(all="ignore"):
        return float(-mean(np.log(softmax(logits, shift=False)[own, own])))


def mine_cases() -> list[Case]:
    """The hardest, answers that must not be chosen, the margin, nothing left."""
    holds, right = np.zeros((3, 4), dtype=bool), np.array([0, 1, 2])
    answers = holds.copy()
    answers[[0, 2], [3, 1]] = True
    alone = np.array([[0.9, 0.1]]), np.array([0]), np.array([[True, True]]), 2.0
    return [
        Case((SCORES, right, holds, 2.0), mined(SCORES, right, holds, 2.0), "negatives without an answer"),
        Case((SCORES, right, answers, 2.0), mined(SCORES, right, answers, 2.0), "passages that hold an answer"),
        Case((SCORES, right, holds, 0.5), mined(SCORES, right, holds, 0.5), "a share of 0.5"),
        Case((SCORES[1:2], right[1:2], holds[1:2], 1.0), [3], "a passage that scores just as much as the right one"),
        Case(alone, [-1], "a question for which none is left"),
    ]


def mined(scores, right, holds, share, own: bool = True, beyond=np.greater, pick=np.argmax, none: int = -1) -> list:
    """Hard negatives, with the mistakes that the other settings make."""
    rows = np.arange(len(scores))
    barred = holds | beyond(scores, share * scores[rows, right][:, None])
    if own:
        barred[rows, right] = True
    rest = np.where(barred, -np.inf if pick is np.argmax else np.inf, scores)
    return np.where(barred.all(axis=1) & (none < 0), -1, pick(rest, axis=1)).tolist()


def gradient_cases() -> list[Case]:
    """A batch, right columns in any order, large scores."""
    s, far = random(9, 3, 4), np.array([[0], [1000], [-1000]])
    return [
        Case((s, np.array([0, 1, 2])), gradient(s, [0, 1, 2]), "3 questions and 4 passages"),
        Case((s, np.array([3, 0, 0])), gradient(s, [3, 0, 0]), "right columns in another order"),
        Case((s + far, np.array([0, 1, 2])), gradient(s, [0, 1, 2]), "rows of scores that lie far apart"),
        Case((s[:1] * 9000, np.array([1])), gradient(s[:1] * 9000, [1]), "a question with large scores"),
    ]


def gradient(s: np.ndarray, right: Sequence[int], axis: int = 1, shift: bool = True, one: float = 1) -> np.ndarray:
    """The derivative of the mean loss with respect to each score."""
    p = softmax(s, axis=axis, shift=shift)
    p[np.arange(len(s)), list(right)] -= one
    return p / len(s)


def train_cases() -> list[Case]:
    """One step, several, another temperature."""
    q, p, w = unit(random(10, 3, 2)), unit(random(11, 4, 2)), np.eye(2)
    right = np.array([1, 0, 3])
    settings = {(0.1, 1.0, 1): "one step", (0.1, 1.0, 5): "5 steps", (0.1, 0.5, 1): "τ = 0.5"}
    cases = [Case((w, q, p, right, *s), trained(w, q, p, right, *s), about) for s, about in settings.items()]
    return [*cases, Case((w, q, p, right, 0.1, 1.0, 0), w, "no step at all")]


def trained(w, q, p, right, rate, tau, steps, sign=-1, inner=None, turn=False) -> np.ndarray:
    """The map after some steps, with the mistakes that the other settings make."""
    for _ in range(steps):
        g = gradient(q @ w @ p.T / tau, right) / (tau if inner is None else inner)
        change = q.T @ g @ p
        w = w + sign * rate * (change.T if turn else change)
    return w


EXERCISES = (
    Exercise(
        "right_ranks",
        ranks_cases,
        (
            Fault("Ranks are counted from 0; the first rank is 1.", lambda s, r: ranked(s, r, np.greater)),
            Fault(
                "A tie is decided in our favour: a wrong passage with the same score counts as better.",
                lambda s, r: ranked(s, r, np.greater) + 1,
            ),
            Fault(
                "It counts what scores less: rank 1 has the highest score.", lambda s, r: ranked(s, r, np.less_equal)
            ),
            Fault("It returns the best passage; the rank of the right one is wanted.", lambda s, r: s.argmax(axis=1)),
            Fault(
                "It counts along the questions: each row is a question.", lambda s, r: ranked(s, r, axis=0)[: len(s)]
            ),
        ),
        ("`own = scores[np.arange(len(right)), right]`; how many scores of the row are at least as large?",),
    ),
    Exercise(
        "batch_loss",
        loss_cases,
        (
            Fault(
                "The own passage stands in the batch twice and counts as wrong the second time: leave that column out.",
                lambda s, n, t: in_batch(s, n, t, double=False),
            ),
            Fault(
                "The hard negatives are not used: the softmax runs over all columns.",
                lambda s, n, t: in_batch(s[:, : len(s)], n[: len(s)], t),
            ),
            Fault(
                "Only the hard negatives are used: the other questions' passages are negatives too.",
                lambda s, n, t: float(
                    np.mean(
                        [
                            in_batch(s[i : i + 1, [i, *range(len(s), len(n))]], [n[i], *n[len(s) :]], t)
                            for i in range(len(s))
                        ]
                    )
                ),
            ),
            Fault(
                "The second column of the own passage counts as right: leave it out, above the line and below.",
                lambda s, n, t: float(
                    -np.mean(
                        [np.logaddexp.reduce(log_softmax(s / t)[i, [m == n[i] for m in n]]) for i in range(len(s))]
                    )
                ),
            ),
            Fault("The temperature is not used.", lambda s, n, t: in_batch(s, n, 1.0)),
            Fault("It multiplies by τ; the scores are divided by it.", lambda s, n, t: in_batch(s, n, 1 / t)),
            Fault("The sign is wrong: a loss is the negative logarithm.", lambda *a: -in_batch(*a)),
            Fault("It adds up the questions; the mean is wanted.", lambda *a: in_batch(*a, mean=np.sum)),
            Fault(
                "The largest of all scores is subtracted, and a row far below it is lost: take each row's own.",
                lambda s, n, t: -np.inf if np.ptp((s / t).max(axis=1)) > 750 else in_batch(s, n, t),
            ),
            Fault(
                "Large exponentials overflow: subtract the largest of each row first, or use `np.logaddexp.reduce`.",
                lambda *a: in_batch(*a, shift=False),
            ),
        ),
        (
            "Divide by τ, then set the columns to leave out to minus infinity, which the softmax turns into 0.",
            "A column is left out for question i if its name is `names[i]` and it is not column i.",
        ),
    ),
    Exercise(
        "mine_negatives",
        mine_cases,
        (
            Fault("A passage that holds an answer is no negative.", lambda s, r, h, m: mined(s, r, h & False, m)),
            Fault("The question's own passage is mined: leave it out.", lambda *a: mined(*a, own=False)),
            Fault(
                "The margin is not used: what scores above share × the right passage's score is left out.",
                lambda s, r, h, m: mined(s, r, h, 1e9),
            ),
            Fault(
                "What scores exactly share × the right passage's score may still be taken.",
                lambda *a: mined(*a, beyond=np.greater_equal),
            ),
            Fault(
                "Those are the easiest: the highest score that is left is wanted.", lambda *a: mined(*a, pick=np.argmin)
            ),
            Fault("Where none is left it returns a passage all the same; -1 is wanted.", lambda *a: mined(*a, none=0)),
        ),
        (
            "Make one table of what may not be taken; give these minus infinity, then `argmax` along axis 1.",
            "`np.where(barred.all(axis=1), -1, best)`.",
        ),
    ),
    Exercise(
        "loss_gradient",
        gradient_cases,
        (
            Fault("The loss is a mean: divide by the number of questions.", lambda s, r: gradient(s, r) * len(s)),
            Fault("The sign is wrong: it is P - [right], or the loss would rise.", lambda s, r: -gradient(s, r)),
            Fault("The right column is missing: 1 is taken from it.", lambda s, r: gradient(s, r, one=0)),
            Fault(
                "It takes the diagonal for right; `right` says which column it is.",
                lambda s, r: gradient(s, range(len(s))),
            ),
            Fault(
                "The softmax runs over the questions; over the passages is wanted.", lambda s, r: gradient(s, r, axis=0)
            ),
            Fault(
                "The largest of all scores is subtracted, and a row far below it becomes nan: take each row's own.",
                lambda s, r: np.where(s.max(axis=1, keepdims=True) < s.max() - 700, np.nan, gradient(s, r)),
            ),
            Fault(
                "Large scores become nan: subtract the largest of the row.", lambda s, r: gradient(s, r, shift=False)
            ),
        ),
        ("Section 8.4: the derivative for column j is P(j) - [j = right], here over the number of questions.",),
    ),
    Exercise(
        "train_map",
        train_cases,
        (
            Fault("It climbs: go against the gradient, W - rate · gradient.", lambda *a: trained(*a, sign=1)),
            Fault(
                "It takes one step only.",
                lambda w, q, p, r, rate, tau, steps: trained(w, q, p, r, rate, tau, min(1, steps)),
            ),
            Fault(
                "τ is missing in the gradient: the scores are divided by it, and so is their derivative.",
                lambda *a: trained(*a, inner=1.0),
            ),
            Fault("The gradient is transposed: it is questionsᵀ · G · passages.", lambda *a: trained(*a, turn=True)),
            Fault(
                "The temperature is not used.",
                lambda w, q, p, r, rate, tau, steps: trained(w, q, p, r, rate, 1.0, steps),
            ),
        ),
        (
            "Scores are `questions @ W @ passages.T / tau`; G is your `loss_gradient` of them.",
            "By the chain rule, the gradient for W is `questions.T @ G @ passages / tau`.",
        ),
    ),
)
