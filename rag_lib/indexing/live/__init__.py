"""A collection that is changed while it is read.

Documents come in one by one, to be added, replaced or removed; snapshots go out, each a knowledge base that never
changes. What was acknowledged survives a kill at any moment.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "change_log": "ChangeLog",
        "entries": "Entry content_hash",
        "versions": "Snapshot",
        "access": "readable",
        "collection": "Change LiveCollection",
    },
)
