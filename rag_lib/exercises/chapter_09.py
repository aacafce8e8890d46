"""The exercises of chapter 09: what a generator is trained with, from labels to the moment to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import log_softmax, random

IGNORED = -100
LABELS = np.array([[7, 8, 2], [9, 2, IGNORED], [2, IGNORED, IGNORED]])
FALLING = [2.0, 1.6, 1.7, 1.5, 1.6, 1.8, 1.4]


def inputs_cases() -> list[Case]:
    """Padding of several lengths, another start, one position."""
    return [
        Case((LABELS, 1, 0), np.array([[1, 7, 8], [1, 9, 2], [1, 2, 0]]), "three answers of different lengths"),
        Case((LABELS[:1], 5, 3), np.array([[5, 7, 8]]), "another start token"),
        Case((np.array([[2]]), 1, 0), np.array([[1]]), "labels of a single position"),
        Case((np.array([[2, IGNORED, IGNORED]]), 1, 3), np.array([[1, 2, 3]]), "another padding token"),
    ]


def shifted(labels: np.ndarray, start: int, pad: int, by: int = 1, fill: bool = True, first: bool = True) -> np.ndarray:
    """Labels moved to the right, with the mistakes that the other settings make."""
    moved = np.roll(labels, by, axis=1)
    if first:
        moved[:, 0] = start
    return np.where(moved == IGNORED, pad, moved) if fill else moved


def smoothed_cases() -> list[Case]:
    """Without smoothing, with it, padding, large logits."""
    z, one = random(12, 3, 3, 4), np.array([[0, 1, 2], [3, 1, IGNORED], [2, IGNORED, IGNORED]])
    full = np.array([[0, 1, 2], [3, 1, 0], [2, 2, 1]])
    return [
        Case((z, full, 0.0), smoothed(z, full, 0.0), "no padding and no smoothing"),
        Case((z, one, 0.0), smoothed(z, one, 0.0), "padding and no smoothing"),
        Case((z, full, 0.2), smoothed(z, full, 0.2), "a smoothing of 0.2"),
        Case((z, one, 0.1), smoothed(z, one, 0.1), "padding and a smoothing of 0.1"),
        Case((z * 2000, one, 0.1), smoothed(z * 2000, one, 0.1), "logits in the thousands"),
    ]


def smoothed(z, labels, smoothing, kept=None, over=None, others: bool = False, mean: bool = True) -> float:
    """The smoothed cross-entropy, with the mistakes that the other settings make; `over` is what it is divided by."""
    kept = labels != IGNORED if kept is None else kept
    logs = log_softmax(z)
    own = np.take_along_axis(logs, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    rest = (logs.sum(axis=-1) - own) / (z.shape[-1] - 1) if others else logs.mean(axis=-1)
    each = -(1 - smoothing) * own - smoothing * rest
    total = each[kept].sum()
    return float(total / (over or kept.sum()) if mean else total)


def naive(z, labels, smoothing) -> float:
    """The smoothed cross-entropy by way of exponentials that overflow."""
    with np.errstate(all="ignore"):
        p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    return math.nan if not np.isfinite(p).all() else smoothed(z, labels, smoothing)


def rate_cases() -> list[Case]:
    """The warm-up, the top, the middle of the way down, the end."""
    steps = {0: "the first step", 4: "the middle of the warm-up", 9: "the last step of the warm-up",
             10: "the first step after it", 55: "half the way down", 99: "the last step"}  # fmt: skip
    cases = [Case((step, 100, 0.01, 10), rate(step, 100, 0.01, 10), about) for step, about in steps.items()]
    return [*cases, Case((3, 20, 1.0, 0), rate(3, 20, 1.0, 0), "a schedule without warm-up")]


def rate(step, total, peak, warm, late: int = 1, linear: bool = False, low: float = 0.0) -> float:
    """The learning rate at a step, with the mistakes that the other settings make."""
    if step < warm:
        return peak * (step + late) / warm
    done = (step - warm) / (total - warm)
    return low + peak * ((1 - done) if linear else (1 + math.cos(math.pi * done)) / 2)


def low_rank_cases() -> list[Case]:
    """Several inputs, a rank of one, an untrained difference."""
    x, w, a, b = random(13, 5, 4), random(14, 3, 4), random(15, 2, 4), random(16, 3, 2)
    return [
        Case((x, w, a, b, 8.0), x @ (w + 4 * b @ a).T, "rank 2 and alpha 8"),
        Case((x, w, a[:1], b[:, :1], 1.0), x @ (w + b[:, :1] @ a[:1]).T, "rank 1 and alpha 1"),
        Case((x, w, a, b * 0, 8.0), x @ w.T, "a difference that has not been trained: B is 0"),
        Case((x[:1], w, a, b, 2.0), x[:1] @ (w + b @ a).T, "a single input"),
    ]


def stop_cases() -> list[Case]:
    """Patience that ends the run, that does not, ties, a single look."""
    return [
        Case((FALLING, 2), (3, 5), "a patience of 2"),
        Case((FALLING, 1), (1, 2), "a patience of 1"),
        Case((FALLING, 5), (6, 6), "a patience that is never used up"),
        Case(([1.0, 3.0, 2.0, 4.0, 2.0], 2), (0, 2), "a loss that is better than the one before, not than the best"),
        Case(([2.0, 2.0, 2.0, 1.0], 2), (0, 2), "losses that stay as they are"),
        Case(([1.0], 3), (0, 0), "a single look"),
    ]


def stop_by_neighbours(losses: Sequence[float], patience: int) -> tuple[int, int]:
    """The best look and the last one where each look is compared with the one before."""
    bad, last = 0, 0
    for last in range(1, len(losses)):
        bad = 0 if losses[last] < losses[last - 1] else bad + 1
        if bad >= patience:
            break
    return int(np.argmin(losses[: last + 1])), last


def stop(losses: Sequence[float], patience: int, tie: bool = False, strict: int = 0, reset: bool = True) -> tuple:
    """The best look and the last one, with the mistakes that the other settings make."""
    best, bad, last = 0, 0, 0
    for last in range(1, len(losses)):
        if losses[last] < losses[best] or (tie and losses[last] == losses[best]):
            best, bad = last, 0 if reset else bad
        else:
            bad += 1
        if bad >= patience + strict:
            return best, last
    return best, last


EXERCISES = (
    Exercise(
        "decoder_inputs",
        inputs_cases,
        (
            Fault(
                "The labels are not moved: position t would read what it has to predict.",
                lambda labels, s, p: np.where(labels == IGNORED, p, labels),
            ),
            Fault("It moves the wrong way: position t reads label t - 1.", lambda l_, s, p: shifted(l_, s, p, -1)),
            Fault(
                "-100 is no token: what reads padding gets the padding token.",
                lambda labels, s, p: shifted(labels, s, p, fill=False),
            ),
            Fault(
                "The last label has gone to the front; the start token is wanted there.",
                lambda labels, s, p: shifted(labels, s, p, first=False),
            ),
            Fault(
                "The start token is put before all labels; the last of these is not read, so the shape stays.",
                lambda labels, s, p: np.c_[np.full(len(labels), s), np.where(labels == IGNORED, p, labels)],
            ),
        ),
        ("`np.roll(labels, 1, axis=1)` moves every row; then the first column and the -100s need another value.",),
    ),
    Exercise(
        "smoothed_loss",
        smoothed_cases,
        (
            Fault(
                "Padding counts: leave out the positions whose label is -100.",
                lambda z, y, s: smoothed(z, y, s, kept=y > -999),
            ),
            Fault(
                "Padding is left out of the sum and counted in the division: divide by the labels that count.",
                lambda z, y, s: smoothed(z, y, s, over=y.size),
            ),
            Fault("The smoothing is not used.", lambda z, y, s: smoothed(z, y, 0.0)),
            Fault(
                "The smoothing goes to the other tokens alone; it goes to all V of them, the right one too.",
                lambda z, y, s: smoothed(z, y, s, others=True),
            ),
            Fault("It adds up; the mean over the labels that count is wanted.", lambda *a: smoothed(*a, mean=False)),
            Fault("The sign is wrong: a loss is the negative logarithm.", lambda *a: -smoothed(*a)),
            Fault(
                "Large logits become nan: take log sum exp with the largest subtracted, `np.logaddexp.reduce`.", naive
            ),
            Fault("The unit is bits; nats are wanted, the natural logarithm.", lambda *a: smoothed(*a) / math.log(2)),
        ),
        (
            "Pick first: `kept = labels != -100`, then `logits[kept]` has the shape (N, V).",
            "log-probabilities are `z - np.logaddexp.reduce(z, axis=1, keepdims=True)`.",
            "(1 - ε) times the loss of the label, plus ε times the mean loss of all V tokens.",
        ),
    ),
    Exercise(
        "rate_at",
        rate_cases,
        (
            Fault(
                "The first step has the rate 0 and is lost: step s of the warm-up has (s + 1) / warm.",
                lambda *a: rate(*a, late=0),
            ),
            Fault("It falls in a line; a half cosine is wanted.", lambda *a: rate(*a, linear=True)),
            Fault("There is no warm-up.", lambda s, t, p, w: rate(s, t, p, 0)),
            Fault("It never falls.", lambda s, t, p, w: min(p, rate(min(s, w), t, p, w))),
            Fault(
                "The fall begins at step 0; it begins where the warm-up ends.",
                lambda s, t, p, w: rate(s, t, p, w) if s < w else rate(s, t, p, 0),
            ),
            Fault(
                "It is divided by 0 where there is no warm-up.",
                lambda s, t, p, w: rate(s, t, p, w) if w else s / w,
            ),
        ),
        (
            "Two cases: before `warm`, and after. After it, `done = (step - warm) / (total - warm)`.",
            "Half a cosine: peak · (1 + cos(π · done)) / 2.",
        ),
    ),
    Exercise(
        "low_rank",
        low_rank_cases,
        (
            Fault("The scale is missing: B A is multiplied by alpha / rank.", lambda x, w, a, b, s: x @ (w + b @ a).T),
            Fault(
                "It multiplies by alpha and forgets to divide by the rank.",
                lambda x, w, a, b, s: x @ (w + s * b @ a).T,
            ),
            Fault("The frozen weights are left out.", lambda x, w, a, b, s: x @ (s / len(a) * b @ a).T),
            Fault("The difference is not used.", lambda x, w, a, b, s: x @ w.T),
            Fault(
                "The result is transposed: a row for each input.", lambda x, w, a, b, s: (w + s / len(a) * b @ a) @ x.T
            ),
        ),
        ("`x @ W.T + alpha / rank * (x @ A.T) @ B.T`: the large product B A need not be made.",),
    ),
    Exercise(
        "early_stop",
        stop_cases,
        (
            Fault("An equal loss is no improvement: the earlier look is kept.", lambda *a: stop(*a, tie=True)),
            Fault("It compares with the look before; a look must beat the best one so far.", stop_by_neighbours),
            Fault("It waits one look too long.", lambda *a: stop(*a, strict=1)),
            Fault(
                "The bad looks are counted all together; a better one sets the count back to 0.",
                lambda *a: stop(*a, reset=False),
            ),
            Fault(
                "It looks to the end, whatever the patience.",
                lambda ls, p: (int(np.argmin(ls)), len(ls) - 1),
            ),
            Fault(
                "It returns the loss; the numbers of the looks are wanted.",
                lambda ls, p: (ls[stop(ls, p)[0]], ls[stop(ls, p)[1]]),
            ),
            Fault("The last look is returned for the best.", lambda ls, p: (stop(ls, p)[1],) * 2),
        ),
        ("Go through the looks with a count of those that did not beat the best; at `patience` of them, stop.",),
    ),
)
