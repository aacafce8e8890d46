"""A cluster of Ray with two nodes on this machine, of which one is lost: the same vectors and hits as one process."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder, WordReader
from services import client_of, open_service, wait_until

pytest.importorskip("ray.cluster_utils", reason="the extra `distributed` is not installed")

import ray
from ray._private import services
from ray._private.node import Node, get_port_filename
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rag_lib.distributed.ray_cluster import RayUnavailable, connect
from rag_lib.distributed.ray_encoding import encode_collection
from rag_lib.distributed.ray_index import ray_index
from rag_lib.distributed.ray_serve import serve_replicas, stop_replicas
from rag_lib.indexing.documents import Document
from rag_lib.indexing.vector_index import NumpyIndex
from rag_lib.service.quality import http_asker
from rag_lib.service.settings import Settings

TEXTS = [f"text {i}" for i in range(60)]
NODE = {"num_cpus": 2, "object_store_memory": 78 * 2**20}
HELPERS = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port")


def node_settings() -> dict[str, int]:
    """A small node, whose helpers are told their ports."""
    listeners = [socket.create_server(("", 0)) for _ in HELPERS]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return NODE | dict(zip(HELPERS, ports, strict=True))


def with_known_ports(start: Callable) -> Callable:
    """What starts a node's main process, which gives up where its helpers have not written their ports in 15 seconds.

    On a busy machine they take longer only to start; we know their ports, so we write them.
    """

    def starting(self: Node, *arguments, **options):
        for name in HELPERS:
            file = Path(self.get_session_dir_path(), get_port_filename(self._node_id, name))
            file.write_text(str(getattr(self._ray_params, name)))
        return start(self, *arguments, **options)

    return starting


def patient(get: Callable, seconds: float = 240) -> Callable:
    """What asks after a node, for longer than the half minute that Ray waits: the machine may be busy."""

    def asking(*arguments):
        end = time.monotonic() + seconds
        while True:
            try:
                return get(*arguments)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    return asking


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "120")  # and starts again whatever took five seconds
        patch.setenv("RAY_worker_niceness", "0")  # else all that runs beside the tests goes before the workers
        patch.setattr(services, "get_node", patient(services.get_node))
        patch.setattr(Node, "start_raylet", with_known_ports(Node.start_raylet))
        cluster = Cluster(initialize_head=True, head_node_args=node_settings() | {"include_dashboard": False})
        connect(cluster.address)
        for module in (sys.modules[each.__module__] for each in (SlowEncoder, HashEncoder, open_service)):
            ray.cloudpickle.register_pickle_by_value(module)  # workers cannot import what is defined in tests
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def second(cluster):
    """A node that a test may lose."""
    node = cluster.add_node(**node_settings())
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


class SlowEncoder(HashEncoder):
    """An encoder that writes down, in a folder, on which node it encodes what, and takes its time.

    On other nodes than `awaited` it goes on only when that one encodes too.
    """

    def __init__(self, notes: Path, seconds: float, awaited: str) -> None:
        super().__init__()
        self.notes, self.seconds, self.awaited = notes, seconds, awaited

    def encode_passages(self, texts, progress=False):
        with open(self.notes / f"{node_of(self)} {os.getpid()}", "a") as file:
            file.write(f"{texts[0]}\n")
        end = time.monotonic() + 180
        while not noted(self.notes, self.awaited) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(self.seconds)
        return super().encode_passages(texts)


def node_of(_: object) -> str:
    """The node on which this runs."""
    return ray.get_runtime_context().get_node_id()


def noted(notes: Path, node: str = "") -> list[str]:
    """The first texts of what was encoded, on any node or on one."""
    return [line for path in notes.glob(f"{node}*") for line in path.read_text().splitlines()]


class Room:
    """An actor that does nothing but take the room of others."""

    def taken(self) -> bool:
        """Answers once it has its place."""
        return True


def take_room(node, cpus: float):
    """Takes CPUs of a node, until the actor that is returned is killed."""
    there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
    room = ray.remote(Room).options(num_cpus=cpus, scheduling_strategy=there).remote()
    assert ray.get(room.taken.remote())
    return room


@contextmanager
def lost_when(cluster, node, true, room):
    """Kills a node as soon as something is true, while the body runs; then gives back room that was taken elsewhere."""

    def lose() -> None:
        wait_until(true, 200)
        cluster.remove_node(node, allow_graceful=False)
        ray.kill(room)

    with ThreadPoolExecutor(1) as pool:
        losing = pool.submit(lose)
        yield
        losing.result()


def test_a_collection_is_encoded_though_a_node_is_lost(cluster, second, tmp_path):
    notes, folder = tmp_path / "notes", tmp_path / "vectors"
    notes.mkdir()
    begun = encode_collection(TEXTS[:10], HashEncoder, folder, cpus=0.5, size=5)  # a run that ends too early
    written = [path.stat().st_mtime_ns for path in begun]
    room = take_room(cluster.head_node, NODE["num_cpus"] - 0.5)  # the first node has room for one worker only
    there = second.node_id
    with lost_when(cluster, second, lambda: len(noted(notes, there)) > 1, room):
        files = encode_collection(TEXTS, lambda: SlowEncoder(notes, 0.4, there), folder, cpus=0.5, size=5)
    shards = [HashEncoder().encode_passages(TEXTS[i : i + 5]) for i in range(0, len(TEXTS), 5)]
    assert [np.load(path).tobytes() for path in files] == [shard.tobytes() for shard in shards]
    assert files[:2] == begun and [path.stat().st_mtime_ns for path in begun] == written, "they were not made again"
    assert set(noted(notes)) == set(TEXTS[10::5])
    assert len(noted(notes)) <= len(TEXTS[10::5]) + 2, "only what the lost node was at is encoded twice"
    assert sorted(folder.iterdir()) == sorted(files), "nothing half-written stays"


def test_shards_are_found_and_complete_after_an_actor_and_a_node_are_lost(cluster, second, tmp_path):
    vectors, queries = HashEncoder().encode_passages(TEXTS), HashEncoder().encode_passages([f"q{i}" for i in range(9)])
    one, index = NumpyIndex(16), ray_index(16, tmp_path, shards=3, cpus=0.1)
    for each in (one, index):
        each.add(TEXTS, vectors)
        each.remove(TEXTS[:7])

    def agree() -> bool:
        pairs = zip(index.search(queries, 8), one.search(queries, 8), strict=True)
        hits = [pair for found, true in pairs for pair in zip(found, true, strict=True)]
        return all(a.id == b.id and abs(a.score - b.score) < 1e-6 for a, b in hits)

    assert agree()
    nodes = [ray.get(shard.actor.__ray_call__.remote(node_of)) for shard in index.shards]
    assert second.node_id in nodes
    ray.kill(index.shards[0].actor, no_restart=False)
    assert agree() and len(index) == len(TEXTS) - 7, "the killed actor has read its file again"
    cluster.remove_node(second, allow_graceful=False)
    assert agree(), "the shards of the lost node are on the other"
    for each in (one, index):
        each.add(TEXTS[:2], vectors[5:7])
    assert agree()
    index = ray_index(16, tmp_path, shards=3, cpus=0.1)  # another process opens the same folder
    assert agree() and len(index) == len(one)
    with pytest.raises(RayUnavailable, match="another encoder than b") as error:
        ray_index(16, tmp_path, shards=3, encoder="b", cpus=0.1)
    assert "\n" not in str(error.value)


NAMES = ("Laika", "Belka", "Strelka", "Ham", "Enos", "Felix", "Arabella", "Anita")
DOCUMENTS = [
    Document(name.lower(), name, f"{name} flew in ship {i}. Then {name} slept.") for i, name in enumerate(NAMES)
]


def asked_until_told(ask: Callable, question: str, seconds: float = 120) -> object:
    """The answer of a service, which is asked again where a replica that was lost had the question."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask(question)
        except ValueError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def test_replicas_answer_as_one_process_though_one_is_killed(cluster, tmp_path):
    questions = [f"{verb} {name} fly in?" for name in NAMES for verb in ("Which ship did", "What ship did", "Did")]
    with client_of(open_service(tmp_path / "one", DOCUMENTS), Settings()) as client:
        answers = [client.post("/ask", json={"question": q}).json() for q in questions]
    alone = [(answer["answer"], answer["sure"]) for answer in answers]
    assert len({text for text, _ in alone}) == len(NAMES), "each is answered from a document of its own"
    notes = tmp_path / "notes"
    notes.mkdir()

    def open_assistant(folder: Path):
        return open_service(folder, DOCUMENTS, WordReader(note))

    def note() -> None:
        (notes / str(os.getpid())).touch()
        time.sleep(0.1)

    def pids() -> set[int]:
        return {int(path.name) for path in notes.iterdir()}

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve_replicas(Settings(port=port), open_assistant, replicas=2, cpus=0.1)
    try:
        ask = http_asker(f"http://127.0.0.1:{port}")
        with ThreadPoolExecutor(4) as visitors:
            told = [visitors.submit(asked_until_told, ask, question) for question in questions]
            wait_until(lambda: len(pids()) == 2, 120)
            first = min(pids())
            os.kill(first, signal.SIGKILL)
            assert [(each.result().text, each.result().sure) for each in told] == alone
        wait_until(lambda: asked_until_told(ask, f"Did {time.monotonic()} Ham fly?") and len(pids()) == 3, 240)
    finally:
        stop_replicas()


def test_what_a_cluster_has_no_room_for_is_said_at_once(cluster, tmp_path):
    with pytest.raises(RayUnavailable, match="64 CPUs are needed, the cluster has"):
        encode_collection(["a"], HashEncoder, tmp_path, cpus=64)
