"""A write-ahead log: what is about to change is on the disk before anybody is told that it has changed.

A record is a line: the length of its JSON, the SHA-256 of it, and the JSON. A process that is killed while it writes
leaves the beginning of a line at the end of the file, and only there; that is how a torn record, which nobody was told
of, is told from damage. The idea is that of ARIES (Mohan et al., 1992), without its undo: nothing is written elsewhere
before its record is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from rag_lib.files import sync_folder
from rag_lib.indexing.store import IndexUnusable

HEAD = 16 + 1 + 64 + 1  # length and checksum as hexadecimal digits, each with a space after it
FAR = 2**40  # Windows locks bytes, and lets nobody read them: this one no log reaches


def head_of(text: bytes) -> bytes:
    """What stands before the JSON of a record."""
    return f"{len(text):016x} {hashlib.sha256(text).hexdigest()} ".encode()


def line_of(record: dict) -> bytes:
    """A record as a line."""
    text = json.dumps(record).encode()
    return head_of(text) + text + b"\n"


def record_in(line: bytes) -> dict:
    """The record that `line_of` made a line of, here without its line end.

    Raises:
        ValueError: it is not what was written.
    """
    text = line[HEAD:]
    if line[:HEAD] != head_of(text):
        raise ValueError("its checksum differs")
    return json.loads(text)


def is_torn(rest: bytes) -> bool:
    """Whether what stands after the last line end is the beginning of a record and no damaged record.

    After a power cut the end may be there as zeros, which were never written.
    """
    return rest.endswith(b"\0") or len(rest) < HEAD or len(rest) - HEAD <= int(rest[:16], 16)


class ChangeLog:
    """A log that one process at a time has open: it is its own lock, which ends with the process at the latest.

    Where the log ends is for the caller to remember, who knows which records count: `append` writes there, whatever a
    failed attempt has left behind it.

    Raises:
        IndexUnusable: another process has it open, or the file system has no locks.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self.file = os.open(path, flags, 0o666)
        try:
            lock(self.file)
        except OSError as error:
            os.close(self.file)
            taken = isinstance(error, (BlockingIOError, PermissionError))
            reason = "another process, which may change it, has it open" if taken else f"it cannot be locked ({error})"
            raise IndexUnusable(f"the collection in {path.parent} is not opened: {reason}") from error
        sync_folder(path.parent)  # a log whose name is lost in a power cut has no records

    def records(self) -> tuple[list[dict], int]:
        """All whole records, and where the last one ends; a torn one after it is left out.

        Raises:
            IndexUnusable: a record was damaged after it was written.
        """
        data = self.path.read_bytes()
        *lines, rest = data.split(b"\n")
        records: list[dict] = []
        try:
            for line in lines:
                records.append(record_in(line))
            if not is_torn(rest):
                raise ValueError("its line end is missing")
        except ValueError as error:
            raise damaged(self.path, len(records) + 1, error) from error
        return records, len(data) - len(rest)

    def append(self, record: dict, end: int) -> int:
        """Writes a record at `end` and returns where it ends, once it is on the disk.

        Raises:
            OSError: it cannot be written; the log is as it was before.
        """
        line = line_of(record)
        self.cut(end)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self.file, rest) :]
            os.fsync(self.file)
        except BaseException:
            with contextlib.suppress(OSError):  # then the next record will
                self.cut(end)
            raise
        return end + len(line)

    def cut(self, end: int) -> None:
        """Forgets what stands after `end`."""
        os.ftruncate(self.file, end)

    def close(self) -> None:
        """Lets another process open the log."""
        os.close(self.file)


def damaged(path: Path, number: int, reason: object) -> IndexUnusable:
    """What is said of a log that cannot be trusted."""
    return IndexUnusable(
        f"{path}, line {number}: a change that was acknowledged is damaged ({reason}); put back a copy of the folder, "
        "or move this file away to go on from the last compaction"
    )


def lock(file: int) -> None:
    """Locks an open file for this process alone, until it is closed.

    Raises:
        OSError: somebody else has locked it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(file, FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
