"""What notebook 15 builds by hand is what rag_lib.distributed computes, and its plan holds what it promises."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.distributed import sharding
from rag_lib.hits import Hit
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25, IDF

TEXTS = ["The Moon is far.", "A rocket to the Moon, a rocket home.", "Mars is farther than the Moon.", "Laika, a dog."]
TEXTS += ["The rocket of Mars.", "A dog, a dog and a rocket.", "Nothing of it.", "Mars, Mars, Mars and the Moon."]
HITS = st.lists(st.tuples(st.text(max_size=2), st.integers(0, 4)), unique_by=lambda hit: hit[0], max_size=12)


@pytest.fixture(scope="module")
def chapter() -> SimpleNamespace:
    """The notebook's definitions, over eight passages of which each two lie in one shard."""
    chapter = definitions("15_beyond_one_machine")
    terms = [Analyzer()(text) for text in TEXTS]
    chapter.merge.__globals__.update(
        ids=[f"p{i}" for i in range(len(TEXTS))], terms=terms, lengths=np.array([len(t) for t in terms]),
        analyze=Analyzer(), N=len(TEXTS), quarter=np.arange(8) // 2, shard_sizes=np.array([2, 2, 2, 2]),
    )  # fmt: skip
    return chapter


@given(id=st.text(), shards=st.integers(1, 50))
def test_shards(chapter, id, shards):
    assert chapter.shard_of(id, shards) == sharding.shard_of(id, shards) < shards


@given(hits=HITS, k=st.integers(1, 6))
def test_the_merge(chapter, hits, k):
    lists = [[Hit(i, s) for i, s in hits if sharding.shard_of(i, 3) == shard] for shard in range(3)]
    assert chapter.merge(lists, k) == sharding.merge(lists, k)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(9, 20)), min_size=1))
def test_the_idf_of_all_shards_is_that_of_one_index(chapter, shards):
    counts, sizes = zip(*shards, strict=True)
    assert chapter.global_idf(counts, sizes) == pytest.approx(IDF["lucene"](sum(sizes), sum(counts)))


@pytest.mark.parametrize(
    "question", ["the Moon", "a rocket to Mars", "which dog?", "Moon, Moon and dog", "nothing here"]
)
def test_two_rounds_of_bm25_are_one_index(chapter, question):
    whole = BM25([f"p{i}" for i in range(len(TEXTS))], TEXTS, Analyzer()).search(question, 8)
    found = [hit for hit in chapter.two_rounds(question, 8) if hit[1] > 0]
    assert [i for i, _ in found] == [hit.id for hit in whole]
    np.testing.assert_allclose([s for _, s in found], [hit.score for hit in whole], rtol=1e-5)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_copies_are_apart_and_outlive_all_deaths_but_their_own_number(chapter, copies):
    places = [chapter.place(shard, copies, 5) for shard in range(12)]
    assert all(len(set(machines)) == copies for machines in places)
    for dead in combinations(range(5), copies - 1):
        assert all(set(machines) - set(dead) for machines in places)
    assert np.bincount(np.concatenate([chapter.place(s, copies, 5) for s in range(5)])).tolist() == [copies] * 5


@given(way=st.sampled_from(["flat, float32", "IVF, float32", "IVF, int8", "IVF, PQ of 48 bytes"]),
       passages=st.integers(1, 10**10), questions=st.integers(0, 1000), copies=st.integers(1, 3))  # fmt: skip
def test_a_plan_has_room_and_time_enough(chapter, way, passages, questions, copies):
    memory, compute, machines, euros = chapter.plan(passages, questions, way, copies)
    each, looked_at, cheaper = chapter.WAY[way]
    assert machines == max(memory, compute, copies) and euros > 0
    assert machines * chapter.MACHINE["memory"] * chapter.USE >= passages * each * copies
    search = passages * looked_at * cheaper * chapter.COSTS["compare_s"]
    busy = questions * (search + chapter.COSTS["answer_s"])
    assert machines * chapter.MACHINE["cores"] * chapter.USE * (1 + 1e-9) >= busy
    assert chapter.plan(2 * passages, questions, way, copies)[2] >= machines


@pytest.mark.parametrize(("shards", "p"), [(1, 0.2), (5, 0.1), (30, 0.02)])
def test_slow_questions(chapter, shards, p):
    slow = (np.random.default_rng(0).random((50_000, shards)) < p).any(axis=1).mean()
    assert chapter.share_slow(shards, p) == pytest.approx(slow, abs=0.01)
