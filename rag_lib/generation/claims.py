"""What the passages say, passage by passage: which say the same, which say otherwise, and which only repeat others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

import torch

from rag_lib.generation.evidence import Quotation
from rag_lib.generation.generators import Generation, Place
from rag_lib.generation.verdicts import verdict
from rag_lib.indexing.documents import Source

# Their weights in choosing a sentence: regressions on the museum's validation questions. RANKER's counts only where one
# was asked.
HEAD, RETRIEVER, RANKER = 0.32, 1.25, 0.8
DECODER = 0.5  # the decoder's weight in choosing the words of a sentence; the head's is 1
SUPPORTS = 1.0  # log-odds from which a passage supports an answer that another one gives
CLAIMS = 4.0  # log-odds from which a passage gives an answer of its own
RIVAL = 2.0  # log-odds by which a ranker may think less of its sentence than of the best one
ALONE = 1  # the standing of a document that says nothing else on a question
SHORT = 10  # tokens of answers that can be told to differ; of longer ones the wording does
WORD = re.compile(r"\w+")
ALIKE = 0.5  # of their runs of three words, that two copies of a text share at least


@dataclass(frozen=True)
class Choice:
    """A quotation and what head, decoder and retriever say of it.

    Attributes:
        sentence: the sentence that it stands in, or begins in.
        words: the logarithms (T,) of the decoder's probabilities of its tokens and of the end token.
        source: log p(its source | question).
    """

    quotation: Quotation
    sentence: Quotation
    words: tuple[float, ...]
    source: float = 0.0

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.quotation.place

    @property
    def evidence(self) -> float:
        """What head, retriever and sentence ranker say of its sentence, as a logarithm."""
        return evidence(self.sentence, self.source)

    @property
    def wording(self) -> float:
        """What head and decoder say of its words, as a logarithm."""
        return self.quotation.log + DECODER * sum(self.words)


def evidence(sentence: Quotation, source: float) -> float:
    """What head and sentence ranker say of a sentence, and the retriever of its source, as a logarithm."""
    return HEAD * sentence.log + RETRIEVER * source + RANKER * sentence.relevance


def ranked(choices: Iterable[Choice]) -> list[Choice]:
    """The choices, best first: those of the likeliest sentence, in it the likeliest words."""
    return sorted(choices, key=lambda c: (-c.evidence, -c.wording))


def probabilities(choices: Sequence[Choice]) -> list[float]:
    """p(sentence) · p(words | sentence) of each choice."""
    of_sentence: dict[Place, list[Choice]] = defaultdict(list)
    for choice in choices:
        of_sentence[choice.sentence.place].append(choice)
    sentences = softmax([own[0].evidence for own in of_sentence.values()])
    words = [softmax([c.wording for c in own]) for own in of_sentence.values()]
    p = {
        id(c): s * w
        for s, ws, own in zip(sentences, words, of_sentence.values(), strict=True)
        for c, w in zip(own, ws, strict=True)
    }
    return [p[id(c)] for c in choices]


def softmax(logs: Sequence[float]) -> list[float]:
    """Odds from their logarithms as probabilities."""
    return torch.tensor(logs, dtype=torch.float64).softmax(0).tolist()


class Claims(NamedTuple):
    """One choice a passage: those that say what the best one says, it first, and those that say something else."""

    supporting: tuple[Choice, ...]
    disagreeing: tuple[Choice, ...]


def claims(
    choices: Sequence[Choice], empty: frozenset[int], sources: Sequence[Source], asked: frozenset[int] = frozenset()
) -> Claims:
    """What each passage says, compared with the best choice.

    A passage supports an answer where the same words stand at a likely place of it. It disagrees where it does not, and
    something else in it answers the question, to the ranker (where there is one) hardly worse than the best choice,
    unless its document supports the answer in another passage. Passages of
    documents that say nothing else on the question come last, before them those with other words than the best choice.

    Args:
        choices: best first, at least one.
        empty: ids of words that are no answer by themselves.
        asked: ids of the question's words; a passage that only repeats these says nothing else.
    """
    best = choices[0]
    supporting: list[Choice] = []
    disagreeing: list[Choice] = []
    for source in dict.fromkeys(c.place.source for c in choices):
        own = [c for c in choices if c.place.source == source]
        likeliest = max(
            own, key=lambda c: c.quotation.odds
        )  # the decoder has only words for what is likelier elsewhere
        same = [
            c
            for c in own
            if c is best
            or (c.quotation.odds >= SUPPORTS and says_same(c, best, empty) and not cut_from_another(c, best, sources))
        ]
        if same:
            supporting.append(min(same, key=lambda c: content(c, empty) != content(best, empty)))
        elif asked.issuperset(content(likeliest, empty)):
            continue
        elif likeliest.quotation.odds >= CLAIMS and rivals(likeliest, best) and differs(likeliest, best, empty):
            disagreeing.append(likeliest)

    return settled(best, supporting, disagreeing, empty, sources)


def verdict_claims(choices: Sequence[Choice], empty: frozenset[int], sources: Sequence[Source]) -> Claims:
    """What each passage says to a question that asks for yes or no, compared with the best choice, a sentence.

    Of each passage its best sentence speaks, where the ranker thinks hardly worse of it than of the best choice and is
    sure of its yes or no.
    """
    best, own = choices[0], {c.place.source: c for c in reversed(choices)}
    speaking = [c for c in own.values() if rivals(c, best) and verdict(c.sentence.says_yes)]
    agreeing = [c for c in speaking if verdict(c.sentence.says_yes) == verdict(best.sentence.says_yes)]
    disagreeing = [c for c in speaking if c not in agreeing]
    return settled(best, agreeing, disagreeing, empty, sources)


def settled(
    best: Choice,
    supporting: Sequence[Choice],
    disagreeing: Sequence[Choice],
    empty: frozenset[int],
    sources: Sequence[Source],
) -> Claims:
    """The claims in their order; a document that supports an answer does not disagree with it elsewhere."""

    def order(choice: Choice) -> tuple[bool, bool, int]:
        standing = sources[choice.place.source].standing
        return standing <= ALONE, content(choice, empty) != content(best, empty), -standing

    consistent = {sources[c.place.source].document for c in supporting} - {""}
    others = [c for c in disagreeing if sources[c.place.source].document not in consistent]
    return Claims(tuple(sorted(supporting, key=order)), tuple(others))


def content(choice: Choice, empty: frozenset[int]) -> list[int]:
    """The ids of a quotation without articles and pronouns."""
    return [i for i in choice.quotation.ids if i not in empty]


def says_same(a: Choice, b: Choice, empty: frozenset[int]) -> bool:
    """Whether one of two quotations is the other or a part of it, as "1969" is of "20 July 1969"."""
    short, long = sorted((content(a, empty), content(b, empty)), key=len)
    return any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))


def cut_from_another(part: Choice, whole: Choice, sources: Sequence[Source]) -> bool:
    """Whether a number near a quotation makes it another one: "1970" in "17 April 1970" is not of "13 April 1970".

    The words beside a quotation with a number are read outwards, as long as they are numbers or words of the whole.
    """
    text, place = sources[part.place.source].text, part.place
    if not any(character.isdigit() for character in text[place.start : place.end]):
        return False  # as in "On 12 April 1961 Yuri Gagarin"
    said = set(WORD.findall(sources[whole.place.source].text[whole.place.start : whole.place.end]))
    for words in (reversed(WORD.findall(text[: place.start])), WORD.findall(text[place.end :])):
        beside = takewhile(lambda word: word in said or word[0].isdigit(), words)
        if any(word not in said for word in beside):
            return True
    return False


def rivals(other: Choice, best: Choice) -> bool:
    """Whether the ranker thinks of a sentence hardly worse than of the best one; without a ranker all are alike."""
    return other.sentence.relevance >= best.sentence.relevance - RIVAL


def differs(a: Choice, b: Choice, empty: frozenset[int]) -> bool:
    """Whether two short quotations say different things; of long ones one cannot tell."""
    return max(len(a.quotation.ids), len(b.quotation.ids)) <= SHORT and not says_same(a, b, empty)


def outvoted(generation: Generation, sources: Sequence[Source]) -> set[int]:
    """The sources of an answer that stands alone where a document with more to say on the question says otherwise.

    Neither retriever nor reader can tell a plain false sentence from a true one. A document that holds nothing else on
    the matter is the likelier one to be a stranger's.
    """
    own = {place.source for place in generation.supporting}
    others = max((sources[place.source].standing for place in generation.disagreeing), default=0)
    return own if others > ALONE and all(sources[i].standing <= ALONE for i in own) else set()


def in_all(generation: Generation, kept: Sequence[int], first: Generation, sources: Sequence[Source]) -> Generation:
    """What was read in the `kept` sources alone as a generation from all; what was read `first` disagrees with it."""

    def place(of: Place) -> Place:
        return replace(of, source=kept[of.source])

    return replace(
        first,
        text=generation.text,
        score=generation.score,
        place=place(generation.place),
        tokens=generation.tokens,
        features=generation.features,
        supporting=tuple(map(place, generation.supporting)),
        disagreeing=witnesses((*first.supporting, *map(place, generation.disagreeing)), sources),
        verdict=generation.verdict,
    )


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    """All runs of three words in a text; of a shorter one, all its words."""
    words = WORD.findall(text.lower())
    return set(zip(*(words[i:] for i in range(3)), strict=False)) or {tuple(words)}


def are_alike(a: str, b: str) -> bool:
    """Whether one text is a copy of the other, but for a few words (Broder, 1997: shingles)."""
    x, y = runs_of_words(a), runs_of_words(b)
    return len(x & y) >= ALIKE * len(x | y)


def witnesses(places: Iterable[Place], sources: Sequence[Source]) -> tuple[Place, ...]:
    """The places in texts that are no copies of one before them: what copies say is said once."""
    kept: list[Place] = []
    for place in places:
        if not any(are_alike(sources[place.source].text, sources[k.source].text) for k in kept):
            kept.append(place)
    return tuple(kept)
