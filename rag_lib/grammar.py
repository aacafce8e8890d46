"""The grammar of the command line: its commands, their options, and where each one lives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import ASKED, GENERATORS
from rag_lib.options import (
    Parser,
    device,
    file,
    folder,
    model_name,
    new_file,
    new_folder,
    number,
    retriever_name,
    share,
    there,
    unused_file,
    whole,
)
from rag_lib.retrieval.base import PASSAGES
from rag_lib.retrieval.catalogue import DEFAULT, OTHERS, RETRIEVERS

COMPARED = ("bm25", "dense", "hybrid")
GENERATOR_HELP = f"{', '.join(GENERATORS)}, or a model of the hub: chat or sequence-to-sequence (default: {{}})"
RETRIEVER_HELP = f"{', '.join(RETRIEVERS)}, {OTHERS} (default: {{}})"


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = Parser(prog="python -m rag_lib", description="Retrieval-augmented generation on your machine")
    retriever_type = retriever_name(RETRIEVERS, OTHERS)
    commands = top.add_subparsers(dest="command", required=True)

    ask = commands.add_parser("ask", help="answer a question from documents")
    ask.add_argument("question", nargs="?", default="")
    add_ask_options(ask, retriever_type)
    ask.set_defaults(command="pipeline.commands:ask")

    chat = commands.add_parser("chat", help="talk about documents: turns from the terminal, or one per line")
    add_ask_options(chat, retriever_type)
    chat.set_defaults(command="applications.commands:chat")

    serve = commands.add_parser("serve", help="a web page and an HTTP interface on this machine")
    serve.add_argument(
        "--documents", type=folder, default=ARTICLES, metavar="FOLDER", help="your own files (default: the museum)"
    )
    serve.add_argument(
        "--index", type=new_folder, metavar="FOLDER", help="where changes are kept (default: in the cache folder)"
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; others need a token in RAG_TOKEN")
    serve.add_argument(
        "--readers", type=file("tokens"), metavar="FILE", help='who may read what: JSON, {"a token": ["a group"]}'
    )
    serve.add_argument("--port", type=whole(1, 65535), default=8000, help="default: 8000")
    serve.add_argument("--encoder", type=model_name, metavar="NAME")
    serve.add_argument("--generator", type=model_name, metavar="NAME", default=ASKED, help=GENERATOR_HELP.format(ASKED))
    serve.add_argument("--waiting", type=whole(1, 10_000), default=32, help="requests that may wait (default: 32)")
    serve.add_argument("--seconds", type=number(0, 3600), default=30.0, help="for a request at most (default: 30)")
    serve.add_argument("--kept", type=whole(0), default=1000, help="answers that are remembered (default: 1000)")
    serve.add_argument(
        "--feedback", type=new_file, default=Path("feedback.jsonl"), metavar="FILE", help="default: feedback.jsonl"
    )
    serve.add_argument("--log-texts", action="store_true", help="the log also holds questions and answers")
    serve.set_defaults(command=serve_page)

    recommend = commands.add_parser("recommend", help="products of the museum's shop for a wish in your words")
    recommend.add_argument("wish", nargs="?", default="", help="for whom, about what, up to which price")
    recommend.add_argument("--visitor", metavar="ID", help="whose purchases count too, such as v-001")
    recommend.add_argument("-k", type=whole(1), default=5, help="products to recommend (default: 5)")
    recommend.add_argument(
        "--generator",
        type=model_name,
        metavar="NAME",
        help="picks the reason's sentence (default: the encoder does)",
    )
    recommend.set_defaults(command="museum.commands:recommend")

    summarize = commands.add_parser("summarize", help="a text, page or PDF in a few sentences")
    summarize.add_argument("file", type=Path, metavar="FILE", help="a .txt, .md, .html or .pdf file")
    summarize.add_argument("--question", help="what the summary should be about (default: the whole text)")
    summarize.add_argument("--generator", type=model_name, metavar="NAME", help=GENERATOR_HELP.format("perigee"))
    summarize.add_argument(
        "--encoder", type=model_name, metavar="NAME", help="a Sentence Transformers model (default: the bundled one)"
    )
    summarize.add_argument(
        "--method",
        choices=("lead", "textrank", "sentences", "retrieve", "map-reduce", "refine"),
        help="copy sentences, or let the generator write (default: sentences; with --generator: retrieve)",
    )
    summarize.set_defaults(command="applications.commands:summarize")

    index = commands.add_parser("index", help="build an index of documents and save it")
    index.add_argument("--documents", type=folder, default=ARTICLES, metavar="FOLDER")
    index.add_argument("--index", type=new_folder, required=True, metavar="FOLDER", help="where to save it")
    index.add_argument("--encoder", type=model_name, metavar="NAME")
    index.set_defaults(command="indexing.commands:index")

    evaluate = commands.add_parser("evaluate", help="measure on a file of questions")
    kinds = evaluate.add_subparsers(dest="what", required=True)
    generation = kinds.add_parser("generation", help="answers from given passages: exact match and F1")
    generation.add_argument("file", type=file("rows"), help="rows as in rajpurkar/squad, JSON lines, may be gzipped")
    generation.add_argument("--limit", type=whole(1), metavar="N", help="only N rows, drawn with a fixed seed")
    generation.add_argument("--generator", type=model_name, metavar="NAME")
    generation.add_argument("--beams", type=whole(1, 64), default=1)
    generation.add_argument(
        "--predictions", type=unused_file, metavar="FILE", help="write what was answered, as JSON lines"
    )
    generation.set_defaults(command="evaluation.commands:generation")

    retrieval = kinds.add_parser("retrieval", help="a judged collection in the layout of BEIR: nDCG, recall and MRR")
    retrieval.add_argument("folder", type=folder, help="corpus.jsonl, queries.jsonl and qrels/*.tsv or qrels.tsv")
    retrieval.add_argument(
        "--retriever", type=retriever_type, default="bm25", metavar="NAME", help=RETRIEVER_HELP.format("bm25")
    )
    retrieval.add_argument("--split", metavar="NAME", help="the file in qrels (default: test, or the only one)")
    retrieval.add_argument("--encoder", type=model_name, metavar="NAME")
    retrieval.add_argument("--figures", type=unused_file, metavar="FILE", help="write each query's, as JSON lines")
    retrieval.set_defaults(command=evaluate_retrieval)

    service = kinds.add_parser("service", help="a running service, again and again: an alarm when its quality falls")
    service.add_argument(
        "file", type=file("rows"), help="rows as for `generation`, or the service's own feedback.jsonl"
    )
    service.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s; a token in RAG_TOKEN")
    service.add_argument(
        "--history", type=new_file, required=True, metavar="FILE", help="rounds are added; compared with its first"
    )
    service.set_defaults(command="service.commands:evaluate")

    museum = kinds.add_parser("museum", help="the museum's questions: the retrievers and the whole pipeline")
    museum.add_argument(
        "--split", default="validation", choices=("train", "validation", "test"), help="default: validation"
    )
    museum.add_argument("--limit", type=whole(1), metavar="N", help="only N questions, drawn with a fixed seed")
    museum.add_argument(
        "--retrievers",
        type=retriever_type,
        nargs="+",
        default=COMPARED,
        metavar="NAME",
        help=RETRIEVER_HELP.format(" ".join(COMPARED)),
    )
    museum.add_argument(
        "--encoder", type=model_name, metavar="NAME", default="museum-minilm", help="default: museum-minilm"
    )
    museum.add_argument("--generator", type=model_name, metavar="NAME")
    museum.add_argument("-k", type=whole(1), default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    museum.set_defaults(command="museum.commands:evaluate")

    open_domain = kinds.add_parser("open-domain", help="what came of every question, for the anatomy of chapter 10")
    open_domain.add_argument("--output", type=new_folder, required=True, metavar="FOLDER", help="a file for each part")
    parts = ("validation", "test", "squad")
    open_domain.add_argument("--parts", nargs="+", choices=parts, default=parts, help="default: all three")
    open_domain.add_argument(
        "--limit", type=whole(1), metavar="N", help="only N of each sort, drawn with a fixed seed (squad: 500)"
    )
    styles = ("questions", "visitor_questions")
    open_domain.add_argument(
        "--styles", nargs="+", choices=styles, default=styles, help="the museum's sorts of questions (default: both)"
    )
    open_domain.add_argument(
        "--retriever", type=retriever_type, default=DEFAULT, metavar="NAME", help=RETRIEVER_HELP.format(DEFAULT)
    )
    open_domain.add_argument("--encoder", type=model_name, metavar="NAME", default="museum-minilm")
    open_domain.add_argument(
        "--generator", type=model_name, metavar="NAME", default="perigee", help=GENERATOR_HELP.format("perigee")
    )
    open_domain.add_argument("-k", type=whole(1), default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    open_domain.set_defaults(command="museum.commands:open_domain")

    train = commands.add_parser("train", help="train a model")
    models = train.add_subparsers(dest="what", required=True)
    generator = models.add_parser(
        "generator", help="on your own questions and texts (--data), or the bundled generator stage by stage (--stage)"
    )
    what = generator.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=there, metavar="FOLDER", help=".jsonl files of question, context and answers")
    what.add_argument("--stage", choices=("read", "jobs", "reread", "museum"))
    add_run_options(generator)
    own = generator.add_argument_group("with --data")
    own.add_argument(
        "--rank", type=whole(0, 1024), metavar="R", help="of the difference that is trained; 0 trains all layers"
    )
    own.add_argument("--rate", type=number(0, 1), metavar="X", help="the highest learning rate")
    own.add_argument("--batch-size", type=whole(1, 4096), metavar="B", help="examples in a batch, over all processes")
    generator.set_defaults(command=train_generator)

    chat_model = models.add_parser(
        "chat", help="the difference to the bundled chat model, on public data and the museum's"
    )
    add_run_options(chat_model)
    chat_model.set_defaults(command="museum.commands:train_chat")

    sentences = models.add_parser(
        "sentence-ranker", help="what tells which sentence answers: the chat model's lower layers, with two heads"
    )
    sentences.add_argument("--output", type=new_folder, required=True, metavar="FOLDER", help="log and model; resumes")
    sentences.add_argument(
        "--examples", type=number(0, 1000), default=1.0, metavar="X", help="X times the recipe's steps"
    )
    sentences.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    sentences.set_defaults(command="museum.commands:train_sentence_ranker")

    retriever = models.add_parser("retriever", help="an encoder, on pairs of questions and passages")
    retriever.add_argument(
        "--data", type=there, metavar="FOLDER", help="your own pairs, JSON lines (default: the museum's recipe)"
    )
    retriever.add_argument("--output", type=new_folder, required=True, metavar="FOLDER", help="log and model; resumes")
    retriever.add_argument(
        "--model", choices=("encoder", "dpr", "cross-encoder"), default="encoder", help="default: encoder"
    )
    retriever.add_argument(
        "--encoder", type=model_name, metavar="NAME", help="the encoder to start from (default: the bundled one)"
    )
    for name, kind, mark, text in (
        ("epochs", whole(1, 1000), "INT", "times that every pair is seen"),
        ("batch-size", whole(2, 4096), "INT", "passages in a batch"),
        ("rate", number(0, 1), "FLOAT", "learning rate"),
        ("warmup", share, "FLOAT", "share of the steps over which the rate rises"),
        ("scale", number(0, 1000), "FLOAT", "what scores are multiplied with, 1 / temperature"),
        ("late", share, "FLOAT", "share of the loss on late interaction"),
        ("negatives", whole(0, 1000), "INT", "hard negatives a passage"),
        ("rank", whole(0, 1024), "INT", "of the difference that is trained; 0 trains all layers"),
        ("max-tokens", whole(3), "INT", "tokens that are read of a text"),
        ("seed", whole(0, 2**32 - 1), "INT", "of the batches"),
    ):
        retriever.add_argument(f"--{name}", type=kind, metavar=mark, help=text)
    retriever.add_argument(
        "--examples",
        type=number(0, 1000),
        metavar="X",
        help="X times the recipe's questions, of the museum's at most all; with --model dpr or cross-encoder",
    )
    retriever.add_argument(
        "--measure",
        nargs="+",
        choices=("validation", "test", "squad"),
        default=[],
        help="the museum's encoder, on these",
    )
    retriever.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    retriever.set_defaults(command=train_retriever)
    return top


def add_ask_options(command: argparse.ArgumentParser, retriever_type: Callable[[str], str]) -> None:
    """What is asked, and with which parts."""
    texts = command.add_mutually_exclusive_group()
    texts.add_argument(
        "--documents", type=folder, default=ARTICLES, metavar="FOLDER", help="your own files (default: the museum)"
    )
    texts.add_argument("--index", type=folder, metavar="FOLDER", help="an index made by `index`")
    command.add_argument(
        "--retriever", type=retriever_type, default=DEFAULT, metavar="NAME", help=RETRIEVER_HELP.format(DEFAULT)
    )
    command.add_argument(
        "--encoder",
        type=model_name,
        metavar="NAME",
        help="a Sentence Transformers model (default: the bundled one, for the museum the one trained on it)",
    )
    command.add_argument(
        "--generator", type=model_name, metavar="NAME", default=ASKED, help=GENERATOR_HELP.format(ASKED)
    )
    command.add_argument("-k", type=whole(1), default=PASSAGES, help=f"passages to read (default: {PASSAGES})")


def add_run_options(command: argparse.ArgumentParser) -> None:
    """The options of a generator's training, whichever it is."""
    command.add_argument(
        "--start",
        "--weights",  # torchrun takes --start for an option of its own
        type=folder,
        dest="start",
        metavar="FOLDER",
        help="weights to start from (default: the bundled ones); under torchrun write --weights",
    )
    command.add_argument(
        "--output", type=new_folder, required=True, metavar="FOLDER", help="checkpoints, log and weights; resumes"
    )
    command.add_argument(
        "--examples", type=number(0, 1000), default=1.0, metavar="X", help="X times the recipe's examples (default: 1)"
    )
    command.add_argument("--device", type=device, default="cpu", help="cpu or cuda")


def serve_page(options: argparse.Namespace) -> str:
    """Where the service is.

    Raises:
        ValueError: what it stands on is not installed.
    """
    if not all(map(find_spec, ("fastapi", "uvicorn", "prometheus_client"))):
        raise ValueError("serve needs packages that are not here: pip install fastapi uvicorn prometheus-client")
    return "service.commands:serve"


def evaluate_retrieval(options: argparse.Namespace) -> str:
    """Where retrieval is measured.

    Raises:
        ValueError: an option would be ignored.
    """
    if options.retriever == "bm25" and options.encoder:
        raise ValueError("bm25 has no encoder: leave --encoder out, or name another --retriever")
    return "evaluation.commands:retrieval"


def train_generator(options: argparse.Namespace) -> str:
    """Where the generator is trained: the museum's stage lives with the museum.

    Raises:
        ValueError: an option would be ignored.
    """
    if options.stage == "read" and options.start:
        raise ValueError("the stage read starts from the encoder: leave --start out")
    return "museum.commands:train_generator" if options.stage == "museum" else "training.commands:train_generator"


def train_retriever(options: argparse.Namespace) -> str:
    """Where the retriever is trained: without pairs of one's own it is the museum's recipe.

    Raises:
        ValueError: an option would be ignored.
    """
    if options.data and options.measure:
        raise ValueError("--measure is about the museum's encoder: leave --data out")
    if options.model == "dpr" and options.encoder:
        raise ValueError("DPR has two encoders of its own: leave --encoder out")
    return "training.commands:train_retriever" if options.data else "museum.commands:train_retriever"
