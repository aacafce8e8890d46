"""What the generator is trained on: for every job, examples of what it reads and what it should write.

Taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_lib.evaluation.answers import rouge_l
from rag_lib.generation.generators import Place
from rag_lib.generation.jobs import ANSWER, QUOTE, REPLY, REWRITE, SUMMARIZE, Job
from rag_lib.generation.prompts import conversation
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_pieces, sentence_spans

LONGEST = 60  # words of a sentence that is read, and quoted, whole


@dataclass(frozen=True)
class Triple:
    """A question, the text that answers it, and where: `context[start : start + len(answer)] == answer`."""

    question: str
    title: str
    context: str
    answer: str
    start: int
    aliases: tuple[str, ...] = ()  # other right answers


@dataclass(frozen=True)
class Example:
    """What the generator reads and what it should write.

    Attributes:
        target: what to write; empty where the sources do not hold the answer.
        literal: whether the target is a run of words of a source, so that constrained decoding could find it.
        place: where the answer stands, if anywhere.
    """

    job: Job
    question: str
    sources: tuple[Source, ...]
    target: str
    literal: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        examples: its length.
        words: a source is cut at sentences, around the answer, to a number of words drawn from this range.
        sources: the number of sources is drawn from this range; one holds the answer, the others mislead.
        apart: share of examples whose sources are encoded apart (Fusion-in-Decoder) instead of one after the other.
        missing: share of questions whose answer is in none of the sources.
        quotes: share of questions to be answered with the whole sentence.
        mixture: the share of each task, by its name.
    """

    examples: int
    words: tuple[int, int]
    sources: tuple[int, int] = (1, 1)
    apart: float = 0.0
    missing: float = 0.0
    quotes: float = 0.1
    mixture: tuple[tuple[str, float], ...] = (("read", 1.0),)


class Task(Protocol):
    """A source of examples of one kind."""

    def __len__(self) -> int: ...

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """The i-th example, with its cuts and choices drawn from `rng`; None where it cannot be made."""


def cut_around(text: str, start: int, end: int, words: int, rng: random.Random) -> tuple[int, int]:
    """Span of whole sentences that holds `text[start:end]` and has about `words` words.

    A sentence of more than LONGEST words, as transcripts without full stops have, is cut into parts of so many.
    """
    spans = sentence_pieces(text, LONGEST)
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


Search = Callable[[str], Sequence[Source]]  # from a query to sources, best first


def search_contexts(triples: Sequence[Triple], depth: int = 16) -> Search:
    """A BM25 search over the passages of all the triples' contexts."""
    texts = {t.context: t.title for t in triples}
    sources = [Source(title, text[a:b]) for text, title in texts.items() for a, b in passage_spans(text, Splitting())]
    index = BM25(range(len(sources)), [indexed_text(s) for s in sources], Analyzer())
    return lambda query: [sources[hit.id] for hit in index.search(query, depth)]


class ReadingTask:
    """Questions to be answered from sources, of which `search` finds the misleading ones."""

    def __init__(self, triples: Sequence[Triple], search: Search, job: Job = ANSWER) -> None:
        self.triples = triples
        self.search = search
        self.job = job

    def __len__(self) -> int:
        return len(self.triples)

    def distractors(self, triple: Triple, count: int, rng: random.Random) -> list[Source]:
        """At most `count` sources that a search for the question finds, and that do not hold the answer."""
        right = [a.lower() for a in (triple.answer, *triple.aliases)]
        found = self.search(triple.question) if count else []
        wrong = [s for s in found if not any(a in s.text.lower() for a in right)][: 2 * count]
        return rng.sample(wrong, min(count, len(wrong)))

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """See `Task.example`."""
        t = self.triples[i]
        count = rng.randint(*phase.sources)
        if rng.random() < phase.missing and (others := self.distractors(t, count, rng)):
            return Example(self.job, t.question, tuple(others), "", literal=True)
        others = self.distractors(t, count - 1, rng)
        end = t.start + len(t.answer)
        a, b = cut_around(t.context, t.start, end, rng.randint(*phase.words), rng)
        n = rng.randint(0, len(others))
        sources = (*others[:n], Source(t.title, t.context[a:b]), *others[n:])
        place = Place(n, t.start - a, end - a)
        if rng.random() < phase.quotes:
            c, d = cut_around(t.context, t.start, end, 0, rng)
            if len(t.context[c:d].split()) < LONGEST:  # else it may be part of a sentence, which is no quotation
                job = rng.choice((QUOTE, REPLY))
                return Example(job, t.question, sources, t.context[c:d], literal=True, place=place)
        return Example(self.job, t.question, sources, t.answer, literal=True, place=place)


PRONOUNS = ("it", "he", "she", "they", "that", "this")
OWN = {"it": "its", "he": "his", "she": "her", "they": "their"}
NAME = re.compile(r"(?:[Tt]he )?[A-Z][\w’-]*(?: (?:(?:of|the|de|and) )?[A-Z0-9][\w’-]*)*('s)?")


class FollowUpTask:
    """Made-up conversations: of two questions about one text, the second has its name replaced by a pronoun."""

    def __init__(self, triples: Sequence[Triple]) -> None:
        self.by_context: dict[str, list[Triple]] = {}
        for t in triples:
            self.by_context.setdefault(t.context, []).append(t)
        self.by_context = {k: v for k, v in self.by_context.items() if len(v) > 1}
        self.contexts = list(self.by_context)

    def __len__(self) -> int:
        return len(self.contexts)

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """See `Task.example`."""
        group = self.by_context[self.contexts[i]]
        *before, last = rng.sample(group, min(len(group), rng.randint(2, 4)))
        history = [(t.question, self.reply(t, rng)) for t in before]
        said = " ".join(f"{q} {a}" for q, a in history)
        names = [m for m in NAME.finditer(last.question) if m.start() > 0 and m.group().removesuffix("'s") in said]
        source = conversation(history)
        if not names:  # some turns stand alone as they are
            return Example(REWRITE, last.question, (source,), "", literal=True) if rng.random() < 0.2 else None
        name, pronoun = rng.choice(names), rng.choice(PRONOUNS)
        new = OWN.get(pronoun, pronoun + "'s") if name.group(1) else pronoun
        turn = last.question[: name.start()] + new + last.question[name.end() :]
        left_out = name.group().removesuffix("'s")
        start = source.text.rindex(left_out)
        return Example(REWRITE, turn, (source,), left_out, True, Place(0, start, start + len(left_out)))

    @staticmethod
    def reply(triple: Triple, rng: random.Random) -> str:
        """What a guide might say: the sentence that holds the answer, or the answer."""
        a, b = cut_around(triple.context, triple.start, triple.start + len(triple.answer), 0, rng)
        return triple.context[a:b] if rng.random() < 0.6 and b - a < 200 else triple.answer


def follow_up(turn: str, standalone: str, history: Sequence[tuple[str, str]], most_words: int = 6) -> Example | None:
    """A turn of a real conversation: the words of the conversation that its stand-alone form has and the turn lacks.

    None where the stand-alone form says more than the turn, but nothing of it in the words of the conversation.
    """
    analyze, source = Analyzer(), conversation(history)
    missing = set(analyze(standalone)) - set(analyze(turn))
    words = [m.span() for m in re.finditer(r"\w[\w'’.–-]*\w|\w", source.text)]
    spans = [(a, b) for i, (a, _) in enumerate(words) for _, b in words[i : i + most_words]]

    def gain(span: tuple[int, int]) -> float:
        """Terms that were missing, less those that nobody asked for; of equals the shorter, then the later."""
        terms = set(analyze(source.text[slice(*span)]))
        return len(terms & missing) - 0.3 * len(terms - missing) - 1e-3 * (span[1] - span[0]) + 1e-6 * span[0]

    if not missing:
        return Example(REWRITE, turn, (source,), "", literal=True)
    start, end = max(spans, key=gain)
    if gain((start, end)) <= 0:
        return None
    return Example(REWRITE, turn, (source,), source.text[start:end], True, Place(0, start, end))


class FixedTask:
    """Examples that are always the same."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """See `Task.example`."""
        return self.examples[i]


def summary_example(title: str, text: str, summary: str, question: str = "") -> Example:
    """A text to be summarised, cut into passages; the target is those of its sentences that come nearest to a summary.

    They are chosen one by one, each for the highest ROUGE-L, as Nallapati et al. (2017, "SummaRuNNer") do.
    """
    sources = tuple(Source(title, text[a:b]) for a, b in passage_spans(text, Splitting()))
    sentences = [s.text[a:b] for s in sources for a, b in sentence_spans(s.text)]
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < SUMMARIZE.sentences:
        longer = [sorted([*chosen, i]) for i in range(len(sentences)) if i not in chosen]
        scored = [(rouge_l(" ".join(sentences[i] for i in each), summary), each) for each in longer]
        score, extended = max(scored, default=(0.0, []))
        if score <= best:
            break
        best, chosen = score, extended
    return Example(SUMMARIZE, question, sources, " ".join(sentences[i] for i in chosen), literal=True)
