"""Text files become documents (taught in notebooks/01_documents_and_passages.ipynb).

A folder is read file by file; a file that cannot be read is left out and named.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from charset_normalizer import from_bytes

MAX_BYTES = 20_000_000
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n+", re.DOTALL)
# Soft hyphen, zero-width space, word joiner, byte-order mark, control characters. Joiners that some scripts need stay.
INVISIBLE = re.compile(r"[\u00ad\u200b\u2060\ufeff\x00-\x08\x0e-\x1b\x7f]")


class Unreadable(ValueError):
    """A file holds no text that can be read; the message says why."""


class NoDocuments(ValueError):
    """A folder holds no readable document; the message says what was found instead."""


@dataclass(frozen=True)
class Document:
    """A text with a name. `metadata` holds what the file says of itself."""

    id: str
    title: str
    text: str
    metadata: dict[str, str] = field(default_factory=dict)


class Source(NamedTuple):
    """A passage as models read it, wherever it comes from."""

    title: str
    text: str


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
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """The documents of a folder, in the order of their paths, and the files that were left out."""

    documents: list[Document]
    skipped: list[Skipped]


def decode(data: bytes) -> str:
    """Text of a file's bytes: by its byte-order mark, as UTF-8, else in the encoding that fits best.

    Raises:
        Unreadable: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise Unreadable("damaged text: it does not follow its own byte-order mark") from error
    if b"\0" in data[:100_000]:
        raise Unreadable("binary data, not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(guess_encoding(data[:100_000]), errors="replace")


def guess_encoding(data: bytes) -> str:
    """The encoding under which bytes look most like a language; Western Windows (cp1252) where it is as good as any.

    Raises:
        Unreadable: none fits.
    """
    guesses = from_bytes(data)
    top = guesses.best()
    if top is None:
        raise Unreadable("binary data, or text in an unknown encoding")
    equal = {g.encoding for g in guesses if (g.chaos, g.coherence) == (top.chaos, top.coherence)}
    return "cp1252" if "cp1252" in equal else top.encoding


def clean(text: str) -> str:
    """The same text in one spelling: composed letters (NFC), one kind of line end and of space, nothing invisible.

    A reader sees no difference. NFKC would go further and turn 10⁵ into 105.
    """
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", re.sub(r"\r\n?", "\n", text)))
    text = re.sub(r" +\n", "\n", re.sub(r"[^\S\n\t]", " ", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def parse_front_matter(text: str) -> tuple[dict[str, str], str]:
    """The `key: value` lines between two `---` at the head of a text, and the text after them."""
    match = FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    lines = [line.partition(":") for line in match.group(1).splitlines()]
    if not all(colon for _, colon, _ in lines):
        return {}, text
    return {key.strip(): value.strip() for key, _, value in lines}, text[match.end() :]


def read_plain(data: bytes) -> tuple[dict[str, str], str]:
    """Metadata and text of a `.txt` or `.md` file; a Markdown heading at the top is its title."""
    metadata, text = parse_front_matter(decode(data).replace("\r\n", "\n"))
    heading = re.match(r"#\s+(.+)", text.lstrip())
    if heading:
        metadata.setdefault("title", heading.group(1).strip())
    return metadata, text


def read_html(data: bytes) -> tuple[dict[str, str], str]:
    """Metadata and visible text of an HTML page, a paragraph a line."""
    from bs4 import BeautifulSoup

    page = BeautifulSoup(data, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for element in page(["script", "style", "noscript", "template", "head", "nav"]):
        element.decompose()
    blocks = (re.sub(r"\s+", " ", line).strip() for line in page.get_text("\n").splitlines())
    return ({"title": title} if title else {}), "\n".join(filter(None, blocks))


def read_pdf(data: bytes) -> tuple[dict[str, str], str]:
    """Metadata and text of a PDF, page after page.

    Raises:
        Unreadable: the file is damaged, or locked with a password.
    """
    from io import BytesIO

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(BytesIO(data))
        text = "\n\n".join(page.extract_text() for page in reader.pages)
        title = (reader.metadata.title if reader.metadata else None) or ""
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        raise Unreadable(f"PDF that cannot be read ({type(error).__name__})") from error
    return ({"title": title.strip()} if title.strip() else {}), text


READERS = {".txt": read_plain, ".md": read_plain, ".html": read_html, ".htm": read_html, ".pdf": read_pdf}
SUFFIXES = tuple(READERS)


def document_from(name: str, data: bytes) -> Document:
    """The document in the bytes of a file called `name`.

    Raises:
        Unreadable: the type is not supported, or there is no text.
    """
    path = Path(name)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(f"not one of {', '.join(SUFFIXES)}")
    metadata, text = reader(data)
    text = clean(text)
    if not text:
        raise Unreadable("no text in it" if data.strip() else "empty file")
    title = metadata.get("title") or path.stem.replace("-", " ").replace("_", " ")
    return Document(metadata.get("id") or name, title, text, metadata)


def files_of(folder: Path) -> Iterator[Path]:
    """All files below a folder in the order of their names; hidden ones and links to folders are passed over."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def load_documents(folder: str | Path, max_bytes: int = MAX_BYTES) -> Collection:
    """All documents below `folder`.

    Raises:
        NoDocuments: there is no such folder, or nothing in it can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NoDocuments(f"there is no folder {folder}")
    documents: dict[str, Document] = {}
    skipped: list[Skipped] = []
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        try:
            size = path.stat().st_size
            if size > max_bytes:
                raise Unreadable(f"{size / 1e6:.0f} MB, more than the limit of {max_bytes / 1e6:.0f} MB")
            document = document_from(name, path.read_bytes())
            if document.id in documents:
                raise Unreadable(f"its id {document.id!r} is taken by an earlier file")
            documents[document.id] = document
        except (Unreadable, OSError) as error:
            skipped.append(Skipped(name, str(error)))
    if not documents:
        found = (
            f"{len(skipped)} files, none readable; the first: {skipped[0].path}: {skipped[0].reason}"
            if skipped
            else "empty"
        )
        raise NoDocuments(f"no documents in {folder} ({found})")
    return Collection(list(documents.values()), skipped)


def folder_digest(folder: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """SHA-256 over the names and bytes of a folder's files: changes when anything that `load_documents` reads does."""
    folder = Path(folder)
    digest = hashlib.sha256()
    for path in files_of(folder):
        with contextlib.suppress(OSError):  # such a file is among the skipped ones
            size = path.stat().st_size
            digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode(errors="surrogateescape"))
            if size <= max_bytes and path.suffix.lower() in SUFFIXES:
                digest.update(path.read_bytes())
    return digest.hexdigest()
