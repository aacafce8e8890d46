"""A live collection is at every moment the index that would be built of its documents anew."""

import tempfile
import threading
from dataclasses import FrozenInstanceError, replace

import pytest
from anew import built_anew, found_in
from fakes import HashEncoder
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rag_lib.indexing import Change, LiveCollection
from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import KnowledgeBase, build
from rag_lib.indexing.live.change_log import ChangeLog
from rag_lib.indexing.live.collection import LOG, is_changed
from rag_lib.indexing.store import FILE, IndexUnusable, load, save
from rag_lib.retrieval.catalogue import make_retriever

A, B = Document("a", "Laika", "Laika was a dog."), Document("b", "Ham", "Ham was a chimpanzee.", {"year": "1961"})


# Few words, so that passages tie, share texts and lose their last word; some texts are several passages long.
TEXT = st.lists(st.sampled_from("moon sun star dog cat orbit".split()), min_size=1, max_size=6).map(" ".join)
LONG = st.tuples(TEXT, st.integers(10, 40)).map(lambda t: " ".join([f"{t[0]}."] * t[1]))
DOCUMENT = st.builds(Document, st.sampled_from(["a", "a#0", "b", "é", "z"]), st.sampled_from(["", "Sun"]), TEXT | LONG)


class Changes(RuleBasedStateMachine):
    """Random changes to a collection and to a plain dictionary, which is always compared."""

    @initialize(documents=st.lists(DOCUMENT, max_size=3, unique_by=lambda d: d.id))
    def start(self, documents):
        self.place = tempfile.TemporaryDirectory()
        self.model = {d.id: d for d in documents}
        self.version = 0
        self.seen = []
        self.live = LiveCollection.open(self.place.name, HashEncoder(), documents)

    @rule(documents=st.lists(DOCUMENT, max_size=3, unique_by=lambda d: d.id))
    def put(self, documents):
        different = {d.id for d in documents if self.model.get(d.id) != d}
        changes = self.live.put_many(documents)
        assert self.live.changed_since(self.version) == different
        self.version += bool(different)
        for document, change in zip(documents, changes, strict=True):
            old = self.model.pop(document.id, None)
            kind = "added" if old is None else "unchanged" if old == document else "replaced"
            passages = len(build([document], HashEncoder()))
            assert change == Change(kind, self.version, passages)
            self.model[document.id] = document

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        passages = len(build([self.model.pop(name)], HashEncoder()))
        self.version += 1
        assert self.live.remove(name) == Change("removed", self.version, passages)

    @rule()
    def compact(self):
        self.live.compact()

    @rule()
    def reopen(self):
        self.live.close()
        self.live = LiveCollection.open(self.place.name, encoder := HashEncoder(), [A])
        assert not encoder.encoded, "nothing is encoded twice"

    @invariant()
    def it_is_what_would_be_built(self):
        if not hasattr(self, "live"):
            return
        snapshot = self.live.snapshot()
        assert snapshot.version == self.version
        assert self.live.document_ids() == sorted(self.model)
        assert {i: e.document for i, e in snapshot.entries.items()} == self.model
        found, anew = found_in(snapshot.knowledge), built_anew(list(self.model.values()))
        assert found == found_in(anew)
        assert snapshot.knowledge.passages == anew.passages and snapshot.knowledge.cut == anew.cut
        self.seen.append((snapshot, found))

    def teardown(self):
        for snapshot, found in getattr(self, "seen", []):
            assert found_in(snapshot.knowledge) == found, "a snapshot never changes"
        if hasattr(self, "live"):
            self.live.close()
            self.place.cleanup()


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=15, stateful_step_count=10)


@pytest.fixture
def live(tmp_path):
    with LiveCollection.open(tmp_path / "collection", HashEncoder(), [A]) as collection:
        yield collection


def test_what_says_the_same_is_neither_encoded_nor_written(live):
    before, written = live.snapshot(), (live.folder / LOG).read_bytes()
    live.encoder.encoded.clear()
    assert live.put(replace(A)) == Change("unchanged", 0, 1)
    assert live.snapshot() is before and not live.encoder.encoded
    assert (live.folder / LOG).read_bytes() == written
    assert live.put(replace(A, metadata={"year": "1957"})).kind == "replaced", "metadata are content too"


def test_a_change_encodes_only_its_own_new_passages(live):
    sentences = [f"Sentence {i} has about six words." for i in range(40)]
    live.put(Document("long", "", " ".join(sentences)))
    live.encoder.encoded.clear()
    live.put(Document("long", "", " ".join([*sentences, "One more."])))
    assert len(live.encoder.encoded) == 1 < live.put(A).passages + 2, "the other passages keep their vectors"


def test_a_batch_is_one_version_or_none(live):
    with pytest.raises(ValueError, match="the document 'empty' holds no text"):
        live.put_many([B, Document("empty", "Title", " \n ")])
    with pytest.raises(ValueError, match="two documents are called 'b'"):
        live.put_many([B, replace(B, text="Another.")])
    assert live.document_ids() == ["a"] and live.snapshot().version == 0
    changes = live.put_many([B, A, Document("c", "", "Hubble.")])
    assert changes == [Change("added", 1, 1), Change("unchanged", 1, 1), Change("added", 1, 1)]


@pytest.mark.parametrize("bad", ["a text", None, {"id": "a"}])
def test_what_is_no_document_is_refused_in_one_line(live, bad):
    with pytest.raises(TypeError, match=r"^a collection takes documents, [^\n]*$"):
        live.put(bad)
    with pytest.raises(TypeError, match=r"^the metadata of the document 'x' must be texts[^\n]*$"):
        live.put(Document("x", "", "Text.", {"year": 1961}))


def test_there_is_nothing_to_remove_is_said(live):
    with pytest.raises(KeyError, match="no document is called 'b'"):
        live.remove("b")
    assert live.snapshot().version == 0


def test_what_was_put_cannot_be_changed_from_outside(live):
    document = Document("m", "", "Text.", {"year": "1961"})
    live.put(document)
    document.metadata["year"] = "never"
    snapshot = live.snapshot()
    assert snapshot.entries["m"].document.metadata == {"year": "1961"}
    with pytest.raises(FrozenInstanceError):
        snapshot.version = 7
    with pytest.raises(TypeError):
        snapshot.entries["m"] = None


def test_caches_learn_what_has_changed(live):
    live.put(B)
    live.put(Document("c", "", "Hubble."))
    live.remove("b")
    assert live.changed_since(0) == {"b", "c"} and live.changed_since(2) == {"b"} and live.changed_since(3) == set()
    live.compact()
    assert live.changed_since(2) == {"b"}, "this process knows it still"
    live.close()
    with LiveCollection.open(live.folder, HashEncoder()) as again:
        assert again.changed_since(3) == set()
        with pytest.raises(ValueError, match="known since version 3, not since version 2"):
            again.changed_since(2)


def test_a_closed_collection_is_read_but_not_changed(live):
    live.close()
    live.close()
    assert live.snapshot().knowledge.bm25.search("dog", 1)[0].id == "a#0"
    for change in (lambda: live.put(B), lambda: live.remove("a"), live.compact):
        with pytest.raises(ValueError, match="is closed"):
            change()


def test_the_log_is_folded_into_the_base_before_it_is_longer(live):
    for i in range(60):
        live.put(Document(f"d{i % 7}", "", f"Text {i}."))
        assert (live.folder / LOG).stat().st_size <= (live.folder / FILE).stat().st_size
    live.close()
    assert sorted(p.name for p in live.folder.iterdir()) == [LOG, FILE]


def test_a_change_that_cannot_be_written_is_not_made(live, monkeypatch):
    live.put(B)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        live.put(Document("c", "", "Hubble."))
    with pytest.raises(OSError, match="No space left"):
        live.compact()
    monkeypatch.undo()
    assert live.document_ids() == ["a", "b"]
    assert live.put(Document("d", "", "Titan.")).version == 2
    live.close()
    with LiveCollection.open(live.folder, HashEncoder()) as again:
        assert again.document_ids() == ["a", "b", "d"]


def test_a_long_log_is_no_reason_to_refuse_a_change(live, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rag_lib.indexing.live.versions.write", full)
    for i in range(30):
        live.put(Document(f"d{i}", "", f"Text {i}."))
    assert (live.folder / LOG).stat().st_size > (live.folder / FILE).stat().st_size
    with pytest.raises(OSError, match="No space left"):
        live.compact()
    live.close()
    monkeypatch.undo()
    with LiveCollection.open(live.folder, HashEncoder()) as again:
        assert len(again.document_ids()) == 31


def test_one_process_at_a_time(live):
    with pytest.raises(IndexUnusable, match=r"^the collection in [^\n]* another process, which may change it[^\n]*$"):
        LiveCollection.open(live.folder, HashEncoder())
    live.put(B)
    live.close()
    with LiveCollection.open(live.folder, HashEncoder()) as again:
        assert again.document_ids() == ["a", "b"]


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("rag_lib.indexing.live.change_log.lock", no_locks)
    with pytest.raises(IndexUnusable, match=r"it cannot be locked \([^\n]*not supported\)$"):
        LiveCollection.open(tmp_path, HashEncoder())


def test_another_encoder_is_refused_and_leaves_the_collection_open_to_the_right_one(live):
    live.close()
    with pytest.raises(IndexUnusable, match="another encoder than hash-1"):
        LiveCollection.open(live.folder, HashEncoder(1))
    LiveCollection.open(live.folder, HashEncoder()).close()


def test_an_index_and_a_collection_do_not_take_each_others_place(live, tmp_path):
    live.put(B)
    live.close()
    before = {p.name: p.read_bytes() for p in live.folder.iterdir()}
    with pytest.raises(IndexUnusable, match="not empty and is no index"):
        save(build([A], HashEncoder()), live.folder)
    with pytest.raises(IndexUnusable, match="has the format 'rag_lib collection 1', not"):
        load(live.folder, HashEncoder())
    assert {p.name: p.read_bytes() for p in live.folder.iterdir()} == before
    save(build([A], HashEncoder()), tmp_path / "index")
    with pytest.raises(IndexUnusable, match="not empty and is no collection"):
        LiveCollection.open(tmp_path / "index", HashEncoder())
    assert [p.name for p in (tmp_path / "index").iterdir()] == [FILE]


@pytest.mark.parametrize("name", ["README", LOG, FILE])
def test_a_folder_of_the_users_own_is_refused_and_left_as_it_is(tmp_path, name):
    (tmp_path / name).write_text("two years of work")
    with pytest.raises(IndexUnusable, match="nothing was written"):
        LiveCollection.open(tmp_path, HashEncoder())
    assert [p.name for p in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "two years of work"


def test_readers_in_threads_see_whole_versions_only(live):
    """A version v says v in three documents, in every passage and vector; readers ask all the time."""
    names = ["a", "b", "c"]
    words = [f"number{v}" for v in range(40)]

    def documents(v):
        return [Document(name, "", f"{words[v]} {words[v]} of {name}.") for name in names]

    live.put_many(documents(0))
    first = live.snapshot().version
    expected = [hits_of_all(built_anew(documents(v)), words) for v in range(len(words))]
    wrong, seen, done = [], set(), threading.Event()

    def read():
        while not done.is_set():
            snapshot = live.snapshot()
            found = hits_of_all(snapshot.knowledge, words)
            seen.add(snapshot.version)
            if found != expected[snapshot.version - first]:
                wrong.append((snapshot.version, found))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for v in range(1, len(words)):
        assert live.put_many(documents(v))[0].version == first + v
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(seen) > 5


def hits_of_all(knowledge: KnowledgeBase, words: list[str]) -> list:
    """Hits of a query that has every word: only those of the version count."""
    encoder = HashEncoder()
    retrievers = [make_retriever(name, knowledge, encoder) for name in ("bm25", "dense", "hybrid")]
    return [retriever.retrieve(" ".join(words), 5) for retriever in retrievers]


def test_writers_in_threads_make_one_version_each(live):
    changes = []

    def write(name):
        changes.extend(live.put(Document(f"{name}{i}", "", f"Text {i} of {name}.")) for i in range(10))

    writers = [threading.Thread(target=write, args=(name,)) for name in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(c.version for c in changes) == list(range(1, 31)) and len(live.document_ids()) == 31


def test_a_log_is_opened_by_windows_own_lock_where_there_is_no_other(tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    asked = []
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=lambda *a: asked.append(a[1:])))
    ChangeLog(tmp_path / LOG).close()
    assert asked == [(2, 1)]


def test_it_shows_whether_a_folder_was_changed_since_it_was_made(tmp_path):
    folder = tmp_path / "live"
    assert not is_changed(folder)
    with LiveCollection.open(folder, HashEncoder(), [Document("a", "A", "One moon.")]) as collection:
        assert not is_changed(folder)
        collection.put(Document("b", "B", "Two moons."))
        assert is_changed(folder)
        collection.compact()
    assert is_changed(folder) and not is_changed(tmp_path)
