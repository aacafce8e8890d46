"""Whether a text supports what is said about it, sentence by sentence (taught in notebooks/12_summarization.ipynb).

A sentence may contradict its source or add to it (Maynez et al., 2020, "On Faithfulness and Factuality in Abstractive
Summarization"). Numbers, names, negations and content words are looked up in the source; how near a place is to the
sentence, words and an encoder say together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_lib.evaluation.values import canonical
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder

NEGATIONS = frozenset("no not never nobody none nothing neither nor nowhere without cannot hardly".split())
COPY = 1.0  # the nearness from which a sentence is nearly a copy
SCOPE = 4  # words after a negation that it denies
NUMBER = re.compile(r"\d+(?:\.\d+)?")
NAME = re.compile(r"\b[A-Z][\w'’-]*\w")
CLAUSE = re.compile(r"[,;:.!?]|\b(?:but|and)\b")
WORD = re.compile(r"[\w'’-]+")


@dataclass(frozen=True)
class GroundingSettings:
    """When a sentence counts as supported; the figures were chosen on the museum's training summaries.

    Attributes:
        near, share: a sentence counts as near from this nearness on, and from this share of the nearest one's. Nearness
            is the cosine plus the share of common content words, so 2 at most.
        evidence: so many of the nearest sentences are asked whether they too deny what is denied.
        words: more than this share of its content words has to be in the source, wherever.
        cosine: the least cosine with the nearest sentence.
        looked_at: source sentences that are compared by the encoder, those that share most words.
    """

    near: float = 0.4
    share: float = 0.5
    evidence: int = 5
    words: float = 0.5
    cosine: float = 0.35
    looked_at: int = 40


@dataclass(frozen=True)
class Claim:
    """A sentence of a summary, and what its source says to it.

    Attributes:
        evidence: the sentence of the source that is nearest; empty where there is none.
        faults: why it is not supported, in words; none where it is.
    """

    sentence: str
    evidence: str
    faults: tuple[str, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.faults


@dataclass(frozen=True)
class Content:
    """What is looked up of a sentence: stems of its content words, its numbers, and the stems that it denies."""

    terms: frozenset[str]
    numbers: frozenset[str]
    denied: frozenset[str]


def content_of(sentence: str, analyze: Analyzer) -> Content:
    """A sentence's content; "one" is no number, because it mostly is a pronoun."""
    numbers = frozenset(NUMBER.findall(canonical(sentence))) - {"1"}
    return Content(frozenset(analyze(sentence)), numbers, frozenset(denied_terms(sentence, analyze)))


def denied_terms(sentence: str, analyze: Analyzer) -> set[str]:
    """The terms within SCOPE words after a negation, up to the end of the clause (after Chapman et al., 2001)."""
    denied: set[str] = set()
    for clause in CLAUSE.split(sentence.lower()):
        words = WORD.findall(clause)
        for i, word in enumerate(words):
            if word in NEGATIONS or word.endswith(("n't", "n’t")):
                denied.update(analyze(" ".join(words[i + 1 : i + 1 + SCOPE])))
    return denied


class Grounds:
    """A source text against which sentences are checked; what is computed of it once is kept.

    Args:
        sentences: those of the source, in their order.
    """

    def __init__(self, sentences: Sequence[str], encoder: Encoder, settings: GroundingSettings | None = None) -> None:
        self.sentences = list(sentences)
        self.encoder = encoder
        self.settings = settings or GroundingSettings()
        self.analyze = Analyzer()
        self.contents = [content_of(sentence, self.analyze) for sentence in self.sentences]
        self.terms = frozenset().union(*(content.terms for content in self.contents))
        inside = " ".join(sentence.partition(" ")[2] for sentence in self.sentences)  # without the first words
        self.known_names = self.stems(NAME.findall(inside))
        self.vectors: dict[int, np.ndarray] = {}

    def stems(self, words: Sequence[str]) -> frozenset[str]:
        """The stems of words."""
        return frozenset(self.analyze(" ".join(words)))

    def check(self, sentences: Sequence[str]) -> list[Claim]:
        """Each sentence with its evidence and what is wrong with it."""
        if not self.sentences:
            return [Claim(sentence, "", ("the source is empty",)) for sentence in sentences]
        literal = set(self.sentences)
        free = [sentence for sentence in sentences if sentence not in literal]
        contents = [content_of(sentence, self.analyze) for sentence in free]
        overlaps = [self.overlap(content) for content in contents]
        chosen = [np.argsort(-o, kind="stable")[: self.settings.looked_at] for o in overlaps]
        self.encode({int(i) for places in chosen for i in places})
        vectors = self.encoder.encode_passages(free) if free else ()
        checked = {
            sentence: self.judge(sentence, content, places, self.cosines(places, vector), overlap[places])
            for sentence, content, places, overlap, vector in zip(
                free, contents, chosen, overlaps, vectors, strict=True
            )
        }
        return [checked.get(sentence) or Claim(sentence, sentence) for sentence in sentences]

    def overlap(self, content: Content) -> np.ndarray:
        """The share of a sentence's terms that each source sentence has, (n,)."""
        return np.array([len(content.terms & c.terms) for c in self.contents]) / max(len(content.terms), 1)

    def encode(self, places: set[int]) -> None:
        """Computes the vectors of source sentences that are not known yet."""
        new = sorted(places - self.vectors.keys())
        if new:
            vectors = self.encoder.encode_passages([self.sentences[i] for i in new])
            self.vectors |= zip(new, vectors, strict=True)

    def cosines(self, places: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """The cosine of a sentence's vector with each source sentence looked at."""
        return np.stack([self.vectors[int(i)] for i in places]) @ vector

    def judge(
        self, sentence: str, content: Content, places: np.ndarray, cosines: np.ndarray, overlaps: np.ndarray
    ) -> Claim:
        """A sentence that does not stand in the source word for word.

        Args:
            places: (m,) the source sentences looked at, with their cosines (m,) and shares of common terms (m,), whose
                sum is how near each is.
        """
        nearness = cosines + overlaps
        order = places[np.argsort(-nearness, kind="stable")]
        near = {int(i): float(s) for i, s in zip(places, nearness, strict=True)}
        nearest = float(nearness.max())
        least = max(self.settings.near, self.settings.share * nearest)
        close = [i for i, s in near.items() if s >= least]
        faults = [f"{word} is not said there" for word in self.displaced(sentence, content, close)]
        faults += [f"“{term}” is denied on one side only" for term in self.contradicted(content, order, nearest)]
        if len(content.terms & self.terms) <= self.settings.words * len(content.terms):
            faults.append("too few of its words are in the source")
        if float(cosines.max()) < self.settings.cosine:
            faults.append("no sentence of the source is like it")
        return Claim(sentence, self.sentences[int(order[0])], tuple(faults))

    def displaced(self, sentence: str, content: Content, close: Sequence[int]) -> list[str]:
        """The numbers and names that no near sentence has, nor a neighbour of one."""
        around = {j for i in close for j in (i - 1, i, i + 1) if 0 <= j < len(self.sentences)}
        numbers = frozenset().union(*(self.contents[j].numbers for j in around))
        terms = frozenset().union(*(self.contents[j].terms for j in around))
        return sorted(content.numbers - numbers) + [n for n in self.names(sentence) if not self.stems([n]) <= terms]

    def names(self, sentence: str) -> list[str]:
        """Words with a capital; the first one only if the source has it as a name inside a sentence."""
        found = [(m.start(), m.group()) for m in NAME.finditer(sentence)]
        return [n for start, n in found if self.stems([n]) and (start > 1 or self.stems([n]) <= self.known_names)]

    def contradicted(self, content: Content, order: np.ndarray, nearest: float) -> list[str]:
        """The terms that are denied in the sentence and nowhere in the evidence, or, in a near copy, the reverse.

        A sentence that joins several of the source need not repeat each "not" of theirs; a near copy has to.
        """
        clashes = []
        for term in sorted(content.terms):
            denied = term in content.denied
            asked = order[: self.settings.evidence] if denied else order[: int(nearest >= COPY)]
            says = [term in self.contents[int(i)].denied for i in asked if term in self.contents[int(i)].terms]
            if says and denied not in says:
                clashes.append(term)
        return clashes
