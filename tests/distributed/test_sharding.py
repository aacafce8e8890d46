"""Shards give what one index gives; which shard holds a passage is the same everywhere."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.distributed.sharding import ShardedIndex, merge, shard_of
from rag_lib.hits import Hit, best
from rag_lib.indexing.vector_index import NumpyIndex


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 5)), unique_by=lambda x: x[0]), st.integers(1, 6))
def test_the_merge_of_the_shards_best_is_the_best_of_all(scored, k):
    hits = [Hit(i, float(s)) for i, s in scored]
    shards = [[h for h in hits if shard_of(h.id, 3) == n] for n in range(3)]
    assert merge([best(shard, k) for shard in shards], k) == best(hits, k)


def test_a_passage_has_the_same_shard_in_another_process():
    ids = [f"v{i}" for i in range(50)] + ["Ünïcode"]
    code = f"from rag_lib.distributed.sharding import shard_of; print([shard_of(i, 7) for i in {ids!r}])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == str([shard_of(i, 7) for i in ids])


def test_shards_are_about_equal():
    sizes = np.bincount([shard_of(f"article#{i}", 8) for i in range(8_000)], minlength=8)
    assert sizes.min() > 850 and sizes.max() < 1_150


@pytest.mark.parametrize("shards", [[], [NumpyIndex(2), NumpyIndex(3)]], ids=["none", "of two dimensions"])
def test_shards_that_do_not_fit_are_refused(shards):
    with pytest.raises(ValueError, match="at least one shard"):
        ShardedIndex(shards)


def test_shards_that_hold_something_are_refused():
    full = NumpyIndex(2)
    full.add(["a"], np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="all empty"):
        ShardedIndex([full])
