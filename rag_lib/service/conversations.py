"""Conversations that go on, each under an id that nobody can guess.

MERGE: `Conversation` is a stand-in for that of `rag_lib.applications.dialogue`.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from rag_lib.generation.jobs import REWRITE
from rag_lib.generation.prompts import conversation
from rag_lib.pipeline.rag import RAG
from rag_lib.pipeline.tracing import Trace, trace

TURNS = 3  # of a conversation that a rewriting looks back on


@dataclass
class Conversation:
    """What was said so far: (visitor, guide), oldest first."""

    turns: list[tuple[str, str]] = field(default_factory=list)

    def say(self, said: str, rag: RAG) -> tuple[str, Trace]:
        """The reply to what a visitor says, which is written anew so that it stands alone, and how it came about."""
        standalone = said
        if self.turns:
            earlier = [conversation(self.turns[-TURNS:])]
            standalone = rag.generator.generate([said], [earlier], REWRITE)[0].text or said
        found = trace(rag, standalone)
        answer = found.answer
        reply = answer.citations[0].sentence if answer.citations else "The documents do not say, as far as I can tell."
        self.turns.append((said, reply))
        return reply, found


class Conversations:
    """The conversations that are remembered; when there are too many, the one that was silent longest goes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: OrderedDict[str, Conversation] = OrderedDict()

    def __len__(self) -> int:
        return len(self.kept)

    def get(self, conversation_id: str | None) -> tuple[str, Conversation]:
        """A conversation by its id, or a new one where None.

        Raises:
            KeyError: it is not, or no longer, remembered.
        """
        if conversation_id is None:
            conversation_id = secrets.token_urlsafe(16)
            self.kept[conversation_id] = Conversation()
        self.kept.move_to_end(conversation_id)
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return conversation_id, self.kept[conversation_id]
