"""A saved index is whole or refused, whatever happens to its writer, and nothing of the user's is touched."""

import os
import signal
import time

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Document, Skipped
from rag_lib.indexing.knowledge_base import IndexSettings, build
from rag_lib.indexing.splitting import Splitting
from rag_lib.indexing.store import FILE, IndexUnusable, load, open_folder, save
from rag_lib.indexing.vector_index import make_index


def knowledge_of(count: int, encoder=None, settings=None, **options):
    documents = [Document(f"d{i}", f"Title {i}", f"Text number {i}, a café.") for i in range(count)]
    return build(documents, encoder or HashEncoder(), settings, **options)


def test_what_was_saved_is_loaded(tmp_path):
    settings = IndexSettings(Splitting(7, 1), Analyzer(stemmer=None))
    saved = knowledge_of(30, settings=settings)
    save(saved, tmp_path)
    loaded = load(tmp_path, HashEncoder())
    assert loaded.passages == saved.passages and loaded.settings == settings
    np.testing.assert_array_equal(loaded.vectors, saved.vectors)
    assert loaded.bm25.search("number 7", 3) == saved.bm25.search("number 7", 3)
    query = HashEncoder().encode_queries(["Title 3"])
    assert loaded.index.search(query, 5) == saved.index.search(query, 5)


@pytest.mark.parametrize("name", ["numpy", "flat", "hnsw"])
def test_any_vector_index_serves_a_knowledge_base(tmp_path, name):
    saved = knowledge_of(30, index=make_index(name, 16))
    save(saved, tmp_path)
    loaded = load(tmp_path, HashEncoder())
    assert name == "numpy" or loaded.index.kind == saved.index.kind
    query = HashEncoder().encode_queries(["Title 3. Text number 3, a café."])
    assert loaded.index.search(query, 1)[0][0].id == saved.index.search(query, 1)[0][0].id == "d3#0"
    again = load(tmp_path, HashEncoder(), make_index("numpy", 16))
    assert again.index.search(query, 5)[0][0].id == "d3#0" and len(again.index) == 30


def test_an_index_of_other_passages_is_refused():
    index = make_index("flat", 16)
    index.add(["x"], HashEncoder().encode_passages(["x"]))
    with pytest.raises(ValueError, match="1 vectors for 3 passages"):
        knowledge_of(3, index=index)


def test_a_new_one_replaces_the_old_one(tmp_path):
    save(knowledge_of(3), tmp_path)
    save(knowledge_of(5), tmp_path)
    assert len(load(tmp_path, HashEncoder())) == 5
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_what_is_on_disk_is_a_safetensors_file(tmp_path):
    save(knowledge_of(3), tmp_path)
    with safe_open(tmp_path / FILE, "np") as file:
        assert set(file.keys()) == {"vectors", "passages"}
        assert file.get_tensor("vectors").shape == (3, 16)
        assert file.metadata()["format"] == "rag_lib index 2"


def test_another_encoder_is_refused(tmp_path):
    save(knowledge_of(3), tmp_path)
    with pytest.raises(IndexUnusable, match="another encoder than hash-1"):
        load(tmp_path, HashEncoder(1))


def test_no_index_is_said(tmp_path):
    with pytest.raises(IndexUnusable, match="no index"):
        load(tmp_path, HashEncoder())


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "folder"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, damage):
    save(knowledge_of(3), tmp_path)
    data = (tmp_path / FILE).read_bytes()
    if damage == "folder":
        (tmp_path / FILE).unlink()
        (tmp_path / FILE).mkdir()
    else:
        (tmp_path / FILE).write_bytes({"cut": data[: len(data) // 3], "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(IndexUnusable, match=r"damaged|no index") as error:
        load(tmp_path, HashEncoder())
    assert "\n" not in str(error.value)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_not_one_bit_may_be_wrong(tmp_path_factory, at, bit):
    folder = tmp_path_factory.mktemp("damaged")
    save(knowledge_of(2), folder)
    data = bytearray((folder / FILE).read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    (folder / FILE).write_bytes(data)
    with pytest.raises(IndexUnusable):
        load(folder, HashEncoder())


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
    assert len(list(tmp_path.iterdir())) > 1, "some writers were killed halfway"
    save(indexes[1], tmp_path)
    assert len(load(tmp_path, HashEncoder())) == 50


def test_what_a_killed_writer_left_is_removed_later_but_not_at_once(tmp_path):
    save(knowledge_of(3), tmp_path)
    leftover = tmp_path / f".{FILE}.{'0123456789abcdef' * 2}.tmp"
    leftover.write_bytes(b"half")
    save(knowledge_of(4), tmp_path)
    assert leftover.exists(), "another process may be writing it"
    os.utime(leftover, (0, 0))
    save(knowledge_of(5), tmp_path)
    assert not leftover.exists() and len(load(tmp_path, HashEncoder())) == 5


def test_a_save_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    save(knowledge_of(3), tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(knowledge_of(4), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [FILE] and len(load(tmp_path, HashEncoder())) == 3


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
    knowledge = open_folder(folder, encoder)
    assert encoder.encoded[2:] == ["b. Venus is very hot."], "only the changed passage is embedded"
    assert {p.text for p in knowledge.passages.values()} == {"Mars is red.", "Venus is very hot."}
    assert len(open_folder(folder, HashEncoder(1))) == 2, "another encoder builds anew"
    open_folder(folder, encoder)
    assert len(encoder.encoded) == 3, "the first encoder's index is still there"


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "file"))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("Mars is red.")
    assert len(open_folder(tmp_path / "documents", HashEncoder())) == 1


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


OF_THE_USERS_OWN = ["v-2019-thesis/chapter.txt", "v-0123456789ab/notes.txt", "draft.tmp", "current", FILE, "README"]


@pytest.mark.parametrize("name", OF_THE_USERS_OWN)
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


@pytest.mark.parametrize("name", [n for n in OF_THE_USERS_OWN if n != FILE])
def test_what_a_user_puts_into_an_index_stays(tmp_path, name):
    save(knowledge_of(3), tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("two years of work")
    for p in (path, path.parent):
        os.utime(p, (0, 0))
    save(knowledge_of(4), tmp_path)
    assert path.read_text() == "two years of work" and len(load(tmp_path, HashEncoder())) == 4


def test_files_that_were_left_out_are_named_also_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("Mars is red.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    encoder = HashEncoder()
    first, again = open_folder(folder, encoder), open_folder(folder, encoder)
    assert len(encoder.encoded) == 1, "the second comes from the cache"
    assert first.skipped == again.skipped and [s.path for s in again.skipped] == ["picture.png"]
    assert isinstance(again.skipped[0], Skipped)
