"""Files of a folder become documents (taught in notebooks/01_documents_and_passages.ipynb).

A folder is read file by file; a file that cannot be read is left out and named.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from rag_lib.files import check_path, read_regular
from rag_lib.indexing.reading.base import Reading, Unreadable, checked
from rag_lib.indexing.reading.cleaning import clean
from rag_lib.indexing.reading.isolated import IsolatedReader
from rag_lib.indexing.reading.plain import read_markdown, read_text
from rag_lib.text import check_text, kind, shown, well_formed

MAX_BYTES = 20_000_000
VERSION = 2  # of how files are read; another one makes another digest, so that saved passages are made again
PLAIN: dict[str, Callable[[bytes], Reading]] = {".txt": read_text, ".md": read_markdown}
ISOLATED = {".html": ".html", ".htm": ".html", ".pdf": ".pdf"}  # read in a process of their own
SUFFIXES = (*PLAIN, *ISOLATED)


class NoDocuments(ValueError):
    """A folder holds no readable document; the message says what was found instead."""


@dataclass(frozen=True)
class Document:
    """A text with a name. `metadata` holds what the file says of itself.

    The text is the file's as it was read: decoded, without a head of fields, in one spelling, with broken lines joined.
    Spans of passages and citations are places in it, which need not be those of the bytes on disk.

    Raises:
        TypeError: one of the three is no text.
    """

    id: str
    title: str
    text: str
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "title", "text"):
            text = check_text(getattr(self, name), f"a document's {name}")
            object.__setattr__(self, name, well_formed(text))


def check_document(document: Document) -> Document:
    """The document.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(document, Document):
        raise TypeError(f"a document is a Document(id, title, text), not {kind(document)}")
    return document


class Source(NamedTuple):
    """A passage as models read it, wherever it comes from.

    Attributes:
        document: the id of its document; empty where it is not known.
        standing: how many passages of that document have to do with the question or its title; see
            `rag_lib.pipeline.standing`. No model reads these two.
    """

    title: str
    text: str
    document: str = ""
    standing: int = 1


@dataclass(frozen=True)
class Passage:
    """A piece of a document, small enough to be read at once: `document.text[start:end] == text`."""

    id: str
    document_id: str
    title: str
    text: str
    start: int
    end: int

    @property
    def source(self) -> Source:
        """What models read of it."""
        return Source(self.title, self.text)


def indexed_text(passage: Passage | Source | Document) -> str:
    """What indexes see of a passage: the title first, so that one that only says "he" is found by the name."""
    return f"{passage.title}. {passage.text}" if passage.title else passage.text


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, or one that was read although something about it is doubtful (`read`), and why."""

    path: str
    reason: str
    read: bool = False


@dataclass(frozen=True)
class Collection:
    """The documents of a folder, in the order of their paths, and the files that were left out or are doubtful."""

    documents: list[Document]
    skipped: list[Skipped]


class Found(NamedTuple):
    """Something in a folder, and why it is not read, if that is known before it is opened."""

    path: Path
    reason: str = ""


def files_of(folder: Path) -> Iterator[Found]:
    """All files below a folder in the order of their names; hidden ones are passed over."""
    closed: list[Found] = []

    def cannot(error: OSError) -> None:
        closed.append(Found(Path(error.filename), f"a folder that cannot be read ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=cannot):
        links = [f for f in folders if os.path.islink(os.path.join(parent, f))]
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (Found(Path(parent, f), "a link to a folder") for f in sorted(links) if not f.startswith("."))
        yield from (Found(Path(parent, name)) for name in sorted(names) if not name.startswith("."))
    yield from closed


def name_of(path: Path, folder: Path, taken: set[str]) -> str:
    """A file's path in a folder as it is shown, with a number where an earlier one looks the same; it is then taken."""
    plain = shown(path.relative_to(folder).as_posix(), None)
    numbered = (f"{plain} ({i})" for i in itertools.count(2))
    name = next(n for n in itertools.chain([plain], numbered) if n not in taken)
    taken.add(name)
    return name


def contents_of(found: Found, folder: Path, max_bytes: int) -> bytes:
    """The bytes of a file.

    Raises:
        Unreadable: its type is not supported, it is too large, or it cannot be opened.
    """
    if found.reason:
        raise Unreadable(found.reason)
    if found.path.suffix.lower() not in SUFFIXES:
        raise Unreadable(f"not one of {', '.join(SUFFIXES)}")
    try:
        data = read_regular(found.path, folder, max_bytes)
        if len(data) > max_bytes:
            size = found.path.stat().st_size
            raise Unreadable(f"{size / 1e6:.0f} MB, more than the limit of {max_bytes / 1e6:.0f} MB")
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    return data


def document_from(name: str, kind: str, data: bytes, reader: IsolatedReader) -> tuple[Document, str]:
    """The document in the bytes of a file called `name` of a type (".txt"), and what is doubtful about it.

    Its id is the name; a head may give it without its suffix (`id: mir` in `mir.txt`), so that no file can take the
    place of another one.

    Raises:
        Unreadable: there is no text.
    """
    reading = checked(PLAIN[kind](data)) if kind in PLAIN else reader.read(ISOLATED[kind], data)
    text = clean(reading.text)
    if not text:
        raise Unreadable("no text in it" if data.strip() else "empty file")
    metadata = {key: well_formed(value) for key, value in reading.metadata.items()}
    bare = name[: -len(kind)]
    title = shown(metadata.get("title", "")) or shown(re.sub("[-_]", " ", bare.rpartition("/")[2]))
    own = metadata.get("id") == bare and not bare.lower().endswith(SUFFIXES)
    return Document(bare if own else name, title, text, metadata), reading.doubt


def load_document(path: str | Path, max_bytes: int = MAX_BYTES) -> tuple[Document, str]:
    """The document in one file, and what is doubtful about it.

    Raises:
        Unreadable: it cannot be opened, is too large, of no known type, or without text.
        TypeError, ValueError: it is no path, or an empty one.
    """
    path = check_path(path, "a file")
    data = contents_of(Found(path), path.parent, max_bytes)
    with IsolatedReader() as reader:
        return document_from(path.name, path.suffix.lower(), data, reader)


def load_documents(folder: str | Path, max_bytes: int = MAX_BYTES) -> Collection:
    """All documents below `folder`; of several with the same text the first.

    Raises:
        NoDocuments: there is no such folder, or nothing in it can be read.
        TypeError, ValueError: it is no path, or an empty one.
    """
    folder = check_path(folder, "a folder")
    if not folder.is_dir():
        raise NoDocuments(f"there is no folder {shown(str(folder), None)}")
    documents: dict[str, Document] = {}
    skipped: list[Skipped] = []
    first: dict[bytes, str] = {}  # the file of each text
    names: set[str] = set()
    with IsolatedReader() as reader:
        for found in files_of(folder):
            name = name_of(found.path, folder, names)
            try:
                data = contents_of(found, folder, max_bytes)
                document, doubt = document_from(name, found.path.suffix.lower(), data, reader)
                if (same := first.setdefault(fingerprint(document.text), name)) != name:
                    raise Unreadable(f"the same text as {same}")
            except Unreadable as error:
                skipped.append(Skipped(name, shown(str(error), None)))
                continue
            if document.id in documents:
                document = replace(document, id=name)
            documents[document.id] = document
            if doubt:
                skipped.append(Skipped(name, doubt, read=True))
    if not documents:
        raise NoDocuments(f"no documents in {shown(str(folder), None)} ({what_was_found(skipped)})")
    return Collection(list(documents.values()), skipped)


def fingerprint(text: str) -> bytes:
    """The same for texts that differ in white space and capitals only."""
    return hashlib.sha256(" ".join(text.split()).casefold().encode()).digest()


def what_was_found(skipped: Sequence[Skipped]) -> str:
    """A folder without documents in a few words."""
    if not skipped:
        return "empty"
    return f"{len(skipped)} files, none readable; the first: {skipped[0].path}: {skipped[0].reason}"


def folder_digest(folder: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """SHA-256 over the names and bytes of a folder's files: changes when anything that `load_documents` reads does.

    Raises:
        TypeError, ValueError: it is no path, or an empty one.
    """
    folder = check_path(folder, "a folder")
    digest = hashlib.sha256(f"{VERSION}\0".encode())
    for found in files_of(folder):
        name = found.path.relative_to(folder).as_posix().encode(errors="surrogateescape")
        try:
            data = contents_of(found, folder, max_bytes)
        except Unreadable as error:
            data = f"left out: {error}".encode()
        digest.update(name + f"\0{len(data)}\0".encode() + data)
    return digest.hexdigest()
