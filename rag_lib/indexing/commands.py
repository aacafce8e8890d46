"""The command `index`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rag_lib.indexing.documents import Skipped, folder_digest, load_documents
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.knowledge_base import build
from rag_lib.indexing.store import check_ours, save


def report(skipped: Sequence[Skipped]) -> None:
    """Says which files were left out, and which were read although something about them is doubtful."""
    for said, files in (
        ("left out", [f for f in skipped if not f.read]),
        ("read, but", [f for f in skipped if f.read]),
    ):
        for file in files[:10]:
            print(f"{said}: {file.path}: {file.reason}", file=sys.stderr)
        if len(files) > 10:
            print(f"{said}: {len(files) - 10} more files", file=sys.stderr)


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
    encoder = make_encoder(options.encoder)
    collection = load_documents(options.documents)
    report(collection.skipped)
    source = folder_digest(options.documents)
    knowledge = build(collection.documents, encoder, source=source, skipped=collection.skipped, progress=True)
    report_cut(knowledge.cut)
    save(knowledge, options.index)
    print(f"{len(collection.documents)} documents, {len(knowledge)} passages: saved in {options.index}")
