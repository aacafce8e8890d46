"""Text and Markdown files: a head of `key: value` lines, and the text."""

from __future__ import annotations

import re

import yaml

from rag_lib.indexing.reading.base import Reading
from rag_lib.indexing.reading.cleaning import join_lines
from rag_lib.indexing.reading.encodings import decode

HEAD = 20_000  # the most characters of a head; a longer one is text
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)(?<=\n)(?:---|\.\.\.)[ \t]*(?:\n+|\Z)", re.DOTALL)
FIELD = re.compile(r"([^\s:#\-][^:]*):(?:\s+(.*))?")
Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # "Base": every value stays the text that it is


def read_text(data: bytes) -> Reading:
    """Metadata and text of a `.txt` file."""
    text, guess = decode(data)
    metadata, body = parse_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    return Reading(metadata, join_lines(body), f"encoding guessed: {guess}" if guess else "")


def read_markdown(data: bytes) -> Reading:
    """Metadata and text of a `.md` file, without comments; a heading at the top is its title."""
    metadata, text, doubt = read_text(data)
    text = without_comments(text)
    return Reading({"title": heading_of(text)} | metadata, text, doubt)


def heading_of(text: str) -> str:
    """The heading at the top, `# Title` or `Title` over a line of `=`; "" where there is none."""
    first, below = [*text.lstrip().split("\n", 2), ""][:2]
    if first.startswith(("# ", "#\t")):
        title = first[1:].strip()
        bare = title.rstrip("#")
        return title if bare.strip() and not bare.endswith((" ", "\t")) else bare.strip()
    return first.strip() if below.strip() and not below.strip().strip("=") else ""


def parse_front_matter(text: str) -> tuple[dict[str, str], str]:
    """The fields that stand between two lines `---` at the head of a text, and the text after them.

    They are YAML; lists become values with commas, and what is nested deeper is left out. Heads that only look like
    YAML, such as `title: Io: a moon`, are read line by line.
    """
    match = FRONT_MATTER.match(text[:HEAD])
    if match is None:
        return {}, text
    try:
        fields = yaml.load(match.group(1), Loader)  # a base loader makes texts, lists and dictionaries, nothing else
    except (yaml.YAMLError, ValueError, RecursionError):
        fields = fields_by_line(match.group(1))
    if not isinstance(fields, dict):
        return {}, text
    values = {str(key).strip(): as_text(value) for key, value in fields.items()}
    return {key: value for key, value in values.items() if value}, text[match.end() :]


def fields_by_line(head: str) -> dict[str, str] | None:
    """The `key: value` lines of a head; None where a line is neither that nor part of a list, a comment or empty."""
    fields = {}
    for line in head.splitlines():
        if field := FIELD.fullmatch(line):
            fields[field.group(1)] = (field.group(2) or "").strip()
        elif line.strip() and line[0] not in " \t-#":
            return None
    return {key: re.sub(r"""\A(["'])(.*)\1\Z""", r"\2", value) for key, value in fields.items()}


def as_text(value: object) -> str:
    """A field's value; the texts of a list, with commas between."""
    parts = value[:100] if isinstance(value, list) else [value]
    return ", ".join(part.strip() for part in parts if isinstance(part, str))


def without_comments(text: str) -> str:
    """Markdown without what stands between `<!--` and `-->`."""
    parts, start = [], 0
    while (opening := text.find("<!--", start)) >= 0 and (closing := text.find("-->", opening + 4)) >= 0:
        parts.append(text[start:opening])
        start = closing + 3
    return "".join([*parts, text[start:]])
