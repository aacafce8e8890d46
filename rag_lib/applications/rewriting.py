"""A visitor's turn so that it stands alone (taught in notebooks/11_dialogue.ipynb).

"When did he die?" finds nothing; "When did Johannes Kepler die?" does. A rewriter takes a turn and the exchanges before
it. `AddedNames` does it by rules: what was spoken of last is most probably meant (Grosz, Joshi and Weinstein, 1995,
"Centering"), unless he or she is asked about and it is neither.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_lib.generation.generators import Generator
from rag_lib.generation.jobs import REWRITE
from rag_lib.generation.prompts import conversation
from rag_lib.indexing.documents import Passage
from rag_lib.retrieval.base import QuestionTooLong

TURNS = 3  # exchanges that a rewriting looks back on
NAMES = 2  # that are added at most; one or two put the passage first more often than three or four (training dialogues)
SHORT = 8  # words of a turn that can be a fragment
BARE = 3  # words of one that says nothing by itself: "why?", "by whom?"
OFTEN = 4  # times as often with a capital as without: "King" is a name in some texts, and a king in others

WORD = re.compile(r"\w[\w’'.–-]*\w|\w")
CAPITAL = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]*\w")
SMALL = re.compile(r"(?<=[\s(])[a-z][\w’'-]*\w")
OWN = re.compile(r"['’]s$")
SHORTENED = re.compile(r"n['’]t$|['’](?:ll|re|ve|d|m)$")  # "didn't" has a capital where a speech begins, and is no name
CALENDAR = frozenset(
    """january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday""".split()
)
PRONOUNS = {
    "he": "he him his himself",
    "she": "she her hers herself",
    "it": "it its itself",
    "they": "they them their theirs themselves",
    "that": "that this those these one ones there",
}
CLASS = {word: name for name, words in PRONOUNS.items() for word in words.split()}
EMPTY_IT = re.compile(  # "it" that stands for nothing, and "there is"
    r"\bis(?:n['’]t)? it (?:true|really|so)(?: that)?\b|,\s*(?:is|was|has|does|did)n['’]t it\b|\bit takes?\b|"
    r"\b(?:is|are|was|were|isn['’]t|wasn['’]t) there\b|\bthere (?:is|are|was|were)\b|"
    r"\btrue that\b|\b(?:heard|said|say|know|think|mean) that\b",
    re.IGNORECASE,
)
# A turn without one of these has no verb: "and her husband?", "Mars, too?"
VERBS = re.compile(
    r"\b(?:am|is|are|was|were|be|been|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must|tell|"
    r"show|explain|describe|\w+n['’]t|\w+['’](?:s|re|d|ll|ve) (?=\w+(?:ing|ed)\b))\b",
    re.IGNORECASE,
)
ASKING = re.compile(r"\b(?:who|whom|whose|what|which|when|where|why|how)\b(?! about)", re.IGNORECASE)
OPENING = re.compile(r"^(?:(?:and|but|so|or|then|also|(?:what|how) about)\b[\s,]*)+", re.IGNORECASE)
ADDED = re.compile(r" \([^()]*\)$")
SUBTITLE = re.compile(r"(?:,| and) (?:the|his|her|its)\b.*$")  # "Voskhod 2 and the first spacewalk"
REPLACED = re.compile(r"\b(?:he|him|his|she|it|its)\b", re.IGNORECASE)  # "her" may be "she" or "hers", and stays
FRONTED = re.compile(r"\b(?:the|that|those)\s[^,?]+,", re.IGNORECASE)  # "And the probe that hopped, did it …"


@dataclass(frozen=True)
class Exchange:
    """A turn and its reply.

    Attributes:
        visitor: what was said; question: the same so that it stands alone; guide: the reply.
        title: of the text that the reply is from; empty where there is none.
    """

    visitor: str
    question: str
    guide: str
    title: str = ""


class Rewriter(Protocol):
    """Anything that makes a turn stand alone."""

    def __call__(self, turn: str, before: Sequence[Exchange]) -> str:
        """A question that can be understood without the exchanges before it, oldest first."""


def as_said(turn: str, before: Sequence[Exchange]) -> str:
    """The turn itself: the baseline."""
    return turn


def concatenated(turn: str, before: Sequence[Exchange]) -> str:
    """The last TURNS exchanges and the turn in a row: the second baseline."""
    return " ".join([part for e in before[-TURNS:] for part in (e.visitor, e.guide)] + [turn])


class GeneratorRewriter:
    """The turn as a generator rewrites it: the bundled one adds names, a chat model writes a question of its own."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def __call__(self, turn: str, before: Sequence[Exchange]) -> str:
        """See `Rewriter`. Of a conversation that is too long for the generator, the oldest exchanges are left out."""
        for first in range(max(0, len(before) - TURNS), len(before)):
            history = conversation([(e.visitor, e.guide) for e in before[first:]])
            try:
                return self.generator.generate([turn], [[history]], REWRITE)[0].text or turn
            except QuestionTooLong:
                continue
        return turn


class Names:
    """The names in a collection: what its texts mostly write with a capital in the middle of a sentence."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = list(passages)
        capital = Counter(plain(w) for p in self.passages for w in CAPITAL.findall(p.text))
        small = Counter(plain(w) for p in self.passages for w in SMALL.findall(p.text))
        often = (w for w, n in capital.items() if n > OFTEN * small[w] and len(w) > 1)
        self.words = {w for w in often if w not in CALENDAR and not SHORTENED.search(w)}

    def __call__(self, text: str) -> list[str]:
        """The names in a text, however spelled: neighbouring words, with numbers that follow ("Apollo 13")."""
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the names stand."""
        start = end = -1
        for word in WORD.finditer(text):
            near = end >= 0 and word.start() - end == 1
            if plain(word.group()) in self.words or (near and word.group()[0].isdigit()):
                if end >= 0 and not near:
                    yield start, end
                start = start if near else word.start()
                end = word.start() + len(OWN.sub("", word.group()))
            elif end >= 0:
                yield start, end
                end = -1
        if end >= 0:
            yield start, end

    @functools.cache  # noqa: B019 - a collection's names live as long as it does
    def pronoun(self, name: str) -> str:
        """What passages that have the name, or begin their title with it, speak of most: "he", "she" or "it".

        However the name is spelled: visitors type "caroline herschel" too.
        """
        found = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        titled = name.lower()
        about = [p.text.lower() for p in self.passages if found.search(p.text) or p.title.lower().startswith(titled)]
        words = [word for text in about for word in re.findall(r"\w+", text)]
        counts = Counter(CLASS[w] for w in words if w in CLASS)
        return max(("it", "he", "she"), key=counts.__getitem__)


def plain(word: str) -> str:
    """A word in lower case, without "'s"."""
    return OWN.sub("", word).lower()


def pronouns(turn: str) -> list[str]:
    """The classes of the pronouns in a turn that point back; "is it true that" and "there is" do not."""
    return [CLASS[w] for w in re.findall(r"\w+", EMPTY_IT.sub(" ", turn).lower()) if w in CLASS]


def is_fragment(turn: str) -> bool:
    """Whether a turn has no verb of its own, so that the question before lends it one: "and the dog?", "by whom?"."""
    length = len(OPENING.sub("", turn).split())
    return not VERBS.search(turn) and (length <= BARE or (length <= SHORT and not ASKING.search(turn)))


class AddedNames:
    """The turn with a name for its pronoun, and further names that it leaves out behind it, in brackets.

    A turn whose own names agree with all its pronouns stands alone: it may change the subject, and gets no old name.
    """

    def __init__(self, names: Names, most: int = NAMES) -> None:
        self.names = names
        self.most = most

    def __call__(self, turn: str, before: Sequence[Exchange]) -> str:
        """See `Rewriter`."""
        if not before:
            return turn
        own, back = self.names(turn), pronouns(turn)
        if not back and is_fragment(turn):
            return self.exchanged(before[-1], own[-1]) if is_name(turn, own) else f"{before[-1].question} {turn}"
        if own and all(any(self.names.pronoun(name) == kind for name in own) for kind in back):
            return turn
        spoken = self.spoken_of(turn, before)
        question, taken = (turn, own) if own or FRONTED.search(turn) else self.replaced(turn, spoken)
        added: list[str] = []
        for name in spoken:
            if len(added) < self.most and not any(covers(name, other) for other in (*added, *taken)):
                added.append(name)
        return question + (f" ({'; '.join(added)})" if added else "")

    def spoken_of(self, turn: str, before: Sequence[Exchange]) -> list[str]:
        """Names that the turn may mean, the most probable first: the text that was read, then the question's own."""
        last = before[-1]
        named = [SUBTITLE.sub("", last.title)] if last.title else []
        named += self.names(last.question)
        asked = {"he", "she"}.intersection(pronouns(turn))
        if asked and not any(self.names.pronoun(name) in asked for name in named):
            named += [name for name in self.names(last.guide) if self.names.pronoun(name) in asked]
        if asked:
            named.sort(key=lambda name: self.names.pronoun(name) not in asked)  # stable: else the order stays
        return named

    def replaced(self, turn: str, spoken: Sequence[str]) -> tuple[str, list[str]]:
        """The turn with its first pronoun replaced by the first name that agrees with it, and that name, if any."""
        pointing = EMPTY_IT.sub(lambda match: " " * len(match.group()), turn)
        for pronoun in REPLACED.finditer(pointing):
            kind = CLASS[pronoun.group().lower()]
            if name := next((n for n in spoken if self.names.pronoun(n) == kind), ""):
                owner = "'s" if pronoun.group().lower() in ("his", "its") else ""
                return turn[: pronoun.start()] + name + owner + turn[pronoun.end() :], [name]
        return turn, []

    def exchanged(self, last: Exchange, name: str) -> str:
        """The question before, about something else: its last name is exchanged for another."""
        question = ADDED.sub("", last.question)
        spans = list(self.names.spans(question))
        if not spans:
            return f"{question} ({name})"
        start, end = spans[-1]
        return question[:start] + name + question[end:]


def is_name(turn: str, own: Sequence[str]) -> bool:
    """Whether a fragment is a name and nothing else, but for a small word before it ("and on Spitzer?")."""
    said = OPENING.sub("", turn).strip("?.!, ")
    return len(own) == 1 and said.endswith(own[0]) and len(said.split()) - len(own[0].split()) <= 1


def covers(name: str, other: str) -> bool:
    """Whether one of two names is part of the other."""
    return name.lower() in other.lower() or other.lower() in name.lower()
