"""The commands `evaluate generation` and `evaluate retrieval`."""

from __future__ import annotations

import argparse
import time

from rag_lib.evaluation.answers import exact_match, f1, score_answers
from rag_lib.evaluation.beir import collection_retriever, evaluate, read_collection
from rag_lib.evaluation.squad import answer_rows, read_rows
from rag_lib.evaluation.statistics import bootstrap
from rag_lib.files import write_json_lines
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding


def generation(options: argparse.Namespace) -> None:
    """Prints exact match and F1 with their intervals."""
    rows = read_rows(options.file, options.limit)
    generator = make_generator(options.generator, Decoding(beams=options.beams))
    started = time.perf_counter()
    predictions = answer_rows(generator, rows)
    seconds = time.perf_counter() - started
    gold = [row.texts for row in rows]
    print(f"exact match     {bootstrap(score_answers(predictions, gold, exact_match))}")
    print(f"F1              {bootstrap(score_answers(predictions, gold, f1))}")
    print(f"answers per s   {len(rows) / seconds:.1f}")
    if options.predictions:
        written = zip(rows, predictions, strict=True)
        write_json_lines(options.predictions, ({"id": row.id, "prediction": text} for row, text in written))


def retrieval(options: argparse.Namespace) -> None:
    """Prints nDCG@10, recall@100 and MRR@10 with their intervals."""
    collection = read_collection(options.folder, options.split)
    encoder = None
    if options.retriever != "bm25":
        from rag_lib.indexing.encoders import SentenceEncoder

        encoder = SentenceEncoder(options.encoder)
    retriever, notes = collection_retriever(collection, options.retriever, encoder)
    figures = evaluate(collection, retriever)
    print(f"{len(collection.documents)} documents, {len(figures)} queries")
    if collection.left_out:
        print(f"{collection.left_out} queries left out: no document is judged relevant")
    for note in notes:
        print(note)
    for metric in next(iter(figures.values())):
        print(f"{metric:12} {bootstrap([row[metric] for row in figures.values()])}")
    if options.figures:
        write_json_lines(options.figures, ({"query": query} | row for query, row in figures.items()))
