"""The versions of a live collection: in memory as snapshots, on disk as a base and the changes after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from rag_lib.indexing.base import Encoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.live.change_log import ChangeLog, damaged
from rag_lib.indexing.live.entries import Entry, entries_of, from_text, knowledge_of, row_of
from rag_lib.indexing.store import as_bytes, from_bytes, read, reading, restored_settings, settings_state, write

FORMAT = "rag_lib collection 1"


@dataclass(frozen=True)
class Snapshot:
    """One whole version of a collection, which never changes; its readers need no lock.

    Attributes:
        entries: what is kept of each document, by its id, in the order of the ids.
        views: what readers with less than all rights see of it, by the rights; see `access.readable`.
    """

    version: int
    knowledge: KnowledgeBase
    entries: Mapping[str, Entry] = field(repr=False)
    views: dict[frozenset[str], Snapshot] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class State:
    """All that changes with a version, so that one assignment changes all of it.

    Attributes:
        changed: the version that last put or removed a document, by its id; known of versions after `base` only.
        log_end: where the log ends. What a failed change has left there is beyond it, and is written over.
    """

    snapshot: Snapshot
    base: int
    changed: dict[str, int]
    log_end: int


def changed_entries(entries: Mapping[str, Entry], put: Iterable[Entry], removed: Iterable[str]) -> dict[str, Entry]:
    """The entries after a change.

    Raises:
        KeyError: one that was removed is not there.
    """
    changed = {**entries, **{e.document.id: e for e in put}}
    for document_id in removed:
        del changed[document_id]
    return changed


def next_snapshot(version: int, entries: Iterable[Entry], before: KnowledgeBase) -> Snapshot:
    """The snapshot of entries, made as the knowledge base before it."""
    ordered = {e.document.id: e for e in sorted(entries, key=lambda e: e.document.id)}
    knowledge = knowledge_of(ordered.values(), before.settings, before.fingerprint, before.vectors.shape[1])
    return Snapshot(version, knowledge, MappingProxyType(ordered))


def save_base(folder: Path, snapshot: Snapshot) -> None:
    """Makes a snapshot the base of the collection in a folder, in one step for a process that may be killed."""
    knowledge = snapshot.knowledge
    about = {"encoder": knowledge.fingerprint, "version": snapshot.version, **settings_state(knowledge.settings)}
    tensors = {"vectors": knowledge.vectors, "entries": as_bytes([row_of(e) for e in snapshot.entries.values()])}
    write(folder, tensors, about, FORMAT)


def recovered(folder: Path, encoder: Encoder, log: ChangeLog) -> State:
    """The last version that was acknowledged: the base, and the records of the log that it does not have yet.

    Raises:
        IndexUnusable: one of them is damaged, or they do not belong together.
    """
    tensors, about = read(folder, encoder, FORMAT)
    with reading(folder):
        settings, base = restored_settings(about), int(about["version"])
        entries = {
            e.document.id: e for e in entries_of(from_bytes(tensors["entries"]), tensors["vectors"], settings.analyzer)
        }
    records, end = log.records()
    version, changed = base, {}
    for number, record in enumerate(records, start=1):
        if record["version"] <= base == version:
            continue  # the process was killed after it wrote the base and before it emptied the log
        if record["version"] != version + 1:
            raise damaged(log.path, number, f"version {record['version']} after version {version}")
        version += 1
        vectors = from_text(record["vectors"], encoder.dimension)
        put = entries_of(record["put"], vectors, settings.analyzer)
        entries = changed_entries(entries, put, record["removed"])
        changed |= dict.fromkeys([*(e.document.id for e in put), *record["removed"]], version)
    empty = knowledge_of([], settings, about["encoder"], encoder.dimension)
    snapshot = next_snapshot(version, entries.values(), empty)
    return State(snapshot, base, changed, end if version > base else 0)
