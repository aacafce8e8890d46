"""`check`, `hint` and `solution`: what a learner calls in a notebook of exercises, offline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rag_lib.exercises.exercise import Exercise, judge

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
CHAPTERS: dict[str, tuple[Exercise, ...]] = {
    number: import_module(f"rag_lib.exercises.chapter_{number}").EXERCISES
    for number in "00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15".split()
}
EXERCISES: dict[str, Exercise] = {exercise.name: exercise for group in CHAPTERS.values() for exercise in group}
given: Counter[str] = Counter()  # how many hints of each exercise have been given


class CheckFailed(AssertionError):
    """An answer is wrong. A notebook shows the message alone, without a stack trace; nbgrader counts it as wrong."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class NotWritten(NotImplementedError):
    """There is no answer yet. Shown as `CheckFailed` is."""

    _render_traceback_ = CheckFailed._render_traceback_


def find(name: str) -> Exercise:
    """The exercise of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in EXERCISES:
        raise ValueError(f"no exercise is called {name!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def check(name: str, function: Callable) -> None:
    """Says that an answer is right, or raises with what is wrong with it.

    Raises:
        CheckFailed: it is wrong.
        NotWritten: there is no answer yet.
        ValueError: no exercise has this name.
    """
    exercise = find(name)
    if not callable(function):
        raise CheckFailed(f"✗ {name}: give the function itself, `check({name!r}, {name})`, and do not call it.")
    try:
        message = judge(exercise, function)
    except NotImplementedError:
        raise NotWritten(f"… {name}: not written yet. Replace `raise NotImplementedError()` by your code.") from None
    if message:
        raise CheckFailed(f"✗ {name}: {message}")
    print(f"✓ {name}: right.")


def hint(name: str) -> None:
    """Prints the next hint for an exercise; after the last one begins again."""
    hints = find(name).hints
    number = given[name] % len(hints)
    given[name] += 1
    print(f"Hint {number + 1} of {len(hints)}: {hints[number]}")


def cell_source(name: str) -> str:
    """The source of the cell of the solutions that has this name, be it a function's or that of an open problem.

    Raises:
        ValueError: there is none.
    """
    sources = {}
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            settings = cell["metadata"].get("nbgrader", {"solution": False})
            if settings["solution"]:
                sources[settings["grade_id"]] = "".join(cell["source"])
    if name not in sources:
        raise ValueError(f"no exercise is called {name!r}; there are {', '.join(sources) or 'none: is it a clone?'}")
    return sources[name]


def solution(name: str) -> None:
    """Prints one way to solve an exercise."""
    lines = cell_source(name).splitlines()
    print("\n".join(line for line in lines if not line.strip().startswith("### ")))
