"""A saved index is whole or refused, whatever happens to its writer, and nothing of the user's is touched."""

import os
import signal
import stat
import sys
import time
import traceback

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
from rag_lib.indexing.store import FILE, IndexUnusable, load, locked, open_folder, save
from rag_lib.indexing.vector_index import make_index


def knowledge_of(count: int, encoder=None, settings=None, **options):
    documents = [Document(f"d{i}", f"Title {i}", f"Text number {i}, a café.") for i in range(count)]
    return build(documents, encoder or HashEncoder(), settings, **options)


@pytest.mark.parametrize("given", [None, "folder", {}])
def test_what_is_no_knowledge_base_is_not_saved(tmp_path, given):
    with pytest.raises(TypeError, match=f"^this takes a knowledge base, .*, not {type(given).__name__}$"):
        save(given, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_index_needs_a_named_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the name of an index's folder is empty"):
        save(knowledge_of(1), "")
    with pytest.raises(TypeError, match="the name of an index's folder is a text or a path, not NoneType"):
        save(knowledge_of(1), None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_opened_by_its_name_with_an_encoder(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("One.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="the name of a folder is empty"):
        open_folder("", HashEncoder())
    with pytest.raises(TypeError, match="this takes an encoder, which make_encoder loads by its name, not str"):
        open_folder(tmp_path, "minilm")


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
        assert file.metadata()["format"] == "rag_lib index 3"


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
    sizes, halfway = [], 0
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
        halfway += len(list(tmp_path.iterdir())) > 1
    assert set(sizes) == {40, 50, 60}, "it was killed at different points, and always one whole index was left"
    assert halfway, "some writers were killed halfway"
    save(indexes[1], tmp_path)
    assert len(load(tmp_path, HashEncoder())) == 50
    assert [p.name for p in tmp_path.iterdir()] == [FILE], "nothing is left behind"


LEFTOVER = f".{FILE}.{'0123456789abcdef' * 2}.tmp"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks on folders")
def test_what_a_killed_writer_left_is_removed_by_the_next_one_unless_somebody_is_writing(tmp_path):
    save(knowledge_of(3), tmp_path)
    (tmp_path / LEFTOVER).write_bytes(b"half")
    with locked(tmp_path) as held:
        assert held
        save(knowledge_of(4), tmp_path)
        assert (tmp_path / LEFTOVER).exists(), "whoever holds the lock may be writing it"
    save(knowledge_of(5), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [FILE] and len(load(tmp_path, HashEncoder())) == 5


def test_without_locks_only_what_is_old_is_removed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    save(knowledge_of(3), tmp_path)
    (tmp_path / LEFTOVER).write_bytes(b"half")
    save(knowledge_of(4), tmp_path)
    assert (tmp_path / LEFTOVER).exists()
    os.utime(tmp_path / LEFTOVER, (0, 0))
    save(knowledge_of(5), tmp_path)
    assert not (tmp_path / LEFTOVER).exists() and len(load(tmp_path, HashEncoder())) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_readers_beside_several_writers_always_get_one_whole_index(tmp_path):
    """Three write from the start, into a folder that is not there yet; five read. Each load is one writer's index."""
    indexes = {n: knowledge_of(n) for n in (40, 50, 60)}
    folder, until = tmp_path / "index", time.monotonic() + 4

    def write(n):
        while time.monotonic() < until:
            save(indexes[n], folder)

    def read(_):
        sizes = []
        while time.monotonic() < until:
            if (folder / FILE).exists():
                loaded = load(folder, HashEncoder())
                assert list(loaded.passages) == list(indexes[len(loaded)].passages)
                np.testing.assert_array_equal(loaded.vectors, indexes[len(loaded)].vectors)
                sizes.append(len(loaded))
        assert len(sizes) > 5 and len(set(sizes)) > 1, "it saw the index change"

    children = [forked(write, n) for n in indexes] + [forked(read, n) for n in range(5)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert [p.name for p in folder.iterdir()] == [FILE], "nothing half-written stays"


def forked(work, *arguments) -> int:
    """Starts `work` in a process of its own, which ends with 0 unless it raises; returns its number."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def test_a_new_index_is_on_the_disk_with_its_name_before_saving_ends(tmp_path, monkeypatch):
    """After a power cut there is the old index or the new one: data first, then the name, then the folder."""
    done = []
    monkeypatch.setattr(os, "fsync", lambda d: done.append("folder" if stat.S_ISDIR(os.fstat(d).st_mode) else "data"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("name"), replace(a, b)))
    save(knowledge_of(3), tmp_path)
    assert done == (["data", "name"] if os.name == "nt" else ["data", "name", "folder"])


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps caches in the user's own folders")
def test_only_the_owner_can_look_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("My salary is 100.")
    (tmp_path / "cache" / "knowledge_bases").mkdir(parents=True)  # an older version left it open
    open_folder(tmp_path / "documents", HashEncoder())
    (kept,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700 and any(kept.rglob(FILE))
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "new"))
    open_folder(tmp_path / "documents", HashEncoder())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


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
