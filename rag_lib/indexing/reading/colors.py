"""Colours of CSS, also the newer ways to write them, as red, green, blue and opacity between 0 and 1."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import tinycss2
from tinycss2 import color5

Color = tuple[float, float, float, float]
WHITE, BLACK = (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0)
SYSTEM = {"canvas": WHITE, "canvastext": BLACK, "field": WHITE, "fieldtext": BLACK}
# From CIE's XYZ, by the white that it is measured with, to red, green and blue light
TO_LIGHT = {
    "xyz-d65": ((3.2410, -1.5374, -0.4986), (-0.9692, 1.8760, 0.0416), (0.0556, -0.2040, 1.0570)),
    "xyz-d50": ((3.1339, -1.6169, -0.4906), (-0.9788, 1.9161, 0.0335), (0.0719, -0.2290, 1.4052)),
}
XYZ = {"oklab": "xyz-d65", "oklch": "xyz-d65", "lab": "xyz-d50", "lch": "xyz-d50", "xyz-d65": "xyz-d65"}
XYZ |= {"xyz-d50": "xyz-d50"}
NEAR = frozenset(("display-p3", "a98-rgb", "prophoto-rgb", "rec2020"))  # the same greys, and other colours nearly


def color_of(token) -> Color | str | None:
    """A token as a colour; "currentcolor" for the letters' own one, None for what is none or is not understood."""
    if token.type == "ident" and token.lower_value in SYSTEM:
        return SYSTEM[token.lower_value]
    if token.type == "function" and token.lower_name == "color-mix":
        return mixed(token.arguments)
    try:
        color = color5.parse_color(token)
        return color if color is None or isinstance(color, str) else shown(color)
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError):  # tinycss2 stumbles over `color()`
        return None


def shown(color: color5.Color) -> Color | None:
    """A colour of some colour space as a screen shows it."""
    space = color.space
    if space in XYZ:
        xyz = color.to(XYZ[space])[:3]
        light = [sum(a * b for a, b in zip(row, xyz, strict=True)) for row in TO_LIGHT[XYZ[space]]]
    elif space == "srgb-linear":
        light = [part or 0 for part in color.coordinates]
    elif space in NEAR:
        return (*map(bounded, color.coordinates), color.alpha)
    elif space in ("srgb", "hsl", "hwb"):
        return (*map(bounded, color.to("srgb").coordinates), color.alpha)
    else:
        return None
    return (
        *(bounded(1.055 * part ** (1 / 2.4) - 0.055 if part > 0.0031 else 12.92 * part) for part in light),
        color.alpha,
    )


def bounded(part: float | None) -> float:
    """A part of a colour, not more than there can be."""
    return min(1.0, max(0.0, part or 0.0))


def mixed(arguments: list) -> Color | None:
    """What `color-mix` gives, mixed as light is, in whatever space it is asked for."""
    parts = [list(part) for comma, part in itertools.groupby(arguments, lambda token: token == ",") if not comma]
    colors, shares = [], []
    for part in parts[1:]:
        tokens = [token for token in part if token.type not in ("whitespace", "comment")]
        share = next((token.value / 100 for token in tokens if token.type == "percentage"), None)
        color = next((color_of(token) for token in tokens if token.type != "percentage"), None)
        if not isinstance(color, tuple):
            return None
        colors.append(color)
        shares.append(share)
    if len(colors) != 2:
        return None
    first = shares[0] if shares[0] is not None else 0.5 if shares[1] is None else 1 - shares[1]
    second = shares[1] if shares[1] is not None else 1 - first
    if first + second <= 0:
        return None
    (one, a), (two, b) = (
        (color, share * color[3] / (first + second)) for color, share in zip(colors, (first, second), strict=True)
    )
    opacity = (a + b) * min(1.0, first + second)
    if a + b <= 0:
        return (*one[:3], 0.0)
    return (*(bounded((x * a + y * b) / (a + b)) for x, y in zip(one[:3], two[:3], strict=True)), bounded(opacity))


def tokens_of(value: str) -> list:
    """A value's tokens, without space and comments."""
    tokens = tinycss2.parse_component_value_list(value, skip_comments=True)
    return [token for token in tokens if token.type != "whitespace"]


def colors_in(tokens: list) -> Iterator[Color]:
    """Every colour in a value, also inside gradients."""
    for token in tokens:
        color = color_of(token)
        if isinstance(color, tuple):
            yield color
        elif token.type == "function":
            yield from colors_in(token.arguments)


def alike(one: Color, other: Color) -> bool:
    """Whether an eye cannot tell two colours apart."""
    return all(abs(a - b) < 0.06 for a, b in zip(one[:3], other[:3], strict=True))
