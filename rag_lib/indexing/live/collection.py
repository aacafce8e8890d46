"""A collection that is changed while it is read (used by the service; taught in notebooks/14_deployment.ipynb).

Three decisions carry it:

- *Readers never wait and never see half a change.* A version is a knowledge base of its own, made beside the one that
  is being read and put in its place by one assignment. What was computed of the other documents is kept, so that this
  costs copies and no encoding; the time grows with the collection, and for 10⁴ passages is a fraction of a second.
- *It is always the index that would be built anew.* BM25's weights hang on the number of passages, their mean length
  and how many have a term, and so every change moves all of them; they are computed again from the terms kept. The
  documents stand in the order of their ids, whatever their history, and ties are broken by id: nothing hangs on which
  came first.
- *What was acknowledged is on the disk.* A change is a record of the log before it is a version. Compaction writes the
  last version as the new base and empties the log; a kill in between leaves records that the base has already, which
  their version's number tells.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import IndexSettings
from rag_lib.indexing.live.change_log import ChangeLog
from rag_lib.indexing.live.entries import (
    Entry,
    as_text,
    checked,
    content_hash,
    joined,
    knowledge_of,
    make_entries,
    row_of,
)
from rag_lib.indexing.live.versions import (
    FORMAT,
    Snapshot,
    State,
    changed_entries,
    next_snapshot,
    recovered,
    save_base,
)
from rag_lib.indexing.store import FILE, IndexUnusable, check_ours, head_of

LOG = "changes.log"


@dataclass(frozen=True)
class Change:
    """What became of a document: its `passages` in, or those taken out of, `version`."""

    kind: Literal["added", "replaced", "unchanged", "removed"]
    version: int
    passages: int


def is_changed(folder: Path) -> bool:
    """Whether a folder holds a collection that was changed since it was made, by its log and its base's version."""
    log, head = folder / LOG, head_of(folder / FILE)
    about = json.loads(head.get("about", "{}")) if head.get("format") == FORMAT else {}
    return (log.is_file() and log.stat().st_size > 0) or int(about.get("version", 0)) > 0


class LiveCollection:
    """A collection that is changed while it is read: every reader sees one whole version.

    Any thread may call any method; changes are made one after the other. One process at a time has a collection open.
    """

    def __init__(self, folder: Path, encoder: Encoder, log: ChangeLog) -> None:
        """For `open`, which holds the log and has a base in the folder."""
        self.folder = folder
        self.encoder = encoder
        self._log: ChangeLog | None = log
        self._writing = threading.Lock()
        self._state = recovered(folder, encoder, log)

    @classmethod
    def open(
        cls, folder: str | Path, encoder: Encoder, documents: Iterable[Document] = (), progress: bool = False
    ) -> LiveCollection:
        """The collection that `folder` holds, with every change that was acknowledged; a new one where there is none.

        Args:
            documents: those of a new collection; what is there already does not look at them.

        Raises:
            IndexUnusable: the folder holds something else, another process has it open, it is damaged, or another
                encoder made its vectors.
            OSError: the folder cannot be written.
            TypeError, ValueError: as `put_many`, of `documents`.
        """
        folder = Path(folder)
        check_ours(folder, FORMAT)
        folder.mkdir(parents=True, exist_ok=True)
        log = ChangeLog(folder / LOG)
        try:
            if not (folder / FILE).exists():
                settings = IndexSettings()
                entries = make_entries(distinct(documents), encoder, settings, {}, progress)
                knowledge = knowledge_of([], settings, encoder.fingerprint(), encoder.dimension)
                save_base(folder, next_snapshot(0, entries, knowledge))
            return cls(folder, encoder, log)
        except BaseException:
            log.close()
            raise

    def put(self, document: Document) -> Change:
        """Adds a document, or replaces the one with its id; returns when that is on the disk. See `put_many`."""
        return self.put_many([document])[0]

    def put_many(self, documents: Sequence[Document]) -> list[Change]:
        """Adds or replaces documents, all in one version or none; returns when that is on the disk.

        What says the same as before is left as it is: nothing is encoded, nothing written.

        Raises:
            TypeError: they are no documents.
            ValueError: two have the same id, one holds no text, or the collection is closed.
            OSError: the change cannot be written; it was not made.
        """
        documents = distinct(documents)
        with self._writing:
            log, entries = self._open_log(), self._state.snapshot.entries
            settings = self._state.snapshot.knowledge.settings
            kinds = [kind_of(document, entries) for document in documents]
            new = [document for document, kind in zip(documents, kinds, strict=True) if kind != "unchanged"]
            if new:
                self._commit(log, make_entries(new, self.encoder, settings, entries), [])
            snapshot = self._state.snapshot
            return [
                Change(kind, snapshot.version, len(snapshot.entries[document.id].passages))
                for document, kind in zip(documents, kinds, strict=True)
            ]

    def remove(self, document_id: str) -> Change:
        """Removes a document; returns when that is on the disk.

        Raises:
            KeyError: no document has this id.
            ValueError, OSError: as `put_many`.
        """
        with self._writing:
            log, entries = self._open_log(), self._state.snapshot.entries
            if document_id not in entries:
                raise KeyError(f"no document is called {document_id!r}")
            self._commit(log, [], [document_id])
            return Change("removed", self._state.snapshot.version, len(entries[document_id].passages))

    def _open_log(self) -> ChangeLog:
        if self._log is None:
            raise ValueError(f"the collection in {self.folder} is closed")
        return self._log

    def _commit(self, log: ChangeLog, put: list[Entry], removed: list[str]) -> None:
        """Makes the next version: whatever may fail first, then the record, then the assignment."""
        state = self._state
        version = state.snapshot.version + 1
        entries = changed_entries(state.snapshot.entries, put, removed)
        snapshot = next_snapshot(version, entries.values(), state.snapshot.knowledge)
        vectors = as_text(joined(put, self.encoder.dimension))
        record = {"version": version, "put": [row_of(e) for e in put], "vectors": vectors, "removed": removed}
        end = log.append(record, state.log_end)
        changed = state.changed | dict.fromkeys([*(e.document.id for e in put), *removed], version)
        self._state = State(snapshot, state.base, changed, end)
        with contextlib.suppress(OSError, IndexUnusable):  # the change is made; a long log costs only room
            if end > (self.folder / FILE).stat().st_size:
                self._compact(log)

    def snapshot(self) -> Snapshot:
        """The last version, whole."""
        return self._state.snapshot

    def document_ids(self) -> list[str]:
        """The ids of the documents in the last version, in order."""
        return list(self._state.snapshot.entries)

    def changed_since(self, version: int) -> frozenset[str]:
        """The ids of the documents that were put or removed after a version, for caches.

        What was said of other documents may come out differently too, as every change moves the scores of all: what
        must be exact is kept for one version only.

        Raises:
            ValueError: the version is older than the base this process started from, and that is no longer known.
        """
        state = self._state
        if version < state.base:
            raise ValueError(f"what has changed is known since version {state.base}, not since version {version}")
        return frozenset(i for i, at in state.changed.items() if at > version)

    def compact(self) -> None:
        """Writes the last version as the new base and empties the log.

        This is also done by itself whenever the log has become longer than the base, so that a start reads at most
        twice what there is.

        Raises:
            ValueError: the collection is closed.
            OSError, IndexUnusable: the base cannot be written; the old one and the log are still there.
        """
        with self._writing:
            self._compact(self._open_log())

    def _compact(self, log: ChangeLog) -> None:
        save_base(self.folder, self._state.snapshot)
        self._state = replace(self._state, log_end=0)  # before the cut: a record must never be written after a gap
        log.cut(0)

    def close(self) -> None:
        """Lets another process open the collection; snapshots stay as they are."""
        with self._writing:
            if self._log is not None:
                self._log.close()
                self._log = None

    def __enter__(self) -> LiveCollection:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def distinct(documents: Iterable[Document]) -> list[Document]:
    """Documents as copies that nobody else can change.

    Raises:
        TypeError: they are no documents.
        ValueError: two have the same id.
    """
    documents = [checked(document) for document in documents]
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise ValueError(f"two documents are called {document.id!r}")
        seen.add(document.id)
    return documents


def kind_of(document: Document, entries: Mapping[str, Entry]) -> Literal["added", "replaced", "unchanged"]:
    """What a document would change."""
    if document.id not in entries:
        return "added"
    return "unchanged" if content_hash(document) == entries[document.id].digest else "replaced"
