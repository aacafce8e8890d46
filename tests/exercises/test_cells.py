"""The line that a learner reads says what is right, and what is wrong and where."""

import numpy as np
import pytest

from rag_lib.exercises.cells import check_yours


def halved(values):
    return np.asarray(values) / 2


def unwritten(values):
    return None


def doubled(values):
    return np.asarray(values) * 2


def broken(values):
    return values["one"]


def too_short(values):
    return halved(values)[:-1]


@pytest.mark.parametrize(
    ("yours", "said"),
    [
        (halved, "Right, in all 2 cases."),
        (unwritten, "Not yet: unwritten returns None."),
        (doubled, "Not quite: doubled([3.0]) gives array([6.]), it should be array([1.5])."),
        (broken, "Not quite: broken([0, 0]) raises TypeError: list indices must be integers or slices, not str"),
        (too_short, "Not quite: too_short([0, 0]) gives array([0.]), it should be array([0., 0.])."),
    ],
)
def test_a_learner_is_told(yours, said, capsys):
    check_yours(yours, halved, [([0, 0],), ([3.0],)])
    assert capsys.readouterr().out == said + "\n"


@pytest.mark.parametrize(
    ("got", "expected", "equal"),
    [
        ("right", "right", True),
        ("right", "wrong", False),
        (["a", "b"], ["a", "b"], True),
        ([["a"], ["b", "c"]], [["a"], ["b", "c"]], True),
        ([["a"], ["b", "c"]], [["a"], ["c", "b"]], False),
        (1 / 3, 0.33333334, True),
        (1 / 3, 0.34, False),
        ("1", 1, False),
        ("ab", ["a", "b"], False),
        ((np.eye(2), np.ones(3)), (np.eye(2), np.ones(3)), True),
        ((np.eye(2), np.ones(3)), (np.eye(2), np.zeros(3)), False),
    ],
)
def test_results_are_compared_as_they_are_meant(got, expected, equal, capsys):
    check_yours(lambda: got, lambda: expected, [()])
    assert capsys.readouterr().out.startswith("Right" if equal else "Not quite")
