"""The checks of the cells that a learner writes: one line that says what is right, or what is wrong and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def same(got: object, expected: object) -> bool:
    """Whether two results are equal; numbers, alone or in arrays, up to rounding."""
    if isinstance(expected, list | tuple):
        sized = hasattr(got, "__len__") and not isinstance(got, str)
        return sized and len(got) == len(expected) and all(map(same, got, expected))
    a, b = np.asarray(got), np.asarray(expected)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
        return bool(np.allclose(a, b, atol=1e-5))
    return bool(np.all(a == b))


def shown(value: object, most: int = 60) -> str:
    """A value as Python writes it, cut off where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]} …"


def check_yours(yours: Callable, ours: Callable, cases: Sequence[tuple]) -> None:
    """Prints whether a function that a learner wrote does what ours does, with the first case in which it does not.

    Args:
        cases: the arguments of each call.
    """
    for case in cases:
        call = f"{yours.__name__}({', '.join(map(shown, case))})"
        try:
            got = yours(*case)
        except Exception as error:  # whatever a learner's code raises is for the learner to read
            return print(f"Not quite: {call} raises {type(error).__name__}: {error}")
        if got is None:
            return print(f"Not yet: {yours.__name__} returns None.")
        if not same(got, expected := ours(*case)):
            return print(f"Not quite: {call} gives {shown(got)}, it should be {shown(expected)}.")
    return print(f"Right, in all {len(cases)} cases.")
