"""One spelling for the same text (taught in notebooks/01_documents_and_passages.ipynb)."""

from __future__ import annotations

import itertools
import re
import unicodedata

import regex

from rag_lib.text import few_marks, well_formed

# What a terminal takes for commands: escape sequences, whole, or their letters would stay behind.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)?|\x9b[0-?]*[ -/]*[@-~]")
# Control characters, soft hyphen, zero-width space, word joiner, byte-order marks, marks of writing direction, tags,
# noncharacters. Joiners that some scripts need stay.
INVISIBLE = regex.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef"
    r"\ufeff\ufff9-\ufffb\ufffe\uffff\U000E0000-\U000E007F]"
)
LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "ﬀﬁﬂﬃﬄﬅﬆﬓﬔﬕﬖﬗ"}
LINE_END = re.compile(r"\r\n?|[\x0c\u2028]")
SINGLE_END = re.compile(r"[^\n]\n[^\n]")
# A line that begins something of its own: an item of a list, a heading, a row of a table, a quotation, a definition.
OPENING = re.compile(r"\s|[-*+•◦▪–—#>|:=~`\[]|\(?\d{1,3}[.)]\s|\(?[A-Za-z][.)]\s|\d{4}-\d\d|\d\d?:\d\d")
PROSE = regex.compile(r"\p{L}[\p{L}'’-]*+")
HYPHENATED = regex.compile(r"\p{L}++(?:-\p{L}++)*+")
COLUMN = 20  # the fewest characters of a line that was filled up to its end
FIRST_PARTS = frozenset("self well non half ex all cross high low long short anti mid post pre semi".split())


def clean(text: str) -> str:
    """The same text in one spelling: composed letters (NFC), one kind of line end and of space, nothing invisible.

    A reader sees no difference. NFKC would go further and turn 10⁵ into 105; only ligatures are taken apart.
    """
    text = LINE_END.sub("\n", well_formed(text)).replace("\u2029", "\n\n")
    if not text.isascii():
        text = text.translate(LIGATURES)
    text = INVISIBLE.sub("", ESCAPES.sub("", text))
    text = unicodedata.normalize("NFC", few_marks(text))
    text = re.sub(r"[^\S\n\t]", " ", text)
    text = "\n".join(line.rstrip(" ") for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def join_lines(text: str) -> str:
    """The text with its paragraphs on one line each, where lines only end because the page did.

    Lists, tables, verse, code and logs keep their lines: a line ends of itself where the first word of the next one
    would still have fitted, unless that begins with a small letter.
    """
    if not SINGLE_END.search(text):
        return text
    text = re.sub(r"\u00ad\n[ \t]*", "", text)
    words = frozenset(HYPHENATED.findall(text.lower())) if re.search(r"[-‐]\n", text) else frozenset()
    return "\n\n".join(joined(paragraph, words) for paragraph in re.split(r"\n[^\S\n]*\n", text))


def joined(paragraph: str, words: frozenset[str]) -> str:
    """A paragraph with its broken lines joined; `words` are those of the whole text."""
    lines = paragraph.split("\n")
    width = max(map(len, lines))
    parts = [lines[0]]
    for before, line in itertools.pairwise(lines):
        first = next(iter(line.split(maxsplit=1)), "")
        if not first or OPENING.match(line):
            parts.append("\n")
        elif before[-1:] in ("-", "‐") and before[-2:-1].isalnum():
            if not hyphen_stays(before, first, words):
                parts[-1] = parts[-1][:-1]
        elif not is_prose(before):
            parts.append("\n")
        elif (len(before) + 1 + len(first) > width >= COLUMN) or (first[0].islower() and len(before) > width / 2):
            parts.append(" ")
        else:
            parts.append("\n")
        parts.append(line)
    return "".join(parts)


def is_prose(line: str) -> bool:
    """Whether a line is written in words, and was not broken on purpose as Markdown does it."""
    words = PROSE.findall(line)
    inked = len(line) - line.count(" ")
    return len(words) >= 3 and 2 * sum(map(len, words)) >= inked and not line.endswith(("  ", "\\"))


def hyphen_stays(before: str, first: str, words: frozenset[str]) -> bool:
    """Whether the hyphen at the end of a line belongs to the word, whose rest `first` begins the next line.

    It does before a capital or a digit, in a word with other hyphens, after a first part that is written so, and where
    the text has the word with its hyphen elsewhere; else it only parts the word.
    """
    head = before[:-1].rsplit(maxsplit=1)[-1].lower().lstrip("(\"'“‘[")
    tail = regex.match(r"\p{L}*", first).group()
    if not first[0].islower() or "-" in head or head in FIRST_PARTS or not head[-1:].isalpha():
        return True
    return f"{head}-{tail}" in words and head + tail not in words
