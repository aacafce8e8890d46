"""Greedy decoding, beam search and sampling from logits (taught in notebooks/06_generation.ipynb).

Each works on a step function, so it does not know what model it decodes. Their results are those of transformers'
`generate`, token for token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class Step(Protocol):
    """What a decoder does: the logits of the next token."""

    def __call__(self, prefixes: Tensor, items: Tensor) -> Tensor:
        """Logits (N, V) of the token after each prefix (N, n), `items` (N,) being the input that each belongs to."""


@dataclass(frozen=True)
class Marks:
    """Ids of the tokens that start and end a sequence, and of the one that fills what comes after the end."""

    start: int
    end: int
    pad: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> Marks:
        """Those of a model."""
        c = model.config
        return cls(c.decoder_start_token_id, c.eos_token_id, c.pad_token_id)


@dataclass(frozen=True)
class Hypothesis:
    """A sequence, the start token included, and its log-probability divided by length ** length_penalty."""

    ids: tuple[int, ...]
    score: float


class Seq2SeqStep:
    """The step function of an encoder–decoder.

    With `cache`, keys and values of earlier tokens are kept: a prefix that extends one of the last call by a token
    costs one position instead of all.
    """

    @torch.inference_mode()
    def __init__(
        self, model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor | None = None, cache: bool = True
    ) -> None:
        """Encodes the inputs (B, L), padded where `attention_mask` is 0."""
        self.model = model
        self.mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        self.states = model.get_encoder()(input_ids=input_ids, attention_mask=self.mask).last_hidden_state
        self.cache = cache
        self.past: EncoderDecoderCache | None = None
        self.rows: dict[tuple[int, ...], int] = {}  # item and prefix → row of the last call

    @torch.inference_mode()
    def __call__(self, prefixes: Tensor, items: Tensor) -> Tensor:
        """See `Step`."""
        keys = [(item, *prefix) for item, prefix in zip(items.tolist(), prefixes.tolist(), strict=True)]
        parents = [self.rows.get(key[:-1]) for key in keys]
        if self.past is None or None in parents:
            self.past, new = None, prefixes
        else:
            self.past.reorder_cache(torch.tensor(parents, device=prefixes.device))
            new = prefixes[:, -1:]
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.states[items]),
            attention_mask=self.mask[items],
            decoder_input_ids=new,
            past_key_values=self.past,
            use_cache=self.cache,
        )
        if self.cache:
            self.past, self.rows = output.past_key_values, {key: row for row, key in enumerate(keys)}
        return output.logits[:, -1].float()


def extend(
    step: Step, items: int, marks: Marks, max_new_tokens: int, choose: Callable[[Tensor], Tensor], device: str = "cpu"
) -> Tensor:
    """Appends the token (B,) that `choose` takes from the logits (B, V) until every sequence has ended.

    Raises:
        ValueError: there is nothing to write.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    ids = torch.full((items, 1), marks.start, device=device)
    running = torch.ones(items, dtype=torch.bool, device=device)
    for _ in range(max_new_tokens):
        tokens = choose(step(ids, torch.arange(items, device=device))).where(running, marks.pad)
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        running &= tokens != marks.end
        if not running.any():
            break
    return ids


def greedy(step: Step, items: int, marks: Marks, max_new_tokens: int, device: str = "cpu") -> Tensor:
    """The likeliest token at each step.

    Returns:
        Ids (B, n), from the start token to the end token, padded after it.
    """
    return extend(step, items, marks, max_new_tokens, lambda logits: logits.argmax(dim=-1), device)


def top_k(logits: Tensor, k: int) -> Tensor:
    """The k largest logits of each row (B, V), minus infinity for the others (Fan et al., 2018).

    Raises:
        ValueError: k is less than 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    smallest = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < smallest, -torch.inf)


def nucleus(logits: Tensor, p: float) -> Tensor:
    """The fewest likeliest tokens of each row (B, V) that together reach p, minus infinity for the others.

    Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration".

    Raises:
        ValueError: p is not in (0, 1].
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}")
    if p == 1:
        return logits
    ascending, order = logits.sort(dim=-1)
    outside = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    outside[:, -1] = False  # the likeliest stays, whatever p
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)


def sample(
    step: Step,
    items: int,
    marks: Marks,
    max_new_tokens: int,
    temperature: float = 1.0,
    k: int | None = None,
    p: float = 1.0,
    generator: torch.Generator | None = None,
    device: str = "cpu",
) -> Tensor:
    """Draws each token from the softmax of logits / temperature, cut to the top k and then to the nucleus p.

    Args:
        generator: where the random numbers come from; torch's own, which `torch.manual_seed` seeds, by default.

    Returns:
        Ids (B, n), from the start token to the end token, padded after it.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}; use greedy decoding for its limit 0")

    def draw(logits: Tensor) -> Tensor:
        logits = logits / temperature
        logits = nucleus(logits if k is None else top_k(logits, k), p)
        return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]

    return extend(step, items, marks, max_new_tokens, draw, device)


class Beam:
    """The beam search for one item: the hypotheses that run, by log-probability, and those that ended, by score."""

    def __init__(
        self,
        marks: Marks,
        max_new_tokens: int,
        beams: int,
        length_penalty: float,
        early_stopping: bool | Literal["never"],
    ) -> None:
        self.marks = marks
        self.max_new_tokens = max_new_tokens
        self.beams = beams
        self.length_penalty = length_penalty
        self.early_stopping = early_stopping
        self.running = [Hypothesis((marks.start,), 0.0)]
        self.finished: list[Hypothesis] = []

    def normalized(self, score: float, length: int) -> float:
        """A log-probability, divided by a length in new tokens to the power of the penalty (above 0: favours long)."""
        return score / length**self.length_penalty

    def advance(self, logits: Tensor) -> None:
        """Replaces the running hypotheses by their best continuations, from the logits (running, V) of the next token.

        Twice as many as there are beams are looked at, so that enough go on even if each beam ends.
        """
        sums = logits.log_softmax(dim=-1) + logits.new_tensor([h.score for h in self.running])[:, None]
        scores, places = sums.flatten().topk(min(2 * self.beams, sums.numel()))
        before, self.running = self.running, []
        length = len(before[0].ids)  # of the continuations, in new tokens
        for rank, (score, place) in enumerate(zip(scores.tolist(), places.tolist(), strict=True)):
            if score == -torch.inf:  # forbidden
                break
            row, token = divmod(place, logits.shape[-1])
            ids = (*before[row].ids, token)
            if token == self.marks.end or length == self.max_new_tokens:
                if rank < self.beams:
                    self.finished.append(Hypothesis(ids, self.normalized(score, length)))
            elif len(self.running) < self.beams:
                self.running.append(Hypothesis(ids, score))
        self.finished = sorted(self.finished, key=lambda h: -h.score)[: self.beams]
        if self.done():
            self.running = []

    def done(self) -> bool:
        """Whether to stop: nothing runs; or all beams have ended and waiting for better ones is not worth while.

        Whether it is, `early_stopping` decides. True: never. False: if the best that runs, ending now, would be among
        the best. "never": if it could be among them at any length.
        """
        if not self.running or len(self.finished) < self.beams:
            return not self.running
        if self.early_stopping is True:
            return True
        length = len(self.running[0].ids) - 1
        if self.early_stopping == "never" and self.length_penalty > 0:
            length = self.max_new_tokens
        return self.normalized(self.running[0].score, length) <= self.finished[-1].score


def beam_search(
    step: Step,
    items: int,
    marks: Marks,
    max_new_tokens: int,
    beams: int = 4,
    length_penalty: float = 1.0,
    early_stopping: bool | Literal["never"] = False,
    device: str = "cpu",
) -> list[list[Hypothesis]]:
    """The sequences with the highest scores that are found by keeping the `beams` best prefixes at each step.

    Args:
        length_penalty: a sequence's score is its log-probability / its length ** length_penalty.
        early_stopping: when an item is done: True, as soon as there are as many finished sequences as beams; False,
            when its best running one would not be among them if it ended now; "never", when it could not at any length.

    Returns:
        For each item its finished hypotheses, best first.

    Raises:
        ValueError: there is less than one beam or new token, or early_stopping is something else.
    """
    if beams < 1 or max_new_tokens < 1:
        raise ValueError(f"beams and max_new_tokens must be at least 1, not {beams} and {max_new_tokens}")
    if early_stopping not in (True, False, "never"):
        raise ValueError(f'early_stopping must be True, False or "never", not {early_stopping!r}')
    searches = [Beam(marks, max_new_tokens, beams, length_penalty, early_stopping) for _ in range(items)]
    while any(search.running for search in searches):
        owners = [i for i, search in enumerate(searches) for _ in search.running]
        prefixes = [h.ids for search in searches for h in search.running]
        logits = step(torch.tensor(prefixes, device=device), torch.tensor(owners, device=device))
        parts = logits.split([len(search.running) for search in searches])
        for search, part in zip(searches, parts, strict=True):
            if search.running:
                search.advance(part)
    return [search.finished for search in searches]


def padded(hypotheses: Sequence[Hypothesis], pad: int) -> Tensor:
    """The ids of hypotheses as one tensor (B, n)."""
    return pad_sequence([torch.tensor(h.ids) for h in hypotheses], batch_first=True, padding_value=pad)
