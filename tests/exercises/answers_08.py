"""Answers to the exercises of chapter 08, right ones, and wrong ones with what the check says."""

import numpy as np
import torch
from torch.nn import functional as F


def ranks_by_loop(scores, right):
    return [sum(s >= row[r] for s in row) for row, r in zip(scores.tolist(), right, strict=True)]


def ranks_by_sorting(scores, right):
    own = np.take_along_axis(scores, right[:, None], axis=1)
    return [len(row) - int(np.searchsorted(np.sort(row), o)) for row, o in zip(scores, own[:, 0], strict=True)]


def ranks_kind(scores, right):
    return [1 + sum(s > row[r] for s in row) for row, r in zip(scores, right, strict=True)]


def ranks_from_zero(scores, right):
    return [int(r) - 1 for r in ranks_kind(scores, right)]


def ranks_best(scores, right):
    return np.argmax(scores, axis=-1)


def loss_by_torch(scores, names, tau):
    logits = torch.tensor(scores / tau)
    for i, name in enumerate(names[: len(scores)]):
        for j, other in enumerate(names):
            if i != j and name == other:
                logits[i, j] = -torch.inf
    return F.cross_entropy(logits, torch.arange(len(scores))).item()


def loss_by_loop(scores, names, tau):
    total = 0.0
    for i in range(len(scores)):
        columns = [j for j in range(len(names)) if j == i or names[j] != names[i]]
        total += np.logaddexp.reduce(scores[i, columns] / tau) - scores[i, i] / tau
    return total / len(scores)


def loss_of_the_largest(scores, names, tau):
    z = scores / tau
    others = [[m != name or j == i for j, m in enumerate(names)] for i, name in enumerate(names[: len(z)])]
    with np.errstate(divide="ignore"):
        sums = np.log((np.exp(z - z.max()) * others).sum(axis=1))
    return float(np.mean(sums - np.diag(z) + z.max()))


def loss_of_doubles(scores, names, tau):
    return loss_by_torch(scores, list(range(len(names))), tau)


def loss_of_the_batch(scores, names, tau):
    return loss_by_torch(scores[:, : len(scores)], names[: len(scores)], tau)


def loss_of_the_hard(scores, names, tau):
    n = len(scores)
    rows = [(scores[i : i + 1, [i, *range(n, len(names))]], [names[i], *names[n:]]) for i in range(n)]
    return sum(loss_by_loop(row, called, tau) for row, called in rows) / n


def loss_of_any_copy(scores, names, tau):
    total = 0.0
    for row, name in zip(scores / tau, names[: len(scores)], strict=True):
        own = np.array([other == name for other in names])
        total += np.logaddexp.reduce(row) - np.logaddexp.reduce(row[own])
    return total / len(scores)


def loss_sum(scores, names, tau):
    return loss_by_loop(scores, names, tau) * len(scores)


def loss_without_tau(scores, names, tau):
    return loss_by_loop(scores, names, 1)


def mined_by_loop(scores, right, holds, share):
    result = []
    for row, r, has in zip(scores, right, holds, strict=True):
        left = [j for j in range(len(row)) if j != r and not has[j] and row[j] <= share * row[r]]
        result.append(max(left, key=lambda j: row[j]) if left else -1)
    return result


def mined_by_order(scores, right, holds, share):
    free = ~holds & (scores <= share * np.take_along_axis(scores, right[:, None], axis=1))
    free &= np.arange(scores.shape[1]) != right[:, None]
    order = np.argsort(-scores, axis=1, kind="stable")
    return [next((int(j) for j in o if f[j]), -1) for o, f in zip(order, free, strict=True)]


def mined_with_answers(scores, right, holds, share):
    return mined_by_loop(scores, right, np.zeros_like(holds), share)


def mined_without_margin(scores, right, holds, share):
    return mined_by_loop(scores, right, holds, np.inf)


def mined_own(scores, right, holds, share):
    rest = np.where(holds | (scores > share * scores[range(len(right)), right][:, None]), -np.inf, scores)
    return np.where(np.isinf(rest).all(axis=1), -1, rest.argmax(axis=1))


def mined_always(scores, right, holds, share):
    rest = np.where(holds | (scores > share * scores[range(len(right)), right][:, None]), -np.inf, scores)
    rest[range(len(right)), right] = -np.inf
    return rest.argmax(axis=1)


def gradient_by_torch(scores, right):
    s = torch.tensor(scores, requires_grad=True)
    F.cross_entropy(s, torch.tensor(right)).backward()
    return s.grad.numpy()


def gradient_by_loop(scores, right):
    result = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    for i, r in enumerate(right):
        result[i, r] -= 1
    return result / len(right)


def gradient_of_the_sum(scores, right):
    return gradient_by_loop(scores, right) * len(right)


def gradient_up(scores, right):
    return -gradient_by_torch(scores, right)


def gradient_of_the_largest(scores, right):
    with np.errstate(invalid="ignore"):
        p = np.exp(scores - scores.max())
        p /= p.sum(axis=1, keepdims=True)
    return (p - np.eye(p.shape[1])[right]) / len(p)


def gradient_diagonal(scores, right):
    return gradient_by_loop(scores, np.arange(len(right)))


def map_by_torch(w, questions, passages, right, rate, tau, steps):
    w = torch.tensor(w, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(torch.tensor(questions) @ w @ torch.tensor(passages).T / tau, torch.tensor(right)).backward()
        optimizer.step()
    return w.detach().numpy()


def map_by_pairs(w, questions, passages, right, rate, tau, steps):
    w = w.copy()
    for _ in range(steps):
        g = gradient_by_loop(questions @ w @ passages.T / tau, right)
        change = sum(g[i, j] * np.outer(q, p) for i, q in enumerate(questions) for j, p in enumerate(passages))
        w -= rate * change / tau
    return w


def map_up(w, questions, passages, right, rate, tau, steps):
    return map_by_pairs(w, questions, passages, right, -rate, tau, steps)


def map_once(w, questions, passages, right, rate, tau, steps):
    return map_by_torch(w, questions, passages, right, rate, tau, 1)


def map_without_tau(w, questions, passages, right, rate, tau, steps):
    for _ in range(steps):
        w = w - rate * questions.T @ gradient_by_loop(questions @ w @ passages.T / tau, right) @ passages
    return w


def map_turned(w, questions, passages, right, rate, tau, steps):
    for _ in range(steps):
        w = w - rate * passages.T @ gradient_by_loop(questions @ w @ passages.T / tau, right).T @ questions / tau
    return w


RIGHT = {
    "right_ranks": [ranks_by_loop, ranks_by_sorting],
    "batch_loss": [loss_by_torch, loss_by_loop],
    "mine_negatives": [mined_by_loop, mined_by_order],
    "loss_gradient": [gradient_by_torch, gradient_by_loop],
    "train_map": [map_by_torch, map_by_pairs],
}
WRONG = {
    "right_ranks": [(ranks_kind, "in our favour"), (ranks_from_zero, "counted from 0"), (ranks_best, "best passage")],
    "batch_loss": [
        (loss_of_doubles, "leave that column out"),
        (loss_of_the_batch, "hard negatives are not used"),
        (loss_of_the_hard, "are negatives too"),
        (loss_of_any_copy, "counts as right"),
        (loss_sum, "mean is wanted"),
        (loss_without_tau, "temperature is not used"),
        (loss_of_the_largest, "take each row's own"),
    ],
    "mine_negatives": [
        (mined_with_answers, "holds an answer is no negative"),
        (mined_without_margin, "margin is not used"),
        (mined_own, "own passage is mined"),
        (mined_always, "-1 is wanted"),
    ],
    "loss_gradient": [
        (gradient_of_the_sum, "divide by the number"),
        (gradient_up, "sign is wrong"),
        (gradient_diagonal, "takes the diagonal"),
        (gradient_of_the_largest, "take each row's own"),
    ],
    "train_map": [
        (map_up, "It climbs"),
        (map_once, "one step only"),
        (map_without_tau, "τ is missing"),
        (map_turned, "transposed"),
    ],
}
