import json
import os
import signal
import time

import numpy as np
import pytest

from rag_lib.analysis import Analyzer
from rag_lib.documents import Document
from rag_lib.knowledge_base import Settings, build
from rag_lib.splitting import Splitting
from rag_lib.store import IndexUnusable, current_version, load, open_folder, save


class HashEncoder:
    """An encoder for tests: fast, and another one for every `seed`."""

    dimension = 16

    def __init__(self, seed: int = 0) -> None:
        self.name = f"hash-{seed}"
        self.seed = seed
        self.encoded: list[str] = []

    def fingerprint(self) -> str:
        return self.name

    def encode_passages(self, texts, progress=False):
        self.encoded += texts
        rows = [np.random.default_rng([self.seed, *t.encode()]).normal(size=16) for t in texts]
        x = np.array(rows, dtype=np.float32).reshape(len(texts), 16)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def encode_queries(self, texts):
        return self.encode_passages(texts)


def knowledge_of(count: int, encoder=None, settings=None):
    documents = [Document(f"d{i}", f"Title {i}", f"Text number {i}, a café.") for i in range(count)]
    return build(documents, encoder or HashEncoder(), settings)


def test_what_was_saved_is_loaded(tmp_path):
    settings = Settings(Splitting(7, 1), Analyzer(stemmer=None))
    saved = knowledge_of(30, settings=settings)
    save(saved, tmp_path)
    loaded = load(tmp_path, HashEncoder())
    assert loaded.passages == saved.passages and loaded.settings == settings
    np.testing.assert_array_equal(loaded.vectors, saved.vectors)
    assert loaded.bm25.search("number 7", 3) == saved.bm25.search("number 7", 3)
    query = HashEncoder().encode_queries(["Title 3"])
    assert loaded.index.search(query, 5) == saved.index.search(query, 5)


def test_a_new_version_replaces_the_old_one(tmp_path):
    save(knowledge_of(3), tmp_path)
    save(knowledge_of(5), tmp_path)
    assert len(load(tmp_path, HashEncoder())) == 5
    assert len(list(tmp_path.glob("v-*"))) == 1


def test_nothing_on_disk_is_a_pickle(tmp_path):
    save(knowledge_of(3), tmp_path)
    files = sorted(p.name for p in current_version(tmp_path).iterdir())
    assert files == ["manifest.json", "passages.jsonl", "vectors.npy"]
    np.load(current_version(tmp_path) / "vectors.npy", allow_pickle=False)


def test_another_encoder_is_refused(tmp_path):
    save(knowledge_of(3), tmp_path)
    with pytest.raises(IndexUnusable, match="another encoder than hash-1"):
        load(tmp_path, HashEncoder(1))


def test_no_index_is_said(tmp_path):
    with pytest.raises(IndexUnusable, match="no index"):
        load(tmp_path, HashEncoder())


@pytest.mark.parametrize("name", ["vectors.npy", "passages.jsonl", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name, damage):
    save(knowledge_of(3), tmp_path)
    path = current_version(tmp_path) / name
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 0xFF
        path.write_bytes({"flip": data, "cut": data[: len(data) // 3], "empty": b""}[damage])
    with pytest.raises(IndexUnusable, match=r"damaged|checksum"):
        load(tmp_path, HashEncoder())


@pytest.mark.parametrize("content", ["", "v-000000000000", "../elsewhere", "\u2603"])
def test_a_damaged_pointer_is_refused(tmp_path, content):
    save(knowledge_of(3), tmp_path)
    (tmp_path / "current").write_text(content, encoding="utf-8")
    with pytest.raises(IndexUnusable, match="damaged"):
        load(tmp_path, HashEncoder())


def test_another_format_is_named(tmp_path):
    save(knowledge_of(3), tmp_path)
    path = current_version(tmp_path) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(IndexUnusable, match="format 99"):
        load(tmp_path, HashEncoder())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork and kill a writer")
def test_a_writer_killed_at_any_moment_leaves_a_usable_index(tmp_path):
    indexes = [knowledge_of(n) for n in (40, 50, 60)]
    started = time.perf_counter()
    save(indexes[0], tmp_path)
    round_of_three = 3 * (time.perf_counter() - started)
    sizes = []
    for moment in np.random.default_rng(0).uniform(0.0, max(0.05, 2 * round_of_three), size=60):
        writer = os.fork()
        if writer == 0:  # writes without end until it is killed
            while True:
                for knowledge in indexes:
                    save(knowledge, tmp_path)
        time.sleep(moment)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        sizes.append(len(load(tmp_path, HashEncoder())))
    assert set(sizes) == {40, 50, 60}, "it was killed at different points, and always one whole index was left"
    assert len(list(tmp_path.glob("v-*"))) > 1, "some writers were killed halfway"
    save(indexes[1], tmp_path)
    assert len(load(tmp_path, HashEncoder())) == 50


def test_what_a_killed_writer_left_is_removed_later_but_not_at_once(tmp_path):
    save(knowledge_of(3), tmp_path)
    leftover = tmp_path / "v-0123456789ab"
    leftover.mkdir()
    save(knowledge_of(4), tmp_path)
    assert leftover.exists(), "another process may be writing it"
    os.utime(leftover, (0, 0))
    save(knowledge_of(5), tmp_path)
    assert not leftover.exists() and len(load(tmp_path, HashEncoder())) == 5


def test_the_cache_is_used_until_something_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("Mars is red.")
    (folder / "b.txt").write_text("Venus is hot.")
    encoder = HashEncoder()
    open_folder(folder, encoder)
    assert len(encoder.encoded) == 2
    open_folder(folder, encoder)
    assert len(encoder.encoded) == 2, "an unchanged folder is not embedded again"
    (folder / "b.txt").write_text("Venus is very hot.")
    knowledge, _ = open_folder(folder, encoder)
    assert encoder.encoded[2:] == ["b. Venus is very hot."], "only the changed passage is embedded"
    assert {p.text for p in knowledge.passages.values()} == {"Mars is red.", "Venus is very hot."}
    assert len(open_folder(folder, HashEncoder(1))[0]) == 2, "another encoder builds anew"
    open_folder(folder, encoder)
    assert len(encoder.encoded) == 3, "the first encoder's index is still there"


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "file"))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("Mars is red.")
    assert len(open_folder(tmp_path / "documents", HashEncoder())[0]) == 1


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize("name", ["v-2019-thesis/chapter.txt", "v-0123456789ab/notes.txt", "draft.tmp", "current"])
def test_a_folder_of_the_users_own_is_refused_and_left_as_it_is(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("two years of work")
    for p in (path, path.parent):
        os.utime(p, (0, 0))
    before = contents(tmp_path)
    with pytest.raises(IndexUnusable, match="not empty and is no index"):
        save(knowledge_of(3), tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["v-2019-thesis/chapter.txt", "v-0123456789ab/notes.txt", "draft.tmp", "README"])
def test_what_a_user_puts_into_an_index_stays(tmp_path, name):
    save(knowledge_of(3), tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("two years of work")
    for p in (path, path.parent):
        os.utime(p, (0, 0))
    save(knowledge_of(4), tmp_path)
    assert path.read_text() == "two years of work" and len(load(tmp_path, HashEncoder())) == 4
