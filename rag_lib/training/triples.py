"""A user's own questions with the texts that answer them (taught in notebooks/09_finetune_generator.ipynb).

A folder holds .jsonl files, a row a line: {"question": …, "context": …, "answers": […]}, with a "title" or without.
"passage" or "text" may stand for "context", and one "answer" for "answers". The answers stand in the context, word for
word; an empty list, or an empty answer, says that neither this context nor any other holds one. Rows laid out as in
rajpurkar/squad are read too. A file called validation.jsonl is not trained on: the best weights are chosen by it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from rag_lib.prompts import ANSWER, Source
from rag_lib.training.examples import Example, Phase, Search, Triple, cut_around

VALIDATION = "validation.jsonl"


def text_of(row: dict, *names: str) -> str:
    """The text under the first of these names that the row has.

    Raises:
        ValueError: there is none, or it is empty.
    """
    value = next((row[name] for name in names if name in row), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{' or '.join(names)} is missing, empty or not a text")
    return value


def answers_of(row: dict) -> list[tuple[str, int | None]]:
    """The answers with their places, where the row says them.

    Raises:
        ValueError: there are none, not even an empty list.
    """
    found = row.get("answers", row.get("answer"))
    if isinstance(found, dict):  # as in SQuAD
        texts, starts = found.get("text"), found.get("answer_start")
    else:
        texts, starts = [found] if isinstance(found, str) else found, None
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise ValueError("answers is missing or not a list of texts (an empty list where there is no answer)")
    starts = starts if isinstance(starts, list) and len(starts) == len(texts) else [None] * len(texts)
    return [(t.strip(), start) for t, start in zip(texts, starts, strict=True) if t.strip()]


def find(answer: str, start: int | None, context: str) -> tuple[int, int] | None:
    """Where an answer stands in a context: at `start`, or else the first place where it is whole words."""
    if isinstance(start, int) and start >= 0 and context[start : start + len(answer)] == answer:
        return start, start + len(answer)
    match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", context, re.IGNORECASE)
    return match.span() if match else None


def triple_from_row(row: object) -> Triple:
    """A row as a triple, whose answer is empty where the context does not hold one.

    Raises:
        ValueError: a field is missing, or no answer stands in the context; the message says why.
    """
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    question, context = text_of(row, "question"), text_of(row, "context", "passage", "text")
    title = row.get("title", "")
    if not isinstance(title, str):
        raise ValueError("title is not a text")
    answers = answers_of(row)
    places = [place for answer, start in answers if (place := find(answer, start, context))]
    if answers and not places:
        raise ValueError(f"the context does not hold the answer {answers[0][0]!r} as whole words")
    start, end = places[0] if places else (0, 0)
    aliases = tuple(dict.fromkeys(answer for answer, _ in answers))
    return Triple(question.strip(), title.replace("_", " ").strip(), context, context[start:end], start, aliases)


def read_file(path: Path) -> tuple[list[Triple], list[str]]:
    """The triples of a file of JSON lines, and what is wrong with the rows left out."""
    triples, broken = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            try:
                triples.append(triple_from_row(json.loads(line)))
            except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
                broken.append(f"{path.name}, line {number}: {error}")
    return triples, broken


def read_triples(folder: Path) -> tuple[list[Triple], list[Triple], list[str]]:
    """Triples to train on and to choose the best weights by, and what is wrong with the rows left out.

    Args:
        folder: one of .jsonl files, or one such file. Without a validation.jsonl, a tenth is held out.

    Raises:
        ValueError: there is no such file, or fewer than two triples that can be used.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    if not files:
        raise ValueError(f"there is no .jsonl file in {folder}")
    read = {path: read_file(path) for path in files}
    broken = [message for _, messages in read.values() for message in messages]
    training = [t for path, (triples, _) in read.items() if path.name != VALIDATION for t in triples]
    held_out = [t for path, (triples, _) in read.items() if path.name == VALIDATION for t in triples]
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


class Unanswerable:
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
