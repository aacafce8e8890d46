"""Answers to the exercises of chapter 09, right ones, and wrong ones with what the check says."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F


def inputs_by_lists(labels, start, pad):
    return [[start, *(pad if i == -100 else i for i in row[:-1])] for row in labels.tolist()]


def inputs_by_concatenation(labels, start, pad):
    front = np.full((len(labels), 1), start)
    moved = np.concatenate([front, labels[:, :-1]], axis=1)
    moved[moved == -100] = pad
    return moved


def inputs_unmoved(labels, start, pad):
    return np.where(labels < 0, pad, labels)


def inputs_with_marks(labels, start, pad):
    return np.concatenate([np.full((len(labels), 1), start), labels[:, :-1]], axis=1)


def inputs_longer(labels, start, pad):
    return [[start, *(pad if i == -100 else i for i in row)] for row in labels.tolist()]


def smoothed_by_torch(logits, labels, smoothing):
    z, y = torch.tensor(logits).flatten(0, 1), torch.tensor(labels).flatten()
    return F.cross_entropy(z, y, label_smoothing=smoothing).item()


def smoothed_by_loop(logits, labels, smoothing):
    losses = []
    for z, y in zip(logits.reshape(-1, logits.shape[-1]), labels.ravel(), strict=True):
        if y >= 0:
            target = np.full(len(z), smoothing / len(z))
            target[y] += 1 - smoothing
            losses.append(-(target * (z - np.logaddexp.reduce(z))).sum())
    return sum(losses) / len(losses)


def smoothed_with_padding(logits, labels, smoothing):
    return smoothed_by_loop(logits, np.maximum(labels, 0), smoothing)


def smoothed_over_all(logits, labels, smoothing):
    return smoothed_by_loop(logits, labels, smoothing) * (labels >= 0).sum() / labels.size


def smoothed_not(logits, labels, smoothing):
    return smoothed_by_torch(logits, labels, 0.0)


def smoothed_others(logits, labels, smoothing):
    v = logits.shape[-1]
    return smoothed_by_loop(logits, labels, smoothing * v / (v - 1))


def smoothed_naive(logits, labels, smoothing):
    with np.errstate(all="ignore"):
        logs = np.log(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
        kept = labels >= 0
        own = np.take_along_axis(logs, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        return -((1 - smoothing) * own + smoothing * logs.mean(axis=-1))[kept].mean()


def rate_by_sine(step, total, peak, warm):
    if step < warm:
        return peak / warm * (step + 1)
    return peak * math.sin(math.pi / 2 * (total - step) / (total - warm)) ** 2


def rate_by_table(step, total, peak, warm):
    up = (np.arange(warm) + 1) / max(warm, 1)
    down = (1 + np.cos(np.linspace(0, np.pi, total - warm + 1)[:-1])) / 2
    return peak * np.concatenate([up, down])[step]


def rate_from_zero(step, total, peak, warm):
    return peak * step / warm if step < warm else rate_by_sine(step, total, peak, warm)


def rate_linear(step, total, peak, warm):
    return peak * min((step + 1) / max(1, warm) if step < warm else 1, (total - step) / (total - warm))


def rate_without_warmth(step, total, peak, warm):
    return peak * (1 + math.cos(math.pi * step / total)) / 2


def rate_divided(step, total, peak, warm):
    return min(peak * min(1.0, (step + 1) / warm), rate_by_sine(step, total, peak, warm))


def low_rank_by_sum(x, w, a, b, alpha):
    return x @ (w + alpha * b @ a / a.shape[0]).T


def low_rank_by_einsum(x, w, a, b, alpha):
    return np.einsum("ni,oi->no", x, w) + np.einsum("ni,ri,or->no", x, a, b) * alpha / len(a)


def low_rank_unscaled(x, w, a, b, alpha):
    return x @ w.T + x @ a.T @ b.T


def low_rank_alpha(x, w, a, b, alpha):
    return x @ w.T + alpha * (x @ a.T @ b.T)


def low_rank_alone(x, w, a, b, alpha):
    return alpha / len(a) * (x @ a.T @ b.T)


def stop_by_loop(losses, patience):
    best, last = 0, 0
    while last + 1 < len(losses) and last - best < patience:
        last += 1
        if losses[last] < losses[best]:
            best = last
    return best, last


def stop_by_argmin(losses, patience):
    for last in range(len(losses)):
        best = int(np.argmin(losses[: last + 1]))
        if last - best == patience:
            break
    return best, last


def stop_late(losses, patience):
    return stop_by_loop(losses, patience + 1)


def stop_never(losses, patience):
    return int(np.argmin(losses)), len(losses) - 1


def stop_of_neighbours(losses, patience):
    worse = [b >= a for a, b in pairwise(losses)]
    ends = [i for i in range(patience, len(losses)) if all(worse[i - patience : i])]
    last = min(ends, default=len(losses) - 1)
    return losses.index(min(losses[: last + 1])), last


def stop_of_equals(losses, patience):
    best, last = 0, 0
    while last + 1 < len(losses) and last - best < patience:
        last += 1
        best = last if losses[last] <= losses[best] else best
    return best, last


RIGHT = {
    "decoder_inputs": [inputs_by_lists, inputs_by_concatenation],
    "smoothed_loss": [smoothed_by_torch, smoothed_by_loop],
    "rate_at": [rate_by_sine, rate_by_table],
    "low_rank": [low_rank_by_sum, low_rank_by_einsum],
    "early_stop": [stop_by_loop, stop_by_argmin],
}
WRONG = {
    "decoder_inputs": [
        (inputs_unmoved, "are not moved"),
        (inputs_with_marks, "-100 is no token"),
        (inputs_longer, "so the shape stays"),
    ],
    "smoothed_loss": [
        (smoothed_with_padding, "leave out the positions"),
        (smoothed_over_all, "counted in the division"),
        (smoothed_not, "smoothing is not used"),
        (smoothed_others, "other tokens alone"),
        (smoothed_naive, "Large logits become nan"),
    ],
    "rate_at": [
        (rate_from_zero, "is lost"),
        (rate_linear, "half cosine is wanted"),
        (rate_without_warmth, "no warm-up"),
        (rate_divided, "divided by 0"),
    ],
    "low_rank": [
        (low_rank_unscaled, "scale is missing"),
        (low_rank_alpha, "divide by the rank"),
        (low_rank_alone, "frozen weights"),
    ],
    "early_stop": [
        (stop_late, "one look too long"),
        (stop_never, "whatever the patience"),
        (stop_of_neighbours, "beat the best one so far"),
        (stop_of_equals, "no improvement"),
    ],
}
