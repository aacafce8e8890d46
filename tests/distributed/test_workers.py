"""What Ray's workers run, without Ray: what one has written, the next one goes on with."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import HashEncoder
from services import LOCAL, open_service, wait_until
from starlette.testclient import TestClient

from rag_lib.distributed.ray_cluster import RayUnavailable, connect
from rag_lib.distributed.ray_encoding import ShardWriter, encode_collection, shard_name
from rag_lib.distributed.ray_index import MadeBy, Shard, ray_index
from rag_lib.distributed.ray_serve import KeepsNothing, Replica
from rag_lib.indexing.store import IndexUnusable
from rag_lib.indexing.vector_index import Flat, NumpyIndex
from rag_lib.service.app import create_app
from rag_lib.service.settings import Settings

TEXTS = [f"text {i}" for i in range(20)]
VECTORS = HashEncoder().encode_passages(TEXTS)


def test_a_shard_is_written_once_and_whole(tmp_path):
    writer, shard = ShardWriter(HashEncoder), {"path": str(tmp_path / "a.npy"), "texts": TEXTS}
    assert writer(shard) == writer(shard) == {"path": shard["path"]}
    assert writer.encoder.encoded == TEXTS, "the second time it is there"
    assert np.load(tmp_path / "a.npy").tobytes() == VECTORS.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_a_worker_that_dies_leaves_no_half_of_a_shard(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ShardWriter(HashEncoder)({"path": str(tmp_path / "a.npy"), "texts": TEXTS})
    assert list(tmp_path.iterdir()) == []


def test_what_is_encoded_already_needs_no_cluster(tmp_path):
    shards = [TEXTS[:8], TEXTS[8:16], TEXTS[16:]]
    for shard in shards:
        ShardWriter(HashEncoder)({"path": str(tmp_path / shard_name("hash-0", shard)), "texts": shard})
    files = encode_collection(TEXTS, HashEncoder, tmp_path, size=8)
    assert np.concatenate([np.load(path) for path in files]).tobytes() == VECTORS.tobytes()
    assert encode_collection([], HashEncoder, tmp_path) == []


def test_other_texts_and_other_encoders_have_other_files():
    names = {shard_name(f, t) for f in "ab" for t in (["x", "y"], ["xy"], ["y", "x"], ["x", "yz"], ["xy", "z"])}
    assert len(names) == 10


@pytest.mark.parametrize("settings", [{"workers": 0}, {"size": 0}])
def test_settings_that_make_no_sense_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match="at least 1"):
        encode_collection(TEXTS, HashEncoder, tmp_path, **settings)


def opened(folder: Path, encoder: str = "") -> Shard:
    return Shard(16, folder, Flat(), MadeBy(encoder))


def test_a_new_actor_has_what_the_lost_one_had(tmp_path):
    one = NumpyIndex(16)
    for index in (opened(tmp_path), one):
        index.add(TEXTS, VECTORS)
    for index in (opened(tmp_path), one):
        index.remove(TEXTS[:5])
    again = opened(tmp_path)
    again.remove(TEXTS[:5])  # the call is repeated where its answer was lost
    again.add(TEXTS[5:7], VECTORS[5:7])
    assert sorted(again.ids()) == sorted(TEXTS[5:])
    for found, true in zip(again.search(VECTORS, 4), one.search(VECTORS, 4), strict=True):
        assert [hit.id for hit in found] == [hit.id for hit in true]


def test_vectors_of_another_encoder_are_refused(tmp_path):
    opened(tmp_path, "a").add(TEXTS, VECTORS)
    with pytest.raises(IndexUnusable, match="another encoder than b"):
        opened(tmp_path, "b")


def test_a_folder_with_another_number_of_shards_is_refused(tmp_path):
    (tmp_path / "1-of-3").mkdir()
    with pytest.raises(ValueError, match="does not hold 2 shards but 1-of-3"):
        ray_index(16, tmp_path, shards=2)
    with pytest.raises(ValueError, match="at least one shard"):
        ray_index(16, tmp_path, shards=0)


@pytest.fixture
def replica(tmp_path, documents):
    """A client of what one replica serves."""
    app = create_app(Settings(), lambda: open_service(tmp_path, documents))
    app.add_middleware(KeepsNothing)
    with TestClient(app, LOCAL) as client:
        wait_until(lambda: client.get("/ready").status_code == 200)
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/chat", {"message": "Who was Laika?"}),
        ("POST", "/feedback", {"id": "a", "helpful": True}),
        ("POST", "/documents", {"title": "A", "text": "b"}),
        ("PUT", "/documents/laika", {"title": "A", "text": "b"}),
        ("DELETE", "/documents/laika", None),
        ("GET", "/metrics", None),
    ],
)
def test_a_replica_refuses_what_it_would_have_to_keep(replica, method, path, body):
    reply = replica.request(method, path, json=body)
    assert reply.status_code == 403 and reply.json()["reason"] == "replica"
    assert "Laika was a dog" in replica.get("/documents/laika").text, "nothing has changed"


def test_a_replica_answers_what_leaves_nothing_behind(replica):
    question = "Which dog flew in Sputnik 2?"
    assert replica.post("/ask", json={"question": question}).json()["answer"]
    assert replica.post("/search", json={"query": question}).json()
    assert replica.post("/summarize", json={"document": "laika"}).status_code == 200
    assert replica.get("/").status_code == replica.get("/documents").status_code == 200


def health_of(service: SimpleNamespace) -> None:
    replica = Replica()
    replica.app = SimpleNamespace(state=SimpleNamespace(service=service))
    asyncio.run(asyncio.wait_for(replica.check_health(), 0.3))


def test_a_replica_is_asked_nothing_before_its_models_are_loaded_and_replaced_when_they_fail():
    def service(loaded=None, failure=None, stuck=False):
        return SimpleNamespace(loaded=loaded, failure=failure, queue=SimpleNamespace(is_stuck=lambda: stuck))

    health_of(service(loaded=True))
    with pytest.raises(TimeoutError):
        health_of(service())
    with pytest.raises(OSError, match="no model"):
        health_of(service(failure=OSError("no model")))
    with pytest.raises(RuntimeError, match="hang"):
        health_of(service(loaded=True, stuck=True))


@pytest.mark.parametrize(
    "error", [Exception("The node timed out.\nSee the logs."), ConnectionError(), ValueError("bad")]
)
def test_a_cluster_that_does_not_start_is_one_line(monkeypatch, error):
    ray = pytest.importorskip("ray", reason="the extra `distributed` is not installed")

    def fail(**settings: object) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(RayUnavailable, match=r"no cluster of Ray at this machine: .") as caught:
        connect()
    assert "\n" not in str(caught.value)
