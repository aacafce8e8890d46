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
    """Prints exact match and F1 with their intervals.

    As in SQuAD 2, silence is right where a row has no answer. Only with such rows is the generator's threshold kept.
    """
    rows = read_rows(options.file, options.limit)
    generator = make_generator(options.generator, Decoding(beams=options.beams))
    gold = [row.texts for row in rows]
    threshold = 0.0 if all(gold) else generator.threshold
    started = time.perf_counter()
    predictions = answer_rows(generator, rows, threshold=threshold)
    seconds = time.perf_counter() - started
    parts = {"": range(len(rows))}
    if not all(gold):
        print(f"rows without an answer: silence is right; an answer with a score below {threshold:.2f} is kept back")
        parts |= {
            wanted: [i for i in parts[""] if bool(gold[i]) == (wanted == "answer")] for wanted in ("answer", "none")
        }
    for name, metric in (("exact match", exact_match), ("F1", f1)):
        scores = score_answers(predictions, gold, metric)
        for wanted, part in parts.items():
            if len(part):
                print(
                    f"{name:15} {bootstrap([scores[i] for i in part])}" + (f" of those with {wanted}" if wanted else "")
                )
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
    if collection.missing:
        print(f"{collection.missing} documents that are judged relevant are not in corpus.jsonl: they count as missed")
    for note in notes:
        print(note)
    for metric in next(iter(figures.values())):
        print(f"{metric:12} {bootstrap([row[metric] for row in figures.values()])}")
    if options.figures:
        write_json_lines(options.figures, ({"query": query} | row for query, row in figures.items()))
