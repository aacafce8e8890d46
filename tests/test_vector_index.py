"""The contract of every vector index, and random histories against the NumPy oracle."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rag_lib.vector_index import FaissIndex, NumpyIndex

BACK_ENDS = [NumpyIndex, FaissIndex]
DIMENSION = 8


def unit(seed: int, n: int = 1) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, DIMENSION)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(params=BACK_ENDS)
def index(request):
    return request.param(DIMENSION)


def test_the_best_hits_come_first_with_their_cosines(index):
    vectors = unit(0, 50)
    index.add([f"v{i}" for i in range(50)], vectors)
    (hits,) = index.search(vectors[7:8], 5)
    expected = np.argsort(-(vectors @ vectors[7]))[:5]
    assert [h.id for h in hits] == [f"v{i}" for i in expected]
    np.testing.assert_allclose([h.score for h in hits], np.sort(vectors @ vectors[7])[::-1][:5], atol=1e-5)


def test_k_beyond_the_size_gives_all_and_no_padding(index):
    index.add(["a", "b"], unit(1, 2))
    assert {h.id for h in index.search(unit(2), 10)[0]} == {"a", "b"}


def test_equal_scores_are_ordered_by_id(index):
    v = unit(3)
    index.add(["c", "a", "b"], np.repeat(v, 3, axis=0))
    assert [h.id for h in index.search(v, 3)[0]] == ["a", "b", "c"]


def test_an_id_added_again_has_its_new_vector_only(index):
    index.add(["a", "b"], unit(4, 2))
    index.add(["a"], unit(5))
    hits = index.search(unit(5), 5)[0]
    assert len(index) == 2 and [h.id for h in hits].count("a") == 1 and hits[0].id == "a"


def test_the_others_keep_their_ids_when_one_is_removed(index):
    vectors = unit(6, 10)
    index.add([f"v{i}" for i in range(10)], vectors)
    index.remove(["v0", "v1", "v2"])
    assert index.search(vectors[9:], 1)[0][0].id == "v9"
    assert len(index) == 7


def test_removing_an_unknown_id_is_an_error_and_removes_nothing(index):
    index.add(["a"], unit(7))
    with pytest.raises(KeyError, match="nobody"):
        index.remove(["a", "nobody"])
    assert len(index) == 1


def test_an_empty_index_finds_nothing(index):
    assert index.search(unit(8, 2), 3) == [[], []]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, DIMENSION + 1)), "vectors must be"),
        (np.ones((1, DIMENSION)), "length one"),
        (np.full((1, DIMENSION), np.nan), "length one"),
        (unit(9, 2), "1 ids for 2 vectors"),
    ],
)
def test_bad_vectors_are_refused(index, vectors, message):
    with pytest.raises(ValueError, match=message):
        index.add(["a"], vectors)
    assert len(index) == 0


def test_an_id_twice_in_one_call_is_refused(index):
    with pytest.raises(ValueError, match="twice"):
        index.add(["a", "a"], unit(10, 2))


@pytest.mark.parametrize("k", [0, -3])
def test_k_must_be_at_least_one(index, k):
    with pytest.raises(ValueError, match="k must be"):
        index.search(unit(11), k)


class History(RuleBasedStateMachine):
    """Any sequence of additions and removals leaves both back ends with the same answers."""

    def __init__(self) -> None:
        super().__init__()
        self.oracle, self.index = NumpyIndex(DIMENSION), FaissIndex(DIMENSION)

    @rule(numbers=st.sets(st.integers(0, 15), min_size=1), seed=st.integers(0, 10_000))
    def add(self, numbers, seed):
        ids = [f"v{n}" for n in numbers]
        for index in (self.oracle, self.index):
            index.add(ids, unit(seed, len(ids)))

    @precondition(lambda self: len(self.oracle))
    @rule(data=st.data())
    def remove(self, data):
        ids = data.draw(st.lists(st.sampled_from(sorted(self.oracle.vectors)), min_size=1))
        for index in (self.oracle, self.index):
            index.remove(ids)

    @invariant()
    def same_answers(self):
        assert len(self.oracle) == len(self.index)
        for a, b in zip(self.oracle.search(unit(99, 2), 5), self.index.search(unit(99, 2), 5), strict=True):
            assert [h.id for h in a] == [h.id for h in b]
            np.testing.assert_allclose([h.score for h in a], [h.score for h in b], atol=1e-5)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
