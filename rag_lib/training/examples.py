"""From questions with their passages to batches of token ids (taught in notebooks/09_finetune_generator.ipynb)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from rag_lib.analysis import Analyzer
from rag_lib.bm25 import BM25
from rag_lib.decoding import allowed_next, continuation_pieces
from rag_lib.prompts import ANSWER, QUOTE, Source, format_question, format_source
from rag_lib.splitting import Splitting, passage_spans, sentence_spans

IGNORED = -100  # the label that cross-entropy leaves out


@dataclass(frozen=True)
class Triple:
    """A question, the passage that answers it, and where: `context[start : start + len(answer)] == answer`."""

    question: str
    title: str
    context: str
    answer: str
    start: int


@dataclass(frozen=True)
class Phase:
    """A stretch of training on inputs of one kind."""

    examples: int
    words: tuple[int, int]  # the gold passage is cut at sentences to a number of words drawn from this range
    quotes: float = 0.1  # share of examples whose target is the whole sentence that holds the answer
    distractors: int = 0  # at most so many passages found in the same article are put beside the gold one


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run."""

    phases: tuple[Phase, ...] = (
        Phase(10_240, words=(30, 60), quotes=1.0),
        Phase(34_816, words=(40, 110)),
        Phase(12_288, words=(40, 160), quotes=0.05, distractors=2),
    )
    batch_size: int = 32
    pool_batches: int = 32  # batches of like length are cut from a shuffled pool of so many
    encoder_rate: float = 1.5e-4
    decoder_rate: float = 8e-4
    warmup_steps: int = 200
    decay: float = 0.35  # the share of the run, at its end, over which the rate falls to zero
    clip: float = 1.0
    max_tokens: int = 448
    max_target: int = 40
    seed: int = 0
    evaluate_every: int = 8_000  # examples
    save_every: float = 300.0  # seconds


def load_triples(rows: Sequence[dict]) -> list[Triple]:
    """Triples from rows laid out as in SQuAD; rows without an answer are left out."""
    return [
        Triple(r["question"], r["title"].replace("_", " "), r["context"], r["answers"]["text"][0], start)
        for r in rows
        if r["answers"]["text"] and (start := r["answers"]["answer_start"][0]) >= 0
    ]


def cut_around(text: str, start: int, end: int, words: int, rng: random.Random) -> tuple[int, int]:
    """Span of whole sentences that holds `text[start:end]` and has about `words` words."""
    spans = sentence_spans(text)
    first = max((i for i, s in enumerate(spans) if s[0] <= start), default=0)
    last = min((i for i, s in enumerate(spans) if s[1] >= end), default=len(spans) - 1)
    last = max(first, last)
    while first > 0 or last < len(spans) - 1:
        left = first > 0 and (last == len(spans) - 1 or rng.random() < 0.5)
        a, b = (first - 1, last) if left else (first, last + 1)
        if len(text[spans[a][0] : spans[b][1]].split()) > words:
            break
        first, last = a, b
    return spans[first][0], spans[last][1]


@dataclass
class Features:
    """One example as token ids."""

    input_ids: list[int]
    labels: list[int]  # ends with the end token
    allowed: list[list[int]]  # for each label, the tokens that constrained decoding allows there
    span: tuple[int, int]  # first and last input position of the answer
    inside: tuple[int, int]  # first and last input position of the gold passage


class Featurizer:
    """Turns triples into features, with random cuts, distractors and jobs drawn from `rng`."""

    def __init__(self, triples: Sequence[Triple], tokenizer: PreTrainedTokenizerBase, settings: Settings) -> None:
        self.triples = triples
        self.tokenizer = tokenizer
        self.settings = settings
        self.pieces = continuation_pieces(tokenizer)
        self.contexts: dict[str, dict[str, None]] = {}  # the paragraphs of every article, each once, in order
        for t in triples:
            self.contexts.setdefault(t.title, {})[t.context] = None
        self.articles: dict[str, BM25] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def article(self, title: str) -> BM25:
        """An index of the passages of an article, whose ids are the passages themselves."""
        if title not in self.articles:
            texts = {t[a:b]: None for t in self.contexts[title] for a, b in passage_spans(t, Splitting())}
            self.articles[title] = BM25(list(texts), list(texts), Analyzer())
        return self.articles[title]

    def distractors(self, triple: Triple, phase: Phase, rng: random.Random) -> list[Source]:
        """Passages of the same article that a search for the question finds, and that do not hold the answer."""
        wanted = rng.randint(0, phase.distractors)
        found = [h.id for h in self.article(triple.title).search(triple.question, 4 * wanted)] if wanted else []
        rng.shuffle(found)
        wrong = [t for t in found if t not in triple.context and triple.answer.lower() not in t.lower()]
        return [Source(triple.title, text) for text in wrong[:wanted]]

    def __call__(self, triple: Triple, phase: Phase, rng: random.Random) -> Features | None:
        """Features of a triple, or None where the answer is not a run of whole tokens of the input."""
        s, tok = self.settings, self.tokenizer
        end = triple.start + len(triple.answer)
        job = QUOTE if rng.random() < phase.quotes else ANSWER
        others = self.distractors(triple, phase, rng) if phase.distractors else []
        words = rng.randint(*phase.words)
        a, b = cut_around(triple.context, triple.start, end, words, rng)
        gold = Source(triple.title, triple.context[a:b])
        target = triple.answer
        if job == QUOTE:
            c, d = cut_around(gold.text, triple.start - a, end - a, 0, rng)
            target = gold.text[c:d]

        place = rng.randint(0, len(others))
        sources = [*others[:place], gold, *others[place:]]
        ids = [tok.cls_token_id, *self.ids(format_question(triple.question, job))]
        passages, inside = [], (0, 0)
        for i, source in enumerate(sources):
            text_ids = self.ids(source.text)
            ids += self.ids(format_source(Source(source.title, "")))
            if i == place:
                inside = (len(ids), len(ids) + len(text_ids) - 1)
            passages.append(text_ids)
            ids += text_ids
        ids.append(tok.sep_token_id)
        if inside[1] >= s.max_tokens - 1:
            return None
        ids = ids[: s.max_tokens]

        before = len(self.ids(gold.text[: triple.start - a]))
        answer_ids = self.ids(triple.answer)
        first = inside[0] + before
        if not answer_ids or ids[first : first + len(answer_ids)] != answer_ids:
            return None
        labels = [*self.ids(target)[: s.max_target - 1], tok.sep_token_id]
        allowed = []
        for n, label in enumerate(labels):
            options = allowed_next(labels[:n], passages, tok.sep_token_id, self.pieces)
            if label not in options:
                if n == s.max_target - 1:
                    options.add(label)  # a long quotation was cut short
                else:
                    return None
            allowed.append(sorted(options))
        return Features(ids, labels, allowed, (first, first + len(answer_ids) - 1), inside)


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of unequal length as one tensor (rows, longest)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def collate(features: Sequence[Features], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch: B inputs of L tokens, B targets of T labels, at most A allowed tokens a label."""
    input_ids = pad([f.input_ids for f in features], pad_id)
    labels = pad([f.labels for f in features], IGNORED)
    widest = max(len(a) for f in features for a in f.allowed)
    allowed = torch.full((*labels.shape, widest), -1)
    for i, f in enumerate(features):
        for j, options in enumerate(f.allowed):
            allowed[i, j, : len(options)] = torch.tensor(options)
    position = torch.arange(input_ids.shape[1])
    inside = torch.tensor([f.inside for f in features])
    return {
        "input_ids": input_ids,
        "attention_mask": (position < torch.tensor([[len(f.input_ids)] for f in features])).long(),
        "labels": labels,
        "allowed": allowed,
        "span": torch.tensor([f.span for f in features]),
        "inside": (position >= inside[:, :1]) & (position <= inside[:, 1:]),
    }


def phase_at(seen: int, phases: Sequence[Phase]) -> Phase:
    """The phase that the example number `seen` falls in."""
    for phase in phases:
        if seen < phase.examples:
            return phase
        seen -= phase.examples
    return phases[-1]


def batches(featurizer: Featurizer, settings: Settings, start: int) -> Iterator[list[Features]]:
    """Batches of like length from example number `start` on; the same `start` gives the same batches."""
    pool_size = settings.batch_size * settings.pool_batches
    for pool in range(start // pool_size, 10**9):
        rng = random.Random(f"{settings.seed} {pool}")
        phase = phase_at(pool * pool_size, settings.phases)
        order = epoch_order(len(featurizer.triples), pool * pool_size, pool_size, settings.seed)
        features = [f for i in order if (f := featurizer(featurizer.triples[i], phase, rng)) is not None]
        while len(features) < pool_size:  # examples that do not fit are made up for, so that a pool has one size
            f = featurizer(rng.choice(featurizer.triples), phase, rng)
            if f is not None:
                features.append(f)
        features.sort(key=lambda f: (len(f.labels) > 16, len(f.input_ids)))  # quotations apart from answers
        cut = [features[i : i + settings.batch_size] for i in range(0, pool_size, settings.batch_size)]
        rng.shuffle(cut)
        done = (start - pool * pool_size) // settings.batch_size if start > pool * pool_size else 0
        yield from cut[done:]


def epoch_order(n: int, start: int, count: int, seed: int) -> list[int]:
    """Items `start` to `start + count` of an endless series of seeded shuffles of range(n)."""
    chosen: list[int] = []
    while len(chosen) < count:
        epoch, offset = divmod(start + len(chosen), n)
        order = list(range(n))
        random.Random(f"{seed} epoch {epoch}").shuffle(order)
        chosen += order[offset : offset + count - len(chosen)]
    return chosen
