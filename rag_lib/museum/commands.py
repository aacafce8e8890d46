"""The command `evaluate museum`, and the museum's share of `train`."""

from __future__ import annotations

import argparse
import random

from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import make_generator
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.museum.collection import load_dialogues, load_questions, load_visitor_questions
from rag_lib.museum.measure import (
    SearchedOnce,
    ask_all,
    evaluate_abstention,
    evaluate_answers,
    evaluate_retriever,
    evaluate_rewriting,
    evaluate_summaries,
    evaluate_visitors,
    fitted_temperature,
    gold_passages,
    read,
)
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.training.commands import generator_settings, retriever_settings
from rag_lib.training.processes import is_first, joined


def evaluate(options: argparse.Namespace) -> None:
    """Prints how well the museum's questions are answered."""

    def line(name: str, figures: dict) -> None:
        print(f"{name:15}", *(f"{metric} {value}" for metric, value in figures.items()), sep="  ", flush=True)

    asked = load_questions(options.split)
    questions, nowhere = [q for q in asked if q.evidence], [q for q in asked if not q.evidence]
    visitors = [q for q in load_visitor_questions(options.split) if q.evidence]
    if options.limit:
        questions, visitors = (random.Random(0).sample(q, min(options.limit, len(q))) for q in (questions, visitors))
    encoder, generator = SentenceEncoder(options.encoder), make_generator(options.generator)
    knowledge = open_folder(ARTICLES, encoder, progress=True)
    gold = gold_passages(questions, knowledge)
    for name in options.retrievers:
        retriever = SearchedOnce(make_retriever(name, knowledge, encoder))
        line(name, evaluate_retriever(questions, gold, retriever))
        best = fitted_temperature(questions, gold, retriever)
        print(f"{'':15}  temperature {retriever.temperature} (these questions fit {best:.2g})")

    hybrid, reranked = (make_retriever(name, knowledge, encoder) for name in ("hybrid", "reranked"))
    line("gold", evaluate_answers(questions, read(questions, [sorted(ids) for ids in gold], knowledge, generator)))
    rag = RAG(knowledge, reranked, generator, options.k)
    answered = ask_all(questions, rag)
    line(f"pipeline, k = {options.k}", evaluate_answers(questions, answered))
    abstention = evaluate_abstention(questions, answered, ask_all(nowhere, rag))
    print(f"{'answerable?':15}  AUROC {abstention.auroc}")
    print(
        f"{'':15}  at a threshold of {abstention.threshold:.3f} {abstention.coverage:.0%} of all questions are "
        f"answered, of them {abstention.risk:.0%} wrongly; the generator's threshold is {generator.threshold:.3f}"
    )
    line("visitors", evaluate_visitors(visitors, rag, encoder))
    visitors_gold = gold_passages(visitors, knowledge)
    line("  reranked", evaluate_retriever(visitors, visitors_gold, reranked))
    line("conversations", evaluate_rewriting(load_dialogues(options.split), knowledge, hybrid, generator))
    line("summaries", evaluate_summaries(options.split, generator))


def train_generator(options: argparse.Namespace) -> None:
    """Trains the museum's stage of the bundled generator."""
    from rag_lib.museum.generator_recipe import train_museum

    if generator_settings(options):
        raise ValueError("--rank, --rate and --batch-size go with --data; a stage has its own")
    with joined(options.device) as device:
        train_museum(options.output, options.start, options.examples, device)


def train_chat(options: argparse.Namespace) -> None:
    """Trains the difference to the bundled chat model."""
    from rag_lib.museum.chat_recipe import train_museum_chat

    with joined(options.device) as device:
        train_museum_chat(options.output, options.start, options.examples, device)


def train_retriever(options: argparse.Namespace) -> None:
    """Trains the museum's encoder, and measures it; or its DPR, or its cross-encoder."""
    from rag_lib.museum.ranker_recipe import train_cross_encoder, train_dpr
    from rag_lib.museum.retriever_recipe import measure, train_museum

    if retriever_settings(options) or options.encoder:
        raise ValueError("without --data it is the museum's recipe, which has its own settings")
    if options.model == "encoder" and options.examples is not None:
        raise ValueError("--examples goes with --model dpr or cross-encoder")
    if options.model != "encoder" and options.measure:
        raise ValueError("--measure goes with --model encoder; for the others there is `evaluate museum --retrievers`")
    share = 1.0 if options.examples is None else options.examples
    if share <= 0:
        raise ValueError(f"--examples must be above 0, not {share}")
    with joined(options.device) as device:
        if options.model == "dpr":
            train_dpr(options.output, share, device)
        elif options.model == "cross-encoder":
            train_cross_encoder(options.output, share, device)
        else:
            train_museum(options.output, device)
        if options.measure:
            measure(options.output, options.measure)
        if is_first():
            print(f"model: {options.output}")
