"""Which declarations of style hold for each element of a page: the part of CSS's cascade that can hide a text.

The page's own `<style>` and `style="…"` are read; style sheets in other files are not there. A page whose styles take
too many steps, or are nested too deeply, is not read at all: a rule that was left out could be the one that hides a
text, or the one that shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import tinycss2
from selectolax.lexbor import LexborHTMLParser

from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.elements import Elements
from rag_lib.indexing.reading.selectors import Outer, selected
from rag_lib.indexing.reading.variables import USED, Variables

# What can hide a text, and what is read with it.
PROPERTIES = frozenset(
    """display visibility opacity content-visibility position left right top bottom text-indent margin-left margin-top
    clip clip-path width height max-width max-height overflow overflow-x overflow-y transform scale translate rotate
    zoom filter font font-size letter-spacing color -webkit-text-fill-color -webkit-text-stroke text-shadow
    background-color background-image background-clip mask mask-image mask-size white-space""".split()
)
# Names of the same property on a page that is written from left to right
SAME = {f"{name}-inline-start": side for name, side in (("inset", "left"), ("margin", "margin-left"))}
SAME |= {f"{name}-block-start": side for name, side in (("inset", "top"), ("margin", "margin-top"))}
SAME |= {"inset-inline-end": "right", "inset-block-end": "bottom"}
SAME |= {f"-webkit-{name}": name for name in "background-clip clip-path filter mask mask-image mask-size".split()}
SAME |= {"-webkit-transform": "transform"}
SIDES = {"inset": ("top", "right", "bottom", "left"), "margin": ("margin-top", "", "", "margin-left")}
SAME_AS_ABSENT = frozenset(("inherit", "unset", "revert", "revert-layer"))
SHEET = 500_000  # the most characters of style that are read

# Which of two declarations holds: important, of the element itself, specificity, place
Priority = tuple[bool, bool, tuple[int, int, int], int]
Declared = list[tuple[str, str, bool]]  # name, value, importance


def declared_in(items: list) -> Declared:
    """The declarations among the contents of a rule that matter here."""
    return [
        (name, value, item.important)
        for item in items
        if item.type == "declaration"
        for name, value in longhands(item.name, tinycss2.serialize(item.value).strip())
    ]


def longhands(name: str, value: str) -> Iterator[tuple[str, str]]:
    """A declaration as those of the properties that it sets."""
    if name.startswith("--"):
        yield name, value
        return
    name = SAME.get(name.lower(), name.lower())
    if name in PROPERTIES:
        yield name, value
    elif name == "background":
        yield from ((f"background-{part}", value) for part in ("color", "image", "clip"))
    elif name in SIDES:
        parts = re.findall(r"(?:[^\s()]|\((?:[^()]|\([^()]*\))*\))+", value) or [""]
        top, right = parts[0], parts[min(1, len(parts) - 1)]
        four = (top, right, parts[2] if len(parts) > 2 else top, parts[3] if len(parts) > 3 else right)
        yield from ((side, part) for side, part in zip(SIDES[name], four, strict=True) if side)


def contents(tokens) -> list:
    """What stands in a rule."""
    return tinycss2.parse_blocks_contents(tokens, skip_comments=True, skip_whitespace=True)


def holds(rule) -> bool:
    """Whether a group of rules holds on a wide screen."""
    if not rule.content or rule.lower_at_keyword not in ("media", "supports", "layer"):
        return False
    return not re.search(r"print|speech|max-|not |dark", tinycss2.serialize(rule.prelude).lower())


class Cascade:
    """The declarations of a page's styles, with the elements that each is meant for.

    Args:
        elements: those of the page.
        used: the names of the variables that are used; others do not matter.
    """

    def __init__(self, elements: Elements, used: frozenset[str]) -> None:
        self.elements, self.used = elements, used
        self.initial: dict[str, str] = {}  # values of variables where none is declared
        self._found: list[tuple[Priority, np.ndarray, str, str]] = []

    def add_rules(self, rules: list, outer: Outer | None = None) -> None:
        """Adds the rules of a sheet, or of those nested in a rule (`outer`)."""
        for rule in rules:
            if rule.type == "at-rule" and holds(rule):
                inside = contents(rule.content)
                if outer is not None:
                    self.add(np.flatnonzero(outer.elements), declared_in(inside), outer.specificity)
                self.add_rules(inside, outer)
            elif rule.type == "at-rule" and rule.lower_at_keyword == "property" and rule.content:
                name = tinycss2.serialize(rule.prelude).strip()
                for item in contents(rule.content):
                    if item.type == "declaration" and item.lower_name == "initial-value":
                        self.initial[name] = tinycss2.serialize(item.value).strip()
            elif rule.type == "qualified-rule":
                self._add_rule(rule, outer)

    def _add_rule(self, rule, outer: Outer | None) -> None:
        found = list(selected(self.elements, rule.prelude, outer))
        if not found:
            return
        inside = contents(rule.content)
        declared = declared_in(inside)
        for elements, specificity in found:
            self.add(np.flatnonzero(elements), declared, specificity)
        if any(item.type in ("qualified-rule", "at-rule") for item in inside):
            together = np.logical_or.reduce([elements for elements, _ in found])
            self.add_rules(inside, Outer(together, max(specificity for _, specificity in found)))

    def add(self, places, declared: Declared, specificity: tuple[int, int, int], own: bool = False) -> None:
        """Adds declarations for the elements at some places; `own` are those of the element itself."""
        for name, value, important in declared:
            if not name.startswith("--") or name in self.used:
                self.elements.spend(5 * len(places) + 1000)
                self._found.append(((important, own, specificity, len(self._found)), places, name, value))

    def add_attributes(self) -> None:
        """Adds what elements say of themselves."""
        attributes = self.elements.attributes
        for attribute, name in (("color", "color"), ("bgcolor", "background-color")):
            for value, places in attributes[attribute].items():
                self.add(places, [(name, value, False)] if value else [], (-1, 0, 0))
        for value, places in attributes["style"].items():
            self.add(places, declared_in(contents(value)), (0, 0, 0), own=True)

    def styles(self) -> dict[int, dict[str, str]]:
        """The properties of each element, by its `mem_id`."""
        held: dict[str, np.ndarray] = {}  # for each property, the number of the declaration that holds, from 1
        self._found.sort(key=lambda found: found[0])
        values = ["", *(value for *_, value in self._found)]
        for number, (_, places, name, _) in enumerate(self._found, 1):
            if name not in held:
                self.elements.spend(20 * self.elements.size)
                held[name] = np.zeros(self.elements.size, np.int32)
            held[name][places] = number
        variables = Variables(self.elements, held, values, self.initial)
        found: dict[int, dict[str, str]] = {}
        for name in held.keys() & PROPERTIES:
            places = np.flatnonzero(held[name])
            self.elements.spend(50 * len(places))
            for place, number in zip(places.tolist(), held[name][places].tolist(), strict=True):
                value = values[number]
                if "var(" in value.lower():
                    value = variables.filled(value, place)
                if value is not None and (value := value.strip().lower()) not in SAME_AS_ABSENT:
                    found.setdefault(self.elements.ids[place], {})[name] = value
        return found


def page_styles(page: LexborHTMLParser) -> dict[int, dict[str, str]]:
    """The properties of a page's elements that can hide a text, by the elements' `mem_id`.

    Raises:
        Unreadable: that takes too many steps, or the styles are nested too deeply.
    """
    sheet = "\n".join(style.text() for style in page.css("style"))[:SHEET]
    elements = Elements(page)
    own = elements.attributes["style"]
    cascade = Cascade(elements, frozenset(name for text in (sheet, *own) for name in USED.findall(text)))
    try:
        cascade.add_attributes()
        cascade.add_rules(tinycss2.parse_rule_list(sheet, skip_comments=True, skip_whitespace=True))
        return cascade.styles()
    except RecursionError:
        raise Unreadable("its styles are nested too deeply") from None
    except ValueError as error:  # Python reads no number of more than 4300 digits
        raise (error if isinstance(error, Unreadable) else Unreadable("its styles cannot be read")) from None
