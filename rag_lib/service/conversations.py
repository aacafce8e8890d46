"""Conversations that go on, each under an id of its own.

What a visitor says is answered by a `Conversation` over one version of the collection; what was said before is a
`State` of its own for each visitor, and outlives the version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from rag_lib.generation.jobs import REWRITE
from rag_lib.generation.prompts import conversation as earlier
from rag_lib.indexing.encoders import Encoder
from rag_lib.pipeline.rag import RAG, Citation
from rag_lib.retrieval.base import check_query

# MERGE: what stands between these marks is a stand-in; in its place, and for the imports above that only it needs:
# from rag_lib.applications.dialogue import Conversation, Reply, State, UnreadableTurn
# --- stand-in
SILENT = "The documents do not say, as far as I can tell."


class UnreadableTurn(ValueError):
    """A turn that cannot be replied to."""


@dataclass(frozen=True)
class Reply:
    """What is said to a turn, the turn so that it stands alone, and what supports the reply."""

    turn: str
    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    silent: bool = False


@dataclass(frozen=True)
class State:
    """What was said so far, oldest first."""

    replies: tuple[Reply, ...] = ()

    def after(self, reply: Reply) -> State:
        """The state after one more reply."""
        return State((*self.replies, reply))


class Conversation:
    """Answers a turn after it was written anew from the turns before it."""

    def __init__(self, rag: RAG, encoder: Encoder) -> None:
        self.rag = rag

    def respond(self, state: State, turn: str) -> Iterator[str | Reply]:
        """The reply in pieces, then the Reply; the state is left as it is."""
        question = turn = check_query(turn)
        if before := [(r.turn, r.text) for r in state.replies[-3:]]:
            question = self.rag.generator.generate([turn], [[earlier(before)]], REWRITE)[0].text or turn
        answer = self.rag.ask(question)
        text = answer.citations[0].sentence if answer.citations else SILENT
        yield text
        yield Reply(turn, question, text, answer.citations, not answer.citations)


# --- end of the stand-in


class Conversations:
    """What is remembered of conversations; when there are too many, the one that was silent longest goes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.states: OrderedDict[str, State] = OrderedDict()

    def __len__(self) -> int:
        return len(self.states)

    def keep(self, conversation_id: str, state: State) -> None:
        """Remembers how far a conversation has come."""
        self.states[conversation_id] = state
        self.states.move_to_end(conversation_id)
        while len(self.states) > self.most:
            self.states.popitem(last=False)
