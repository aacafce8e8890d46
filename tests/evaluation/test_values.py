"""The same value in other words is the same answer, another value is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.evaluation.answers import exact_match, f1, match, match_f1
from rag_lib.evaluation.values import canonical, number_of

SAME = [
    ("twelve", "12"),
    ("Twenty-one", "21"),
    ("two hundred and five", "205"),
    ("a hundred", "100"),
    ("seven thousand", "7,000"),
    ("2.5 million", "2,500,000"),
    ("seven million", "7 million"),
    ("forty-five thousand two hundred", "45,200"),
    ("7.30 pm", "19.30"),
    ("7:30 p.m.", "19:30"),
    ("6 pm", "18.00"),
    ("9.30 am", "09:30"),
    ("12 pm", "12.00"),
    ("12 am", "0.00"),
    ("ten o'clock", "10.00"),
    ("12 euros", "12.00 euros"),
    ("€12", "12 euros"),
    ("4.50 euros", "€4.5"),
    ("The three rooms", "3 rooms"),
]
DIFFERENT = [
    ("twelve", "twenty"),
    ("7.30 pm", "7.30"),
    ("7.30 am", "19.30"),
    ("12 euros", "12.50 euros"),
    ("2.5 million", "2.5"),
    ("4.5 kilometres", "4.50 euros"),
    ("one", "someone"),
    ("sixty", "six"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_same_value_in_other_words(a, b):
    assert match(a, [b]) == match(b, [a]) == match_f1(a, ["nothing", b]) == 1.0


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_another_value(a, b):
    assert match(a, [b]) == match(b, [a]) == 0.0


def words(n: int) -> str:
    """A number below a million in words, by the other way round."""
    ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    ones = (ones + "seventeen eighteen nineteen").split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    if n < 20:
        return ones[n]
    if n < 100:
        return tens[n // 10 - 2] + (f"-{ones[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{ones[n // 100]} hundred" + (f" and {words(n % 100)}" if n % 100 else "")
    return f"{words(n // 1000)} thousand" + (f" {words(n % 1000)}" if n % 1000 else "")


@given(st.integers(0, 999_999))
def test_numbers_are_read_from_their_words(n):
    assert number_of(words(n)) == n
    assert canonical(f"about {words(n)} km") == f"about {n} km"


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_right_by_squads_rules_stays_right(a, b):
    assert match(a, [b]) >= exact_match(a, [b]) and canonical(canonical(a)) == canonical(a)
    assert match_f1(a, [a]) == f1(a, [a])
