"""PDF files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO

from rag_lib.indexing.reading.base import MAX_CHARACTERS, Reading, Unreadable
from rag_lib.indexing.reading.cleaning import join_lines
from rag_lib.indexing.reading.encodings import NO_TEXT

LEADERS = re.compile(r"\.(?: ?\.){3,}")  # the dots of a table of contents
UNTITLED = {"untitled", "anonymous", "none"}  # what programs write where there is no title


def read_pdf(data: bytes) -> Reading:
    """Metadata and text of a PDF, page after page.

    Raises:
        Unreadable: the file is locked with a password, or has no letters in it.
        Exception: whatever pypdf raises for a damaged file.
    """
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError

    reader = PdfReader(BytesIO(data))
    try:
        pages = pages_of(reader)
    except FileNotDecryptedError as error:
        raise Unreadable("PDF that is locked with a password") from error
    text = join_lines(LEADERS.sub(" … ", joined_pages(pages)))
    if text.strip() and sum(map(str.isalnum, text)) <= len(NO_TEXT.findall(text)):
        raise Unreadable("PDF whose letters have no meaning: its fonts do not say which they are")
    title = reader.metadata.title if reader.metadata else None
    usable = isinstance(title, str) and title.strip().lower() not in UNTITLED
    return Reading({"title": title} if usable else {}, text)


def pages_of(reader) -> list[str]:
    """The text of each page, as far as there may be text of one file."""
    pages, characters = [], 0
    for page in reader.pages:
        pages.append(page.extract_text())
        characters += len(pages[-1])
        if characters > MAX_CHARACTERS:
            break
    return pages


def joined_pages(pages: Sequence[str]) -> str:
    """Pages one after the other; a sentence that goes on over the end of a page goes on."""
    text = ""
    parts = []
    for page in filter(None, map(str.strip, pages)):
        if parts:
            parts.append("\n" if text[-1] not in ".!?:" and page[0].islower() else "\n\n")
        parts.append(page)
        text = page
    return "".join(parts)
