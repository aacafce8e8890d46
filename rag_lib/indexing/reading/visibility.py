"""Whether a browser shows an element. Text that nobody sees in a page is no part of it, and often a trap."""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborNode

from rag_lib.indexing.reading.colors import BLACK, WHITE, Color, alike, color_of, colors_in, tokens_of
from rag_lib.indexing.reading.geometry import UNITS, Style, is_off_screen, number, pixels, shrink

# Elements whose contents are not shown, or not as text; closed dialogs and details are seen to below.
UNSHOWN = frozenset(
    """script style noscript template head nav svg iframe object embed canvas audio video select datalist textarea
    noframes rp annotation annotation-xml title meta""".split()
)
SMALL = 3.0  # pixels; letters below are not read
STACKED = -0.5  # of the letters' height; letters that are moved together by more lie on each other
# Values of `clip` and `clip-path` that leave nothing
NOTHING = re.compile(
    r"rect\((?:\s*[01](?:px)?[\s,]*){4}\)|inset\(\s*(?:[5-9]\d|100)%|circle\(\s*0|polygon\(\s*0 0\s*\)"
)
SIZES = {"xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18, "x-large": 24, "xx-large": 32}


class Look(NamedTuple):
    """What an element hands down to those inside it: whether letters can be seen, their size and colours.

    `size` is as written and `shrunk` what becomes of it; `spacing` is between letters. `fill` is the colour of letters
    where it is not `color`. A colour is None where it is unknown, and so is `background`.
    """

    visible: bool = True
    size: float = 16.0
    color: Color | None = BLACK
    background: Color | None = WHITE
    shrunk: float = 1.0
    spacing: float = 0.0
    fill: Color | str | None = "currentcolor"

    @property
    def shows_letters(self) -> bool:
        """Whether a text with this look can be read."""
        readable = self.size * self.shrunk >= SMALL and self.spacing > STACKED * max(self.size, SMALL)
        return self.visible and readable and not self.blends

    @property
    def letters(self) -> Color | None:
        """The colour that letters are drawn in."""
        return self.color if isinstance(self.fill, str) else self.fill

    @property
    def blends(self) -> bool:
        """Whether letters have the colour of what is behind them."""
        if self.letters is None:
            return False
        return self.letters[3] < 0.1 or (self.background is not None and alike(self.letters, self.background))


def is_removed(element: LexborNode, style: Style) -> bool:
    """Whether an element is hidden with everything inside it."""
    if element.tag in UNSHOWN:
        return True
    if element.tag != "summary" and element.parent is not None and is_closed(element.parent):
        return True
    if is_unopened(element) and "display" not in style:
        return True
    return (
        style.get("display") == "none"
        or style.get("content-visibility") == "hidden"
        or below(style.get("opacity"), 0.1)
        or is_off_screen(style)
        or is_clipped(style)
        or is_masked(style)
    )


def is_closed(element: LexborNode) -> bool:
    """Whether an element only shows its summary."""
    return element.tag == "details" and "open" not in element.attributes


def is_unopened(element: LexborNode) -> bool:
    """Whether an element is hidden until it is opened, unless its style displays it."""
    attributes = element.attributes
    if element.tag == "dialog":
        return "open" not in attributes or "hidden" in attributes
    return "hidden" in attributes or "popover" in attributes


def below(value: str | None, limit: float) -> bool:
    """Whether a number or a percentage is less than `limit`."""
    found = number(value)
    return found is not None and found < limit


def is_clipped(style: Style) -> bool:
    """Whether nothing of a box is left: cut off, or without room."""
    if NOTHING.search(f"{style.get('clip', '')} {style.get('clip-path', '')}"):
        return True
    flows = any(style.get(name, "").startswith(("hidden", "clip")) for name in ("overflow", "overflow-x", "overflow-y"))
    sides = [pixels(style.get(name)) for name in ("width", "height", "max-width", "max-height")]
    return flows and any(side is not None and side <= 1 for side in sides)


def is_masked(style: Style) -> bool:
    """Whether a filter or a mask lets nothing through."""
    for part in re.findall(r"opacity\(([^)]*)\)", style.get("filter", "")):
        if below(part, 0.1):
            return True
    for name in ("mask-image", "mask"):
        value = style.get(name, "")
        colors = list(colors_in(tokens_of(value))) if "gradient(" in value else []
        if colors and all(color[3] < 0.1 for color in colors):
            return True
        if colors and re.search(r"/\s*0(?:px|%)?(?:\s|$)", value):
            return True
    return "gradient(" in style.get("mask-image", style.get("mask", "")) and pixels(style.get("mask-size")) == 0


def colored(value: str | None, inherited: Color | str | None) -> Color | str | None:
    """A colour from its value; None where it is not understood."""
    tokens = tokens_of(value or "")
    if not tokens:
        return inherited
    return color_of(tokens[0]) if len(tokens) == 1 else None


def font_size(style: Style, inherited: float) -> float:
    """The height of letters in pixels."""
    value = style.get("font-size")
    if value is None and "font" in style:
        match = re.search(r"(?:^|\s)(-?[\d.]+(?:px|pt|em|rem|%)|0)(?=[\s/])", style["font"])
        value = match and match.group(1)
    if value is None:
        return inherited
    if value in SIZES:
        return SIZES[value]
    length = pixels(value, inherited)
    if length is None:
        return inherited
    return length / UNITS["%"] / 100 * inherited if value.endswith("%") else length


def background_of(style: Style, outer: Color | None) -> Color | None:
    """The colour behind letters; None where it is unknown or a picture."""
    found = outer
    for name in ("background-color", "background-image"):
        for token in tokens_of(style.get(name, "")):
            color = color_of(token)
            if isinstance(color, tuple):
                found = found if name == "background-image" or color[3] <= 0.5 else color
            elif color or token.type in ("url", "function"):
                return None
    return found


def outlined(style: Style) -> Color | None:
    """The colour of a line around letters or of their shadow; None where there is none, or none is named."""
    for name in ("-webkit-text-stroke", "text-shadow"):
        for color in colors_in(tokens_of(style.get(name, ""))):
            return color
    return None


def look_of(style: Style, outer: Look) -> Look:
    """The look of an element inside one with the look `outer`."""
    size = font_size(style, outer.size)
    spacing = pixels(style["letter-spacing"], size) or 0.0 if "letter-spacing" in style else outer.spacing
    color = colored(style.get("color"), outer.color)
    look = Look(
        outer.visible if "visibility" not in style else style["visibility"] not in ("hidden", "collapse"),
        size,
        outer.color if isinstance(color, str) else color,
        background_of(style, outer.background),
        outer.shrunk * shrink(style),
        spacing,
        colored(style.get("-webkit-text-fill-color"), outer.fill),
    )
    if look.letters is None or look.letters[3] >= 0.1:
        return look
    if "text" in style.get("background-clip", "").split():  # the background is in the letters, and not behind them
        return look._replace(fill=look.background, background=outer.background)
    return look._replace(fill=outlined(style) or look.fill)
