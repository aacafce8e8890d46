"""What chapter 04 builds agrees with the finished version in rag_lib, and with FAISS."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch  # noqa: F401  before faiss: the other order crashes on macOS
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.indexing.vector_index import HNSW, FaissIndex, NumpyIndex

import faiss  # isort: skip

SIZE, DIMENSION = 600, 16


def chapter(**data) -> SimpleNamespace:
    return definitions("04_vector_index", constants=False, **data)


CHAPTER = chapter()


def unit(seed: int, n: int, d: int = DIMENSION) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


X, Q = unit(0, SIZE), unit(1, 40)
IDS = [f"v{i}" for i in range(SIZE)]


def exact(k: int) -> list[list[str]]:
    index = NumpyIndex(DIMENSION)
    index.add(IDS, X)
    return [[h.id for h in hits] for hits in index.search(Q, k)]


def named(rows) -> list[list[str]]:
    return [[f"v{r}" for r in row] for row in rows]


def test_exact_search_is_that_of_the_library():
    assert named(CHAPTER.top(Q @ X.T, 7)) == exact(7)


@settings(max_examples=20)
@given(st.integers(2, 20), st.integers(0, 1000))
def test_kmeans_is_that_of_faiss(clusters, seed):
    def both(iterations: int) -> tuple[np.ndarray, faiss.Kmeans]:
        start = X[np.random.default_rng(seed).choice(SIZE, clusters, replace=False)]
        sizes = {"max_points_per_centroid": 10**6, "min_points_per_centroid": 1}
        theirs = faiss.Kmeans(DIMENSION, clusters, niter=iterations, **sizes)
        theirs.train(X, init_centroids=start)
        return CHAPTER.kmeans(X, clusters, iterations=iterations, seed=seed), theirs

    ours, theirs = both(1)
    np.testing.assert_allclose(ours, theirs.centroids, atol=1e-4)
    assert (CHAPTER.assign(X, ours) == theirs.index.search(X, 1)[1][:, 0]).mean() > 0.995
    # Later a point as near to two centres may fall to either, and the centres part; what they minimise is as small.
    ours, theirs = both(3)
    squared = ((X - ours[CHAPTER.assign(X, ours)]) ** 2).sum()
    assert squared == pytest.approx(theirs.index.search(X, 1)[0].sum(), rel=2e-3)


@pytest.fixture(scope="module")
def inverted():
    centres = CHAPTER.kmeans(X, 12)
    nearest = CHAPTER.assign(X, centres)
    return chapter(X=X, centres=centres, lists=[np.flatnonzero(nearest == c) for c in range(12)])


def test_all_lists_together_are_exact_search(inverted):
    assert named(inverted.search_lists(q, 10, 12) for q in Q) == exact(10)


@pytest.mark.parametrize("probes", [1, 3, 12])
def test_the_inverted_file_is_that_of_faiss(inverted, probes):
    coarse = faiss.IndexFlatL2(DIMENSION)
    coarse.add(inverted.centres)
    ivf = faiss.IndexIVFFlat(coarse, DIMENSION, 12, faiss.METRIC_INNER_PRODUCT)
    ivf.train(X)
    ivf.add(X)
    ivf.nprobe = probes
    assert [inverted.search_lists(q, 5, probes).tolist() for q in Q] == ivf.search(Q, 5)[1].tolist()


def test_product_quantisation_is_that_of_faiss():
    m = 4
    parts = X.reshape(SIZE, m, -1)
    codebooks = np.stack([CHAPTER.kmeans(parts[:, j], 256, iterations=2) for j in range(m)])
    codes = np.stack([CHAPTER.assign(parts[:, j], codebooks[j]) for j in range(m)], axis=1).astype(np.uint8)
    ours = chapter(m=m, codebooks=codebooks)
    pq = faiss.IndexPQ(DIMENSION, m, 8, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(codebooks.ravel(), pq.pq.centroids)
    pq.is_trained = True
    pq.add(X)
    assert (faiss.vector_to_array(pq.codes).reshape(SIZE, m) == codes).mean() > 0.999
    np.testing.assert_allclose(ours.decode(codes), pq.pq.decode(codes), atol=1e-6)
    scores, rows = pq.search(Q, 5)
    for q, s, r in zip(Q, scores, rows, strict=True):
        table = ours.table_scores(q, codes)
        np.testing.assert_allclose(table, ours.decode(codes) @ q, atol=1e-5)
        np.testing.assert_allclose(table[r], s, atol=1e-5)
        np.testing.assert_allclose(np.sort(table)[::-1][:5], s, atol=1e-5)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(80, 2))


def test_the_walk_goes_downhill_and_ends_where_no_neighbour_is_nearer(points):
    ours = chapter(P=points)
    graph = ours.nearest_links(3)
    assert all(i in graph[j] for i in graph for j in graph[i]), "links go both ways"
    for q in np.random.default_rng(4).normal(size=(50, 2)):
        path = ours.walk(graph, q, 0)
        distances = [ours.distance(i, q) for i in path]
        assert distances == sorted(distances, reverse=True)
        assert all(b in graph[a] for a, b in itertools.pairwise(path))
        assert min(ours.distance(i, q) for i in graph[path[-1]]) >= distances[-1]
        assert ours.beam_search(graph, q, 0, beam=1)[0] == path[-1], "a beam of one is a greedy walk"


def test_the_graph_search_finds_what_faiss_finds(points):
    ours = chapter(P=points)
    graph = ours.insert_all(list(range(80)), links=3)
    heights = np.arange(80) % 4 == 0
    layers = [graph, ours.insert_all(np.flatnonzero(heights).tolist(), links=3)]
    ours.search_layers.__globals__["layers"] = layers
    hnsw = faiss.IndexHNSWFlat(2, 4)
    hnsw.hnsw.efSearch = 80
    hnsw.add(points.astype(np.float32))
    goals = np.random.default_rng(5).normal(size=(100, 2))
    found = hnsw.search(goals.astype(np.float32), 5)[1].tolist()
    assert [ours.beam_search(graph, q, 0, beam=80)[:5] for q in goals] == found, "a full beam is exact"
    narrow = [ours.search_layers(q, beam=16)[0] == f[0] for q, f in zip(goals, found, strict=True)]
    assert np.mean(narrow) > 0.97


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 99)), max_size=30))
def test_named_index_and_the_library_stay_together(history):
    ours, finished = CHAPTER.NamedIndex(DIMENSION), FaissIndex(DIMENSION)
    for put, number, row in history:
        name = f"v{number}"
        if put:
            # Rows apart from one another for every name, or ties would be broken differently.
            CHAPTER.put(ours, name, X[row * 6 + number % 6])
            finished.add([name], X[row * 6 + number % 6][None])
        elif name in ours.numbers:
            CHAPTER.remove(ours, name)
            finished.remove([name])
    for q in Q[:3]:
        assert sorted(CHAPTER.find(ours, q, 20)) == sorted(h.id for h in finished.search(q[None], 20)[0])
        scores = dict(finished.search(q[None], 20)[0])
        order = [scores[name] for name in CHAPTER.find(ours, q, 20)]
        np.testing.assert_allclose(order, sorted(order, reverse=True), atol=1e-6)


def test_the_living_are_found_among_tombstones():
    hnsw = faiss.IndexHNSWFlat(DIMENSION, 16, faiss.METRIC_INNER_PRODUCT)
    hnsw.add(X)
    finished = FaissIndex(DIMENSION, HNSW(links=16))
    finished.add(IDS, X)
    dead = {int(i[1:]) for i in exact(20)[0]}
    finished.remove([f"v{n}" for n in dead])
    ours = chapter(hnsw=hnsw, dead=dead, N=SIZE).search_living(Q[0], 5)
    assert named([ours]) == [[h.id for h in finished.search(Q[:1], 5)[0]]]
    assert named([ours]) == [[f"v{n}" for n in np.argsort(-(X @ Q[0])) if n not in dead][:5]]


def test_an_index_is_saved_loaded_and_refused(tmp_path):
    index = CHAPTER.NamedIndex(DIMENSION)
    for i, x in zip("abc", X, strict=False):
        CHAPTER.put(index, i, x)
    CHAPTER.save(index, tmp_path, "one")
    again = CHAPTER.load(tmp_path, "one")
    find = CHAPTER.find
    assert find(again, Q[0], 3) == find(index, Q[0], 3) and again.next_number == 3
    with pytest.raises(ValueError, match="another encoder"):
        CHAPTER.load(tmp_path, "two")
    (tmp_path / "names.json").write_text('[{"a": 0}, 3]')
    with pytest.raises(ValueError, match="belong together"):
        CHAPTER.load(tmp_path, "one")
