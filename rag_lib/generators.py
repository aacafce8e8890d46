"""From a question and passages to an answer (taught in notebooks/06_generation.ipynb)."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput

from rag_lib.analysis import Analyzer
from rag_lib.casing import restore_case
from rag_lib.decoding import PassageConstraint, SentenceConstraint, continuation_pieces, empty_words
from rag_lib.models import is_bundled, load_generator
from rag_lib.prompts import (
    ANSWER,
    BUNDLED,
    QUOTE,
    REPLY,
    REWRITE,
    SUMMARIZE,
    PromptFormat,
    QuestionTooLong,
    Source,
    build_prompt,
    format_for,
)
from rag_lib.splitting import sentence_spans

POSITIONS = 512  # of models that name no limit of their own (T5)
MOST_TOKENS = {ANSWER: 32, QUOTE: 80, REPLY: 80, REWRITE: 48, SUMMARIZE: 200}
SENTENCES = {QUOTE: 1, REPLY: 1, SUMMARIZE: 3}  # that a copying model copies for these jobs
NAMES = 3  # that a copying model adds to a turn at most, from the best of NAME_BEAMS beams
NAME_BEAMS = 6
MISSING = (ANSWER, REPLY, REWRITE)  # the jobs at which a bundled model may say that there is nothing to copy


@dataclass(frozen=True)
class Decoding:
    """How answers are searched for.

    Attributes:
        beams: the number of beams; 1 is greedy.
        max_new_tokens: at most so many; None for what suits the job.
        constrained: a model that was trained to copy (`PromptFormat.copies`) is held to it: answers are runs of words,
            quotations, replies and summaries are whole sentences of the passages.
        apart: passages are encoded apart (Fusion-in-Decoder), not one after the other; None as the model was trained.
        half: the model computes in bfloat16, which is faster where the processor has instructions for it; None for
            exactly there. Off by default, so that results are the same on every machine.
    """

    beams: int = 1
    max_new_tokens: int | None = None
    constrained: bool = True
    apart: bool | None = None
    half: bool | None = False


@dataclass(frozen=True)
class Place:
    """Where an answer stands: `sources[source].text[start:end]`."""

    source: int
    start: int
    end: int


@dataclass(frozen=True)
class Generation:
    """What a generator wrote.

    Attributes:
        text: the answer; empty where the model said that the sources do not hold it.
        score: its probability, from 0 to 1: that it is answered at all, times that of these words.
        place: where it stands, if it is a quotation.
        used: the sources that were read.
    """

    text: str
    score: float
    place: Place | None
    used: tuple[int, ...]


class Generator(Protocol):
    """Anything that answers a question from sources; an answer that scores below `threshold` is rather none."""

    threshold: float

    def generate(
        self, questions: Sequence[str], sources: Sequence[Sequence[Source]], job: str = ANSWER
    ) -> list[Generation]:
        """An answer for each question from its own sources, best source first."""


@dataclass(frozen=True)
class Item:
    """One question as the model reads it: its rows of input, and what of the sources is in them."""

    rows: list[list[int]]
    used: tuple[int, ...]
    texts: list[TokenizedText]


class TokenizedText(NamedTuple):
    """The token ids of a source's text, the characters (start, end) of each, and the tokens of each sentence."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    sentences: list[range]


class Written(NamedTuple):
    """What was decoded for an item: token ids, their probability, and that there is something to write at all.

    `others` are what further beams came to, best first.
    """

    ids: list[int]
    probability: float
    possible: float
    others: tuple[list[int], ...] = ()


class Seq2SeqGenerator:
    """An encoder–decoder of the transformers library: BART or T5, bundled or by name."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding | None = None,
        form: PromptFormat = BUNDLED,
        batch_size: int = 16,
    ) -> None:
        self.decoding = decoding or Decoding()
        half = computes_in_half() if self.decoding.half is None else self.decoding.half
        self.model = copy.deepcopy(model).bfloat16() if half else model
        self.tokenizer = tokenizer
        self.form = form
        self.batch_size = batch_size
        self.budget = getattr(model.config, "max_position_embeddings", None) or POSITIONS
        self.apart = form.apart if self.decoding.apart is None else self.decoding.apart
        # Other tokenizers spell a word one way at the start of a text and another way inside: no constraint for them.
        self.pieces = continuation_pieces(tokenizer)
        self.empty = empty_words(tokenizer)
        self.threshold = getattr(model.config, "answer_threshold", 0.0)
        self.no_answer = tokenizer.mask_token_id if form is BUNDLED else None

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> Seq2SeqGenerator:
        """The bundled generator, or a model by its hub name or folder.

        Raises:
            ModelUnavailable: it cannot be had.
        """
        model, tokenizer = load_generator(name)
        form = BUNDLED if is_bundled(name) else format_for(name, model.config.model_type)
        return cls(model, tokenizer, decoding, form)

    def generate(
        self, questions: Sequence[str], sources: Sequence[Sequence[Source]], job: str = ANSWER
    ) -> list[Generation]:
        """See `Generator.generate`.

        Raises:
            QuestionTooLong: with a question no source fits into the model's input.
        """
        if len(questions) != len(sources):
            raise ValueError(f"{len(questions)} questions for {len(sources)} lists of sources")
        items = [self.lay_out(q, s, job) for q, s in zip(questions, sources, strict=True)]
        order = sorted(range(len(items)), key=lambda i: sum(map(len, items[i].rows)))  # like lengths: less padding
        done: dict[int, Generation] = {}
        for i in range(0, len(order), self.batch_size):
            chunk = order[i : i + self.batch_size]
            for j, written in zip(chunk, self.decode([items[j] for j in chunk], job), strict=True):
                done[j] = self.finish(questions[j], sources[j], items[j], written, job)
        return [done[i] for i in range(len(items))]

    def lay_out(self, question: str, sources: Sequence[Source], job: str) -> Item:
        """The rows that the model reads: one a source where sources are read apart, else one for all."""
        rows, used, too_long = [], [], None
        groups = [[i] for i in range(len(sources))] if self.apart and sources else [list(range(len(sources)))]
        for group in groups:
            try:
                chosen = [sources[i] for i in group]
                prompt = build_prompt(question, chosen, self.tokenizer, self.budget, job, self.form)
            except QuestionTooLong as error:
                too_long = error
                continue
            rows.append(self.tokenizer(prompt.text, verbose=False)["input_ids"])
            used += [group[i] for i in prompt.used]
        if not rows:
            raise too_long
        return Item(rows, tuple(used), [self.tokens(sources[i].text) for i in used])

    def tokens(self, text: str) -> TokenizedText:
        """A text's tokens with their places."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = encoded["offset_mapping"]
        starts = [start for start, _ in offsets]
        sentences = [range(bisect_left(starts, a), bisect_left(starts, b)) for a, b in sentence_spans(text)]
        return TokenizedText(encoded["input_ids"], offsets, [s for s in sentences if len(s)])

    def constraint(self, items: Sequence[Item], job: str) -> PassageConstraint | SentenceConstraint | None:
        """What the job's tokens are held to, if to anything."""
        if not (self.decoding.constrained and self.form.copies and self.pieces and all(item.texts for item in items)):
            return None
        end = self.model.config.eos_token_id
        if job in SENTENCES:
            sentences = [[[t.ids[i] for i in s] for t in item.texts for s in t.sentences] for item in items]
            return SentenceConstraint(sentences, end, SENTENCES[job])
        return PassageConstraint([[t.ids for t in item.texts] for item in items], end, self.pieces, self.empty)

    @torch.inference_mode()
    def decode(self, items: Sequence[Item], job: str) -> list[Written]:
        """What the model writes for each item."""
        rows = [row for item in items for row in item.rows]
        inputs = self.tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt")
        owners = [i for i, item in enumerate(items) for _ in item.rows]
        ids, mask = (inputs[k].to(self.model.device) for k in ("input_ids", "attention_mask"))
        states, mask = encode_apart(self.model, ids, mask, owners, self.batch_size)
        constraint = self.constraint(items, job)
        naming = constraint is not None and job == REWRITE
        beams = max(self.decoding.beams, NAME_BEAMS) if naming else self.decoding.beams
        kept = beams if naming else 1
        output = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            num_beams=beams,
            num_return_sequences=kept,
            do_sample=False,
            max_new_tokens=self.decoding.max_new_tokens or MOST_TOKENS[job],
            no_repeat_ngram_size=0 if constraint or job in (ANSWER, QUOTE) else 4,
            prefix_allowed_tokens_fn=constraint,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
        )
        steps = self.model.compute_transition_scores(
            output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        )
        probabilities = steps.masked_fill(steps.isinf() | steps.isnan(), 0.0).sum(1).exp()[::kept]
        possible = torch.ones_like(probabilities)
        if constraint is not None and self.no_answer is not None and job in MISSING:
            possible = self.possible(output.logits[0][::beams], constraint)
        ids = output.sequences[:, 1:].tolist()
        return [
            Written(ids[i * kept], probability, certainty, tuple(ids[i * kept + 1 : (i + 1) * kept]))
            for i, (probability, certainty) in enumerate(zip(probabilities.tolist(), possible.tolist(), strict=True))
        ]

    def possible(self, logits: torch.Tensor, constraint: PassageConstraint) -> torch.Tensor:
        """The probability (B,) that there is something to copy, from the first step's logits (B, vocabulary)."""
        start = torch.tensor([self.model.config.decoder_start_token_id])
        odds = [
            row[constraint(i, start)].logsumexp(0) - row[self.no_answer] for i, row in enumerate(logits.float().cpu())
        ]
        return torch.stack(odds).sigmoid().to(logits.device)

    def finish(self, question: str, sources: Sequence[Source], item: Item, written: Written, job: str) -> Generation:
        """Tokens as text: a quotation as its passage writes it, other text with the passages' spelling of names."""
        ids = self.plain(written.ids)
        score = written.probability * written.possible
        if job in SENTENCES and (sentences := whole_sentences(ids, item)):
            text = " ".join(sources[p.source].text[p.start : p.end] for p in sentences)
            return Generation(text, score, sentences[0] if len(sentences) == 1 else None, item.used)
        if job == REWRITE and self.form.copies:
            names = self.names(written, sources, item) if written.possible >= 0.5 else []
            text = question.strip() + (f" ({'; '.join(names)})" if names else "")
            return Generation(text, score, None, item.used)
        place = best_supported(occurrences(ids, item), sources, question) if job in (ANSWER, QUOTE) else None
        if place is not None:
            return Generation(sources[place.source].text[place.start : place.end], score, place, item.used)
        if getattr(self.tokenizer, "do_lower_case", False):
            known = [(sources[i].text, t[:2]) for i, t in zip(item.used, item.texts, strict=True)]
            known += [(text, self.tokens(text)[:2]) for text in (question, *(s.title for s in sources))]
            return Generation(restore_case(ids, known, self.tokenizer), score, None, item.used)
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        if job == ANSWER and text.lower().rstrip(".") == self.form.no_answer:
            text = ""
        return Generation(text, score, None, item.used)

    def plain(self, ids: Sequence[int]) -> list[int]:
        """Token ids without the tokenizer's own marks."""
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        return [t for t in ids if t not in special]

    def names(self, written: Written, sources: Sequence[Source], item: Item) -> list[str]:
        """The names that the beams came to, best first, none of which is part of another."""
        names: list[str] = []
        for ids in (written.ids, *written.others):
            for place in occurrences(self.plain(ids), item)[:1]:
                name = sources[place.source].text[place.start : place.end]
                if len(names) < NAMES and not any(name in other or other in name for other in names):
                    names.append(name)
        return names


def computes_in_half() -> bool:
    """Whether this machine's processor multiplies matrices in bfloat16."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


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
    first: dict[tuple[int, ...], int] = {}  # a row that several items share is encoded once
    same = [first.setdefault(tuple(row), r) for r, row in enumerate(input_ids.tolist())]
    once = torch.tensor(sorted(first.values()), device=input_ids.device)
    states: list[torch.Tensor] = [input_ids] * len(items)
    for part in once[lengths[once].argsort()].split(batch_size):
        longest = int(lengths[part].max())
        out = model.get_encoder()(input_ids=input_ids[part, :longest], attention_mask=attention_mask[part, :longest])
        for row, state in zip(part.tolist(), out.last_hidden_state, strict=True):
            states[row] = state[: lengths[row]]
    laid = [
        torch.cat([states[r] for r, i in zip(same, items, strict=True) if i == item]) for item in range(items[-1] + 1)
    ]
    mask = pad_sequence([attention_mask.new_ones(len(s)) for s in laid], batch_first=True)
    return pad_sequence(laid, batch_first=True), mask


def occurrences(ids: Sequence[int], item: Item) -> list[Place]:
    """All places where a run of tokens stands in the sources read, in their order."""
    n = len(ids)
    return [
        Place(source, text.offsets[i][0], text.offsets[i + n - 1][1])
        for source, text in zip(item.used, item.texts, strict=True)
        for i in range(len(text.ids) - n + 1 if n else 0)
        if text.ids[i : i + n] == list(ids)
    ]


def whole_sentences(ids: Sequence[int], item: Item) -> list[Place]:
    """The sentences of the sources that a run of tokens consists of, read in their order; a cut one is left out."""
    places, ids = [], list(ids)
    for source, text in zip(item.used, item.texts, strict=True):
        for sentence in text.sentences:
            tokens = [text.ids[i] for i in sentence]
            if ids[: len(tokens)] == tokens:
                places.append(Place(source, text.offsets[sentence[0]][0], text.offsets[sentence[-1]][1]))
                del ids[: len(tokens)]
    return places


def best_supported(places: Sequence[Place], sources: Sequence[Source], question: str) -> Place | None:
    """The place whose sentence has most terms of the question, the first of several; None where there is no place."""
    analyze = Analyzer()
    terms = set(analyze(question))

    def support(place: Place) -> int:
        text = sources[place.source].text
        around = [text[a:b] for a, b in sentence_spans(text) if a < place.end and b > place.start]
        return len(terms.intersection(analyze(" ".join(around))))

    return max(places, key=support, default=None)
