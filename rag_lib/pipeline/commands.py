"""The command `ask`."""

from __future__ import annotations

import argparse
import sys
import time

from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.commands import report, report_cut
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.remembering import RememberingEncoder
from rag_lib.indexing.store import load, open_folder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.pipeline.rag import RAG, Answer, Citation
from rag_lib.retrieval.base import check_query
from rag_lib.retrieval.catalogue import check_retriever, make_retriever
from rag_lib.text import shown


def told(answer: Answer, threshold: float) -> list[str]:
    """An answer as a guide would give it: the answer, the sentence it stands in, and where that is to be found."""
    lines = [f"Question: {answer.question}"]
    if answer.text:
        lines.append(f"Answer:   {shown(answer.text, None)} ({answer.score:.0%} sure)")
    elif answer.guess:
        lines.append("Answer:   The documents do not say, as far as I can tell.")
        sure = f"{answer.score:.0%} sure; answers are given from {threshold:.0%} on"
        lines.append(f"Nearest:  {shown(answer.guess, None)} ({sure})")
    else:
        lines.append("Answer:   I found no passage to answer from.")
    for citation in answer.citations or ([answer.nearest] if answer.nearest else []):
        lines += stands(citation, answer.text or answer.guess)
    for citation in answer.disagreeing:
        lines += [f"Another passage says otherwise: {shown(citation.words, None)}", *stands(citation, citation.words)]
    return lines


def stands(citation: Citation, said: str) -> list[str]:
    """The sentence of a citation, unless that is all that was said, and where it is to be found."""
    passage = citation.passage
    sentence = [] if citation.sentence == said else [f'Sentence: "{shown(citation.sentence, None)}"']
    place = f"{passage.document_id}, characters {citation.start} to {citation.end} of the text as read"
    return [*sentence, f"Source:   {passage.title} ({place})"]


def opened(options: argparse.Namespace) -> tuple[RAG, Encoder]:
    """The pipeline that a command's options name, and its encoder."""
    museum = options.documents == ARTICLES and not options.index
    encoder = RememberingEncoder(make_encoder(options.encoder or (MUSEUM_ENCODER if museum else None)))
    # What may be missing comes first, and what takes long comes last: embedding the texts.
    knowledge = load(options.index, encoder) if options.index else None
    check_retriever(options.retriever)
    generator = make_generator(options.generator, Decoding(half=None))
    if knowledge is None:
        knowledge = open_folder(options.documents, encoder, progress=True)
    report(knowledge.skipped)
    report_cut(knowledge.cut)
    retriever = make_retriever(options.retriever, knowledge, encoder, half=None)
    return RAG(knowledge, retriever, generator, options.k), encoder


def ask(options: argparse.Namespace) -> None:
    """Prints an answer, its sources and the seconds it took."""
    question = check_query(options.question)
    started = time.perf_counter()
    rag, _ = opened(options)
    loaded = time.perf_counter()
    answer = rag.ask(question)
    print("\n".join(told(answer, rag.threshold)))
    if answer.cut:
        read = f"{answer.cut} of the {len(answer.hits)} passages"
        print(f"cut: {read} are longer than the generator reads; their ends were not read", file=sys.stderr)
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in answer.seconds.items())
    print(
        f"Time:     {sum(answer.seconds.values()):.2f} s ({seconds}), after {loaded - started:.1f} s to load the models"
    )
