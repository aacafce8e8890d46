"""Conversations that go on, each under an id of its own, for who began it.

What a visitor says is answered by a `Conversation` over one version of the collection; what was said before is a
`State` of its own for each visitor, and outlives the version.
"""

from __future__ import annotations

from collections import OrderedDict

from rag_lib.applications.dialogue import State
from rag_lib.service.readers import Reader


class Conversations:
    """What is remembered of conversations; when there are too many, the one that was silent longest goes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.states: OrderedDict[tuple[Reader, str], State] = OrderedDict()

    def __len__(self) -> int:
        return len(self.states)

    def keep(self, reader: Reader, conversation_id: str, state: State) -> None:
        """Remembers how far a conversation has come."""
        self.states[reader, conversation_id] = state
        self.states.move_to_end((reader, conversation_id))
        while len(self.states) > self.most:
            self.states.popitem(last=False)
