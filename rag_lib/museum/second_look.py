"""What the museum's cross-encoder says of the passages that the hybrid finds, kept because to read them takes minutes.

`python -m rag_lib.museum.second_look` writes a row per question of the validation split to data/results/retrieval.
Shown in notebooks/05_retrieval.ipynb, which searches with the encoder as it comes, before it is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.files import ARTICLES, DATA, read_json_lines, write_json_lines
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import MUSEUM_CROSS_ENCODER
from rag_lib.museum.collection import Question, load_questions
from rag_lib.retrieval.base import RERANKED, Reranker, Retriever
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.retrieval.cross_encoder import CrossEncoder

RESULTS = DATA / "results" / "retrieval" / "validation.jsonl"


def second_look(
    questions: Sequence[Question], retriever: Retriever, passages: Mapping[str, Passage], reranker: Reranker
) -> Iterator[dict]:
    """For each question its id, and the reranker's score of each of the first RERANKED passages, in their order."""
    for question in tqdm(questions, desc="reading"):
        ids = [hit.id for hit in retriever.retrieve(question.question, RERANKED)]
        scores = reranker.scores(question.question, [passages[i] for i in ids]).tolist()
        yield {"id": question.id, "scores": {i: round(score, 3) for i, score in zip(ids, scores, strict=True)}}


def load_second_look(path: Path = RESULTS) -> dict[str, dict[str, float]]:
    """Scores by passage by question, as `main` wrote them.

    Raises:
        OSError: the file cannot be read.
        BadLine: a line is not JSON.
    """
    return {row["id"]: row["scores"] for row in read_json_lines(path)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the passages found for every validation question that has an answer, and keeps their scores."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.second_look", description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="default: data/results/retrieval")
    options = parser.parse_args(arguments)
    questions = [q for q in load_questions("validation") if q.answers][: options.limit]
    encoder = SentenceEncoder()
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)
    reranker = CrossEncoder.load(MUSEUM_CROSS_ENCODER)
    rows = list(second_look(questions, retriever, knowledge.passages, reranker))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(options.output, rows)
    print(f"{len(rows)} questions: {options.output}")


if __name__ == "__main__":
    main()
