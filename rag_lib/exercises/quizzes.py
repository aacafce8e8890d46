"""Quizzes in a notebook, offline: JSON in `exercises/quizzes/`, in the format of jupyterquiz."""

from __future__ import annotations

import json

from rag_lib.exercises.catalogue import SOLUTIONS

QUIZZES = SOLUTIONS.parent / "exercises" / "quizzes"
COLOURS = {"--jq-multiple-choice-bg": "#004C6D", "--jq-incorrect-color": "#A33B00", "--jq-correct-color": "#006B4F"}


def questions(chapter: str) -> list[dict]:
    """The questions of a chapter's quiz; `chapter` is its number, "02".

    Raises:
        ValueError: there is no quiz for it.
    """
    found = sorted(QUIZZES.glob(f"{chapter}_*.json"))
    if not found:
        raise ValueError(f"there is no quiz for chapter {chapter!r}")
    return json.loads(found[0].read_text(encoding="utf-8"))


def quiz(chapter: str) -> None:
    """Shows a chapter's quiz below the cell.

    Raises:
        ValueError: there is none for it.
    """
    from jupyterquiz import display_quiz

    display_quiz(questions(chapter), max_width=900, colors=COLOURS)
