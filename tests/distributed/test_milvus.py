"""What Milvus does beyond the contract of every index (tests/indexing/test_vector_index.py)."""

import numpy as np
import pytest

pytest.importorskip("milvus_lite", reason="the extra `distributed` is not installed")

from rag_lib.distributed.milvus import LONGEST_ID, MilvusIndex, MilvusUnavailable

AXES = np.eye(3, dtype=np.float32)


def test_it_outlives_its_process(tmp_path):
    first = MilvusIndex(3, f"{tmp_path}/a.db")
    first.add(["x", "y"], AXES[:2])
    first.close()
    assert [h.id for h in MilvusIndex(3, f"{tmp_path}/a.db").search(AXES[1:2], 2)[0]] == ["y", "x"]


def test_vectors_of_another_dimension_are_not_mixed_in(tmp_path):
    MilvusIndex(3, f"{tmp_path}/a.db").close()
    with pytest.raises(MilvusUnavailable, match="dimension 3, not 4"):
        MilvusIndex(4, f"{tmp_path}/a.db")


def test_no_server_is_one_line():
    with pytest.raises(MilvusUnavailable, match=r"127\.0\.0\.1:9") as error:
        MilvusIndex(3, "http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_an_id_that_is_too_long_is_refused(tmp_path):
    index = MilvusIndex(3, f"{tmp_path}/a.db")
    with pytest.raises(ValueError, match=f"more than {LONGEST_ID} bytes"):
        index.add(["ok", "é" * LONGEST_ID], AXES[:2])
    assert len(index) == 0


def test_it_is_gone_when_dropped(tmp_path):
    index = MilvusIndex(3, f"{tmp_path}/a.db")
    index.add(["x"], AXES[:1])
    index.drop()
    assert len(MilvusIndex(3, f"{tmp_path}/a.db")) == 0
