"""What each way of reading answers from the same passages, kept because to read them in all four takes minutes.

`python -m rag_lib.museum.readings` writes a row per question, of 120 of the validation split, to data/results/reading.
Shown in notebooks/07_rag_pipeline.ipynb, which searches with the encoder as it comes, before it is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.files import ARTICLES, DATA, read_json_lines, write_json_lines
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.store import open_folder
from rag_lib.museum import open_collections
from rag_lib.museum.collection import Question, load_questions
from rag_lib.museum.measure import SearchedOnce
from rag_lib.pipeline.marginalization import RAGSequence, RAGToken
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.base import PASSAGES, Retriever
from rag_lib.retrieval.catalogue import make_retriever

RESULTS = DATA / "results" / "reading" / "validation.jsonl"
QUESTIONS = 120


def drawn(limit: int = QUESTIONS) -> list[Question]:
    """Validation questions that have an answer, drawn with a fixed seed; all of them where there are no more."""
    return open_collections.drawn([q for q in load_questions("validation") if q.answers], limit)


def ways_of_reading(knowledge: KnowledgeBase, retriever: Retriever, generator: Seq2SeqGenerator) -> dict[str, RAG]:
    """Four ways to read the same passages; none keeps an answer back."""
    parts = (knowledge, SearchedOnce(retriever), generator, PASSAGES, 0.0)
    return {
        "fused": RAG(*parts, vote=False),
        "RAG-Sequence": RAGSequence(*parts, thorough=True),
        "RAG-Token": RAGToken(*parts),
        "vote": RAG(*parts, vote=True),
    }


def read_in_every_way(questions: Sequence[Question], ways: Mapping[str, RAG]) -> Iterator[dict]:
    """For each question its id, and the answer of each way."""
    for question in tqdm(questions, desc="reading"):
        yield {"id": question.id, "answers": {name: rag.ask(question.question).guess for name, rag in ways.items()}}


def load_readings(path: Path = RESULTS) -> dict[str, dict[str, str]]:
    """Answers by way by question, as `main` wrote them.

    Raises:
        OSError: the file cannot be read.
        BadLine: a line is not JSON.
    """
    return {row["id"]: row["answers"] for row in read_json_lines(path)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the passages found for the questions drawn, in each way, and keeps the answers."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.readings", description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=QUESTIONS, metavar="N", help=f"questions (default: {QUESTIONS})")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="default: data/results/reading")
    options = parser.parse_args(arguments)
    questions = drawn(options.limit)
    encoder = SentenceEncoder()
    knowledge = open_folder(ARTICLES, encoder)
    ways = ways_of_reading(knowledge, make_retriever("hybrid", knowledge, encoder), Seq2SeqGenerator.load())
    rows = list(read_in_every_way(questions, ways))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(options.output, rows)
    print(f"{len(rows)} questions: {options.output}")


if __name__ == "__main__":
    main()
