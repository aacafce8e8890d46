import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.hits import COLUMNS, Hit, top_k


@given(
    n=st.integers(0, 4 * COLUMNS),
    k=st.integers(1, 700),
    levels=st.integers(1, 400),
    above=st.sampled_from([-np.inf, 0.0]),
    seed=st.integers(0, 9),
)
def test_top_k_is_the_head_of_the_sorted_scores(n, k, levels, above, seed):
    """Of many scores too, with ties or without, where the search leaves out what lies below a bound."""
    scores = np.random.default_rng(seed).integers(-levels, levels, n).astype(np.float32)
    ids = [f"{i * 7919 % 9973:04}" for i in range(n)]
    expected = sorted(
        (Hit(i, float(s)) for i, s in zip(ids, scores, strict=True) if s > above), key=lambda h: (-h[1], h[0])
    )
    assert top_k(ids, scores, k, above) == expected[:k]
