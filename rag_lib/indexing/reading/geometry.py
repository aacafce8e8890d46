"""Where a style puts a text, and how small it makes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

FAR, WIDE = 500.0, 2000.0  # pixels; what lies further out, to the left or to the right, is off the screen
ACROSS, DOWN = 1280.0, 720.0  # pixels of a screen
UNITS = {"px": 1, "pt": 4 / 3, "em": 16, "rem": 16, "ex": 8, "ch": 8, "cm": 37.8, "mm": 3.78, "in": 96, "pc": 16}
UNITS |= {f"{kind}{unit}": ACROSS / 100 for kind in ("", "d", "s", "l") for unit in ("vw", "vi", "vmax")}
UNITS |= {f"{kind}{unit}": DOWN / 100 for kind in ("", "d", "s", "l") for unit in ("vh", "vb", "vmin")}
UNITS |= {"cqw": ACROSS / 100, "cqi": ACROSS / 100, "cqh": DOWN / 100, "cqb": DOWN / 100}
UNITS |= {"%": 10}  # of a box of 1000
LENGTH = re.compile(r"(-?\d*\.?\d+(?:e[+-]?\d+)?)\s*([a-z]+|%)?")
OF_SCREEN = re.compile(r"\d(?:[dsl]?v[wihbm]|cq)")
ANGLES = {"deg": math.pi / 180, "grad": math.pi / 200, "rad": 1.0, "turn": 2 * math.pi}
PLACED = frozenset(("absolute", "fixed", "relative", "sticky"))

Style = dict[str, str]


def pixels(value: str | None, em: float = 16.0) -> float | None:
    """The first length of a value in pixels, roughly; None where there is none."""
    match = LENGTH.search(value or "")
    if match is None:
        return None
    unit = match.group(2) or "px"
    return float(match.group(1)) * (em if unit == "em" else UNITS.get(unit, 1))


def is_off_screen(style: Style) -> bool:
    """Whether a text is moved out of the window.

    Downwards that is so only where it does not move with the page.
    """
    if abs(pixels(style.get("text-indent")) or 0) >= FAR:
        return True
    right, down = shift(style)
    right += pixels(style.get("margin-left")) or 0
    down += pixels(style.get("margin-top")) or 0
    fixed = style.get("position") == "fixed"
    if style.get("position") in PLACED:
        right += from_side(style, "left", "right", True)
        down += from_side(style, "top", "bottom", fixed)
    moves = f"{style.get('translate')} {style.get('transform')} "
    width = ACROSS if OF_SCREEN.search(f"{moves} {style.get('left')} {style.get('margin-left')}") else WIDE
    height = DOWN if OF_SCREEN.search(f"{moves} {style.get('top')} {style.get('margin-top')}") else WIDE
    return right < -FAR or down < -FAR or right >= width or (fixed and down >= height)


def from_side(style: Style, near: str, far: str, leaves: bool) -> float:
    """How far an element is from the side where a page begins; `leaves` if the window ends on that side."""
    value = pixels(style.get(near))
    if value is not None:
        return value
    value = pixels(style.get(far)) or 0.0
    size = (ACROSS if far == "right" else DOWN) if OF_SCREEN.search(style.get(far, "")) else WIDE
    return -math.inf if value <= -FAR or (leaves and value >= size) else 0.0


def functions(transform: str) -> Iterator[tuple[str, list[str]]]:
    """The functions of a value with what stands in their brackets."""
    plain = re.sub(r"calc\(([^()]*)\)", r"\1", transform)
    for name, inside in re.findall(r"([a-z0-9]+)\(([^()]*)\)", plain):
        yield name, [part.strip() for part in inside.split(",")]


def shift(style: Style) -> tuple[float, float]:
    """How far an element is moved to the right and down by `transform` and `translate`."""
    right = down = 0.0
    own = style.get("translate", "").split()[:2] or ["0"]
    for name, parts in (("translate", own), *functions(style.get("transform", ""))):
        lengths = [pixels(part) or 0.0 for part in parts]
        if name in ("translate", "translatex", "translate3d"):
            right += lengths[0]
            down += sum(lengths[1:2])
        elif name == "translatey":
            down += lengths[0]
        elif name in ("matrix", "matrix3d"):
            at = 4 if name == "matrix" else 12
            right += sum(lengths[at : at + 1])
            down += sum(lengths[at + 1 : at + 2])
    return right, down


def shrink(style: Style) -> float:
    """How many times smaller letters become by `zoom`, `scale`, `rotate` and `transform`."""
    factor = abs(number(style.get("zoom")) or 1.0)  # none and 0 are as 1
    if "scale" in style:
        factor *= flattened("scale", style["scale"].split())
    factor *= flattened(*turned(style.get("rotate", "").split()))
    for name, parts in functions(style.get("transform", "")):
        factor *= flattened(name, parts)
    return factor


def turned(parts: list[str]) -> tuple[str, list[str]]:
    """The `rotate` property as a function."""
    if len(parts) == 2 and parts[0] in ("x", "y"):
        return f"rotate{parts[0]}", parts[1:]
    return ("rotate3d", parts) if len(parts) == 4 else ("rotate", [])


def flattened(name: str, parts: list[str]) -> float:
    """How flat a function of `transform` makes an element, from 1, as it was, to 0, nothing."""
    numbers = [number(part) for part in parts]
    if name.startswith("scale") and name != "scalez":
        return min((abs(n) for n in numbers[:2] if n is not None), default=1.0)
    if name in ("rotatex", "rotatey", "skewx", "skewy"):
        return abs(math.cos(angle(parts[0])))
    if name == "rotate3d" and len(parts) == 4 and not numbers[2] and (not numbers[0] or not numbers[1]):
        return abs(math.cos(angle(parts[3]))) if numbers[0] or numbers[1] else 1.0
    corners = {"matrix": (0, 1, 2, 3), "matrix3d": (0, 1, 4, 5)}.get(name, ())
    if corners and len(numbers) > corners[-1]:
        a, b, c, d = (numbers[i] or 0.0 for i in corners)
        return abs(a * d - b * c) / max(math.hypot(a, b), math.hypot(c, d), 1e-9)
    return 1.0


def number(value: str | None) -> float | None:
    """A number or a percentage; None where it is neither."""
    match = LENGTH.fullmatch((value or "").strip())
    return float(match.group(1)) / (100 if match.group(2) == "%" else 1) if match else None


def angle(value: str) -> float:
    """An angle in radians."""
    match = LENGTH.fullmatch(value.strip())
    turned_by = float(match.group(1)) * ANGLES.get(match.group(2) or "", 0.0) if match else 0.0
    return turned_by if math.isfinite(turned_by) else 0.0
