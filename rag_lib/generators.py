"""From a question and passages to an answer (taught in notebooks/06_generation.ipynb)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.analysis import Analyzer
from rag_lib.decoding import PassageConstraint, continuation_pieces, empty_words
from rag_lib.models import load_generator
from rag_lib.prompts import ANSWER, Source, build_prompt
from rag_lib.splitting import sentence_spans

POSITIONS = 512  # of models that name no limit of their own (T5)


@dataclass(frozen=True)
class Decoding:
    """How answers are searched for. `constrained`: only runs of words that stand in the passages."""

    beams: int = 1
    max_new_tokens: int = 32
    constrained: bool = True


@dataclass(frozen=True)
class Place:
    """Where an answer stands: `sources[source].text[start:end]`."""

    source: int
    start: int
    end: int


@dataclass(frozen=True)
class Generation:
    """An answer, the probability that the generator gave it, its place if it is a quotation, and the sources read."""

    text: str
    score: float
    place: Place | None
    used: tuple[int, ...]


class Generator(Protocol):
    """Anything that answers a question from sources."""

    def generate(self, questions: Sequence[str], sources: Sequence[Sequence[Source]]) -> list[Generation]:
        """An answer for each question from its own sources, best source first."""


class Seq2SeqGenerator:
    """An encoder–decoder of the transformers library: BART or T5, bundled or by name."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding | None = None,
        batch_size: int = 16,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pieces = continuation_pieces(tokenizer)
        self.empty = empty_words(tokenizer)
        # Other tokenizers spell a word one way at the start of a text and another way inside: no constraint for them.
        self.constrainable = bool(self.pieces)
        self.decoding = decoding or Decoding()
        self.batch_size = batch_size
        self.budget = getattr(model.config, "max_position_embeddings", None) or POSITIONS

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> Seq2SeqGenerator:
        """The bundled generator, or a model by its hub name or folder.

        Raises:
            ModelUnavailable: it cannot be had.
        """
        return cls(*load_generator(name), decoding)

    def generate(
        self, questions: Sequence[str], sources: Sequence[Sequence[Source]], job: str = ANSWER
    ) -> list[Generation]:
        """See `Generator.generate`.

        Raises:
            QuestionTooLong: with a question no source fits into the model's input.
        """
        if len(questions) != len(sources):
            raise ValueError(f"{len(questions)} questions for {len(sources)} lists of sources")
        prompts = [
            build_prompt(q, s, self.tokenizer, self.budget, job) for q, s in zip(questions, sources, strict=True)
        ]
        order = sorted(range(len(prompts)), key=lambda i: prompts[i].tokens)  # like lengths together: less padding
        done: dict[int, Generation] = {}
        for i in range(0, len(order), self.batch_size):
            chunk = order[i : i + self.batch_size]
            done |= zip(chunk, self._generate([prompts[j] for j in chunk], [sources[j] for j in chunk]), strict=True)
        return [done[i] for i in range(len(prompts))]

    def _tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return encoded["input_ids"], encoded["offset_mapping"]

    @torch.inference_mode()
    def _generate(self, prompts, sources) -> list[Generation]:
        inputs = self.tokenizer([p.text for p in prompts], padding=True, return_tensors="pt", verbose=False)
        inputs = {k: inputs[k].to(self.model.device) for k in ("input_ids", "attention_mask")}
        read = [[self._tokens(s[i].text) for i in p.used] for p, s in zip(prompts, sources, strict=True)]
        constraint = None
        if self.decoding.constrained and self.constrainable and all(read):
            constraint = PassageConstraint(
                [[ids for ids, _ in item] for item in read], self.model.config.eos_token_id, self.pieces, self.empty
            )
        output = self.model.generate(
            **inputs,
            num_beams=self.decoding.beams,
            do_sample=False,
            max_new_tokens=self.decoding.max_new_tokens,
            prefix_allowed_tokens_fn=constraint,
            return_dict_in_generate=True,
            output_scores=True,
        )
        steps = self.model.compute_transition_scores(
            output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        )
        log_probabilities = steps.masked_fill(steps.isinf() | steps.isnan(), 0.0).sum(1)
        answers = []
        for i, (prompt, item) in enumerate(zip(prompts, read, strict=True)):
            ids = [t for t in output.sequences[i, 1:].tolist() if t not in self.tokenizer.all_special_ids]
            place = best_supported(occurrences(ids, item, prompt.used), sources[i], prompt.question)
            text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
            if place is not None:  # as the passage writes it: the bundled model knows no capitals
                text = sources[i][place.source].text[place.start : place.end]
            answers.append(Generation(text, float(log_probabilities[i].exp()), place, prompt.used))
        return answers


def encode_apart(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    items: Sequence[int],
    batch_size: int = 16,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encodes rows by themselves and lays those of an item end to end, without padding between, as Fusion-in-Decoder.

    Izacard and Grave (2021), "Leveraging Passage Retrieval with Generative Models for Open Domain Question Answering".

    Args:
        input_ids, attention_mask: (R, L), the rows of B items, padded on the right.
        items: the item of each row, from 0 to B - 1, in order.
        batch_size: rows encoded at a time, those of like length together.

    Returns:
        States (B, N, d) and attention mask (B, N), N being the most tokens of an item.
    """
    lengths = attention_mask.sum(1)
    states: list[torch.Tensor] = [input_ids] * len(items)
    for part in lengths.argsort().split(batch_size):
        longest = int(lengths[part].max())
        out = model.get_encoder()(input_ids=input_ids[part, :longest], attention_mask=attention_mask[part, :longest])
        for row, state in zip(part.tolist(), out.last_hidden_state, strict=True):
            states[row] = state[: lengths[row]]
    laid = [torch.cat([s for s, i in zip(states, items, strict=True) if i == item]) for item in range(items[-1] + 1)]
    mask = pad_sequence([attention_mask.new_ones(len(s)) for s in laid], batch_first=True)
    return pad_sequence(laid, batch_first=True), mask


def occurrences(
    ids: Sequence[int], read: Sequence[tuple[list[int], list[tuple[int, int]]]], used: Sequence[int]
) -> list[Place]:
    """All places where a run of tokens stands in the sources read, in their order."""
    n = len(ids)
    return [
        Place(source, offsets[i][0], offsets[i + n - 1][1])
        for source, (tokens, offsets) in zip(used, read, strict=True)
        for i in range(len(tokens) - n + 1 if n else 0)
        if tokens[i : i + n] == list(ids)
    ]


def best_supported(places: Sequence[Place], sources: Sequence[Source], question: str) -> Place | None:
    """The place whose sentence has most terms of the question, the first of several; None where there is no place."""
    analyze = Analyzer()
    terms = set(analyze(question))

    def support(place: Place) -> int:
        text = sources[place.source].text
        around = [text[a:b] for a, b in sentence_spans(text) if a < place.end and b > place.start]
        return len(terms.intersection(analyze(" ".join(around))))

    return max(places, key=support, default=None)
