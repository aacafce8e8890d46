"""What Milvus does beyond the contract of every index (tests/indexing/test_vector_index.py): as a file and a server."""

import logging
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

pytest.importorskip("milvus_lite", reason="the extra `distributed` is not installed")

from fakes import HashEncoder
from milvus_server import server_address, start_server

from rag_lib.distributed.milvus import LONGEST_ID, MilvusIndex, MilvusUnavailable
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.vector_index import NumpyIndex
from rag_lib.retrieval.fusion import ReciprocalRankFusion

AXES = np.eye(3, dtype=np.float32)
TEXTS = {f"{moon}#{i}": f"{moon} and {moon} {i}" for moon in ("titan", "europa", "triton") for i in range(8)}


@pytest.fixture(params=["file", "server"])
def uri(request, tmp_path):
    return f"{tmp_path}/a.db" if request.param == "file" else server_address()


@pytest.fixture
def opened(uri, tmp_path):
    """Opens the collection of this test."""
    return partial(MilvusIndex, uri=uri, collection=tmp_path.name)


def test_it_outlives_whoever_wrote_it(opened):
    first = opened(3)
    first.add(["x", "y"], AXES[:2])
    first.close()
    assert [h.id for h in opened(3).search(AXES[1:2], 2)[0]] == ["y", "x"]


def test_what_one_process_writes_another_finds_in_a_server(tmp_path):
    uri, index = server_address(), MilvusIndex(3, server_address(), tmp_path.name)
    write = f"""import numpy as np
from rag_lib.distributed.milvus import MilvusIndex
index = MilvusIndex(3, {uri!r}, {tmp_path.name!r})
index.add(["x", "y"], np.eye(3)[:2])
index.add(["x"], np.eye(3)[2:])
index.remove(["y"])"""
    subprocess.run([sys.executable, "-c", write], check=True)
    assert index.search(AXES[2:], 5) == [[("x", 1.0)]], "replaced and removed by the other process"


def test_filters_and_words_choose_as_from_an_index_in_memory(opened):
    ids, vectors = list(TEXTS), HashEncoder().encode_passages(list(TEXTS.values()))
    query = HashEncoder().encode_queries(["of a moon"])
    index, one, moon = opened(16), NumpyIndex(16), NumpyIndex(16)
    for each in (index, one):
        each.add(ids, vectors)
    chosen = [i for i in ids if i.startswith("titan")]
    moon.add(chosen, vectors[: len(chosen)])
    (rows,) = index.client.search(index.collection, list(query), limit=5, filter='id like "titan%"')
    assert [row["id"] for row in rows] == [hit.id for hit in moon.search(query, 5)[0]]
    words = BM25(ids, TEXTS.values(), Analyzer()).search("triton 3", 20)
    fused = [ReciprocalRankFusion()([each.search(query, 20)[0], words], 9) for each in (index, one)]
    assert fused[0] == fused[1] and len({hit.id.split("#")[0] for hit in fused[0]}) > 1


def test_vectors_of_another_dimension_are_not_mixed_in(opened):
    opened(3).close()
    with pytest.raises(MilvusUnavailable, match="dimension 3, not 4"):
        opened(4)


def test_no_server_is_one_line():
    with pytest.raises(MilvusUnavailable, match=r"127\.0\.0\.1:9") as error:
        MilvusIndex(3, "http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_a_server_that_is_lost_is_one_line_whatever_is_asked(caplog, monkeypatch):
    process, uri = start_server()
    index = MilvusIndex(3, uri)
    index.add(["x"], AXES[:1])
    monkeypatch.setattr(logging.getLogger("pymilvus"), "propagate", True)
    process.kill()
    process.wait()
    for ask in (len, lambda i: i.search(AXES, 1), lambda i: i.add(["y"], AXES[1:2]), lambda i: i.remove(["x"])):
        with pytest.raises(MilvusUnavailable, match="server unavailable") as error:
            ask(index)
        assert "\n" not in str(error.value)
    assert not caplog.records, "Milvus tells pages of it, too"


def test_an_id_that_is_too_long_is_refused(opened):
    index = opened(3)
    with pytest.raises(ValueError, match=f"more than {LONGEST_ID} bytes"):
        index.add(["ok", "é" * LONGEST_ID], AXES[:2])
    assert len(index) == 0


def test_it_is_gone_when_dropped(opened):
    index = opened(3)
    index.add(["x"], AXES[:1])
    index.drop()
    assert len(opened(3)) == 0
