"""A user's own questions with the texts that answer them, as both fine-tuning stages read them.

A folder holds .jsonl files, a row a line: {"question": …, "context": …, "answers": […]}, with a "title" or without.
"passage" or "text" may stand for "context", and one "answer" for "answers"; rows laid out as in rajpurkar/squad are
read too. An empty list of answers says that neither this context nor any other holds one. A file called
validation.jsonl is not trained on: the best weights are chosen by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

VALIDATION = "validation.jsonl"
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A question, a context, and what the row says of its answers.

    Attributes:
        answers: acceptable answers, each with the character of the context at which it begins, or None; None for all
            where the row says nothing of answers.
    """

    question: str
    title: str
    context: str
    answers: tuple[tuple[str, int | None], ...] | None


def text_of(row: dict, *names: str) -> str:
    """The text under the first of these names that the row has.

    Raises:
        ValueError: there is none, or it is empty.
    """
    value = next((row[name] for name in names if name in row), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{' or '.join(names)} is missing, empty or not a text")
    return value


def answers_of(row: dict) -> tuple[tuple[str, int | None], ...] | None:
    """The answers with their places, where the row says them.

    Raises:
        ValueError: they are no text, no list of texts, and not laid out as in SQuAD.
    """
    if "answers" not in row and "answer" not in row:
        return None
    found = row.get("answers", row.get("answer"))
    if isinstance(found, dict):  # as in SQuAD
        texts, starts = found.get("text"), found.get("answer_start")
    else:
        texts, starts = [found] if isinstance(found, str) else found, None
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise ValueError("answers is not a list of texts (an empty list where there is no answer)")
    starts = starts if isinstance(starts, list) and len(starts) == len(texts) else [None] * len(texts)
    return tuple((t.strip(), start) for t, start in zip(texts, starts, strict=True) if t.strip())


def parse(row: object) -> Row:
    """A row from what JSON made of a line.

    Raises:
        ValueError: a field is missing or of the wrong kind; the message says which.
    """
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    question, context = text_of(row, "question"), text_of(row, "context", "passage", "text")
    title = row.get("title", "")
    if not isinstance(title, str):
        raise ValueError("title is not a text")
    return Row(" ".join(question.split()), title.replace("_", " ").strip(), context, answers_of(row))


def read_rows(folder: Path, make: Callable[[Row], T]) -> tuple[list[T], list[T], list[str]]:
    """What `make` makes of the rows to train on and of those in validation.jsonl, and what is wrong with the others.

    Args:
        folder: one of .jsonl files, or one such file.
        make: raises a ValueError for a row that cannot be used.

    Raises:
        ValueError: there is no such file.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    if not files:
        raise ValueError(f"there is no .jsonl file in {folder}")
    training: list[T] = []
    validation: list[T] = []
    broken: list[str] = []
    for path in files:
        usable = validation if path.name == VALIDATION else training
        for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
            if line.strip():
                try:
                    usable.append(make(parse(json.loads(line))))
                except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
                    broken.append(f"{path.name}, line {number}: {error}")
    return training, validation, broken
