"""Answers to the exercises of chapter 03, right ones, and wrong ones with what the check says."""

import math

import numpy as np
import torch


def pool_by_loop(states, mask):
    pooled = []
    for text, keep in zip(states, mask, strict=True):
        real = [token for token, m in zip(text, keep, strict=True) if m]
        pooled.append(sum(real) / len(real) if real else np.zeros(states.shape[2]))
    return pooled


def pool_by_einsum(states, mask):
    counts = mask.sum(axis=1)
    return np.einsum("tnw,tn->tw", states, mask) / np.where(counts == 0, 1, counts)[:, None]


def pool_all(states, mask):
    return np.mean(states, axis=1)


def pool_counts_padding(states, mask):
    return np.sum(states * mask[:, :, None], axis=1) / states.shape[1]


def pool_divides_by_zero(states, mask):
    with np.errstate(invalid="ignore"):
        return np.einsum("tnw,tn->tw", states, mask) / mask.sum(axis=1, keepdims=True)


def pool_first(states, mask):
    return states[:, 0, :]


def pool_components(states, mask):
    return np.mean(states, axis=-1)


def normalise_by_loop(v):
    rows = []
    for row in v.tolist():
        length = math.sqrt(sum(x * x for x in row))
        rows.append([x / length if length else x for x in row])
    return rows


def normalise_by_torch(v):
    return torch.nn.functional.normalize(torch.tensor(v), dim=1).numpy()


def normalise_nan(v):
    with np.errstate(invalid="ignore"):
        return v / np.sqrt((v * v).sum(axis=1))[:, None]


def normalise_matrix(v):
    return v / np.sqrt((v * v).sum())


def normalise_squares(v):
    squares = (v * v).sum(axis=1, keepdims=True)
    return v / np.where(squares == 0, 1, squares)


def normalise_absolute(v):
    total = np.abs(v).sum(axis=1, keepdims=True)
    return v / np.where(total == 0, 1, total)


def attention_by_torch(scores, mask):
    s = torch.tensor(scores).masked_fill(torch.tensor(mask) == 0, -torch.inf)
    return torch.softmax(s, dim=1).numpy()


def attention_by_loop(scores, mask):
    rows = []
    for row in scores:
        most = max(s for s, m in zip(row, mask, strict=True) if m)
        e = [math.exp(s - most) if m else 0.0 for s, m in zip(row, mask, strict=True)]
        rows.append([x / sum(e) for x in e])
    return np.array(rows)


def attention_unmasked(scores, mask):
    return torch.softmax(torch.tensor(scores), dim=-1).numpy()


def attention_zero_scores(scores, mask):
    return torch.softmax(torch.tensor(scores * mask), dim=-1).numpy()


def attention_masked_late(scores, mask):
    return torch.softmax(torch.tensor(scores), dim=-1).numpy() * mask


def attention_overflow(scores, mask):
    with np.errstate(all="ignore"):
        e = np.exp(scores) * mask
        return e / e.sum(axis=1, keepdims=True)


def attention_of_the_largest(scores, mask):
    e = np.exp(scores - scores.max()) * mask
    with np.errstate(invalid="ignore"):
        return e / e.sum(axis=1, keepdims=True)


def attention_shifted_by_padding(scores, mask):
    with np.errstate(all="ignore"):
        e = np.exp(scores - scores.max(axis=1)[:, None]) * mask
        return e / e.sum(axis=1)[:, None]


def attention_columns(scores, mask):
    s = torch.tensor(scores).masked_fill(torch.tensor(mask) == 0, -torch.inf)
    return torch.softmax(s, dim=0).numpy()


def cosines_by_loop(q, p):
    return [[a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for b in p] for a in q]


def cosines_by_torch(q, p):
    return torch.nn.functional.cosine_similarity(torch.tensor(q)[:, None], torch.tensor(p)[None], dim=2).numpy()


def cosines_dot(q, p):
    return np.einsum("qd,pd->qp", q, p)


def cosines_half(q, p):
    return (q / np.linalg.norm(q, axis=1, keepdims=True)) @ p.T


def cosines_distance(q, p):
    return np.linalg.norm(q[:, None] - p[None], axis=2)


def cosines_transposed(q, p):
    return cosines_by_torch(p, q)


def loss_by_torch(cosines, tau):
    logits = torch.tensor(cosines) / tau
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(cosines))).item()


def loss_by_loop(cosines, tau):
    total = 0.0
    for i, row in enumerate(cosines):
        total += math.log(sum(math.exp((c - max(row)) / tau) for c in row)) - (row[i] - max(row)) / tau
    return total / len(cosines)


def loss_times_tau(cosines, tau):
    return torch.nn.functional.cross_entropy(torch.tensor(cosines) * tau, torch.arange(len(cosines))).item()


def loss_without_tau(cosines, tau):
    return loss_by_torch(cosines, 1.0)


def loss_sum(cosines, tau):
    return loss_by_torch(cosines, tau) * len(cosines)


def loss_columns(cosines, tau):
    return loss_by_torch(cosines.T.copy(), tau)


def loss_both_ways(cosines, tau):
    return (loss_by_loop(cosines, tau) + loss_by_loop(cosines.T, tau)) / 2


def loss_positive(cosines, tau):
    return -loss_by_loop(cosines, tau)


def loss_overflow(cosines, tau):
    with np.errstate(all="ignore"):
        e = np.exp(cosines / tau)
        return float(-np.log(np.diag(e) / e.sum(axis=1)).mean())


RIGHT = {
    "mean_pool": [pool_by_loop, pool_by_einsum],
    "normalise": [normalise_by_loop, normalise_by_torch],
    "attention_weights": [attention_by_torch, attention_by_loop],
    "cosines": [cosines_by_loop, cosines_by_torch],
    "contrastive_loss": [loss_by_torch, loss_by_loop],
}
WRONG = {
    "mean_pool": [
        (pool_all, "over the padding"),
        (pool_counts_padding, "counted in the division"),
        (pool_divides_by_zero, "divided by 0"),
        (pool_first, "[CLS]"),
        (pool_components, "shape (1, 5), not (1, 4)"),
    ],
    "normalise": [
        (normalise_nan, "becomes nan"),
        (normalise_matrix, "whole matrix"),
        (normalise_squares, "square root is missing"),
        (normalise_absolute, "absolute values"),
    ],
    "attention_weights": [
        (attention_unmasked, "forgot the mask"),
        (attention_zero_scores, "e^0 is 1"),
        (attention_masked_late, "after the softmax"),
        (attention_overflow, "maximum"),
        (attention_of_the_largest, "take each row's own"),
        (attention_shifted_by_padding, "over padding too"),
        (attention_columns, "Columns add up"),
    ],
    "cosines": [
        (cosines_dot, "dot product"),
        (cosines_half, "questions' lengths only"),
        (cosines_distance, "distance"),
        (cosines_transposed, "changed places"),
    ],
    "contrastive_loss": [
        (loss_times_tau, "divided by it"),
        (loss_without_tau, "temperature is not used"),
        (loss_sum, "mean is wanted"),
        (loss_columns, "down the columns"),
        (loss_both_ways, "both directions"),
        (loss_positive, "sign"),
        (loss_overflow, "overflows"),
    ],
}
