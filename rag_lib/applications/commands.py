"""The command `summarize`."""

from __future__ import annotations

import argparse
import textwrap

from rag_lib.applications import summarization
from rag_lib.applications.grounding import Claim
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding
from rag_lib.indexing.encoders import SentenceEncoder


def summarize(options: argparse.Namespace) -> None:
    """Prints a summary, and for each sentence where the text says so."""
    document = summarization.read_document(options.file)
    method = options.method or ("retrieve" if options.generator else "sentences")
    generator = make_generator(options.generator, Decoding(half=None)) if method in summarization.WRITING else None
    encoder = SentenceEncoder(options.encoder)
    summary = summarization.summarize(document, encoder, generator, options.question, method)
    print(f"{document.title} ({len(document.text.split()):,} words)\n")
    print(textwrap.fill(summary.text, 100) or "Nothing of what was written is supported by the text.")
    for claim in summary.claims:
        if claim.evidence != claim.sentence:
            print(f"\nSource:   “{claim.evidence}”")
    for claim in summary.left_out:
        print(f"\nLeft out: {described(claim)}")


def described(claim: Claim) -> str:
    """A sentence that was left out, and why."""
    return f"{claim.sentence} ({'; '.join(claim.faults)})"
