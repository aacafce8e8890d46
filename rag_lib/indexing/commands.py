"""The command `index`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rag_lib.indexing.documents import Skipped, folder_digest, load_documents
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import build
from rag_lib.indexing.store import check_ours, save


def report(skipped: Sequence[Skipped]) -> None:
    """Says which files were left out."""
    for file in skipped[:10]:
        print(f"left out: {file.path}: {file.reason}", file=sys.stderr)
    if len(skipped) > 10:
        print(f"left out: {len(skipped) - 10} more files", file=sys.stderr)


def report_cut(count: int) -> None:
    """Says of how many passages an end is not read."""
    if count:
        print(
            f"cut: of {count} passages the title, or a word, is longer than a model reads; the end is left out",
            file=sys.stderr,
        )


def index(options: argparse.Namespace) -> None:
    """Builds and saves an index."""
    check_ours(options.index)  # before the work
    encoder = SentenceEncoder(options.encoder)
    collection = load_documents(options.documents)
    report(collection.skipped)
    source = folder_digest(options.documents)
    knowledge = build(collection.documents, encoder, source=source, skipped=collection.skipped, progress=True)
    report_cut(knowledge.cut)
    save(knowledge, options.index)
    print(f"{len(collection.documents)} documents, {len(knowledge)} passages: saved in {options.index}")
