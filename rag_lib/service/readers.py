"""Who asks: the owner, who may see and change everything, or a reader with the rights of some groups.

A request shows a token; a file says which groups it stands for. Documents name the groups that may read them (see
`indexing.live.access`), and what a reader may not see is taken out before anything is searched, counted or remembered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_lib.indexing.documents import Document
from rag_lib.indexing.live.access import may_read, readable
from rag_lib.indexing.live.versions import Snapshot

Groups = frozenset[str]


@dataclass(frozen=True)
class Reader:
    """Who asks.

    Attributes:
        groups: what they belong to, none for the public; None for the owner, who may see and change everything.
    """

    groups: Groups | None

    @property
    def is_owner(self) -> bool:
        """Whether they may see and change everything."""
        return self.groups is None

    def view(self, snapshot: Snapshot) -> Snapshot:
        """What they see of a collection, as if there were nothing else."""
        return snapshot if self.groups is None else readable(snapshot, self.groups)

    def sees(self, document: Document) -> bool:
        """Whether they may read a document."""
        return self.groups is None or may_read(document, self.groups)


OWNER = Reader(None)


class Readers:
    """The readers by their tokens, of which only SHA-256 is kept.

    To look a digest up takes no longer for a token that is nearly right, so that nobody can feel their way to one.

    Args:
        token: the owner's; empty where no token is needed, and whoever may ask is the owner.
        groups: of every other token.
    """

    def __init__(self, token: str, groups: Mapping[str, Groups]) -> None:
        self.needed = bool(token)
        self.known = {digest(other): Reader(of) for other, of in groups.items()} | {digest(token): OWNER}

    def of(self, token: str) -> Reader | None:
        """Who shows this token; None where nobody has it."""
        return self.known.get(digest(token)) if self.needed else OWNER


def digest(token: str) -> bytes:
    """SHA-256 of a token."""
    return hashlib.sha256(token.encode()).digest()


def read_readers(path: Path) -> dict[str, Groups]:
    """The groups of each token, from a file of JSON: {"a token": ["staff", "board"], "another": []}.

    Raises:
        OSError: it cannot be read.
        ValueError: it says something else; the message holds no token.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from error
    if not isinstance(found, dict) or not all(is_list_of_groups(groups) for groups in found.values()):
        raise ValueError(f'{path} must hold lists of groups by token: {{"a token": ["staff"], "another": []}}')
    return {token: frozenset(groups) for token, groups in found.items()}


def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON whose names differ.

    Raises:
        ValueError: two are the same, and one would be ignored.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a token of a reader stands there twice")
    return made


def is_list_of_groups(value: object) -> bool:
    """Whether a value is a list of groups' names, which hold no comma and no space around them."""
    return isinstance(value, list) and all(
        isinstance(name, str) and name and "," not in name and name == name.strip() for name in value
    )
