"""No acknowledged change is lost and nothing else appears, whenever the process is killed and whatever it leaves."""

import json
import os
import random
import signal
import time

import pytest
from fakes import HashEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.indexing import LiveCollection
from rag_lib.indexing.documents import Document
from rag_lib.indexing.live import collection as module
from rag_lib.indexing.live.change_log import line_of
from rag_lib.indexing.live.collection import LOG
from rag_lib.indexing.store import FILE, IndexUnusable

KILLS = 200


def texts_of(collection: LiveCollection) -> dict[str, str]:
    """What can be read in a collection, by document; passages, BM25 and vectors must agree on it."""
    knowledge = collection.snapshot().knowledge
    texts = {p.document_id: p.text for p in knowledge.passages.values()}
    for passage in knowledge.passages.values():
        vector = HashEncoder().encode_queries([passage.text])
        assert knowledge.index.search(vector, 1)[0][0].id == passage.id
        assert passage.id in {h.id for h in knowledge.bm25.search(passage.text, 50)}
    assert {i: e.document.text for i, e in collection.snapshot().entries.items()} == texts
    return texts


def changed(texts: dict[str, str], change: list) -> dict[str, str]:
    """The texts after a change: ["put", [[id, text], …]], ["remove", id] or ["compact"]."""
    if change[0] == "put":
        return texts | dict(change[1])
    return {i: text for i, text in texts.items() if change[0] == "compact" or i != change[1]}


def make(collection: LiveCollection, change: list) -> None:
    """Makes a change."""
    if change[0] == "put":
        collection.put_many([Document(i, "", text) for i, text in change[1]])
    elif change[0] == "remove":
        collection.remove(change[1])
    else:
        collection.compact()


def work_until_killed(folder, seed: int, said: int) -> None:
    """Opens the collection and changes it without end; says what it is about to do, and that it was acknowledged."""
    rng = random.Random(seed)
    with LiveCollection.open(folder, HashEncoder()) as collection:
        for number in range(10**9):
            names = collection.document_ids()
            kind = rng.choices(["put", "remove", "compact"], [6, 3 if names else 0, 1])[0]
            chosen = rng.sample("abcdef", rng.randint(1, 3))
            change = {
                "put": ["put", [[i, f"Change {number} of {seed} wrote {i}."] for i in chosen]],
                "remove": ["remove", rng.choice(names or [""])],
                "compact": ["compact"],
            }[kind]
            os.write(said, json.dumps(change).encode() + b"\n")
            make(collection, change)
            os.write(said, b"acknowledged\n")


def killed(folder, seed: int, heard_before: int, moment: float) -> list[str]:
    """What a process said that worked on the collection and was killed, `moment` seconds after it said so much."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work_until_killed(folder, seed, said)
        finally:
            os._exit(1)
    os.close(said)
    with open(heard) as pipe:
        lines = [pipe.readline() for _ in range(heard_before)]
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        lines += pipe.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "it worked until it was killed"
    return [line.strip() for line in lines]


def seconds_of_a_change(folder) -> float:
    """How long a change takes here; what is loaded for the first one is then there for all processes forked later."""
    with LiveCollection.open(folder, HashEncoder(), [Document("a", "", "One.")]) as collection:
        started = time.perf_counter()
        for number in range(10):
            collection.put(Document("b", "", f"Text {number}."))
        return (time.perf_counter() - started) / 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork and kill a writer")
def test_a_kill_at_any_moment_loses_no_acknowledged_change_and_invents_none(tmp_path):
    folder = tmp_path / "collection"
    folder.mkdir()
    (tmp_path / "letter.txt").write_text("Dear Laika")
    texts: dict[str, str] = {}
    acknowledged = unfinished = in_flight_kept = torn = 0
    rng, change_seconds = random.Random(0), seconds_of_a_change(tmp_path / "other")
    for seed in range(KILLS):
        lines = killed(folder, seed, rng.randint(0, 6), rng.uniform(0, 1.5 * change_seconds))
        for change, answer in zip(lines[::2], lines[1::2], strict=False):
            assert answer == "acknowledged"
            texts = changed(texts, json.loads(change))
            acknowledged += 1
        if (folder / FILE).exists():
            torn += not (folder / LOG).read_bytes().endswith(b"\n") and (folder / LOG).stat().st_size > 0
            (folder / "note.txt").write_text("mine")  # as soon as the folder is a collection, it takes it
        with LiveCollection.open(folder, HashEncoder()) as collection:
            found = texts_of(collection)
        if len(lines) % 2:
            unfinished += 1
            in_flight_kept += found != texts
            assert found in (texts, changed(texts, json.loads(lines[-1])))
            texts = found
        assert found == texts
    assert acknowledged > KILLS and unfinished > KILLS / 4, "they were killed in the middle of their work"
    print(f"{acknowledged} changes acknowledged, {unfinished} kills in a change, {in_flight_kept} kept, {torn} torn")
    with LiveCollection.open(folder, HashEncoder()) as collection:
        collection.compact()  # clears what killed writers of a base have left half-written
    assert sorted(p.name for p in folder.iterdir()) == [LOG, FILE, "note.txt"]
    assert (folder / "note.txt").read_text() == "mine" and (tmp_path / "letter.txt").read_text() == "Dear Laika"


CHANGES = [
    ["put", [["a", "One."], ["b", "Two."]]],
    ["remove", "a"],
    ["put", [["b", "Three, é 月."]]],
    ["put", [["c", "Four."]]],
    ["remove", "b"],
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a log of all CHANGES over an empty base, and the end of each record in it."""
    folder, ends = tmp_path_factory.mktemp("written"), [0]
    with pytest.MonkeyPatch.context() as patch, LiveCollection.open(folder, HashEncoder()) as collection:
        patch.setattr(module.LiveCollection, "_compact", lambda *_: None)
        for change in CHANGES:
            make(collection, change)
            ends.append((folder / LOG).stat().st_size)
    return folder, ends


def copy_with(written, folder, log: bytes):
    """A copy of the written folder with another log."""
    (folder / FILE).write_bytes((written[0] / FILE).read_bytes())
    (folder / LOG).write_bytes(log)
    return folder


def after(count: int) -> dict[str, str]:
    """The texts after the first changes."""
    texts: dict[str, str] = {}
    for change in CHANGES[:count]:
        texts = changed(texts, change)
    return texts


@settings(max_examples=60)
@given(share=st.floats(0, 1), zeros=st.integers(0, 100), near=st.integers(0, 5), by=st.integers(-90, 90))
def test_a_log_that_ends_anywhere_is_all_changes_before_its_end(written, tmp_path_factory, share, zeros, near, by):
    """A kill leaves the beginning of what was written; a power cut may leave zeros after it."""
    data, ends = (written[0] / LOG).read_bytes(), written[1]
    end = min(max(ends[near] + by, 0), len(data)) if share < 0.5 else int(share * len(data))
    folder = copy_with(written, tmp_path_factory.mktemp("torn"), data[:end] + bytes(zeros))
    whole = sum(e <= end for e in ends) - 1
    with LiveCollection.open(folder, HashEncoder()) as collection:
        assert texts_of(collection) == after(whole) and collection.snapshot().version == whole
        make(collection, ["put", [["d", "More."]]])
    with LiveCollection.open(folder, HashEncoder()) as collection:
        assert texts_of(collection) == after(whole) | {"d": "More."}, "what is torn is written over"


@settings(max_examples=100)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), near=st.integers(1, 5), by=st.integers(-90, 90))
def test_not_one_bit_of_the_log_may_be_wrong(written, tmp_path_factory, at, bit, near, by):
    data, ends = bytearray((written[0] / LOG).read_bytes()), written[1]
    place = min(max(ends[near] + by, 0), len(data) - 1) if at < 0.7 else int(at * len(data))
    data[place] ^= 1 << bit
    folder = copy_with(written, tmp_path_factory.mktemp("damaged"), bytes(data))
    with pytest.raises(IndexUnusable, match=r"^[^\n]*changes.log, line [1-5]: a change [^\n]* is damaged[^\n]*$"):
        LiveCollection.open(folder, HashEncoder())
    assert (folder / LOG).read_bytes() == data, "it is left as it is"


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_record_that_is_missing_is_damage(written, tmp_path, lost):
    lines = (written[0] / LOG).read_bytes().splitlines(keepends=True)
    del lines[lost]
    folder = copy_with(written, tmp_path, b"".join(lines))
    with pytest.raises(IndexUnusable, match=rf"line {lost + 1}: .*version {lost + 2} after version {lost}\)"):
        LiveCollection.open(folder, HashEncoder())


@pytest.mark.parametrize("kept", range(len(CHANGES) + 1))
def test_a_kill_between_the_new_base_and_the_empty_log_changes_nothing(written, tmp_path, monkeypatch, kept):
    """The log still holds what the base has, from the first record on, or from any later one."""
    data, ends = (written[0] / LOG).read_bytes(), written[1]
    folder = copy_with(written, tmp_path, data)
    with LiveCollection.open(folder, HashEncoder()) as collection:
        collection.compact()
        assert (folder / LOG).stat().st_size == 0
    (folder / LOG).write_bytes(data[ends[kept] :])
    for text in ("More.", "Still more."):
        with LiveCollection.open(folder, HashEncoder()) as collection:
            make(collection, ["put", [["d", text]]])
            monkeypatch.setattr(module.ChangeLog, "cut", lambda *_: pytest.fail("killed"))
            with pytest.raises(pytest.fail.Exception):
                collection.compact()
            monkeypatch.undo()
        with LiveCollection.open(folder, HashEncoder()) as collection:
            assert texts_of(collection) == after(5) | {"d": text}


@pytest.mark.parametrize("based", range(1, 5))
def test_a_log_may_begin_before_its_base(written, tmp_path, based):
    data, ends = (written[0] / LOG).read_bytes(), written[1]
    with LiveCollection.open(copy_with(written, tmp_path, data[: ends[based]]), HashEncoder()) as collection:
        collection.compact()
    (tmp_path / LOG).write_bytes(data)
    with LiveCollection.open(tmp_path, HashEncoder()) as collection:
        assert texts_of(collection) == after(5) and collection.snapshot().version == 5


def test_a_process_killed_before_the_first_base_leaves_nothing_in_the_way(tmp_path):
    (tmp_path / LOG).touch()
    (tmp_path / f".{FILE}.{'0123456789abcdef' * 2}.tmp").write_bytes(b"half")
    with LiveCollection.open(tmp_path, HashEncoder(), [Document("a", "", "One.")]) as collection:
        assert texts_of(collection) == {"a": "One."}
    assert sorted(p.name for p in tmp_path.iterdir()) == [LOG, FILE]


def test_a_change_is_on_the_disk_before_it_is_acknowledged(tmp_path, monkeypatch):
    """After a power cut, too, it is there: the log's name is on the disk before its first record, and that before."""
    done, sync = [], os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_ino), sync(file)))
        with LiveCollection.open(tmp_path, HashEncoder()) as collection:
            assert os.name == "nt" or tmp_path.stat().st_ino in done
            done.clear()
            collection.put(Document("a", "", "One."))
            assert done[0] == (tmp_path / LOG).stat().st_ino


def test_a_record_is_a_line_that_can_be_read_by_eye():
    checksum = b"c3aa9744214caf6eb993d6f88f3f1dda3e4e60d59f712b6463c4ce2c4b00dfa1"  # of sha256sum
    assert line_of({"version": 1}) == b"000000000000000e " + checksum + b' {"version": 1}\n'
