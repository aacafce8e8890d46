"""The commands `recommend`, `evaluate museum` and `evaluate open-domain`, and the museum's share of `train`."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

from rag_lib.applications.open_domain import Results
from rag_lib.applications.recommendation import ShopAssistant
from rag_lib.applications.shop import Visitor
from rag_lib.applications.wishes import OPEN_AGE, Wish, parse_wish
from rag_lib.evaluation.statistics import bootstrap
from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import make_generator
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.remembering import RememberingEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.museum.collection import (
    load_dialogues,
    load_products,
    load_questions,
    load_visitor_questions,
    load_visitors,
)
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
from rag_lib.museum.open_collections import ask, museum, squad
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever
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
    encoder, generator = make_encoder(options.encoder), make_generator(options.generator)
    knowledge = open_folder(ARTICLES, encoder, progress=True)
    gold = gold_passages(questions, knowledge)
    for name in options.retrievers:
        retriever = SearchedOnce(make_retriever(name, knowledge, encoder))
        line(name, evaluate_retriever(questions, gold, retriever))
        best = fitted_temperature(questions, gold, retriever)
        print(f"{'':15}  temperature {retriever.temperature} (these questions fit {best:.2g})")

    hybrid, default = (make_retriever(name, knowledge, encoder) for name in ("hybrid", DEFAULT))
    line("gold", evaluate_answers(questions, read(questions, [sorted(ids) for ids in gold], knowledge, generator)))
    rag = RAG(knowledge, default, generator, options.k)
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
    line(f"  {DEFAULT}", evaluate_retriever(visitors, visitors_gold, default))
    line("conversations", evaluate_rewriting(load_dialogues(options.split), knowledge, hybrid, generator))
    line("summaries", evaluate_summaries(options.split, generator))


def open_domain(options: argparse.Namespace) -> None:
    """Asks every question of each part and writes what came of it, a file a part."""
    encoder, generator = RememberingEncoder(make_encoder(options.encoder), None), make_generator(options.generator)
    options.output.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        limit = options.limit
        collection = squad(encoder, limit) if part == "squad" else museum(part, encoder, limit, options.styles)
        retriever = make_retriever(options.retriever, collection.knowledge, encoder)
        outcomes = ask(collection, RAG(collection.knowledge, retriever, generator, options.k, 0.0), encoder)
        system = options.retriever, options.encoder, options.generator, generator.threshold, options.k
        Results(*system, tuple(outcomes)).save(path := options.output / f"{part}.jsonl")
        told = bootstrap([o.told for o in outcomes if o.answerable])
        print(f"{part:12} {len(outcomes)} questions; guess or sentence right, sure or not: {told}; {path}")


def named_visitor(name: str, visitors: Sequence[Visitor]) -> Visitor:
    """The visitor of the shop with this id.

    Raises:
        ValueError: there is none.
    """
    for visitor in visitors:
        if visitor.id == name:
            return visitor
    raise ValueError(f"no visitor is called {name!r}; there are {visitors[0].id} to {visitors[-1].id}")


def recommend(options: argparse.Namespace) -> None:
    """Prints products of the museum's shop for a wish, a visitor, or both, and what was understood."""
    named = options.visitor is not None  # an empty name is none of theirs
    wish = Wish() if named and not options.wish.strip() else parse_wish(options.wish)
    visitors = load_visitors()
    visitor = named_visitor(options.visitor, visitors) if named else None
    generator = make_generator(options.generator) if options.generator else None
    assistant = ShopAssistant(load_products(), visitors, make_encoder(), generator, progress=True)
    found = assistant.recommend(wish, visitor, options.k)
    print(f"Understood: {assistant.understood(wish, visitor)}")
    if not assistant.related(wish).any():
        print(f"Note:       nothing in the shop is really about “{wish.about}”; these come nearest")
    if sold_out := assistant.sold_out(assistant.understood(wish, visitor)):
        print(f"Note:       sold out at present: {', '.join(product.title for product in sold_out)}")
    for place, hit in enumerate(found, start=1):
        product = hit.product
        ages = f"from {product.age_min}" if product.age_max >= OPEN_AGE else f"{product.age_min} to {product.age_max}"
        sold_out = "" if product.in_stock else ", sold out at present"
        print(f"{place}. {product.title} ({product.category}, €{product.price:.2f}, age {ages}{sold_out})")
        print(f"   {hit.reason}")


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


def train_sentence_ranker(options: argparse.Namespace) -> None:
    """Trains the difference that makes the chat model's lower layers a judge of sentences."""
    from rag_lib.museum import sentence_recipe

    if options.examples <= 0:
        raise ValueError(f"--examples must be above 0, not {options.examples}")
    with joined(options.device) as device:
        sentence_recipe.train_sentence_ranker(options.output, options.examples, device)


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
