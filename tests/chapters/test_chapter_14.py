"""What notebook 14 builds step by step is what rag_lib computes, and its simulations are what they say."""

import json
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions
from scipy.stats import beta

from rag_lib.evaluation import bootstrap
from rag_lib.indexing.live.change_log import line_of, record_in

CHAPTER = definitions("14_deployment", constants=False)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.integers(0, 400), st.integers(0, 7))
def test_a_record_is_whole_where_the_library_reads_it(record, place, bit):
    line = bytearray(line_of(record))
    assert CHAPTER.is_whole(bytes(line)) and record_in(bytes(line[:-1])) == record
    for cut in (0, 40, 82, len(line) - 1):
        assert not CHAPTER.is_whole(bytes(line[:cut]))
    line[place % len(line)] ^= 1 << bit
    assert not CHAPTER.is_whole(bytes(line))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), min_size=1, max_size=30))
def test_lindleys_waits_are_those_of_a_clock(visits):
    """Simulated with a clock: whoever comes begins when the one before is done, or at once."""
    came, free, expected = 0.0, 0.0, []
    for gap, answer in visits:
        came += gap
        begins = max(came, free)
        expected.append(begins - came)
        free = begins + answer
    found = [0.0]
    for (_, answer), (gap, _) in pairwise(visits):
        found.append(CHAPTER.wait(found[-1], answer, gap))
    assert found == pytest.approx(expected, abs=1e-9)


def test_an_hour_has_all_who_came_and_lets_nobody_in_who_would_wait_too_long():
    everybody, bounded = CHAPTER.hour(np.inf), CHAPTER.hour(8.0)
    assert everybody[2] == 0 and len(everybody[0]) == len(bounded[0]) + bounded[2]
    assert set(bounded[0]) <= set(everybody[0]) and max(bounded[1]) <= 8 < max(everybody[1])


@pytest.mark.parametrize("n", [1, 8, 100])
def test_where_nothing_was_seen_an_interval_goes_up_to_the_bound_of_clopper_and_pearson(n):
    nothing = CHAPTER.share_of([False] * n)
    assert (nothing.mean, nothing.low, nothing.n) == (0, 0, n)
    assert nothing.high == pytest.approx(beta.ppf(0.95, 1, n))
    assert CHAPTER.share_of([True, *[False] * n]) == bootstrap([True, *[False] * n])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0.01, 0.9), st.integers(10, 500))
def test_the_alarm_is_the_first_day_above_the_limit(shares, p, n):
    day = CHAPTER.alarm(shares, p, n)
    above = [share - p > 3 * sqrt(p * (1 - p) / n) for share in shares]
    assert above[: day - 1] == [False] * (day - 1) and above[day - 1] if day else not any(above)


def test_a_limit_of_three_standard_errors_rarely_cries_wolf():
    rng = np.random.default_rng(0)
    months = rng.binomial(80, 0.1, size=(300, 30)) / 80
    assert np.mean([CHAPTER.alarm(month.tolist(), 0.1, 80) > 0 for month in months]) < 0.2


def test_what_is_to_be_written_is_not_written_and_the_check_says_so():
    cells = json.loads((ROOT / "notebooks" / "14_deployment.ipynb").read_text(encoding="utf-8"))["cells"]
    said = ["".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", [])]
    written = [name for text in said for name in ("my_wait", "my_is_whole", "my_alarm") if f"Not yet: {name} " in text]
    assert written == ["my_wait", "my_is_whole", "my_alarm"]
