"""HTML pages: their visible text, laid out in lines as a browser's `innerText` has it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import webencodings
from selectolax.lexbor import LexborHTMLParser, LexborNode

from rag_lib.indexing.reading.base import Reading
from rag_lib.indexing.reading.encodings import BYTE_ORDER_MARKS, decode, text_in
from rag_lib.indexing.reading.styles import page_styles
from rag_lib.indexing.reading.visibility import WHITE, Look, is_closed, is_removed, look_of

# Only these begin and end a line.
BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu ol optgroup option p pre section
    search summary table tbody tfoot thead tr ul xmp listing plaintext""".split()
)
APART = frozenset("p h1 h2 h3 h4 h5 h6 pre blockquote table ul ol dl figure hr".split())  # with an empty line
CELLS = frozenset(("td", "th"))
SHORT_CELL = 500  # characters; a longer one is part of a page's layout, and keeps its lines
DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})|encoding=["']([\w.:-]{1,40})""", re.I)
SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
Piece = str | int  # a text, or that many line ends at least


def read_html(data: bytes) -> Reading:
    """Title and visible text of an HTML page.

    Raises:
        Unreadable: the bytes are no text, or what the page hides takes too long to work out.
    """
    text, doubt = page_text(data)
    page = LexborHTMLParser(text)
    known = not page.css("link[rel~=stylesheet]")  # or other colours may be behind the letters
    pieces = pieces_of(page, Look(background=WHITE if known else None))
    heading = page.css_first("head title") or page.css_first("h1")
    title = heading.text() if heading else ""
    return Reading({"title": title} if title.strip() else {}, laid_out(pieces), doubt)


def page_text(data: bytes) -> tuple[str, str]:
    """A page as text, and what is doubtful about it: as UTF-8 if it is, else in the encoding that it declares."""
    match = DECLARED.search(data[:2048])
    declared = webencodings.lookup((match.group(1) or match.group(2)).decode()) if match else None
    with contextlib.suppress(UnicodeDecodeError):
        return text_in(data.decode("utf-8-sig")), ""
    if declared is not None and not declared.name.startswith("utf") and not data.startswith(tuple(BYTE_ORDER_MARKS)):
        return text_in(declared.codec_info.decode(data, "replace")[0]), ""
    text, guess = decode(data)
    return text, f"encoding guessed: {guess}" if guess else ""


def walk(page: LexborHTMLParser, look: Look) -> Iterator[tuple[LexborNode, bool, Look]]:
    """Every visible element when it begins (True) and when it ends, and every visible text, in the page's order."""
    styles = page_styles(page)
    looks = [look]
    node = page.root
    while node is not None:
        opened = False
        if node.is_text_node:
            if looks[-1].shows_letters and not is_closed(node.parent):
                yield node, True, looks[-1]
        elif node.is_element_node:
            style = styles.get(node.mem_id, {})
            if not is_removed(node, style):
                looks.append(look_of(style, looks[-1]))
                yield node, True, looks[-1]
                opened = True
        if opened and (child := node.first_child) is not None:
            node = child
            continue
        if opened:
            looks.pop()
            yield node, False, looks[-1]
        while node is not None and node.next is None:
            node = node.parent
            if node is None or not node.is_element_node:
                return
            looks.pop()
            yield node, False, looks[-1]
        node = node.next if node is not None else None


def pieces_of(page: LexborHTMLParser, look: Look) -> list[Piece]:
    """The texts of a page and the line ends that are due between them."""
    pieces: list[Piece] = []
    cells: list[int] = []  # where the pieces of each open cell begin; those outside a table in it are -1
    kept = 0  # open elements whose lines are kept
    for node, begins, _ in walk(page, look):
        tag = node.tag
        if node.is_text_node:
            text = node.text_content or ""
            pieces += kept_lines(text) if kept else [re.sub(r"[ \t\n\r\f]+", " ", text)]
            if pieces and tag_of(node.parent) == "sup":
                raise_number(pieces)
            continue
        if tag in ("pre", "listing", "xmp", "plaintext"):
            kept += 1 if begins else -1
        if tag == "br" and begins:
            pieces.append("\n")
        if tag == "table" and begins:
            cells = [-1] * len(cells)
        if tag in CELLS:
            if begins:
                cells.append(len(pieces))
            elif cells:
                close_cell(pieces, cells.pop())
        elif tag in BLOCKS:
            pieces.append(2 if tag in APART and not cells else 1)
    return pieces


def tag_of(node: LexborNode | None) -> str:
    """An element's name."""
    return node.tag if node is not None else ""


def kept_lines(text: str) -> list[Piece]:
    """A text whose lines are kept."""
    return [re.sub(r"\r\n?", "\n", text).replace(" ", "\u00a0")]


def raise_number(pieces: list[Piece]) -> None:
    """Makes a raised number after a number a superscript: 10<sup>5</sup> is not 105."""
    before = next((p for p in reversed(pieces[:-1]) if p != ""), "")
    raised = str(pieces[-1])
    if isinstance(before, str) and before[-1:].isdigit() and re.fullmatch(r"[+\-−]?\d+", raised):
        pieces[-1] = raised.translate(SUPERSCRIPT)


def close_cell(pieces: list[Piece], start: int) -> None:
    """Ends a cell of a table with a tab; a short one without a table in it is one line."""
    if start >= 0 and sum(len(p) for p in pieces[start:] if isinstance(p, str)) <= SHORT_CELL:
        texts = (p if isinstance(p, str) else " " for p in pieces[start:])
        pieces[start:] = [" ".join("".join(texts).split(None))]
    pieces.append("\t")


def laid_out(pieces: list[Piece]) -> str:
    """The text: white space as one space, line ends where they are due, none at a line's ends."""
    parts: list[str] = []
    due = 0
    for piece in pieces:
        if isinstance(piece, int):
            due = max(due, piece)
        elif piece.strip(" ") or not due:
            parts.append("\n" * due + piece)
            due = 0
    lines = "".join(parts).split("\n")
    return "\n".join(re.sub(r" *(\t) *| {2,}", lambda m: m.group(1) or " ", line).strip(" \t") for line in lines).strip(
        "\n"
    )
