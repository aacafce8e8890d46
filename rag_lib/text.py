"""What every text passes on its way in, and every name on its way to the screen."""

from __future__ import annotations

import regex

# Control characters, line ends, and what changes the direction or the meaning of others without being seen: format
# characters but those that scripts need (joiners, the signs of Arabic numbering), tags, unassigned noncharacters.
UNSHOWN = regex.compile(
    r"[\p{Cc}\p{Zl}\p{Zp}\U000E0100-\U000E01EF\uFDD0-\uFDEF\uFFFE\uFFFF[\p{Cf}--[\u0600-\u0605\u06DD\u200C\u200D]]]",
    regex.V1,
)
SEPARATING = regex.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")
MARKS = regex.compile(r"(\p{Mn}{30})\p{Mn}+")
SHOWN = 200  # characters of a name that are shown


def kind(value: object) -> str:
    """What somebody gave, for a message: the name of its type, or of the class that stands in place of a value."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def check_text(text: str, what: str) -> str:
    """The text.

    Args:
        what: what it is, as the message begins.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text, not {kind(text)}")
    return text


def well_formed(text: str) -> str:
    """The text with U+FFFD in place of each half of a surrogate pair that stands alone; whole pairs are joined.

    Such halves come from file names and command lines that are no UTF-8, from JSON and from PDFs, and no model, file or
    terminal takes them. This is the one function for it; every door calls it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def well_formed_values(value: object) -> object:
    """A value from JSON with all its texts well formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [well_formed_values(v) for v in value]
    if isinstance(value, dict):
        return {well_formed(k): well_formed_values(v) for k, v in value.items()}
    return value


def shown(text: str, limit: int | None = SHOWN) -> str:
    """A name as one clean line: nothing in it moves the cursor, turns the writing round or hides.

    Args:
        limit: the most characters; what is longer ends with an ellipsis. None for any number.
    """
    text = UNSHOWN.sub("", SEPARATING.sub(" ", well_formed(text)))
    text = " ".join(text.split())
    return text if limit is None or len(text) <= limit else text[: limit - 1].rstrip() + "…"


def few_marks(text: str) -> str:
    """The text with at most 30 marks on a letter, as Unicode's stream-safe format has it.

    No language has more, and to put thousands of them in order takes minutes.
    """
    return text if text.isascii() else MARKS.sub(r"\1", text)
