"""What readers of files have in common."""

from __future__ import annotations

from typing import NamedTuple

MAX_CHARACTERS = 20_000_000  # of one file's text; a small PDF can unpack to more than a machine holds


class Unreadable(ValueError):
    """A file holds no text that can be read; the message says why."""


class Reading(NamedTuple):
    """What a file says of itself (`title`, …), its text, and what is doubtful about it."""

    metadata: dict[str, str]
    text: str
    doubt: str = ""


def checked(reading: Reading) -> Reading:
    """The reading, where its text is not too long.

    Raises:
        Unreadable: it is.
    """
    if len(reading.text) > MAX_CHARACTERS:
        raise Unreadable(f"more than {MAX_CHARACTERS // 1_000_000} million characters of text")
    return reading
