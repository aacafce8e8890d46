"""A conversation with the collection (taught in notebooks/11_dialogue.ipynb).

Turn in → a question that stands alone → retrieval → a reply whose every sentence is cited → new state. All that a
conversation remembers is in its `State`; a `Conversation` keeps one and hands each turn through.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag_lib.applications.grounding import Claim, Grounds
from rag_lib.applications.rewriting import ADDED, SUBTITLE, AddedNames, Exchange, Names, Rewriter, pronouns
from rag_lib.applications.short_answers import is_denied, opening
from rag_lib.applications.small_talk import small_talk, without_small_talk
from rag_lib.generation.citations import without_marks
from rag_lib.generation.generators import Generation
from rag_lib.generation.verdicts import NO
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.pipeline.rag import RAG, Citation, Found, citation, cite
from rag_lib.retrieval.base import check_query

LONGEST_TURN = 200  # words
MORE = 2  # sentences that "tell me more" adds
ALONE = 1.0  # nats by which a turn must find better without the names that were added (training dialogues)
SILENT = "The collection does not say, as far as I can tell."
NEAREST = "What comes nearest to it:"
UNSURE = "I am not sure, but this may be it:"
SENTENCE_END = re.compile(r"[.!?][\"'”’)]*(?:\s*\[[\d, ]+\])?(?=\s+[\"'“‘(]?[A-Z0-9])")
TELL_MORE = re.compile(
    r"(?:(?:can|could|would) you )?(?:please )?(?:(?:tell (?:me|us) )?(?:some )?more(?: about (?:it|that|this|him|her|"
    r"them))?|go on|carry on|continue|and then|what else|anything else)(?:,? please)?[.!?]*",
    re.IGNORECASE,
)
TOPIC = re.compile(
    r"(?:(?:please )?tell (?:me|us)(?: something| some more| more)? about|let['’]s (?:talk about|do|hear about)|"
    r"i(?:['’]d| would) (?:like|love) to (?:hear|know|learn)(?: something| more)? about|i['’]m interested in)\s"
    r"(?P<it>.+?)(?:,? please)?[.!?]*|(?P<wish>[^,]+), please[.!?]*",
    re.IGNORECASE,
)
CORRECTION = re.compile(r"(?:no|sorry|oh)?[,.!]?\s*(?:i meant?|not [^,]+, but)\s+(?P<it>[^,]+?)[.!?]*", re.IGNORECASE)


class UnreadableTurn(ValueError):
    """A turn that cannot be replied to."""


@dataclass(frozen=True)
class Reply:
    """What is said to a turn.

    Attributes:
        turn: what the visitor said; question: the same so that it stands alone, empty for small talk.
        text: the reply; a mark such as [1] stands behind what a citation supports.
        citations: the sentences that support it, in the order of their numbers; of a silent reply, the nearest one.
        silent: the collection does not say; unsure: it may, for the score is at least half of the threshold.
        left_out: sentences that the generator wrote but that the passages do not support.
    """

    turn: str
    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    silent: bool = False
    unsure: bool = False
    left_out: tuple[Claim, ...] = ()

    @property
    def exchange(self) -> Exchange:
        """What a later turn is rewritten from."""
        if self.silent or not self.citations:
            return Exchange(self.turn, self.question, "")  # what came nearest was not spoken of
        return Exchange(self.turn, self.question, self.text, self.citations[0].passage.title)


@dataclass(frozen=True)
class State:
    """All that a conversation remembers: its replies, oldest first."""

    replies: tuple[Reply, ...] = ()

    def after(self, reply: Reply) -> State:
        """The state after one more reply."""
        return State((*self.replies, reply))

    @property
    def about(self) -> tuple[Reply, ...]:
        """The replies to questions: small talk is nothing to look back on."""
        return tuple(reply for reply in self.replies if reply.question)

    @property
    def told(self) -> frozenset[str]:
        """The sentences that were cited."""
        return frozenset(c.sentence for reply in self.replies for c in reply.citations)


class Conversation:
    """A conversation over a knowledge base.

    Args:
        encoder: compares the sentences that a generator writes with those that it read.
        rewrite: makes a turn stand alone; None for `AddedNames`.
    """

    def __init__(self, rag: RAG, encoder: Encoder, rewrite: Rewriter | None = None) -> None:
        self.rag = rag
        self.encoder = encoder
        self.rewrite = rewrite or AddedNames(Names(list(rag.knowledge.passages.values())))
        self.state = State()

    def say(self, turn: str) -> Reply:
        """The reply to a turn.

        Raises:
            UnreadableTurn: the turn is empty, too long, or no text. The state stays as it was.
        """
        *_, reply = self.stream(turn)
        return reply

    def stream(self, turn: str) -> Iterator[str | Reply]:
        """Pieces of the reply as soon as they are known and checked, then the Reply: its text is the pieces joined.

        Raises:
            As `say`, when the first piece is asked for.
        """
        for piece in self.respond(self.state, turn):
            if isinstance(piece, Reply):
                self.state = self.state.after(piece)
            yield piece

    def respond(self, state: State, turn: str) -> Iterator[str | Reply]:
        """What `stream` yields, from a state that is handed in and left as it is."""
        turn = check_turn(turn)
        if said := small_talk(turn):
            replies: Iterator[str | Reply] = iter((Reply(turn, "", said),))
        elif TELL_MORE.fullmatch(turn) and any(reply.citations for reply in state.about):
            replies = iter((self.more(state, turn),))
        else:
            question = self.stand_alone(state, without_small_talk(turn))
            replies = self.topic(state, turn, question) or self.answer(turn, question)
        written = ""
        for piece in replies:
            text = piece.text if isinstance(piece, Reply) else piece
            if isinstance(piece, Reply) and text != written:
                yield text.removeprefix(written)
            written = text if isinstance(piece, Reply) else written + piece
            yield piece

    def stand_alone(self, state: State, turn: str) -> str:
        """The turn as a question that can be understood without the conversation."""
        before = [reply.exchange for reply in state.about]
        corrected = CORRECTION.fullmatch(turn)
        if corrected and before and isinstance(self.rewrite, AddedNames):
            return self.rewrite.exchanged(before[-1], corrected["it"])
        return self.rewrite(turn, before)

    def more(self, state: State, turn: str) -> Reply:
        """The sentences that follow, in its text, on the last one that was told."""
        last = next(reply for reply in reversed(state.about) if reply.citations)
        as_told = [c for c in last.citations if c.sentence in last.text]
        cited = max(as_told, key=lambda c: last.text.find(c.sentence), default=last.citations[-1])
        following = (c for c in self.sentences(cited.passage.document_id) if c.start >= cited.end)
        sentences = [c for c in following if c.sentence not in state.told]
        question = ADDED.sub("", last.question)
        if not sentences:
            return Reply(turn, question, f"That is all that the collection says on this in “{cited.passage.title}”.")
        return told(turn, question, [c.sentence for c in sentences[:MORE]], sentences[:MORE])

    def topic(self, state: State, turn: str, question: str) -> Iterator[Reply] | None:
        """What the text says whose title is asked about ("Tell me about Jupiter"); None for other turns.

        That is its first sentence not yet told that begins with the title's name; else the first of all.
        """
        asked = TOPIC.fullmatch(ADDED.sub("", question))
        if asked is None:
            return None
        words = set(re.findall(r"\w+", (asked["it"] or asked["wish"]).lower())) - {"the", "a", "an"}
        titled = [p for p in self.rag.knowledge.passages.values() if words <= set(re.findall(r"\w+", p.title.lower()))]
        if not words or not titled:
            return None
        shortest = min(titled, key=lambda p: (len(p.title), p.document_id))
        name = SUBTITLE.sub("", shortest.title)
        new = [c for c in self.sentences(shortest.document_id) if c.sentence not in state.told]
        new.sort(key=lambda c: not c.sentence.startswith(name))  # stable: else in their order
        return iter((told(turn, question, [new[0].sentence], new[:1]),)) if new else None

    def sentences(self, document_id: str) -> Iterator[Citation]:
        """The sentences of a text, in their order, each once."""
        passages = [p for p in self.rag.knowledge.passages.values() if p.document_id == document_id]
        done = 0
        for p in sorted(passages, key=lambda p: p.start):
            for start, end in sentence_spans(p.text):
                if p.start + start >= done:  # passages may overlap
                    done = p.start + end
                    yield citation(p, start, end)

    def answer(self, turn: str, question: str) -> Iterator[str | Reply]:
        """A reply from what retrieval finds. A sentence is checked before it is yielded."""
        found = self.find(check_query(question))
        question = found.question
        if not found.hits:
            yield Reply(turn, question, "The collection does not say anything about that.", silent=True)
            return
        guard = Guard(found, self.encoder)
        pending, generation = "", None
        logs = self.rag.source_logs(found, found.sources)
        for piece in self.rag.generator.stream(question, found.sources, logs):
            if isinstance(piece, Generation):
                generation = piece
            elif not self.rag.threshold:  # else it may yet be kept back
                *whole, pending = whole_sentences(pending + piece)
                for sentence in whole:
                    if checked := guard.admit(sentence):
                        yield checked
        yield self.conclude(turn, found, generation, guard, pending)

    def find(self, question: str) -> Found:
        """What is found for a question, without the names that were added to it where it finds more without them.

        Names of the old subject spoil the search for a new one ("How much is a ticket?"), and a turn that needs them
        finds little without. So both are searched for, and the best passages' scores decide; a pronoun needs them.
        """
        found, bare = self.rag.find(question), ADDED.sub("", question)
        if bare == question or pronouns(bare):
            return found
        alone = self.rag.find(bare)
        first, second = (max((hit.score for hit in each.hits), default=-math.inf) for each in (alone, found))
        return alone if first - second > ALONE * self.rag.retriever.temperature else found

    def conclude(self, turn: str, found: Found, generation: Generation, guard: Guard, pending: str) -> Reply:
        """The reply, when all is written."""
        question = found.question
        if not generation.text or generation.score < self.rag.threshold:
            return silence(turn, found, generation, self.rag.threshold)
        if quoted(generation, found.passages):
            cited = cite(generation, found.passages)
            marks = "".join(f"[{n}]" for n in range(1, len(cited) + 1))  # all say so; the first is quoted
            return Reply(turn, question, f"{spoken(generation, cited[0].sentence, question)} {marks}", cited)
        for sentence in whole_sentences(pending if not self.rag.threshold else generation.text):
            guard.admit(sentence)
        if not guard.said:
            return replace(silence(turn, found), left_out=tuple(guard.left_out))
        return Reply(turn, question, guard.text, tuple(guard.citations), left_out=tuple(guard.left_out))


class Guard:
    """Lets through what the passages support, sentence by sentence, with a mark for the sentence that supports it."""

    def __init__(self, found: Found, encoder: Encoder) -> None:
        self.places = {
            p.text[a:b]: citation(p, a, b) for p in reversed(found.passages) for a, b in sentence_spans(p.text)
        }
        self.grounds = Grounds(list(self.places), encoder)
        self.said: list[str] = []
        self.citations: list[Citation] = []
        self.left_out: list[Claim] = []

    @property
    def text(self) -> str:
        """What was let through."""
        return " ".join(self.said)

    def admit(self, sentence: str) -> str:
        """The sentence with its mark, as it continues the text; nothing where it is not supported."""
        sentence = without_marks(sentence)
        if not sentence:
            return ""
        (claim,) = self.grounds.check([sentence])
        if not claim.supported:
            self.left_out.append(claim)
            return ""
        cited = self.places[claim.evidence]
        if cited not in self.citations:
            self.citations.append(cited)
        self.said.append(f"{sentence} [{self.citations.index(cited) + 1}]")
        return (" " if len(self.said) > 1 else "") + self.said[-1]


def check_turn(turn: str) -> str:
    """The turn as one clean line.

    Raises:
        TypeError: it is no text.
        UnreadableTurn: nothing is left, it has more than LONGEST_TURN words, or it is no text but noise.
    """
    if isinstance(turn, str) and (count := len(turn.split())) > LONGEST_TURN:
        raise UnreadableTurn(f"a turn of {count:,} words is too long: say it in at most {LONGEST_TURN}")
    if isinstance(turn, str) and turn.strip() and is_noise(turn):
        raise UnreadableTurn("that is no text that I can read: ask in words, please")
    if isinstance(turn, str) and not turn.strip():
        raise UnreadableTurn("the turn is empty: ask something about the collection")
    return check_query(turn)


def is_noise(turn: str) -> bool:
    """Whether less than half of a turn are letters, marks, digits and spaces, or one in ten cannot be shown."""
    readable = sum(unicodedata.category(c)[0] in "LMNZ" for c in turn)
    unshown = sum(c == "\ufffd" or not (c.isprintable() or c.isspace()) for c in turn)
    return readable < len(turn) / 2 or unshown > len(turn) / 10


def whole_sentences(text: str) -> list[str]:
    """A text cut after its sentences, nothing left out; the last part may go on."""
    ends = [m.end() for m in SENTENCE_END.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def quoted(generation: Generation, passages: Sequence[Passage]) -> bool:
    """Whether a generation is a run of words of a passage."""
    place = generation.place
    return place is not None and passages[place.source].text[place.start : place.end] == generation.text


def spoken(generation: Generation, sentence: str, question: str) -> str:
    """The sentence that answers, opened by yes or no, or by the short answer.

    Yes and no are the generator's; where it has none, "No" is said to a question whose words the sentence denies.
    """
    question = ADDED.sub("", question)  # a name that was added is not what is asked
    short = generation.verdict or (
        NO if is_denied(question, sentence) else opening(generation.text, sentence, question)
    )
    return f"{short}. {sentence}" if short else sentence


def told(turn: str, question: str, sentences: Sequence[str], citations: Sequence[Citation]) -> Reply:
    """A reply of sentences, each with the citation that supports it."""
    text = " ".join(f"{sentence} [{n}]" for n, sentence in enumerate(sentences, start=1))
    return Reply(turn, question, text, tuple(citations))


def silence(turn: str, found: Found, generation: Generation | None = None, threshold: float = float("inf")) -> Reply:
    """That the collection does not say, or may say, with the sentence that comes nearest."""
    if generation is None or not generation.text or not generation.place:
        used = tuple(range(len(found.passages)))
        generation = Generation(found.question, 0.0, None, used)  # the sentence that shares most words with it
    nearest = cite(generation, found.passages)[0]
    unsure = generation.score >= threshold / 2 > 0
    opens = UNSURE if unsure else f"{SILENT} {NEAREST}"
    return Reply(turn, found.question, f"{opens} “{nearest.sentence}” [1]", (nearest,), not unsure, unsure)
