"""A user's own query-document-answer triples (taught in notebooks/09_finetune_generator.ipynb)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from rag_lib.evaluation.squad import Row, read_own, with_answers
from rag_lib.files import BadLine
from rag_lib.generation.jobs import ANSWER
from rag_lib.indexing.documents import Source
from rag_lib.training.generator.examples import Example, Phase, Search, Triple, cut_around


def find(answer: str, start: int | None, context: str) -> tuple[int, int] | None:
    """Where an answer stands in a context: at `start`, or else the first place where it is whole words."""
    if isinstance(start, int) and start >= 0 and context[start : start + len(answer)] == answer:
        return start, start + len(answer)
    match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", context, re.IGNORECASE)
    return match.span() if match else None


def triple_from_row(row: Row) -> Triple:
    """A row as a triple, whose answer is empty where the context does not hold one.

    Raises:
        ValueError: the row says nothing of answers, or none of them stands in the context.
    """
    places = [place for answer, start in with_answers(row).answers if (place := find(answer, start, row.context))]
    if row.answers and not places:
        raise ValueError(f"the context does not hold the answer {row.answers[0][0]!r} as whole words")
    start, end = places[0] if places else (0, 0)
    aliases = tuple(dict.fromkeys(answer for answer, _ in row.answers))
    return Triple(row.question, row.title, row.context, row.context[start:end], start, aliases)


def read_triples(folder: Path) -> tuple[list[Triple], list[Triple], list[BadLine]]:
    """Triples to train on and to choose the best weights by, and what is wrong with the rows left out.

    Args:
        folder: laid out as `rag_lib.evaluation.squad` says. Without a validation.jsonl, a tenth is held out.

    Raises:
        ValueError: there is no such file, or fewer than two triples that can be used.
    """
    training, held_out, broken = read_own(folder, triple_from_row)
    if not held_out:
        training, held_out = hold_out(training)
    if not training or not held_out:
        raise ValueError(
            f"{folder} holds {len(training) + len(held_out)} usable rows; training takes at least two"
            + (f" (left out: {broken[0]})" if broken else "")
        )
    return training, held_out, broken


def hold_out(triples: Sequence[Triple], share: float = 0.1, most: int = 300) -> tuple[list[Triple], list[Triple]]:
    """Triples split into two, the second a share of them, but about `most` at most.

    Those about one context stay together, if there are several contexts.
    """
    by_context = len({t.context for t in triples}) > 1
    groups: dict[str, list[Triple]] = {}
    for t in triples:
        groups.setdefault(t.context if by_context else t.question, []).append(t)
    order = list(groups.values())
    random.Random(0).shuffle(order)
    second: list[Triple] = []
    while len(order) > 1 and len(second) < min(most, share * len(triples)):
        second += order.pop()
    return [t for group in order for t in group], second


class UnanswerableTask:
    """Questions whose context does not hold the answer, asked of a cut of it among others that `search` finds."""

    def __init__(self, triples: Sequence[Triple], search: Search) -> None:
        self.triples = triples
        self.search = search

    def __len__(self) -> int:
        return len(self.triples)

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """See `Task.example`."""
        t = self.triples[i]
        at = rng.randrange(len(t.context))
        a, b = cut_around(t.context, at, at, rng.randint(*phase.words), rng)
        own = Source(t.title, t.context[a:b])
        found = [s for s in self.search(t.question) if s.text not in t.context]
        count = rng.randint(*phase.sources) - 1
        others = rng.sample(found[: 2 * count], min(count, len(found)))
        n = rng.randint(0, len(others))
        return Example(ANSWER, t.question, (*others[:n], own, *others[n:]), "", literal=True)
