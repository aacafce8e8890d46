"""The shop's customers are those that the simulator makes, and time splits their purchases."""

import pytest

from rag_lib.museum.collection import SPLITS, load_products, load_visitors, purchases_of
from rag_lib.museum.visitors import Simulation, simulate


def test_the_file_is_what_the_simulator_makes_and_another_seed_makes_another():
    assert simulate(load_products()) == load_visitors()
    assert simulate(load_products(), Simulation(seed=1)) != load_visitors()


def test_every_purchase_is_in_one_split_and_the_splits_follow_in_time():
    for visitor in load_visitors():
        parts = [purchases_of(visitor, split) for split in SPLITS]
        assert [p for part in parts for p in part] == list(visitor.history)
    assert all(sum(len(purchases_of(v, split)) for v in load_visitors()) > 400 for split in SPLITS)
    with pytest.raises(ValueError, match="no split"):
        purchases_of(load_visitors()[0], "tomorrow")
