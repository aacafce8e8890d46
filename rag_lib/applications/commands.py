"""The commands `chat` and `summarize`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator

from rag_lib.applications import summarization
from rag_lib.applications.dialogue import Conversation, Reply, UnreadableTurn
from rag_lib.applications.grounding import Claim
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding
from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.encoders import make_encoder
from rag_lib.pipeline.commands import opened
from rag_lib.retrieval.base import QuestionTooLong, check_query
from rag_lib.text import shown


def chat(options: argparse.Namespace) -> None:
    """Talks until the input ends: turns from the terminal, or one per line."""
    conversation = Conversation(*opened(options))
    for turn in turns():
        try:
            for piece in conversation.stream(turn):
                print(sources(piece) if isinstance(piece, Reply) else piece, end="", flush=True)
        except (UnreadableTurn, QuestionTooLong) as error:
            print(error, end="")
        print("\n", flush=True)


def turns() -> Iterator[str]:
    """What is typed at the terminal after a prompt, or the lines of standard input, shown as they are read.

    Each ends with the prompt of the reply; an interruption leaves the terminal on a new line.
    """
    typed = sys.stdin.isatty()
    if typed:
        print("Ask about the collection. Ctrl-D ends the conversation.\n")
    try:
        while True:
            print("You:   ", end="", flush=True)
            line = sys.stdin.buffer.readline()
            if not line:
                break
            turn = line.decode(errors="replace").strip()
            print("" if typed else shown(turn) + "\n", end="Guide: ", flush=True)
            yield turn
    except KeyboardInterrupt:
        print()
        raise
    print()


def sources(reply: Reply) -> str:
    """What stands below a reply: how the turn was understood, what was left out, and the sources."""
    lines = [f"understood as: {reply.question}"] if reply.question not in ("", reply.turn) else []
    lines += [f"left out: {described(claim)}" for claim in reply.left_out]
    for number, cited in enumerate(reply.citations, start=1):
        said = "" if cited.sentence in reply.text else f": “{cited.sentence}”"
        lines.append(f"[{number}] {cited.passage.title} ({cited.passage.document_id}){said}")
    return "".join(f"\n       {line}" for line in lines)


def summarize(options: argparse.Namespace) -> None:
    """Prints a summary, and for each sentence where the text says so.

    Raises:
        ValueError: an option would be ignored, or the file cannot be read.
    """
    method = options.method or ("retrieve" if options.generator else "sentences")
    if options.generator and method in summarization.COPYING:
        raise ValueError(f"the method {method} copies sentences and needs no generator: leave --generator out")
    question = "" if options.question is None else check_query(options.question)
    document = summarization.read_document(options.file)
    generator = make_generator(options.generator, Decoding(half=None)) if method in summarization.WRITING else None
    encoder = make_encoder(options.encoder)
    ranker = SentenceRanker.load(half=None) if question and method == "sentences" else None
    summary = summarization.summarize(document, encoder, generator, question, method, ranker=ranker)
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
