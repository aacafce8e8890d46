"""Whether a browser shows an element. Text that nobody sees in a page is no part of it, and often a trap."""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborNode
from tinycss2.color3 import parse_color

# Elements whose contents are not shown, or not as text; closed dialogs and details are seen to below.
UNSHOWN = frozenset(
    """script style noscript template head nav svg iframe object embed canvas audio video select datalist textarea
    noframes rp annotation annotation-xml title meta""".split()
)
SMALL = 3.0  # pixels; letters below are not read
FAR, WIDE = 500.0, 2000.0  # pixels; what lies further out, to the left or to the right, is off the screen
UNITS = {"px": 1, "pt": 4 / 3, "em": 16, "rem": 16, "ex": 8, "ch": 8, "cm": 37.8, "mm": 3.78, "in": 96, "pc": 16}
UNITS |= {"vw": 12.8, "vh": 7.2, "%": 10}  # of a screen of 1280 × 720, and of a box of 1000
LENGTH = re.compile(r"(-?\d*\.?\d+(?:e[+-]?\d+)?)\s*([a-z]+|%)?")
# Values of `clip` and `clip-path` that leave nothing
NOTHING = re.compile(
    r"rect\((?:\s*[01](?:px)?[\s,]*){4}\)|inset\(\s*(?:[5-9]\d|100)%|circle\(\s*0|polygon\(\s*0 0\s*\)"
)
SIZES = {"xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18, "x-large": 24, "xx-large": 32}

Color = tuple[float, float, float, float]
WHITE, BLACK = (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0)


class Look(NamedTuple):
    """What an element hands down to those inside it: whether letters can be seen, their size and colours.

    `background` is None where it is unknown.
    """

    visible: bool = True
    size: float = 16.0
    color: Color | None = BLACK
    background: Color | None = WHITE

    @property
    def shows_letters(self) -> bool:
        """Whether a text with this look can be read."""
        return self.visible and self.size >= SMALL and not self.blends

    @property
    def blends(self) -> bool:
        """Whether letters have the colour of what is behind them."""
        if self.color is None:
            return False
        if self.color[3] < 0.1:
            return True
        behind = self.background
        return behind is not None and all(abs(a - b) < 0.06 for a, b in zip(self.color[:3], behind[:3], strict=True))


def pixels(value: str | None, em: float = 16.0) -> float | None:
    """The first length of a value in pixels, roughly; None where there is none."""
    match = LENGTH.search(value or "")
    if match is None:
        return None
    unit = match.group(2) or "px"
    return float(match.group(1)) * (em if unit == "em" else UNITS.get(unit, 1))


def is_removed(element: LexborNode, style: dict[str, str]) -> bool:
    """Whether an element is hidden with everything inside it."""
    tag, attributes = element.tag, element.attributes
    if tag in UNSHOWN or (tag == "dialog" and "open" not in attributes):
        return True
    if tag != "summary" and element.parent is not None and is_closed(element.parent):
        return True
    if "hidden" in attributes and "display" not in style:
        return True
    return (
        style.get("display") == "none"
        or style.get("content-visibility") == "hidden"
        or below(style.get("opacity"), 0.1)
        or is_off_screen(style)
        or is_clipped(style)
    )


def is_closed(element: LexborNode) -> bool:
    """Whether an element only shows its summary."""
    return element.tag == "details" and "open" not in element.attributes


def below(value: str | None, limit: float) -> bool:
    """Whether a number or a percentage is less than `limit`."""
    match = LENGTH.fullmatch((value or "").strip())
    return bool(match) and float(match.group(1)) / (100 if match.group(2) == "%" else 1) < limit


def is_off_screen(style: dict[str, str]) -> bool:
    """Whether a text is moved out of the window."""
    moved = ["margin-left", "margin-top"]
    if style.get("position") in ("absolute", "fixed", "relative"):
        moved += ["left", "right", "top", "bottom"]
    if any((pixels(style.get(name)) or 0) <= -FAR for name in moved):
        return True
    if "position" in style and (pixels(style.get("left")) or 0) >= WIDE:
        return True
    if abs(pixels(style.get("text-indent")) or 0) >= FAR:
        return True
    shift = re.search(r"translate[xy3d]*\(([^)]*)\)", style.get("transform", ""))
    return bool(shift) and any((pixels(part) or 0) <= -FAR for part in shift.group(1).split(","))


def is_clipped(style: dict[str, str]) -> bool:
    """Whether nothing of a box is left: cut off, without room, or shrunk to a point."""
    cut = f"{style.get('clip', '')} {style.get('clip-path', '')}"
    if re.search(
        r"rect\((?:\s*[01](?:px)?[\s,]*){4}\)|inset\(\s*(?:[5-9]\d|100)%|circle\(\s*0|polygon\(\s*0 0\s*\)", cut
    ):
        return True
    if re.search(r"scale[xy3d]*\(\s*0*\.?0+\s*[,)]", style.get("transform", "")) or style.get("scale") == "0":
        return True
    if re.search(r"opacity\(\s*0(?:\.0\d*)?%?\s*\)", style.get("filter", "")):
        return True
    flows = any(style.get(name, "").startswith(("hidden", "clip")) for name in ("overflow", "overflow-x", "overflow-y"))
    sides = [pixels(style.get(name)) for name in ("width", "height", "max-width", "max-height")]
    return flows and any(side is not None and side <= 1 for side in sides)


def color_of(value: str | None, inherited: Color | None) -> Color | None:
    """A colour from its value; None where it is not understood."""
    if not value or value == "inherit":
        return inherited
    color = parse_color(value)
    return inherited if color is not None and not hasattr(color, "red") else color and tuple(color)


def font_size(style: dict[str, str], inherited: float) -> float:
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


def look_of(style: dict[str, str], outer: Look) -> Look:
    """The look of an element inside one with the look `outer`."""
    visible = outer.visible
    if "visibility" in style:
        visible = style["visibility"] not in ("hidden", "collapse")
    background = outer.background
    for name in ("background", "background-color", "background-image"):
        value = style.get(name, "")
        if "(" in value and "rgb" not in value and "hsl" not in value:
            background = None  # a picture or a gradient
        elif value and name != "background-image":
            color = color_of(value, outer.background)
            if color is None or color[3] > 0.5:
                background = color
    return Look(visible, font_size(style, outer.size), color_of(style.get("color"), outer.color), background)
