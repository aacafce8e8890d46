"""Which elements of a page a selector of CSS means, while nobody does anything with the page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tinycss2
import tinycss2.nth

from rag_lib.indexing.reading.elements import Elements, Set

Specificity = tuple[int, int, int]  # ids, classes, types: the more, the sooner a selector's declarations hold

# What holds only while somebody does something, or in a window of its own
NEVER = frozenset(
    """hover focus focus-within focus-visible active target target-within visited popover-open modal fullscreen
    -webkit-full-screen picture-in-picture user-valid user-invalid autofill -webkit-autofill playing seeking buffering
    stalled current past future""".split()
)
FIELDS = ":is(input, select, textarea, button, option, optgroup, fieldset)"
# What attributes say of a state, in selectors of attributes
STATES = {
    "root": "html",
    "scope": "html",
    "defined": "*",  # scripts define what is not
    "link": ":is(a, area)[href]",
    "any-link": ":is(a, area)[href]",
    "checked": ":is([type=checkbox], [type=radio])[checked], option[selected]",
    "disabled": f"{FIELDS}[disabled]",
    "enabled": f"{FIELDS}:not([disabled])",
    "required": ":is(input, select, textarea)[required]",
    "optional": ":is(input, select, textarea):not([required])",
    "read-write": ":is(input, textarea):not([readonly], [disabled]), [contenteditable]",
    "read-only": ":not(:is(input, textarea):not([readonly], [disabled]), [contenteditable])",
    "placeholder-shown": ":is(input, textarea:empty)[placeholder]:not([value])",
    "invalid": "input[required]:not([value], [checked])",
    "valid": ":is(input, select, textarea, form, fieldset):not(:invalid, :has(:invalid))",
    "open": ":is(details, dialog)[open]",
    "muted": ":is(audio, video)[muted]",
}
LISTS = frozenset(("is", "where", "matches", "-webkit-any", "-moz-any"))
TESTS: dict[str, Callable[[str, str], bool]] = {
    "=": str.__eq__,
    "~=": lambda value, part: part in value.split(),
    "|=": lambda value, part: value == part or value.startswith(part + "-"),
    "^=": lambda value, part: bool(part) and value.startswith(part),
    "$=": lambda value, part: bool(part) and value.endswith(part),
    "*=": lambda value, part: bool(part) and part in value,
}


class Unknown(ValueError):
    """A selector means no element, or is not understood."""


class Outer(NamedTuple):
    """The rule that another is nested in: its elements, and the highest specificity of its selectors."""

    elements: Set
    specificity: Specificity


def selected(elements: Elements, prelude: list, outer: Outer | None) -> Iterator[tuple[Set, Specificity]]:
    """The elements of each selector in a rule's list, with its specificity; what is not understood means none."""
    for tokens in split(prelude):
        if outer is not None and ("&" not in tinycss2.serialize(tokens) or begins_with_step(tokens)):
            tokens = [*tinycss2.parse_component_value_list("& "), *tokens]
        try:
            found = matched(elements, tokens, outer)
        except Unknown:
            continue
        if found.any():
            yield found, specificity(tokens, outer)


def split(tokens: list) -> list[list]:
    """The parts between commas, without what means nothing at their ends."""
    parts: list[list] = [[]]
    for token in tokens:
        if token == ",":
            parts.append([])
        elif token.type != "comment" and (parts[-1] or token.type != "whitespace"):
            parts[-1].append(token)
    for part in parts:
        while part and part[-1].type == "whitespace":
            part.pop()
    return [part for part in parts if part]


def begins_with_step(tokens: list) -> bool:
    """Whether a selector begins with a combinator."""
    return tokens[0] in (">", "+", "~")


def steps_of(tokens: list) -> list[tuple[str, list]]:
    """A selector as pairs of a combinator and what stands after it."""
    found: list[tuple[str, list]] = []
    step, compound = "", []
    for token in tokens:
        if token.type != "whitespace" and token not in (">", "+", "~"):
            compound.append(token)
            continue
        if compound:
            found.append((step, compound))
            step, compound = " ", []
        if token.type != "whitespace":
            if step not in ("", " "):
                raise Unknown
            step = token.value
    if not compound:
        raise Unknown
    return [*found, (step, compound)]


def matched(elements: Elements, tokens: list, outer: Outer | None) -> Set:
    """The elements that one selector means.

    Raises:
        Unknown: it is not understood.
    """
    found: Set | None = None
    for step, compound in steps_of(tokens):
        if (found is None) != (step == ""):
            raise Unknown
        here = compounded(elements, compound, outer)
        found = here if found is None else here & elements.reached(step, found)
        if not found.any():
            break
    return found


def containing(elements: Elements, tokens: list, outer: Outer | None) -> Set:
    """The elements for which `:has` holds."""
    found = np.ones(elements.size, bool)
    for step, compound in reversed(steps_of(tokens)):
        found = elements.leading(step or " ", found & compounded(elements, compound, outer))
    return found


def compounded(elements: Elements, tokens: list, outer: Outer | None) -> Set:
    """The elements for which everything holds that is written without a space."""
    elements.spend(elements.size)
    found = np.ones(elements.size, bool)
    rest = iter(tokens)
    for token in rest:
        after = next(rest, None) if token in (".", ":") else None
        found = found & simple(elements, token, after, outer)
        if not found.any():
            break
    return found


def simple(elements: Elements, token, after, outer: Outer | None) -> Set:
    """The elements for which a name, a class, an id, an attribute or a state holds."""
    if token == "*":
        return np.ones(elements.size, bool)
    if token == "&":
        return outer.elements if outer is not None else elements.set_of(elements.tags.get("html"))
    if token.type == "ident":
        return elements.set_of(elements.tags.get(token.lower_value))
    if token.type == "hash":
        return elements.named("id", token.value)
    if token.type == "[] block":
        return with_attribute(elements, token.content)
    if token == "." and after is not None and after.type == "ident":
        return elements.named("class", after.value)
    if token == ":" and after is not None and after.type == "ident":
        return in_state(elements, after.lower_value)
    if token == ":" and after is not None and after.type == "function":
        return in_list(elements, after.lower_name, after.arguments, outer)
    raise Unknown


def with_attribute(elements: Elements, content: list) -> Set:
    """The elements with an attribute, or with a value of it."""
    name, *rest = [token for token in content if token.type not in ("whitespace", "comment")] or [None]
    if name is None or name.type != "ident":
        raise Unknown
    values = elements.attributes.get(name.lower_value, {})
    elements.spend(30 * len(values))
    if not rest:
        return elements.set_of([i for places in values.values() for i in places])
    if len(rest) not in (2, 3) or rest[0].type != "literal" or rest[1].type not in ("ident", "string"):
        raise Unknown
    test, wanted = TESTS.get(rest[0].value), rest[1].value
    if test is None:
        raise Unknown
    if name.lower_value == "type" or (len(rest) == 3 and rest[2] == "i"):
        return elements.set_of([i for v, places in values.items() if test(v.lower(), wanted.lower()) for i in places])
    return elements.set_of([i for value, places in values.items() if test(value, wanted) for i in places])


def in_state(elements: Elements, name: str) -> Set:
    """The elements in a state, as long as nobody does anything."""
    if name in NEVER:
        return np.zeros(elements.size, bool)
    if name in STATES:
        return any_of(elements, read(STATES[name]), None)
    elements.spend(elements.size + 2000)
    for end, place, count in (
        ("child", elements.places, elements.brothers),
        ("of-type", elements.places_of_type, elements.brothers_of_type),
    ):
        if name == f"first-{end}":
            return place == 1
        if name == f"last-{end}":
            return place == count
        if name == f"only-{end}":
            return count == 1
    if name == "empty":
        return ~elements.filled
    raise Unknown


def in_list(elements: Elements, name: str, arguments: list, outer: Outer | None) -> Set:
    """The elements for which a state with selectors or numbers in brackets holds."""
    if name in LISTS:
        return any_of(elements, arguments, outer)
    if name == "not":
        return ~any_of(elements, arguments, outer, strict=True)
    if name == "has":
        found = np.zeros(elements.size, bool)
        for tokens in split(arguments):
            found |= containing(elements, tokens, outer)
        return found
    return numbered(elements, name, arguments)


def any_of(elements: Elements, arguments: list, outer: Outer | None, strict: bool = False) -> Set:
    """The elements that one of some selectors means; a strict list must be understood as a whole."""
    found = np.zeros(elements.size, bool)
    for tokens in split(arguments):
        try:
            found |= matched(elements, tokens, outer)
        except Unknown:
            if strict:
                raise
    return found


def numbered(elements: Elements, name: str, arguments: list) -> Set:
    """The elements at some places among their brothers."""
    place, count = elements.places, elements.brothers
    if name.endswith("of-type"):
        place, count = elements.places_of_type, elements.brothers_of_type
    if name in ("nth-last-child", "nth-last-of-type"):
        place = count - place + 1
    elif name not in ("nth-child", "nth-of-type"):
        raise Unknown
    formula = tinycss2.nth.parse_nth(arguments)
    if formula is None:
        raise Unknown
    elements.spend(3 * elements.size + 2000)
    each, first = (max(-(10**9), min(10**9, number)) for number in formula)
    return place == first if each == 0 else ((place - first) % each == 0) & ((place - first) // each >= 0)


@functools.cache
def read(selectors: str) -> list:
    """A text as tokens of CSS."""
    return tinycss2.parse_component_value_list(selectors)


def specificity(tokens: list, outer: Outer | None = None) -> Specificity:
    """Ids, classes and types in a selector."""
    counts = [(0, 0, 0)]
    before = None
    for token in tokens:
        if token.type == "hash":
            counts.append((1, 0, 0))
        elif token.type == "ident":
            counts.append((0, 1, 0) if before in (".", ":") else (0, 0, 1))
        elif token == "&" and outer is not None:
            counts.append(outer.specificity)
        elif token.type == "function" and token.lower_name in LISTS | {"not", "has"}:
            inner = [specificity(part, outer) for part in split(token.arguments)]
            counts.append(max(inner, default=(0, 0, 0)) if token.lower_name != "where" else (0, 0, 0))
        elif token.type in ("[] block", "function"):
            counts.append((0, 1, 0))
        before = token
    return tuple(map(sum, zip(*counts, strict=True)))
