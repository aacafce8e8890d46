"""Where sentences end (taught, without most of this file's exceptions, in notebooks/01_documents_and_passages.ipynb).

A sentence ends at its punctuation, before white space and a capital or a digit, unless the full stop belongs to an
abbreviation. Scripts without capitals, and those without spaces, have their own punctuation. Ends of items in a list
and empty lines end a sentence too.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from rag_lib.text import check_text

Span = tuple[int, int]  # start and end, in characters

# A name or a number follows these, so that their full stop never ends a sentence …
TITLES = frozenset(
    """mr mrs ms messrs dr prof gen col lt capt cpt cmdr sgt maj adm rev hon sen rep gov pres msgr e.g i.e viz vs cf
    approx ca z.b d.h""".split()
)
# … these are followed by one too, or end a sentence, as the next word tells: "No. 5", "He said no. She went."
OPEN = frozenset(
    """st mt mts ft no nos fig figs eq eqs eqn sec sect ch chap p pp vol vols op eds jan feb mar apr
    jun jul aug sep sept oct nov dec c etc al inc ltd co corp bros jr sr ph.d esq dept deg""".split()
)
# After an abbreviation or an initial these begin a new sentence: they are no names.
STARTERS = frozenset(
    """the a an this that these those he she it we they you i his her its their our my there here in on at after before
    when while if but and so then however as for from by with during since until although though because what who why
    how where which both each all many most some several no not once later today now another such""".split()
)
CLOSING = r"""["'”’»›)\]}」』）】〉》]"""
OPENING = r"""["'“”‘«»„‹(\[{¿¡]"""
BOUNDARY = regex.compile(
    rf"(?<![.!?…])[.!?…]++{CLOSING}*+\s++(?={OPENING}*+[\p{{Lu}}\p{{Lt}}\p{{Lo}}\p{{N}}])"
    rf"|[。！？｡।॥։؟۔]++{CLOSING}*+\s*+"
    r"|\n(?:[^\S\n]*+\n)++\s*+"
    r"|\n(?=[ \t]*+(?:[-*+•]|\(?(?:\d{1,3}|[a-z])[.)])[ \t])"
)
NEXT_WORD = regex.compile(rf"{OPENING}*+(\p{{L}}++)(?!\.)")
INITIALS = regex.compile(r"(?:\p{L}\.)*\p{L}")
ITEM = regex.compile(r"[ \t]*(?:\d{1,3}|\p{L})")  # "1." or "a." at the beginning of a line


def ends_sentence(text: str, match: regex.Match) -> bool:
    """Whether a boundary found by its punctuation is one: not after the mark of an item, a title or an initial."""
    stop = match.start()
    if text[stop] != "." or text[stop + 1] == ".":
        return True
    near = max(0, stop - 20)
    line = text.rfind("\n", near, stop) + 1
    before = text[line or near : stop]
    if (line or not near) and ITEM.fullmatch(before):
        return False
    word = before.split()[-1].lower().lstrip("(\"'“‘[") if before.strip() else ""
    if word in TITLES:
        return False
    if word in OPEN or INITIALS.fullmatch(word):
        following = NEXT_WORD.match(text, match.end())
        return bool(following) and following.group(1).lower() in STARTERS
    return True


def sentence_spans(text: str) -> list[Span]:
    """Spans of the sentences of `text`, without surrounding white space, in order.

    Raises:
        TypeError: it is no text.
    """
    check_text(text, "what has sentences")
    return stretches(text, [m.end() for m in BOUNDARY.finditer(text) if ends_sentence(text, m)])


def stretches(text: str, ends: Sequence[int]) -> list[Span]:
    """The spans from each end to the next, without the white space around them; empty ones are left out."""
    return [s for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if (s := trim(text, a, b))[0] < s[1]]


def trim(text: str, start: int, end: int) -> Span:
    """The span without the white space at its ends; empty at `end` where there is nothing else."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())
