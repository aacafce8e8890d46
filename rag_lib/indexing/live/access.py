"""Who may read what, decided before anything is searched (taught in notebooks/14_deployment.ipynb).

To search everything and to strike out what a reader may not see is not enough: too few hits are left, and what was
struck out still shows in the others. BM25 counts it in the number of passages, in their lengths and in how many have a
term; a fusion stretches the scores to it; a question about a word that only it has is looked up. So what a reader may
see is made a knowledge base of its own, and every retriever is exact on it, as if there were nothing else. This is the
remedy for leaks between tenants in OWASP's LLM08:2025, "Vector and Embedding Weaknesses".
"""

from __future__ import annotations

from collections.abc import Iterable

from rag_lib.hits import check_texts
from rag_lib.indexing.documents import Document
from rag_lib.indexing.live.versions import Snapshot, next_snapshot

RULE = "access"  # the field of a document's metadata that names the groups which may read it, with commas between


def groups_of(document: Document) -> frozenset[str] | None:
    """The groups that may read a document; None for everybody. A rule that names no group lets nobody read it."""
    rules = [value for name, value in document.metadata.items() if name.strip().lower() == RULE]
    if not rules:
        return None
    return frozenset.intersection(*(frozenset(filter(None, map(str.strip, rule.split(",")))) for rule in rules))


def may_read(document: Document, groups: Iterable[str]) -> bool:
    """Whether a reader who belongs to these groups may read a document."""
    rule = groups_of(document)
    return rule is None or not rule.isdisjoint(groups)


def readable(snapshot: Snapshot, groups: Iterable[str]) -> Snapshot:
    """What a reader who belongs to these groups may see of a snapshot; nothing of the rest is in it or shows in it.

    The first reader of a version with the same rights pays for making it, which encodes nothing; it is kept with the
    snapshot, and copies the vectors that it has.

    Raises:
        TypeError: the groups are one text, or no texts.
    """
    rules = {i: rule for i, e in snapshot.entries.items() if (rule := groups_of(e.document)) is not None}
    rights = frozenset(check_texts(groups)) & frozenset().union(*rules.values())
    if all(rule & rights for rule in rules.values()):
        return snapshot
    if rights not in snapshot.views:
        seen = [e for i, e in snapshot.entries.items() if i not in rules or rules[i] & rights]
        snapshot.views[rights] = next_snapshot(snapshot.version, seen, snapshot.knowledge)
    return snapshot.views[rights]
