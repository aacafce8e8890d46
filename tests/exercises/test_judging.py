"""How an answer is judged: by what it returns, in the learner's words, and never by whose work it is."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.evaluation.ranking import ndcg_at_k
from rag_lib.exercises.catalogue import CheckFailed, check, hint, solution
from rag_lib.exercises.exercise import Case, Exercise, Fault, difference, judge
from rag_lib.indexing.splitting import Splitting, passage_spans

DOUBLE = Exercise(
    "double",
    lambda: [Case((2,), 4, "the number 2"), Case((3,), 6, "the number 3"), Case((0,), 0, "the number 0")],
    (Fault("It adds 2.", lambda n: n + 2), Fault("It squares.", lambda n: n * n)),
    ("Add the number to itself.",),
)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n: n + n, ""),
        (lambda n: np.int64(2) * n, ""),
        (lambda n: n * n, "It squares. For the number 3, it returns 9, not 6."),
        (lambda n: n + 2, "It adds 2. For the number 3, it returns 5, not 6."),
        (lambda n: 7, "For the number 2, it returns 7, not 4."),
        (lambda n: None, "For the number 2, it returns None (is a `return` missing?)."),
        (lambda n: "4", "For the number 2, it returns '4', not 4."),
        (lambda n: 1 / n * n * 2 * n, "For the number 0, it raises ZeroDivisionError: division by zero."),
        (lambda: 4, "For the number 2, it raises TypeError: "),
    ],
)
def test_the_message_says_what_is_wrong(function, message):
    said = judge(DOUBLE, function)
    assert said.startswith(message) and bool(said) == bool(message)


def test_of_two_mistakes_with_one_result_the_one_that_agrees_more_often_is_named():
    assert judge(DOUBLE, lambda n: n * n if n else 1).startswith("It squares.")


@pytest.mark.parametrize(
    ("name", "borrowed"),
    [
        ("ndcg", ndcg_at_k),
        ("fixed_spans", lambda text, size, overlap: passage_spans(text, Splitting(size, overlap, "fixed"))),
        ("ndcg", lambda ranking, grades, k: sum(ndcg_at_k(ranking, grades, k) for _ in "a")),
        ("ndcg", lambda *a: __import__("rag_lib.evaluation", fromlist=["ndcg_at_k"]).ndcg_at_k(*a)),
    ],
)
def test_the_librarys_result_is_no_answer(name, borrowed):
    with pytest.raises(CheckFailed, match="which is the finished version; write it yourself"):
        check(name, borrowed)


def test_a_borrowed_result_is_seen_even_if_the_answer_hides_errors():
    def hiding(ranking, grades, k):
        try:
            return ndcg_at_k(ranking, grades, k)
        except BaseException:
            return 0.0

    with pytest.raises(CheckFailed, match=r"rag_lib\.evaluation\.ranking"):
        check("ndcg", hiding)


def test_judging_leaves_the_profiler_as_it_was():
    before = sys.getprofile()
    judge(DOUBLE, lambda n: 1 / 0)
    assert sys.getprofile() is before


def test_an_answer_that_changes_its_arguments_is_told_so_and_spoils_no_other_case():
    def greedy(terms):
        result = terms + [f"{a}_{b}" for a, b in pairwise(terms)]
        terms.clear()
        return result

    for _ in range(2):
        with pytest.raises(CheckFailed, match="right, but it changes what it was given"):
            check("with_pairs", greedy)


def test_a_result_instead_of_the_function_is_pointed_out():
    with pytest.raises(CheckFailed, match="give the function itself"):
        check("idf", 3.7)


def test_a_failure_is_one_line_without_a_stack_trace():
    with pytest.raises(CheckFailed) as failure:
        check("idf", lambda df, n: 0.0)
    assert failure.value._render_traceback_() == [str(failure.value)]


def test_a_message_is_one_line_even_about_arrays_in_a_tuple():
    wanted = Exercise("pair", lambda: [Case((), (np.zeros((9, 9)), 1), "two results")], (), ())
    said = judge(wanted, lambda: (np.ones((9, 9)), 1))
    assert "\n" not in said and said.startswith("For two results, it returns (array([[1., 1.")


def test_an_unknown_name_is_answered_with_the_known_ones():
    for function in (hint, solution, lambda name: check(name, abs)):
        with pytest.raises(ValueError, match=r"no exercise is called 'ifd'; there are .*idf"):
            function("ifd")


def test_hints_come_one_by_one_and_begin_again(capsys):
    for _ in range(3):
        hint("rrf")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("Hint 1 of 2: ") and second.startswith("Hint 2 of 2: ") and third == first


def test_the_solution_is_shown_without_marks(capsys):
    solution("idf")
    shown = capsys.readouterr().out
    assert shown.startswith("def idf(df, n: int):") and "return np.log(" in shown and "###" not in shown


values = st.recursive(
    st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=1), inner, max_size=2),
    max_leaves=6,
)


@given(values, values)
def test_there_is_a_difference_just_where_values_differ(a, b):
    assert bool(difference(a, b)) == (a != b)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=4))
def test_arrays_lists_and_tuples_of_the_same_numbers_are_the_same(numbers):
    for given_value in (numbers, tuple(numbers), np.array(numbers)):
        assert not difference(np.array(numbers), given_value) and not difference(numbers, given_value)
    assert "shape" in difference(np.array(numbers), [*numbers, 1.0])
    assert difference(numbers, [*numbers, 1.0])
