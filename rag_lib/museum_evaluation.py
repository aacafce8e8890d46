"""How well the museum's questions are answered: the retrievers, and the whole pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm.auto import tqdm

from rag_lib.evaluation import Estimate, bootstrap, exact_match, f1, score_answers
from rag_lib.generators import Generator
from rag_lib.knowledge_base import KnowledgeBase
from rag_lib.museum import Question, load_articles
from rag_lib.prompts import Source
from rag_lib.retrievers import Retriever

CUTOFFS = (1, 5, 20)


def gold_passages(questions: Sequence[Question], knowledge: KnowledgeBase) -> list[set[str]]:
    """For each question, the ids of the passages that share characters with the sentence that holds its answer."""
    texts = {article.id: article.text for article in load_articles()}
    by_document: dict[str, list] = {}
    for passage in knowledge.passages.values():
        by_document.setdefault(passage.document_id, []).append(passage)
    gold = []
    for question in questions:
        evidence = question.evidence[0]
        start = texts[evidence.article].index(evidence.sentence)
        end = start + len(evidence.sentence)
        gold.append({p.id for p in by_document[evidence.article] if p.start < end and p.end > start})
    return gold


def evaluate_retriever(
    questions: Sequence[Question], gold: Sequence[set[str]], retriever: Retriever, progress: bool = True
) -> dict[str, Estimate]:
    """Recall at each cutoff (a gold passage is among the first k) and the mean reciprocal rank within the last one."""
    ranks = []
    for question, ids in zip(tqdm(questions, desc="searching", disable=not progress), gold, strict=True):
        hits = retriever.retrieve(question.question, CUTOFFS[-1])
        ranks.append(next((rank for rank, hit in enumerate(hits, start=1) if hit.id in ids), 0))
    figures = {f"recall@{k}": bootstrap([0 < rank <= k for rank in ranks]) for k in CUTOFFS}
    return figures | {"MRR@20": bootstrap([1 / rank if rank else 0.0 for rank in ranks])}


def evaluate_answers(
    questions: Sequence[Question], passages: Sequence[Sequence[str]], knowledge: KnowledgeBase, generator: Generator
) -> dict[str, Estimate]:
    """Exact match and F1 of the answers read from the given passages (their ids, best first)."""
    sources = [
        [Source(p.title, p.text) for p in (knowledge.passages[i] for i in ids)] for ids in passages
    ]  # fmt: skip
    texts = [g.text for g in generator.generate([q.question for q in questions], sources)]
    answers = [q.answers for q in questions]
    return {
        "exact match": bootstrap(score_answers(texts, answers, exact_match)),
        "F1": bootstrap(score_answers(texts, answers, f1)),
    }
