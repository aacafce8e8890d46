"""The exercises of chapter 03: from token vectors to vectors that can be compared."""

from __future__ import annotations

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import log_softmax, random, softmax

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def mean_pool_cases() -> list[Case]:
    """No padding, padding, padding only."""
    states = random(3, 3, 5, 4)
    return [
        Case((states[:1], MASK[:1]), states[:1].mean(axis=1), "a text without padding"),
        Case((states[1:2], MASK[1:2]), states[1:2, :3].mean(axis=1), "a text of 3 tokens and 2 of padding"),
        Case((states, MASK), np.stack([s[m == 1].mean(axis=0) for s, m in zip(states, MASK, strict=True)]), "a batch"),
        Case((states[:1], MASK[:1] * 0), np.zeros((1, 4)), "a text that is all padding"),
    ]


def pooled(states: np.ndarray, mask: np.ndarray, least: float = 1) -> np.ndarray:
    """The mean over the mask; `least` is the smallest number that is divided by."""
    m = mask[..., None]
    with np.errstate(invalid="ignore"):
        return (m * states).sum(axis=1) / np.maximum(m.sum(axis=1), least)


def normalise_cases() -> list[Case]:
    """Rows of several lengths, unit rows, a row of zeros."""
    v = random(3, 4, 3) * np.array([[1], [10], [0.1], [2]])
    unit = np.stack([row / np.sqrt(row @ row) for row in v])
    zero = np.array([[3.0, 4.0], [0.0, 0.0]])
    return [
        Case((np.array([[3.0, 4.0]]),), np.array([[0.6, 0.8]]), "the vector (3, 4)"),
        Case((v,), unit, "four vectors of different lengths"),
        Case((unit,), unit, "vectors that have length one already"),
        Case((zero,), np.array([[0.6, 0.8], [0.0, 0.0]]), "a vector of zeros, which stays as it is"),
    ]


def divided(v: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A quotient, 0 where both are 0."""
    return np.divide(v, by, out=np.zeros_like(v), where=np.broadcast_to(by, v.shape) != 0)


def attention_weights_cases() -> list[Case]:
    """No mask, a mask, large scores."""
    scores, mask = random(3, 4, 4), np.array([1, 1, 1, 0])
    masked = np.concatenate([softmax(scores[:, :3]), np.zeros((4, 1))], axis=1)
    return [
        Case((scores, mask), masked, "four tokens, the last of them padding"),
        Case((scores, np.ones(4, int)), softmax(scores), "four tokens without padding"),
        Case((scores + np.array([[0], [1000], [-1000], [0]]), mask), masked, "rows of scores that lie far apart"),
        Case((scores + 1000, mask), masked, "scores about 1,000, whose exponentials are too large for the computer"),
        Case((np.where(mask, scores, 1000.0), mask), masked, "a score of 1,000 for padding"),
    ]


def over_all(scores: np.ndarray) -> np.ndarray:
    """A softmax of each row that subtracts the largest score of all rows."""
    with np.errstate(all="ignore"):
        e = np.exp(scores - scores.max())
        return e / e.sum(axis=1, keepdims=True)


def with_padding(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A masked softmax of each row that subtracts the largest score of the row, be it padding's."""
    with np.errstate(all="ignore"):
        e = np.exp(np.where(mask > 0, scores, -np.inf) - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def cosines_cases() -> list[Case]:
    """Two questions and three passages of different lengths."""
    q, p = random(3, 2, 4) * 3, random(3, 3, 4) + 0.5
    right = np.array([[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for b in p] for a in q])
    return [
        Case((np.array([[2.0, 0.0]]), np.array([[3.0, 3.0]])), np.array([[np.sqrt(0.5)]]), "an angle of 45 degrees"),
        Case((q, p), right, "2 questions and 3 passages"),
        Case((q[:1], 10 * p), right[:1], "passages ten times as long"),
    ]


def length(v: np.ndarray) -> np.ndarray:
    """The length of each row, as a column."""
    return np.sqrt((v**2).sum(axis=1, keepdims=True))


def contrastive_loss_cases() -> list[Case]:
    """A good batch, a random one, a small temperature."""
    c = np.clip(random(3, 4, 4), -1, 1)
    good = 2 * np.eye(4) - 1
    return [
        Case((c, 1.0), nll(c / 1.0), "τ = 1"),
        Case((c, 0.2), nll(c / 0.2), "τ = 0.2"),
        Case((good, 0.5), nll(good / 0.5), "perfect vectors at τ = 0.5"),
        Case((c, 0.001), nll(c / 0.001), "τ = 0.001, where exponentials become too large for the computer"),
    ]


def nll(logits: np.ndarray) -> float:
    """The mean of -log softmax on the diagonal."""
    return float(-np.diag(log_softmax(logits)).mean())


EXERCISES = (
    Exercise(
        "mean_pool",
        mean_pool_cases,
        (
            Fault(
                "The mean is over the padding too: the mask is not used.",
                lambda states, mask: states.mean(axis=1),
            ),
            Fault(
                "Padding is left out of the sum but counted in the division: divide by the number of real tokens.",
                lambda states, mask: (mask[..., None] * states).mean(axis=1),
            ),
            Fault(
                "A text that is all padding is divided by 0: divide by at least 1.",
                lambda states, mask: pooled(states, mask, least=0),
            ),
            Fault("It takes the first token, [CLS]; the mean is wanted.", lambda states, mask: states[:, 0]),
            Fault(
                "It takes the mean over the components, for each token; the mean over the tokens is wanted (axis=1).",
                lambda states, mask: states.mean(axis=2),
            ),
            Fault(
                "It takes the mean over the texts; the mean over the tokens of each text is wanted (axis=1).",
                lambda states, mask: states.mean(axis=0),
            ),
            Fault(
                "It adds the tokens up and does not divide.",
                lambda states, mask: (mask[..., None] * states).sum(axis=1),
            ),
            Fault(
                "It takes the largest value of each component; the mean is wanted.",
                lambda states, mask: np.where(mask[..., None] > 0, states, -np.inf).max(axis=1),
            ),
        ),
        (
            "`mask[..., None]` has the shape (texts, tokens, 1), and so can be multiplied with the states.",
            "Add up mask · states over axis 1, and divide by the sum of the mask, or by 1 where that is 0.",
        ),
    ),
    Exercise(
        "normalise",
        normalise_cases,
        (
            Fault(
                "A vector of zeros becomes nan: divide by 1 where the length is 0.",
                lambda v: np.where(length(v) > 0, divided(v, length(v)), np.nan),
            ),
            Fault(
                "All rows are divided by one number, the length of the whole matrix: each row has its own (axis=1).",
                lambda v: v / np.linalg.norm(v),
            ),
            Fault(
                "Columns are normalised; each row is a vector (axis=1).",
                lambda v: divided(v, np.linalg.norm(v, axis=0, keepdims=True)),
            ),
            Fault(
                "It divides by the square of the length: the square root is missing.",
                lambda v: divided(v, length(v) ** 2),
            ),
            Fault(
                "It divides by the sum of the components; the length is the root of the sum of their squares.",
                lambda v: divided(v, v.sum(axis=1, keepdims=True)),
            ),
            Fault(
                "It divides by the sum of the absolute values; the length is the root of the sum of squares.",
                lambda v: divided(v, np.abs(v).sum(axis=1, keepdims=True)),
            ),
        ),
        (
            "`np.linalg.norm(v, axis=1, keepdims=True)` is a column with the length of each row.",
            "`np.where(lengths > 0, lengths, 1)` puts 1 in place of 0.",
        ),
    ),
    Exercise(
        "attention_weights",
        attention_weights_cases,
        (
            Fault("You forgot the mask: padding gets weight.", lambda scores, mask: softmax(scores)),
            Fault(
                "The scores of padding are set to 0, and e^0 is 1: set them to -∞ before the softmax.",
                lambda scores, mask: softmax(scores * mask),
            ),
            Fault(
                "Padding is taken out after the softmax, so the weights no longer add up to 1: mask the scores first.",
                lambda scores, mask: softmax(scores) * mask,
            ),
            Fault(
                "Columns add up to 1; each row must, for each token shares out its own attention (axis=1).",
                lambda scores, mask: softmax(np.where(mask > 0, scores, -np.inf), axis=0),
            ),
            Fault(
                "The rows of padding are masked; its columns must be, for nobody is to look at it.",
                lambda scores, mask: softmax(np.where(mask[:, None] > 0, scores, -1e9)) * 1.0,
            ),
            Fault(
                "The largest of all scores is subtracted, and a row far below it becomes nan: take each row's own.",
                lambda scores, mask: over_all(np.where(mask > 0, scores, -np.inf)),
            ),
            Fault(
                "The row's maximum is taken over padding too; a large score there leaves nan: mask the scores first.",
                with_padding,
            ),
            Fault(
                "Large scores become nan: subtract each row's maximum before `np.exp`; the weights stay the same.",
                lambda scores, mask: softmax(np.where(mask > 0, scores, -np.inf), shift=False),
            ),
        ),
        (
            "`np.where(mask == 1, scores, -np.inf)` masks the columns.",
            "softmax(s) = softmax(s - max s); without the largest score all exponentials are at most 1.",
        ),
    ),
    Exercise(
        "cosines",
        cosines_cases,
        (
            Fault(
                "That is the dot product, which favours long vectors; the cosine divides by both lengths.",
                lambda q, p: q @ p.T,
            ),
            Fault("It divides by the passages' lengths only.", lambda q, p: q @ (p / length(p)).T),
            Fault("It divides by the questions' lengths only.", lambda q, p: (q / length(q)) @ p.T),
            Fault(
                "That is the distance; the cosine is the product of the vectors of length one.",
                lambda q, p: np.sqrt(((q[:, None] - p) ** 2).sum(axis=2)),
            ),
            Fault(
                "Questions and passages have changed places: one row per question, one column per passage.",
                lambda q, p: ((q / length(q)) @ (p / length(p)).T).T,
            ),
            Fault(
                "That is 1 minus the cosine, a distance; the cosine is wanted.",
                lambda q, p: 1 - (q / length(q)) @ (p / length(p)).T,
            ),
        ),
        ("Divide the rows of both by their lengths first, as `normalise` does; the rest is `a @ b.T`.",),
    ),
    Exercise(
        "contrastive_loss",
        contrastive_loss_cases,
        (
            Fault("It multiplies by τ; the cosines are divided by it.", lambda c, tau: nll(c * tau)),
            Fault("The temperature is not used.", lambda c, tau: nll(c)),
            Fault(
                "The softmax goes down the columns: each row is a question that chooses among the passages (axis=1).",
                lambda c, tau: nll(c.T / tau),
            ),
            Fault(
                "Passages choose among questions too: that is the mean of both directions; here questions choose.",
                lambda c, tau: (nll(c / tau) + nll(c.T / tau)) / 2,
            ),
            Fault("The sign is wrong: a loss is the negative logarithm.", lambda c, tau: -nll(c / tau)),
            Fault("It adds up the questions; the mean is wanted.", lambda c, tau: len(c) * nll(c / tau)),
            Fault(
                "The logarithm is missing: it is the mean probability of the right passage.",
                lambda c, tau: float(np.diag(softmax(c / tau)).mean()),
            ),
            Fault(
                "Every passage counts as right; only the one on the diagonal is.",
                lambda c, tau: float((np.logaddexp.reduce(c / tau, axis=1)[:, None] - c / tau).mean()),
            ),
            Fault(
                "At a small temperature it overflows: subtract each row's largest value before `np.exp`.",
                lambda c, tau: (
                    float(np.mean(-np.log(np.diag(softmax(c / tau, shift=False))))) if tau > 0.01 else np.nan
                ),
            ),
        ),
        (
            "log softmax of row i is s - log Σ e^s, where s = cosines[i] / tau.",
            "`np.logaddexp.reduce(s, axis=1)` is log Σ e^s without overflow, `np.diag(s)` the right passages.",
        ),
    ),
)
