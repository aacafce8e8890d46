"""From examples to batches of token ids (taught in notebooks/09_finetune_generator.ipynb)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from rag_lib.generation.constraints import allowed_in_sentences, allowed_next, continuation_pieces
from rag_lib.generation.encoding import IGNORED
from rag_lib.generation.jobs import SUMMARIZE
from rag_lib.generation.prompts import BUNDLED
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.training.generator.examples import Example, Phase, Task

MULTIPLE = 16  # widths are padded to multiples of it: shapes come again, and what was prepared for them is used again
MISSING = (0, 0, 0)  # the span of what is not there
MOST_TRIES = 20  # draws for each example of a pool


@dataclass(frozen=True)
class GeneratorSettings:
    """Everything that decides a run."""

    phases: tuple[Phase, ...]
    batch_size: int = 32
    pool_batches: int = 32  # batches of like length are cut from a shuffled pool of so many
    encoder_rate: float = 1.5e-4
    decoder_rate: float = 8e-4
    rank: int = 0  # of the low-rank difference that is trained; 0 trains all layers
    warmup_steps: int = 200
    decay: float = 0.35  # the share of the run, at its end, over which the rate falls to zero
    clip: float = 1.0
    max_tokens: int = 448  # of one row of the input
    max_rows: int = 16
    max_target: int = 40
    seed: int = 0
    evaluate_every: int = 8_000  # examples
    patience: int = 4  # evaluations without a better exact match, after which training stops
    save_every: float = 300.0  # seconds
    bfloat16: bool = True  # compute in bfloat16, where the device can
    dropout: float = 0.0


@dataclass
class Features:
    """One example as token ids.

    Attributes:
        rows: the inputs that are encoded apart, at least one.
        labels: the target, which ends with the end token.
        allowed: for each label, the tokens that constrained decoding allows there; empty where it is free.
        passages: the first and last position of each passage, as (row, first, last).
        span: the row, first and last position of the answer; MISSING where the sources do not hold it.
    """

    rows: list[list[int]]
    labels: list[int]
    allowed: list[list[int]]
    passages: list[tuple[int, int, int]]
    span: tuple[int, int, int] | None


class Featurizer:
    """Turns examples into features."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: GeneratorSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.pieces = continuation_pieces(tokenizer)

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def rows(self, example: Example, apart: bool) -> tuple[list[list[int]], list[tuple[int, int, int]]] | None:
        """The input's rows and where each source stands in them; None where the sources do not fit."""
        tok = self.tokenizer
        head = [tok.cls_token_id, *self.ids(BUNDLED.render(example.job, example.question, []))]
        rows, places = [list(head)], []
        for i, source in enumerate(example.sources):
            if apart and i:
                rows.append(list(head))
            label, text = self.ids(BUNDLED.source.format(title=source.title, text="")), self.ids(source.text)
            first = len(rows[-1]) + len(label)
            places.append((len(rows) - 1, first, first + len(text) - 1))
            rows[-1] += [*label, *text]
        if len(rows) > self.settings.max_rows or max(map(len, rows)) >= self.settings.max_tokens:
            return None
        return [[*row, tok.sep_token_id] for row in rows], places

    def __call__(self, example: Example, apart: bool) -> Features | None:
        """Features of an example, or None where it does not fit or its answer is not a run of whole tokens."""
        tok, s = self.tokenizer, self.settings
        laid_out = self.rows(example, apart)
        if laid_out is None:
            return None
        rows, places = laid_out
        target = self.ids(example.target) if example.target else [tok.mask_token_id]
        labels = [*target[: s.max_target - 1], tok.sep_token_id]
        span = MISSING if example.literal and not example.target else None
        if example.place is not None:
            row, first, _ = places[example.place.source]
            text = example.sources[example.place.source].text
            first += len(self.ids(text[: example.place.start]))
            answer = self.ids(text[example.place.start : example.place.end])
            span = (row, first, first + len(answer) - 1)
            if not answer or rows[row][first : span[2] + 1] != answer:
                return None
        allowed = self.allowed(labels, example) if example.literal else []
        return None if allowed is None else Features(rows, labels, allowed, places, span)

    def allowed(self, labels: list[int], example: Example) -> list[list[int]] | None:
        """For each label the tokens that constrained decoding allows; None where the label is not among them."""
        tok, allowed = self.tokenizer, []
        if example.job.sentences:
            units = [self.ids(s.text[a:b]) for s in example.sources for a, b in sentence_spans(s.text)]
        else:
            units = [self.ids(s.text) for s in example.sources]
        for n, label in enumerate(labels):
            if example.job.sentences:
                options = allowed_in_sentences(labels[:n], units, tok.sep_token_id, example.job.sentences)
            else:
                options = allowed_next(labels[:n], units, tok.sep_token_id, self.pieces)
            if n == 0 and example.job.may_be_missing:
                options.add(tok.mask_token_id)
            if label not in options:
                if n < self.settings.max_target - 1:
                    return None
                options.add(label)  # a long quotation was cut short
            allowed.append(sorted(options))
        return allowed


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of unequal length as one tensor (rows, longest)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def collate(features: Sequence[Features], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch of B examples.

    N is padded to a multiple of MULTIPLE, T to one of half of it.

    Returns:
        input_ids, attention_mask: (R, L), the rows of all examples; items: (R,), the example of each row.
        labels: (B, T); allowed: (B, T, A), -1 where there are fewer.
        inside: (B, N), over an example's rows laid end to end: true in its passages, and at each row's first token,
            which stands for "not here".
        right: (B, N, 2), true where the answer begins and where it ends, or wherever "not here" is right.
    """
    rows = [row for f in features for row in f.rows]
    input_ids = pad(rows, pad_id)
    labels = pad([f.labels for f in features], IGNORED)
    labels = F.pad(labels, (0, -labels.shape[1] % (MULTIPLE // 2)), value=IGNORED)
    allowed = torch.full((*labels.shape, max([1, *(len(a) for f in features for a in f.allowed)])), -1)
    longest = max(sum(map(len, f.rows)) for f in features)
    inside = torch.zeros(len(features), longest + -longest % MULTIPLE, dtype=torch.bool)
    right = torch.zeros(*inside.shape, 2, dtype=torch.bool)
    for i, f in enumerate(features):
        offsets = [0, *accumulate(map(len, f.rows))]
        for row, first, last in f.passages:
            inside[i, offsets[row] + first : offsets[row] + last + 1] = True
        inside[i, offsets[:-1]] = True
        for j, options in enumerate(f.allowed):
            allowed[i, j, : len(options)] = torch.tensor(options)
        if f.span == MISSING:
            right[i, offsets[:-1]] = True
        elif f.span is not None:
            row, first, last = f.span
            right[i, offsets[row] + first, 0] = right[i, offsets[row] + last, 1] = True
    return {
        "input_ids": input_ids,
        "attention_mask": (torch.arange(input_ids.shape[1]) < torch.tensor([[len(row)] for row in rows])).long(),
        "items": torch.tensor([i for i, f in enumerate(features) for _ in f.rows]),
        "labels": labels,
        "allowed": allowed,
        "inside": inside,
        "right": right,
    }


def phase_at(seen: int, phases: Sequence[Phase]) -> Phase:
    """The phase that the example number `seen` falls in."""
    for phase in phases:
        if seen < phase.examples:
            return phase
        seen -= phase.examples
    return phases[-1]


def epoch_order(n: int, start: int, count: int, seed: int) -> list[int]:
    """Items `start` to `start + count` of an endless series of seeded shuffles of range(n)."""
    chosen: list[int] = []
    while len(chosen) < count:
        epoch, offset = divmod(start + len(chosen), n)
        order = list(range(n))
        random.Random(f"{seed} epoch {epoch}").shuffle(order)
        chosen += order[offset : offset + count - len(chosen)]
    return chosen


def batches(
    featurizer: Featurizer, tasks: Mapping[str, Task], settings: GeneratorSettings, start: int
) -> Iterator[list[Features]]:
    """Batches of like shape from example number `start` on; the same `start` gives the same batches.

    Raises:
        ValueError: hardly any example fits into the settings' rows and tokens.
    """
    pool_size = settings.batch_size * settings.pool_batches
    for number in range(start // pool_size, 10**9):
        rng = random.Random(f"{settings.seed} {number}")
        phase = phase_at(number * pool_size, settings.phases)
        features = []
        for name, share in phase.mixture:
            count = round(share * pool_size)
            order = epoch_order(len(tasks[name]), number * count, count, settings.seed)
            features += (f for i in order if (f := draw(featurizer, tasks[name], i, phase, rng)))
        names, shares = zip(*phase.mixture, strict=True)
        tries = 0
        while len(features) < pool_size:  # examples that do not fit are made up for, so that a pool has one size
            task = tasks[rng.choices(names, shares)[0]]
            f = draw(featurizer, task, rng.randrange(len(task)), phase, rng)
            if f is not None:
                features.append(f)
            if (tries := tries + 1) > MOST_TRIES * pool_size:
                raise ValueError(f"of {tries} examples drawn hardly any fits into {settings.max_tokens} tokens a row")
        del features[pool_size:]
        features.sort(key=lambda f: (len(f.labels) > 16, sum(map(len, f.rows))))
        cut = [features[i : i + settings.batch_size] for i in range(0, pool_size, settings.batch_size)]
        rng.shuffle(cut)
        done = (start - number * pool_size) // settings.batch_size if start > number * pool_size else 0
        yield from cut[done:]


def draw(featurizer: Featurizer, task: Task, i: int, phase: Phase, rng: random.Random) -> Features | None:
    """Features of a task's i-th example, with the layout drawn from `rng`; None where there is none."""
    example, apart = task.example(i, phase, rng), rng.random() < phase.apart
    return None if example is None else featurizer(example, apart or example.job == SUMMARIZE)
