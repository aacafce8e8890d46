"""What an exercise is, and how an answer to it is judged: by what the function returns, never by its text.

A wrong answer is explained by the mistake that produces the same results: each exercise lists the usual mistakes as
functions, and the one that agrees with the learner's on the cases that went wrong says what is wrong.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType, FunctionType

import numpy as np

# Packages that hold the finished versions; an answer that calls one has not been written by the learner.
BORROWED = frozenset("rag_lib bm25s faiss sentence_transformers transformers sklearn scipy ir_measures".split())


@dataclass(frozen=True)
class Case:
    """Arguments for the learner's function, and what it should return for them.

    Attributes:
        about: what the case is about, as it reads after "for": "a text without words".
    """

    arguments: tuple
    expected: object
    about: str


@dataclass(frozen=True)
class Fault:
    """A usual mistake: a function that makes it, and one sentence that says what it is and how to mend it."""

    sentence: str
    function: Callable


@dataclass(frozen=True)
class Exercise:
    """An exercise whose answer is a function.

    Attributes:
        name: of the function, and of its cell in the solutions.
        cases: makes the cases; called only when an answer is checked.
        faults: the usual mistakes, the likelier first.
        hints: in the order in which they are given.
    """

    name: str
    cases: Callable[[], Sequence[Case]]
    faults: tuple[Fault, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a call came to.

    Attributes:
        value: what it returned.
        error: what it raised, if anything.
        borrowed: the finished module that it called, if any.
        changed: whether it changed its arguments.
    """

    value: object = None
    error: Exception | None = None
    borrowed: str = ""
    changed: bool = False


def call(function: Callable, arguments: tuple) -> Outcome:
    """Calls a function on a copy of its arguments and sees whether it borrows from a finished package.

    A function that is itself an argument, such as a step function, is the learner's to call.
    """
    borrowed: list[str] = []
    lent = {argument.__code__ for argument in arguments if isinstance(argument, FunctionType)}

    def watch(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        finished = module.split(".")[0] in BORROWED and module != __name__
        if event == "call" and finished and frame.f_code not in lent and not imports(frame):
            borrowed.append(module)

    own = copy.deepcopy(arguments)
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        outcome = Outcome(function(*own))
    except Exception as error:  # whatever a learner's function raises is to be explained
        outcome = Outcome(error=error)
    finally:
        sys.setprofile(before)
    return replace(outcome, borrowed=next(iter(borrowed), ""), changed=bool(difference(arguments, own)))


def imports(frame: FrameType | None) -> bool:
    """Whether a frame only runs because something is imported: packages hook into Python's imports."""
    while frame and frame.f_code is not call.__code__:
        if frame.f_globals.get("__name__", "").startswith("importlib."):
            return True
        frame = frame.f_back
    return False


def difference(right: object, given: object) -> str:
    """The first difference between what is right and what is given, in words; empty if there is none.

    Lists and tuples are the same here, and so are Python's numbers and NumPy's. Floats may differ by rounding.
    """
    if given is None and right is not None:
        return "it returns None (is a `return` missing?)"
    if isinstance(right, np.ndarray):
        return array_difference(right, given)
    if isinstance(right, Mapping):
        return mapping_difference(right, given)
    if isinstance(right, list | tuple):
        return sequence_difference(right, given)
    if isinstance(right, float | int) and isinstance(given, float | int | np.number | np.bool_):
        close = np.isclose(float(given), float(right), rtol=1e-5, atol=1e-6, equal_nan=True)
        return "" if close else f"it returns {shown(given)}, not {shown(right)}"
    return "" if type(given) is type(right) and given == right else f"it returns {shown(given)}, not {shown(right)}"


def array_difference(right: np.ndarray, given: object) -> str:
    """See `difference`; the right value is an array."""
    try:
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        return f"it returns a {type(given).__name__}, not an array of shape {right.shape}"
    if array.shape != right.shape:
        return f"it returns shape {array.shape}, not {right.shape}"
    if np.isnan(array).any() or np.isnan(right).any():  # what is right never is, but two mistakes are alike in that
        return "" if np.isnan(right).any() and np.isnan(array).any() else "it has nan in it: something is divided by 0"
    wrong = np.argwhere(~np.isclose(array, right, rtol=1e-4, atol=1e-5))
    if not len(wrong):
        return ""
    place = tuple(wrong[0].tolist())
    at = f" at {list(place)}" if place else ""
    return f"the value{at} is {shown(array[place])}, not {shown(right[place])}"


def mapping_difference(right: Mapping, given: object) -> str:
    """See `difference`; the right value is a mapping."""
    if not isinstance(given, Mapping):
        return f"it returns a {type(given).__name__}, not a dictionary"
    if missing := [key for key in right if key not in given]:
        return f"the key {missing[0]!r} is missing"
    if extra := [key for key in given if key not in right]:
        return f"the key {extra[0]!r} should not be there"
    found = ((key, difference(value, given[key])) for key, value in right.items())
    return next((f"under {key!r}: {text}" for key, text in found if text), "")


def sequence_difference(right: Sequence, given: object) -> str:
    """See `difference`; the right value is a list or a tuple."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, list | tuple):
        return f"it returns {shown(given)}, not {shown(right)}"
    places = zip(right, given, strict=False)
    if len(given) == len(right) and not any(difference(a, b) for a, b in places):
        return ""
    return f"it returns {shown(given)}, not {shown(right)}"


def shown(value: object) -> str:
    """A value as a learner would write it, shortened."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(shown, value))
        text = f"[{inside}]" if isinstance(value, list) else f"({inside})"
    else:
        text = " ".join(repr(value).split())  # an array's has several lines
    return text if len(text) <= 160 else text[:150] + " …"


def fails(case: Case, outcome: Outcome) -> str:
    """What is wrong with the outcome of a case; empty if nothing is."""
    if outcome.error is not None:
        return f"it raises {type(outcome.error).__name__}: {' '.join(str(outcome.error).split())}"
    return difference(case.expected, outcome.value)


def alike(a: Outcome, b: Outcome) -> bool:
    """Whether two calls came to the same: equal values, or exceptions of one kind."""
    if a.error is not None or b.error is not None:
        return type(a.error) is type(b.error)
    return a.value is b.value or not difference(a.value, b.value)


def judge(exercise: Exercise, function: Callable) -> str:
    """What is wrong with an answer, in a sentence or two; empty if it is right.

    Raises:
        NotImplementedError: it has not been written yet.
    """
    cases = list(exercise.cases())
    outcomes = [call(function, case.arguments) for case in cases]
    for outcome in outcomes:
        if isinstance(outcome.error, NotImplementedError):
            raise outcome.error
        if outcome.borrowed:
            return f"it calls {outcome.borrowed}, which is the finished version; write it yourself, without that."
    texts = [fails(case, outcome) for case, outcome in zip(cases, outcomes, strict=True)]
    first = next((i for i, text in enumerate(texts) if text), None)
    if first is None:
        changed = any(outcome.changed for outcome in outcomes)
        return "the result is right, but it changes what it was given; work on a copy." if changed else ""
    fault = likeliest(exercise.faults, cases, outcomes, first)
    named = f"{fault.sentence} " if fault else ""
    return f"{named}For {cases[first].about}, {texts[first]}."


def likeliest(faults: Sequence[Fault], cases: list[Case], outcomes: list[Outcome], first: int) -> Fault | None:
    """The fault with the same result in the first case that went wrong; of several, the one that agrees most often."""
    best, most = None, 0
    for fault in faults:
        made = (call(fault.function, case.arguments) for case in cases)
        agree = [alike(a, b) for a, b in zip(made, outcomes, strict=True)]
        if agree[first] and sum(agree) > most:
            best, most = fault, sum(agree)
    return best
