"""The elements of a page as arrays, so that a set of them (an array of booleans) is found in one step.

However a selector is written, each of its parts costs one pass over the page; nothing is tried again and again.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from selectolax.lexbor import LexborHTMLParser

from rag_lib.indexing.reading.base import Unreadable

# The most steps (elements looked at) that a page's styles may take, 2 seconds or so; honest pages take a hundredth.
STEPS = 500_000_000

Set = np.ndarray  # of booleans, one for each element in the page's order


class Elements:
    """The elements of a page in its order, their names, attributes and relations, and the steps taken so far."""

    def __init__(self, page: LexborHTMLParser) -> None:
        nodes = page.css("*")
        self.ids = [node.mem_id for node in nodes]
        self.size, self.steps = len(nodes), 0
        self.tags: dict[str, list[int]] = defaultdict(list)
        self.attributes: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        place = {id_: i for i, id_ in enumerate(self.ids)}
        parents, groups = [], []
        for i, node in enumerate(nodes):
            self.tags[node.tag.lower()].append(i)
            for name, value in node.attributes.items():
                self.attributes[name.lower()][value or ""].append(i)
            parents.append(place.get(node.parent.mem_id, -1) if node.parent is not None else -1)
            groups.append(f"{parents[-1]} {node.tag}")
        self.filled = np.array([node.first_child is not None for node in nodes], bool)
        self.names = {"class": words(self.attributes["class"]), "id": self.attributes["id"]}
        self.old = page.root is not None and page.root.prev is None  # no doctype: the case of names does not count
        if self.old:
            self.names = {kind: small(places) for kind, places in self.names.items()}
        self.parent = np.array(parents, np.int64)
        self.end = ends(parents)  # of what is inside each element
        self.order = np.argsort(self.parent, kind="stable")  # brothers side by side
        self.places, self.brothers = places(self.parent)
        self.places_of_type, self.brothers_of_type = places(np.unique(groups, return_inverse=True)[1])

    def spend(self, steps: int) -> None:
        """Counts steps.

        Raises:
            Unreadable: they were too many. What is hidden is not known then, and neither what is shown.
        """
        self.steps += steps
        if self.steps > STEPS:
            raise Unreadable("its styles take too long to work out")

    def set_of(self, places: list[int] | None) -> Set:
        """A set of elements by their places."""
        self.spend(self.size + 2000 if places else 200)
        found = np.zeros(self.size, bool)
        found[places or []] = True
        return found

    def named(self, kind: str, name: str) -> Set:
        """The elements with a class or an id."""
        return self.set_of(self.names[kind].get(name.lower() if self.old else name))

    def reached(self, step: str, start: Set) -> Set:
        """The elements that a combinator of CSS leads to from some others."""
        self.spend(4 * self.size + 2000)
        if step == ">":
            return start[self.parent] & (self.parent >= 0)
        if step == " ":
            return self._between(np.flatnonzero(start))
        before = self._before(start)
        if step == "~":
            return before > 0
        return self._neighbours(start, 1)

    def leading(self, step: str, goal: Set) -> Set:
        """The elements from which a combinator of CSS leads to some others."""
        self.spend(4 * self.size + 2000)
        if step == " ":
            count = np.concatenate(([0], np.cumsum(goal)))
            return count[self.end] > count[1:]
        if step == ">":
            found = np.zeros(self.size, bool)
            parents = self.parent[goal]
            found[parents[parents >= 0]] = True
            return found
        if step == "+":
            return self._neighbours(goal, -1)
        last = self.order[np.flatnonzero(self.places[self.order] == self.brothers[self.order])]
        through = self._before(goal) + goal
        total = np.zeros(self.size + 1, np.int64)
        total[self.parent[last]] = through[last]  # the root's is kept at the end
        return total[self.parent] > through

    def _between(self, starts: np.ndarray) -> Set:
        opened = np.bincount(starts + 1, minlength=self.size + 1)
        closed = np.bincount(self.end[starts], minlength=self.size + 1)
        return np.cumsum(opened - closed)[: self.size] > 0

    def _before(self, start: Set) -> np.ndarray:
        """How many brothers before each element are in a set."""
        running = np.cumsum(start[self.order])
        first = np.arange(self.size) - self.places[self.order] + 1
        found = np.empty(self.size, np.int64)
        found[self.order] = running - start[self.order] - (running - start[self.order])[first]
        return found

    def _neighbours(self, some: Set, step: int) -> Set:
        """The brothers next to some elements: after them (1) or before them (-1)."""
        place = np.empty(self.size, np.int64)
        place[self.order] = np.arange(self.size)
        at = place - step
        inside = (at >= 0) & (at < self.size)
        other = self.order[np.where(inside, at, 0)]
        return inside & (self.parent[other] == self.parent) & some[other]


def words(values: dict[str, list[int]]) -> dict[str, list[int]]:
    """Places by each word of an attribute's values."""
    found: dict[str, list[int]] = defaultdict(list)
    for value, places in values.items():
        for word in set(value.split()):
            found[word] += places
    return found


def small(names: dict[str, list[int]]) -> dict[str, list[int]]:
    """Places by names in small letters."""
    found: dict[str, list[int]] = defaultdict(list)
    for name, places in names.items():
        found[name.lower()] += places
    return found


def ends(parents: list[int]) -> np.ndarray:
    """The place after the last element inside each."""
    found = list(range(1, len(parents) + 1))
    for i in range(len(parents) - 1, 0, -1):
        if parents[i] >= 0:
            found[parents[i]] = max(found[parents[i]], found[i])
    return np.array(found, np.int64)


def places(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each element in its group, from 1, and the group's size."""
    order = np.argsort(groups, kind="stable")
    _, first, count = np.unique(groups[order], return_index=True, return_counts=True)
    place, size = np.empty(len(groups), np.int64), np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.repeat(first, count) + 1
    size[order] = np.repeat(count, count)
    return place, size
