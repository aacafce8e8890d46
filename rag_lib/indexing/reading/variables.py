"""CSS's variables: what `var(--name)` stands for at each element of a page."""

from __future__ import annotations

import functools
import re

import numpy as np

from rag_lib.indexing.reading.elements import Elements

USED = re.compile(r"var\(\s*(--[^\s,()/;{}]+)", re.I)
CALL = re.compile(r"(?<![\w-])var\(", re.I)

# A value in parts: texts, and the names of variables with what stands for them where there are none
Template = list["str | tuple[str, Template | None]"]


@functools.lru_cache(1000)
def template(value: str) -> Template:
    """A value in parts."""
    parts: Template = []
    end = 0
    for call in CALL.finditer(value):
        if call.start() < end:
            continue  # in the brackets of the one before
        start, depth = call.end(), 1
        parts.append(value[end : call.start()])
        end = start
        while end < len(value) and depth:
            depth += {"(": 1, ")": -1}.get(value[end], 0)
            end += 1
        name, comma, instead = value[start : end - (not depth)].partition(",")
        parts.append((re.sub(r"/\*.*?\*/", "", name).strip(), template(instead) if comma else None))
    return [*parts, value[end:]]


class Variables:
    """The variables of a page, which elements hand down to those inside them.

    Args:
        elements: those of the page.
        held: for each name, the number of the declaration that holds for each element, or 0.
        values: the values of the declarations.
        initial: the values of variables where none is declared.
    """

    def __init__(
        self, elements: Elements, held: dict[str, np.ndarray], values: list[str], initial: dict[str, str]
    ) -> None:
        self._elements, self._held, self._values, self._initial = elements, held, values, initial
        self._sources: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, int], str | None] = {}

    def filled(self, value: str, place: int) -> str | None:
        """A value with its variables filled in at an element; None where one of them has none."""
        return self._joined(template(value), place)

    def _joined(self, parts: Template, place: int) -> str | None:
        texts = []
        for part in parts:
            if isinstance(part, tuple):
                name, instead = part
                part = self._value(name, place)
                if part is None and instead is not None:
                    part = self._joined(instead, place)
                if part is None:
                    return None
            texts.append(part)
        text = "".join(texts)
        self._elements.spend(500 * len(texts) + len(text))
        return text

    def _value(self, name: str, place: int) -> str | None:
        source = int(self._source(name)[place])
        if source < 0:
            return self._initial.get(name)
        key = (name, source)
        if key not in self._known:
            self._known[key] = None  # one that needs itself has no value
            value = self._values[self._held[name][source]]
            if value.lower() != "initial":
                self._known[key] = self.filled(value, source)
        return self._known[key]

    def _source(self, name: str) -> np.ndarray:
        """The element that each element has a variable from, or -1."""
        if name not in self._sources:
            found = np.full(self._elements.size, -1, np.int32)
            held = self._held.get(name, np.zeros(0, np.int32))
            places = np.flatnonzero(held)
            ends = self._elements.end[places]
            self._elements.spend(20 * self._elements.size + int(np.sum(ends - places)) // 2 + 100 * len(places))
            for place, end in zip(places.tolist(), ends.tolist(), strict=True):
                if self._values[held[place]].lower() not in ("inherit", "unset", "revert", "revert-layer"):
                    found[place:end] = place  # those further in come later
            self._sources[name] = found
        return self._sources[name]
