"""The command line: `python -m rag_lib ask|index|evaluate|train`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from rag_lib.beir import METHODS
from rag_lib.museum import ARTICLES
from rag_lib.retrievers import PASSAGES, RETRIEVERS, check_query, make_retriever


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="python -m rag_lib", description="Retrieval-augmented generation on your machine"
    )
    commands = top.add_subparsers(dest="command", required=True)

    ask = commands.add_parser("ask", help="answer a question from documents")
    ask.add_argument("question", nargs="?", default="")
    ask.add_argument(
        "--documents", type=Path, default=ARTICLES, metavar="FOLDER", help="your own files (default: the museum)"
    )
    ask.add_argument(
        "--index", type=folder_name, metavar="FOLDER", help="an index made by `index`, instead of --documents"
    )
    ask.add_argument("--retriever", choices=RETRIEVERS, default="reranked", help="default: reranked")
    ask.add_argument(
        "--encoder",
        metavar="NAME",
        help="a Sentence Transformers model (default: the bundled one, for the museum the one trained on it)",
    )
    ask.add_argument("--generator", metavar="NAME", help="a sequence-to-sequence model (default: the bundled one)")
    ask.add_argument("-k", type=int, default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    ask.set_defaults(run=run_ask)

    index = commands.add_parser("index", help="build an index of documents and save it")
    index.add_argument("--documents", type=Path, default=ARTICLES, metavar="FOLDER")
    index.add_argument("--index", type=folder_name, required=True, metavar="FOLDER", help="where to save it")
    index.add_argument("--encoder", metavar="NAME")
    index.set_defaults(run=run_index)

    evaluate = commands.add_parser("evaluate", help="measure on a file of questions")
    kinds = evaluate.add_subparsers(dest="what", required=True)
    generation = kinds.add_parser("generation", help="answers from given passages: exact match and F1")
    generation.add_argument("file", type=Path, help="rows as in rajpurkar/squad, JSON lines, may be gzipped")
    generation.add_argument("--limit", type=int, metavar="N", help="only N rows, drawn with a fixed seed")
    generation.add_argument("--generator", metavar="NAME")
    generation.add_argument("--beams", type=int, default=1)
    generation.add_argument("--predictions", type=Path, metavar="FILE", help="write what was answered, as JSON lines")
    generation.set_defaults(run=run_evaluate_generation)

    retrieval = kinds.add_parser("retrieval", help="a judged collection in the layout of BEIR: nDCG, recall and MRR")
    retrieval.add_argument("folder", type=Path, help="corpus.jsonl, queries.jsonl and qrels/*.tsv or qrels.tsv")
    retrieval.add_argument("--retriever", choices=METHODS, default="bm25", help="default: bm25")
    retrieval.add_argument("--split", metavar="NAME", help="the file in qrels (default: test, or the only one)")
    retrieval.add_argument("--encoder", metavar="NAME")
    retrieval.add_argument("--figures", type=Path, metavar="FILE", help="write those of each query, as JSON lines")
    retrieval.set_defaults(run=run_evaluate_retrieval)

    museum = kinds.add_parser("museum", help="the museum's questions: the retrievers and the whole pipeline")
    museum.add_argument("--split", default="validation", help="train, validation (default) or test")
    museum.add_argument("--limit", type=int, metavar="N", help="only N questions, drawn with a fixed seed")
    museum.add_argument(
        "--retrievers", nargs="+", choices=RETRIEVERS, default=METHODS, help="default: " + " ".join(METHODS)
    )
    museum.add_argument("--encoder", metavar="NAME", default="museum-minilm", help="default: museum-minilm")
    museum.add_argument("--generator", metavar="NAME")
    museum.add_argument("-k", type=int, default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    museum.set_defaults(run=run_evaluate_museum)

    train = commands.add_parser("train", help="train a model")
    models = train.add_subparsers(dest="what", required=True)
    generator = models.add_parser(
        "generator", help="on your own questions and texts (--data), or the bundled generator stage by stage (--stage)"
    )
    what = generator.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, metavar="FOLDER", help=".jsonl files of question, context and answers")
    what.add_argument("--stage", choices=("read", "jobs", "museum"))
    generator.add_argument(
        "--start",
        "--weights",  # torchrun takes --start for an option of its own
        type=Path,
        dest="start",
        metavar="FOLDER",
        help="weights to start from (default: the bundled ones); under torchrun write --weights",
    )
    generator.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="checkpoints, log and weights; resumes"
    )
    generator.add_argument(
        "--examples", type=float, default=1.0, metavar="X", help="X times the recipe's examples (default: 1)"
    )
    generator.add_argument("--device", default="cpu", help="cpu or cuda")
    own = generator.add_argument_group("with --data")
    own.add_argument("--rank", type=int, metavar="R", help="of the difference that is trained; 0 trains all layers")
    own.add_argument("--rate", type=float, metavar="X", help="the highest learning rate")
    own.add_argument("--batch-size", type=int, metavar="B", help="examples in a batch, over all processes")
    generator.set_defaults(run=run_train_generator)

    retriever = models.add_parser("retriever", help="an encoder, on pairs of questions and passages")
    retriever.add_argument(
        "--data", type=Path, metavar="FOLDER", help="your own pairs, JSON lines (default: the museum's recipe)"
    )
    retriever.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="log and model; resumes")
    retriever.add_argument("--model", choices=("encoder", "dpr"), default="encoder", help="default: encoder")
    retriever.add_argument("--encoder", metavar="NAME", help="the encoder to start from (default: the bundled one)")
    for name, kind, text in (
        ("epochs", int, "times that every pair is seen"),
        ("batch-size", int, "passages in a batch"),
        ("rate", float, "learning rate"),
        ("warmup", float, "share of the steps over which the rate rises"),
        ("scale", float, "what scores are multiplied with, 1 / temperature"),
        ("late", float, "share of the loss on late interaction"),
        ("negatives", int, "hard negatives a passage"),
        ("rank", int, "of the difference that is trained; 0 trains all layers"),
        ("max-tokens", int, "tokens that are read of a text"),
        ("seed", int, "of the batches"),
    ):
        retriever.add_argument(f"--{name}", type=kind, metavar=kind.__name__.upper(), help=text)
    retriever.add_argument(
        "--measure",
        nargs="+",
        choices=("validation", "test", "squad"),
        default=[],
        help="the museum's encoder, on these",
    )
    retriever.add_argument("--device", default="cpu", help="cpu or cuda")
    retriever.set_defaults(run=run_train_retriever)
    return top


def folder_name(text: str) -> Path:
    """A folder by its name.

    Raises:
        argparse.ArgumentTypeError: there is no name, which would mean the folder one stands in.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder needs a name")
    return Path(text)


def run_ask(options: argparse.Namespace) -> None:
    """Prints an answer, its sources and the seconds it took."""
    question = check_query(options.question)
    started = time.perf_counter()
    from rag_lib.encoders import SentenceEncoder
    from rag_lib.generators import Decoding, Seq2SeqGenerator
    from rag_lib.models import MUSEUM_ENCODER
    from rag_lib.pipeline import RAG
    from rag_lib.store import load, open_folder

    museum = options.documents == ARTICLES and not options.index
    encoder = SentenceEncoder(options.encoder or (MUSEUM_ENCODER if museum else None))
    if options.index:
        knowledge, skipped = load(options.index, encoder), []
    else:
        knowledge, skipped = open_folder(options.documents, encoder, progress=True)
    report(skipped)
    rag = RAG(
        knowledge,
        make_retriever(options.retriever, knowledge, encoder),
        Seq2SeqGenerator.load(options.generator, Decoding(half=None)),
        options.k,
    )
    loaded = time.perf_counter()
    answer = rag.ask(question)
    print(f"Question: {answer.question}")
    if answer.text:
        print(f"Answer:   {answer.text}")
    elif answer.guess:
        print(f"Answer:   I found no answer in the documents. (My guess, not to be relied on: {answer.guess})")
    else:
        print("Answer:   I found no passage to answer from.")
    if answer.guess:
        print(f"Score:    {answer.score:.2f} (answers are given from {rag.threshold:.2f} on)")
    for citation in answer.citations:
        p = citation.passage
        print(f"Source:   {p.title} ({p.document_id}, characters {citation.start} to {citation.end})")
        print(f'          "{citation.sentence}"')
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in answer.seconds.items())
    print(
        f"Time:     {sum(answer.seconds.values()):.2f} s ({seconds}), after {loaded - started:.1f} s to load the models"
    )


def report(skipped) -> None:
    """Says which files were left out."""
    for file in skipped[:10]:
        print(f"left out: {file.path}: {file.reason}", file=sys.stderr)
    if len(skipped) > 10:
        print(f"left out: {len(skipped) - 10} more files", file=sys.stderr)


def run_index(options: argparse.Namespace) -> None:
    """Builds and saves an index."""
    from rag_lib.documents import folder_digest, load_documents
    from rag_lib.encoders import SentenceEncoder
    from rag_lib.knowledge_base import build
    from rag_lib.store import check_ours, save

    check_ours(options.index)  # before the work
    collection = load_documents(options.documents)
    report(collection.skipped)
    encoder = SentenceEncoder(options.encoder)
    knowledge = build(collection.documents, encoder, source=folder_digest(options.documents), progress=True)
    save(knowledge, options.index)
    print(f"{len(collection.documents)} documents, {len(knowledge)} passages: saved in {options.index}")


def run_evaluate_generation(options: argparse.Namespace) -> None:
    """Prints exact match and F1 with their intervals."""
    from rag_lib.evaluation import answer_rows, bootstrap, exact_match, f1, score_answers
    from rag_lib.generators import Decoding, Seq2SeqGenerator
    from rag_lib.public_data import read_rows

    rows = read_rows(options.file, options.limit)
    generator = Seq2SeqGenerator.load(options.generator, Decoding(beams=options.beams))
    started = time.perf_counter()
    predictions = answer_rows(generator, rows)
    seconds = time.perf_counter() - started
    gold = [row["answers"]["text"] for row in rows]
    print(f"exact match     {bootstrap(score_answers(predictions, gold, exact_match))}")
    print(f"F1              {bootstrap(score_answers(predictions, gold, f1))}")
    print(f"answers per s   {len(rows) / seconds:.1f}")
    if options.predictions:
        with open(options.predictions, "w", encoding="utf-8") as file:
            for row, prediction in zip(rows, predictions, strict=True):
                file.write(json.dumps({"id": row.get("id"), "prediction": prediction}, ensure_ascii=False) + "\n")


def run_evaluate_retrieval(options: argparse.Namespace) -> None:
    """Prints nDCG@10, recall@100 and MRR@10 with their intervals."""
    from rag_lib.beir import evaluate, read_collection
    from rag_lib.evaluation import bootstrap

    collection = read_collection(options.folder, options.split)
    encoder = None
    if options.retriever != "bm25":
        from rag_lib.encoders import SentenceEncoder

        encoder = SentenceEncoder(options.encoder)
    figures, notes = evaluate(collection, options.retriever, encoder)
    print(f"{len(collection.documents)} documents, {len(figures)} queries")
    if collection.left_out:
        print(f"{collection.left_out} queries left out: no document is judged relevant")
    for note in notes:
        print(note)
    for metric in next(iter(figures.values())):
        print(f"{metric:12} {bootstrap([row[metric] for row in figures.values()])}")
    if options.figures:
        with open(options.figures, "w", encoding="utf-8") as file:
            for query, row in figures.items():
                file.write(json.dumps({"query": query} | row, ensure_ascii=False) + "\n")


def run_evaluate_museum(options: argparse.Namespace) -> None:
    """Prints how well the museum's questions are answered."""
    import random

    from rag_lib.encoders import SentenceEncoder
    from rag_lib.generators import Seq2SeqGenerator
    from rag_lib.museum import load_dialogues, load_questions
    from rag_lib.museum_evaluation import (
        ask_all,
        evaluate_abstention,
        evaluate_answers,
        evaluate_retriever,
        evaluate_rewriting,
        evaluate_summaries,
        gold_passages,
        read,
    )
    from rag_lib.pipeline import RAG
    from rag_lib.store import open_folder

    def line(name: str, figures: dict) -> None:
        print(f"{name:15}", *(f"{metric} {value}" for metric, value in figures.items()), sep="  ", flush=True)

    asked = load_questions(options.split)
    questions, nowhere = [q for q in asked if q.answers], [q for q in asked if not q.answers]
    if options.limit and options.limit < len(questions):
        questions = random.Random(0).sample(questions, options.limit)
    encoder = SentenceEncoder(options.encoder)
    knowledge, _ = open_folder(ARTICLES, encoder, progress=True)
    generator = Seq2SeqGenerator.load(options.generator)
    gold = gold_passages(questions, knowledge)
    for name in options.retrievers:
        line(name, evaluate_retriever(questions, gold, make_retriever(name, knowledge, encoder)))

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
    line("conversations", evaluate_rewriting(load_dialogues(options.split), knowledge, hybrid, generator))
    line("summaries", evaluate_summaries(options.split, generator))


def run_train_generator(options: argparse.Namespace) -> None:
    """Trains on a user's own triples, or a stage of the bundled generator."""
    from rag_lib.training.processes import joined
    from rag_lib.training.recipes import train_own, train_stage

    rates = {"encoder_rate": options.rate, "decoder_rate": options.rate}
    given = {"rank": options.rank, "batch_size": options.batch_size, **rates}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.stage and changes:
        raise ValueError("--rank, --rate and --batch-size go with --data; a stage has its own")
    with joined(options.device) as device:
        if options.data:
            train_own(options.data, options.output, options.start, options.examples, device, **changes)
        else:
            train_stage(options.stage, options.output, options.start, options.examples, device)


def run_train_retriever(options: argparse.Namespace) -> None:
    """Trains an encoder, or a process's share of it under torchrun."""
    from dataclasses import fields, replace

    from rag_lib.training.processes import is_first, joined
    from rag_lib.training.retriever import Settings
    from rag_lib.training.retriever_recipes import DPR, OWN, measure, train_dpr, train_museum, train_on_pairs

    given = {f.name: value for f in fields(Settings) if (value := getattr(options, f.name, None)) is not None}
    with joined(options.device) as device:
        if options.data is None:
            if given or options.encoder or options.model == "dpr":
                raise ValueError("without --data it is the museum's recipe, which has its own settings")
            train_museum(options.output, device)
            if options.measure:
                measure(options.output, options.measure)
        elif options.model == "dpr":
            train_dpr(options.data, options.output, replace(DPR, **given), device)
        else:
            train_on_pairs(options.data, options.output, replace(OWN, **given), options.encoder, device)
        if is_first():
            print(f"model: {options.output}")


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 0 when it went well, 1 with one clear line when it did not."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        options.run(options)
    except (ValueError, RuntimeError, OSError) as error:
        if os.environ.get("RAG_DEBUG"):
            raise
        print(
            f"error: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
