"""Which declarations of style hold for each element of a page: the part of CSS's cascade that can hide a text.

The page's own `<style>` and `style="…"` are read; style sheets in other files are not there.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator

import tinycss2
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

# What can hide a text, and what is read with it.
PROPERTIES = frozenset(
    """display visibility opacity content-visibility position left right top bottom text-indent margin-left margin-top
    clip clip-path width height max-width max-height overflow overflow-x overflow-y transform scale filter font
    font-size color background background-color background-image white-space""".split()
)
# Selectors that hold only while somebody does something, or for what is no element.
MOMENTARY = re.compile(r"::|:(?:hover|focus|active|target|checked|before|after|first-l|visited|link)")
SHEET = 500_000  # the most characters of style that are read

# Declarations of one property: the one with the highest priority holds.
Priority = tuple[bool, bool, tuple[int, int, int], int]  # important, of the element itself, specificity, place
Declared = dict[str, tuple[Priority, str]]


def declarations(tokens) -> Iterator[tuple[str, str, bool]]:
    """Name, value and importance of each declaration that matters here."""
    for found in tinycss2.parse_blocks_contents(tokens, skip_comments=True, skip_whitespace=True):
        if found.type == "declaration" and found.lower_name in PROPERTIES:
            yield found.lower_name, tinycss2.serialize(found.value).strip().lower(), found.important


def rules_of(sheet) -> Iterator:
    """The rules of a style sheet that hold on a wide screen."""
    for rule in tinycss2.parse_rule_list(sheet, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            yield rule
        elif rule.type == "at-rule" and rule.content and rule.lower_at_keyword in ("media", "supports", "layer"):
            condition = tinycss2.serialize(rule.prelude).lower()
            if not re.search(r"print|speech|max-|not |dark", condition):
                yield from rules_of(rule.content)


def specificity(selector: str) -> tuple[int, int, int]:
    """Ids, classes and types in a selector; the more, the sooner its declarations hold."""
    classes = len(re.findall(r"[.\[]|(?<!:):(?!not|is|where)", selector))
    return selector.count("#"), classes, len(re.findall(r"(?:^|[\s>+~(])[a-z]", selector.lower()))


def page_styles(page: LexborHTMLParser) -> dict[int, Declared]:
    """The declarations of the page's style sheets, by the elements' ids (`mem_id`)."""
    styles: dict[int, Declared] = defaultdict(dict)
    sheet = "\n".join(style.text() for style in page.css("style"))[:SHEET]
    places = itertools.count()
    for rule in rules_of(sheet):
        found = list(declarations(rule.content))
        for selector in tinycss2.serialize(rule.prelude).split(",") if found else ():
            place = next(places)
            for element in selected(page, selector.strip()):
                for name, value, important in found:
                    declare(styles[element.mem_id], name, value, (important, False, specificity(selector), place))
    return styles


def selected(page: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """The elements that a selector means; none where it is not understood."""
    if not selector or MOMENTARY.search(selector):
        return []
    try:
        return page.css(selector)
    except SelectolaxError:
        return []


def declare(declared: Declared, name: str, value: str, priority: Priority) -> None:
    """Keeps a declaration unless one of higher priority is there."""
    if name not in declared or declared[name][0] <= priority:
        declared[name] = (priority, value)


def style_of(element: LexborNode, styles: dict[int, Declared]) -> dict[str, str]:
    """The declarations that hold for an element: of the page, of its `style`, and of its attributes for colours."""
    declared = dict(styles.get(element.mem_id, {}))
    attributes = element.attributes
    if own := attributes.get("style"):
        for name, value, important in declarations(own):
            declare(declared, name, value, (important, True, (0, 0, 0), 0))
    style = {name: value for name, (_, value) in declared.items()}
    for attribute, name in (("color", "color"), ("bgcolor", "background-color")):
        if attributes.get(attribute):
            style.setdefault(name, attributes[attribute].lower())
    return style
