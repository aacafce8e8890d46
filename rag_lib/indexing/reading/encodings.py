"""Bytes become text (taught in notebooks/01_documents_and_passages.ipynb).

From the most certain sign to the least: a byte-order mark; UTF-8; UTF-16 without a mark, by its zero bytes; then an
older code page, which is a guess and is called one.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

import regex
from charset_normalizer import from_bytes

from rag_lib.indexing.reading.base import Unreadable

SAMPLE = 20_000  # bytes that guesses look at
# In this order: the mark of UTF-16 is the beginning of one of UTF-32.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNMARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
# Code pages of languages that are written like English with a few more letters, the likeliest first.
WESTERN = ("cp1252", "cp1250", "mac_roman", "cp850")
NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd\ufdd0-\ufdef\ufffe\uffff]")
# A letter that stands where none would: a capital inside a word, a sign between letters, a byte without a meaning.
MISPLACED = regex.compile(
    r"(?<=\p{Ll})(?![A-Z])\p{Lu}|(?<=\p{L})(?![A-Z])\p{Lu}(?=\p{Ll})"
    r"|(?<=\p{L})[^\x00-\x7f\p{L}\p{M}\p{Zs}’‘–—‐…·™®©](?=\p{L})|[\x80-\x9f\ufffd¬¦¨¯´¸]"
)
# So many high bytes in a row, and so many letters of two bytes, have only languages without Latin letters.
FOREIGN, DOUBLE = re.compile(rb"[\x80-\xff]{4,}"), re.compile(rb"(?:[\x81-\xfe][\x40-\x7e\x80-\xfe]){4,}")


class Decoded(NamedTuple):
    """A text, and the encoding where it had to be guessed."""

    text: str
    guess: str = ""


def decode(data: bytes) -> Decoded:
    """Text of a file's bytes.

    In what is UTF-8 but for single bytes each of them becomes U+FFFD.

    Raises:
        Unreadable: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return Decoded(text_in(data.decode(encoding, "replace")))
    if encoding := unmarked(data[:SAMPLE]):
        return Decoded(text_in(data.decode(encoding, "replace")))
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    if not wrong or wrong <= sum(c > "\x7f" for c in text) - wrong:
        return Decoded(text_in(text))
    text_in(data.decode("latin-1"))  # what is full of control characters is no text in any code page
    guess = code_page(data)
    return Decoded(text_in(data.decode(guess, "replace")), guess)


def text_in(text: str) -> str:
    """The text, where it is one.

    Raises:
        Unreadable: one character in fifty, and more than one, is a control character or stands for a damaged one.
    """
    head = text[:100_000]
    strange = len(NO_TEXT.findall(head))
    if strange > 1 and strange * 50 > len(head):
        raise Unreadable("binary data, not text")
    return text


def unmarked(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte-order mark: it has zeros in every second or fourth place, and nowhere else."""
    if b"\0" not in sample:
        return None
    for encoding in UNMARKED:
        width = 4 if "32" in encoding else 2
        part = sample[: len(sample) // width * width]
        zero = [part[i::width].count(0) * width / max(len(part), 1) for i in range(width)]
        high = (zero if encoding.endswith("be") else zero[::-1])[: width // 2]
        if min(high) > 0.1 and zero[-1 if encoding.endswith("be") else 0] < 0.02:
            text = part.decode(encoding, "replace")
            if sum(c.isalnum() or c.isspace() for c in text) > 0.7 * len(text):
                return encoding
    return None


def code_page(data: bytes) -> str:
    """The older encoding that bytes are most likely in: Western Windows (cp1252) unless much speaks against it.

    Raises:
        Unreadable: none fits.
    """
    lines = b"\n".join(line for line in data.splitlines() if not line.isascii())[:SAMPLE]
    high = sum(b > 0x7F for b in lines)
    misplaced = {page: len(MISPLACED.findall(lines.decode(page, "replace"))) for page in WESTERN}
    best = min(WESTERN, key=misplaced.__getitem__)
    foreign = [*FOREIGN.findall(lines), *(DOUBLE.findall(lines) if misplaced[best] > high / 10 else [])]
    if 2 * sum(map(len, foreign)) > high:
        found = from_bytes(lines).best()
        if found is None:
            raise Unreadable("binary data, or text in an unknown encoding")
        return found.encoding
    return "cp1252" if misplaced["cp1252"] <= max(3 * misplaced[best], high / 10) else best
