"""What museum training did for the generator: the same questions before and after, compared in pairs.

`python -m rag_lib.museum.report` writes the figures that notebooks/09_finetune_generator.ipynb shows.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.evaluation.answers import match, match_f1, score_answers
from rag_lib.evaluation.statistics import bootstrap, paired_difference
from rag_lib.files import ARTICLES, write_json
from rag_lib.generation.generators import Generation, Generator
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import BASE, GENERATOR, MUSEUM_ENCODER
from rag_lib.museum.collection import Question, load_questions
from rag_lib.museum.measure import SearchedOnce, article_groups, ask_all, gold_passages, read
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.base import PASSAGES, Retriever
from rag_lib.retrieval.catalogue import make_retriever

FIGURES = GENERATOR / "figures-museum.json"


def answer_everywhere(
    questions: Sequence[Question], knowledge: KnowledgeBase, retriever: Retriever, generator: Generator
) -> dict[str, list[Generation]]:
    """What a generator answers with no passage, with those that hold the answer, and with those that are found."""
    searched = tqdm(questions, desc="searching")
    found = [[hit.id for hit in retriever.retrieve(q.question, PASSAGES)] for q in searched]
    return {
        "closed book": read(questions, [[] for _ in questions], knowledge, generator),
        "gold passages": read(
            questions, [sorted(ids) for ids in gold_passages(questions, knowledge)], knowledge, generator
        ),
        "retrieved passages": read(questions, found, knowledge, generator),
        "whole pipeline": ask_all(questions, RAG(knowledge, retriever, generator)),
    }


def compare(
    questions: Sequence[Question], before: dict[str, list[Generation]], after: dict[str, list[Generation]]
) -> dict[str, dict[str, dict]]:
    """Exact match and F1 by what was read: before, after, and the paired difference, each with its interval."""
    answers, groups = [q.accepted for q in questions], article_groups(questions)
    figures: dict[str, dict[str, dict]] = {}
    for condition in before:
        figures[condition] = {}
        for name, metric in {"exact match": match, "F1": match_f1}.items():
            old, new = (
                score_answers([g.text for g in generations[condition]], answers, metric)
                for generations in (before, after)
            )
            estimates = {
                "before": bootstrap(old, groups=groups),
                "after": bootstrap(new, groups=groups),
                "difference": paired_difference(new, old, groups=groups),
            }
            figures[condition][name] = {key: asdict(value) for key, value in estimates.items()}
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the bundled generator before and after museum training, and writes a file of figures."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.report", description=__doc__.splitlines()[0])
    parser.add_argument("--split", default="validation", help="validation (default) or test")
    parser.add_argument("--limit", type=int, metavar="N", help="only N questions, drawn with a fixed seed")
    parser.add_argument("--generator", metavar="NAME", help="the one after training (default: the bundled one)")
    parser.add_argument("--figures", type=Path, default=FIGURES, metavar="FILE", help="default: beside the weights")
    options = parser.parse_args(arguments)
    questions = [q for q in load_questions(options.split) if q.answers]
    if options.limit and options.limit < len(questions):
        questions = random.Random(0).sample(questions, options.limit)
    encoder = SentenceEncoder(MUSEUM_ENCODER)
    knowledge = open_folder(ARTICLES, encoder)
    retriever = SearchedOnce(make_retriever("reranked", knowledge, encoder))
    before, after = (
        answer_everywhere(questions, knowledge, retriever, Seq2SeqGenerator.load(name))
        for name in (BASE, options.generator)
    )
    figures = compare(questions, before, after)
    write_json(options.figures, {"split": options.split, "figures": figures})
    for condition, metrics in figures.items():
        for metric, e in metrics.items():
            line = (f"{key} {value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" for key, value in e.items())
            print(f"{condition:20} {metric:12}", *line, sep="  ")
    print(f"n = {len(questions)}, {options.split}: {options.figures}")


if __name__ == "__main__":
    main()
