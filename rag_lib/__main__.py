"""The command line: `python -m rag_lib ask|summarize|index|evaluate|train`.

Each command lives in its room, in `commands`.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import GENERATORS
from rag_lib.retrieval.base import PASSAGES
from rag_lib.retrieval.catalogue import RETRIEVERS

COMPARED = ("bm25", "dense", "hybrid")
GENERATOR_HELP = f"{', '.join(GENERATORS)}, or a sequence-to-sequence model of the hub (default: perigee)"
RETRIEVER_HELP = f"{', '.join(RETRIEVERS)}, or the folder of a trained DPR (default: {{}})"


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
    ask.add_argument("--retriever", default="reranked", metavar="NAME", help=RETRIEVER_HELP.format("reranked"))
    ask.add_argument(
        "--encoder",
        metavar="NAME",
        help="a Sentence Transformers model (default: the bundled one, for the museum the one trained on it)",
    )
    ask.add_argument("--generator", metavar="NAME", help=GENERATOR_HELP)
    ask.add_argument("-k", type=int, default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    ask.set_defaults(command="pipeline.commands:ask")

    summarize = commands.add_parser("summarize", help="a text, page or PDF in a few sentences")
    summarize.add_argument("file", type=Path, metavar="FILE", help="a .txt, .md, .html or .pdf file")
    summarize.add_argument("--question", default="", help="what the summary should be about (default: the whole text)")
    summarize.add_argument("--generator", metavar="NAME", help=GENERATOR_HELP)
    summarize.add_argument("--encoder", metavar="NAME", help="a Sentence Transformers model (default: the bundled one)")
    summarize.add_argument(
        "--method",
        choices=("lead", "textrank", "sentences", "retrieve", "map-reduce", "refine"),
        help="copy sentences, or let the generator write (default: sentences; with --generator: retrieve)",
    )
    summarize.set_defaults(command="applications.commands:summarize")

    index = commands.add_parser("index", help="build an index of documents and save it")
    index.add_argument("--documents", type=Path, default=ARTICLES, metavar="FOLDER")
    index.add_argument("--index", type=folder_name, required=True, metavar="FOLDER", help="where to save it")
    index.add_argument("--encoder", metavar="NAME")
    index.set_defaults(command="indexing.commands:index")

    evaluate = commands.add_parser("evaluate", help="measure on a file of questions")
    kinds = evaluate.add_subparsers(dest="what", required=True)
    generation = kinds.add_parser("generation", help="answers from given passages: exact match and F1")
    generation.add_argument("file", type=Path, help="rows as in rajpurkar/squad, JSON lines, may be gzipped")
    generation.add_argument("--limit", type=int, metavar="N", help="only N rows, drawn with a fixed seed")
    generation.add_argument("--generator", metavar="NAME")
    generation.add_argument("--beams", type=int, default=1)
    generation.add_argument("--predictions", type=Path, metavar="FILE", help="write what was answered, as JSON lines")
    generation.set_defaults(command="evaluation.commands:generation")

    retrieval = kinds.add_parser("retrieval", help="a judged collection in the layout of BEIR: nDCG, recall and MRR")
    retrieval.add_argument("folder", type=Path, help="corpus.jsonl, queries.jsonl and qrels/*.tsv or qrels.tsv")
    retrieval.add_argument("--retriever", default="bm25", metavar="NAME", help=RETRIEVER_HELP.format("bm25"))
    retrieval.add_argument("--split", metavar="NAME", help="the file in qrels (default: test, or the only one)")
    retrieval.add_argument("--encoder", metavar="NAME")
    retrieval.add_argument("--figures", type=Path, metavar="FILE", help="write those of each query, as JSON lines")
    retrieval.set_defaults(command="evaluation.commands:retrieval")

    museum = kinds.add_parser("museum", help="the museum's questions: the retrievers and the whole pipeline")
    museum.add_argument("--split", default="validation", help="train, validation (default) or test")
    museum.add_argument("--limit", type=int, metavar="N", help="only N questions, drawn with a fixed seed")
    museum.add_argument(
        "--retrievers", nargs="+", default=COMPARED, metavar="NAME", help=RETRIEVER_HELP.format(" ".join(COMPARED))
    )
    museum.add_argument("--encoder", metavar="NAME", default="museum-minilm", help="default: museum-minilm")
    museum.add_argument("--generator", metavar="NAME")
    museum.add_argument("-k", type=int, default=PASSAGES, help=f"passages to read (default: {PASSAGES})")
    museum.set_defaults(command="museum.commands:evaluate")

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
    generator.set_defaults(command=train_generator)

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
    retriever.set_defaults(command=train_retriever)
    return top


def folder_name(text: str) -> Path:
    """A folder by its name.

    Raises:
        argparse.ArgumentTypeError: there is no name, which would mean the folder one stands in.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder needs a name")
    return Path(text)


def train_generator(options: argparse.Namespace) -> str:
    """Where the generator is trained: the museum's stage lives with the museum."""
    return "museum.commands:train_generator" if options.stage == "museum" else "training.commands:train_generator"


def train_retriever(options: argparse.Namespace) -> str:
    """Where the retriever is trained: without pairs of one's own it is the museum's recipe."""
    return "training.commands:train_retriever" if options.data else "museum.commands:train_retriever"


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 0 when it went well, 1 with one clear line when it did not."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    home = options.command if isinstance(options.command, str) else options.command(options)
    module, name = home.split(":")
    try:
        getattr(import_module(f"rag_lib.{module}"), name)(options)
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
