"""Answers that were given, kept for as long as they hold.

An answer depends on the question and on the passages found for it, and on nothing else. So after a change of the
collection a kept answer is still the right one exactly if the same passages are found with the same scores; looking
that up costs a search but no reading. Word statistics are of the whole collection, so any change may move any score:
without the search nothing can be said, and no answer of an older version is given unseen.

Nor is an answer given to anybody with other rights than those for whom it was made.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from rag_lib.pipeline.rag import Found
from rag_lib.pipeline.tracing import Trace
from rag_lib.service.readers import Reader

SAME_SCORE = 1e-5  # scores of the same texts differ by less, depending on what they are computed together with


@dataclass(frozen=True)
class Kept:
    """An answer as it came about, and the version of the collection for which it was last found right."""

    trace: Trace
    version: int

    def holds_for(self, found: Found) -> bool:
        """Whether what is found now is what the answer was read from."""
        return (
            self.trace.passages == found.passages
            and [h.id for h in self.trace.hits] == [h.id for h in found.hits]
            and all(abs(a.score - b.score) < SAME_SCORE for a, b in zip(self.trace.hits, found.hits, strict=True))
        )


def normalized(question: str) -> str:
    """The question without capitals, doubled spaces, compatibility forms and the marks at its end."""
    plain = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return re.sub(r"[\s?!.…]+$", "", plain) or plain


class AnswerCache:
    """The answers given last, by who asked and the question; safe to use from several threads.

    Args:
        most: so many are kept; those not asked for longest go first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: OrderedDict[tuple[Reader, str], Kept] = OrderedDict()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.kept)

    def get(self, reader: Reader, question: str) -> tuple[str, Kept | None]:
        """How the question was found ("exact", "normalized" or "miss"), and the answer.

        Whether it still holds is for the caller to see.
        """
        key = reader, normalized(question)
        with self.lock:
            kept = self.kept.get(key)
            if kept is None:
                return "miss", None
            self.kept.move_to_end(key)
        return ("exact" if kept.trace.question == question else "normalized"), kept

    def put(self, reader: Reader, trace: Trace, version: int) -> None:
        """Keeps an answer that is right for a version of the collection."""
        key = reader, normalized(trace.question)
        with self.lock:
            self.kept[key] = Kept(trace, version)
            self.kept.move_to_end(key)
            while len(self.kept) > self.most:
                self.kept.popitem(last=False)

    def drop(self, documents: Collection[str]) -> int:
        """Forgets the answers that were read from one of these documents; returns how many."""
        with self.lock:
            gone = [k for k, kept in self.kept.items() if any(p.document_id in documents for p in kept.trace.passages)]
            for key in gone:
                del self.kept[key]
        return len(gone)
