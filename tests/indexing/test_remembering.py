"""An encoder that remembers token vectors gives the same ones, and computes those of a passage once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import HashEncoder

from rag_lib.indexing.remembering import RememberingEncoder


class Counting(HashEncoder):
    """An encoder that notes whose tokens it encoded."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def encode_passage_tokens(self, texts):
        self.asked += texts
        return super().encode_passage_tokens(texts)


@pytest.mark.parametrize("most", [0, 3, None])
def test_the_vectors_are_the_encoders_own(most):
    remembering = RememberingEncoder(Counting(), most)
    for texts in (["a b", "c", "a b"], ["c", "d"], [], ["e f g", "a b", "c", "d"]):
        for ours, plain in zip(
            remembering.encode_passage_tokens(texts), HashEncoder().encode_passage_tokens(texts), strict=True
        ):
            np.testing.assert_array_equal(ours, plain)
        assert most is None or len(remembering.kept) <= most


def test_each_is_computed_once_and_those_used_last_are_kept():
    encoder = Counting()
    remembering = RememberingEncoder(encoder, most=3)
    for texts in (["1", "2", "1"], ["2", "3"], ["1", "2"], ["4", "1", "2"], ["3"]):
        remembering.encode_passage_tokens(texts)
    assert encoder.asked == ["1", "2", "3", "4", "3"], "of three that are kept, the third made way for the fourth"


def test_all_else_is_the_encoders():
    encoder = Counting()
    remembering = RememberingEncoder(encoder)
    assert remembering.fingerprint() == "hash-0" and remembering.dimension == 16
    np.testing.assert_array_equal(remembering.encode_queries(["q"]), encoder.encode_queries(["q"]))


def test_threads_may_share_it():
    remembering = RememberingEncoder(Counting(), most=5)

    def look(seed):
        texts = [str(n) for n in np.random.default_rng(seed).integers(0, 9, 4)]
        return all(
            (x == y).all()
            for x, y in zip(
                remembering.encode_passage_tokens(texts), HashEncoder().encode_passage_tokens(texts), strict=True
            )
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(200)))
    assert len(remembering.kept) <= 5
