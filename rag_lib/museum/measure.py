"""How well the museum is served: finding passages, answering, keeping silent, following a conversation, summarising."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from rag_lib.evaluation.answers import match, match_f1, normalize_answer, rouge_l, score_answers
from rag_lib.evaluation.ranking import of_ranks, ranking_metrics
from rag_lib.evaluation.statistics import Estimate, auroc_estimate, bootstrap, paired_difference, risk_coverage
from rag_lib.generation.generators import Generation, Generator
from rag_lib.generation.jobs import ANSWER, REWRITE, SUMMARIZE
from rag_lib.generation.prompts import conversation
from rag_lib.hits import Hit
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Source
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_spans
from rag_lib.museum.collection import Dialogue, Question, Turn, load_articles, load_dossiers, load_summaries
from rag_lib.pipeline.rag import RAG, Answer, Found, citation
from rag_lib.retrieval.base import PASSAGES, Retriever, passage_probabilities

CUTOFFS = (1, 5, 20)
METRICS = {name: metric for name, metric in ranking_metrics(CUTOFFS).items() if name != "nDCG@10"}
TURNS = 3  # of a conversation that a rewriting looks back on


def gold_passages(
    questions: Sequence[Question | Turn], knowledge: KnowledgeBase, documents: Sequence[Document] | None = None
) -> list[set[str]]:
    """For each question, the ids of the passages that share characters with a sentence that answers it.

    Of two sentences that answer only together, it is the one that holds the answer.

    Args:
        documents: from which the passages were cut; None for the museum's articles.
    """
    texts = {document.id: document.text for document in (load_articles() if documents is None else documents)}
    by_document: dict[str, list] = {}
    for passage in knowledge.passages.values():
        by_document.setdefault(passage.document_id, []).append(passage)
    gold = []
    for question in questions:
        if isinstance(question, Turn):
            sentences = [question.evidence]
        else:
            sentences = [*question.evidence[:1], *question.also_evidence]
        ids: set[str] = set()
        for evidence in sentences:
            start = texts[evidence.article].index(evidence.sentence)
            end = start + len(evidence.sentence)
            ids |= {p.id for p in by_document[evidence.article] if p.start < end and p.end > start}
        gold.append(ids)
    return gold


def evaluate_retriever(
    questions: Sequence[Question], gold: Sequence[set[str]], retriever: Retriever, progress: bool = True
) -> dict[str, Estimate]:
    """Recall at each cutoff (a gold passage is among the first k) and the mean reciprocal rank within the last one."""
    ranks = []
    for question, ids in zip(tqdm(questions, desc="searching", disable=not progress), gold, strict=True):
        hits = retriever.retrieve(question.question, CUTOFFS[-1])
        ranks.append(next((rank for rank, hit in enumerate(hits, start=1) if hit.id in ids), 0))
    groups = article_groups(questions)
    return {name: bootstrap(of_ranks(ranks, metric), groups=groups) for name, metric in METRICS.items()}


def article_groups(questions: Sequence[Question]) -> list[str]:
    """The article of each question, for intervals that resample articles; one without evidence stands alone."""
    return [q.evidence[0].article if q.evidence else q.near or q.id for q in questions]


def fitted_temperature(questions: Sequence[Question], gold: Sequence[set[str]], retriever: Retriever) -> float:
    """The temperature under which the passages found are most probably the right ones; see `Retriever`.

    It is chosen for the largest mean log p(right passage | question) among the first PASSAGES hits, over the questions
    for which a right one is among them.
    """
    cases = []
    for question, ids in zip(tqdm(questions, desc="searching"), gold, strict=True):
        hits = retriever.retrieve(question.question, PASSAGES)
        if right := [i for i, hit in enumerate(hits) if hit.id in ids]:
            cases.append((hits, right))

    def likelihood(temperature: float) -> float:
        found = (passage_probabilities(hits, temperature)[right].sum() for hits, right in cases)
        return float(np.mean(np.log(np.maximum(list(found), 1e-12))))

    return max(np.geomspace(1e-3, 1e2, 251).tolist(), key=likelihood)


class SearchedOnce:
    """A retriever that keeps what it found, for several generators that read the same passages."""

    def __init__(self, retriever: Retriever) -> None:
        self.temperature = retriever.temperature
        self.search = functools.cache(lambda query, k: tuple(retriever.retrieve(query, k)))

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """See `Retriever.retrieve`."""
        return list(self.search(query, k))


def read(
    questions: Sequence[Question], passages: Sequence[Sequence[str]], knowledge: KnowledgeBase, generator: Generator
) -> list[Generation]:
    """What the generator answers from the given passages (their ids, best first)."""
    found = [[knowledge.passages[i] for i in ids] for ids in passages]
    done: list[Generation] = []
    for i in tqdm(range(0, len(questions), 32), desc="answering"):
        sources = [[p.source for p in each] for each in found[i : i + 32]]
        done += generator.generate([q.question for q in questions[i : i + 32]], sources, ANSWER)
    return done


def ask_all(questions: Sequence[Question], rag: RAG) -> list[Generation]:
    """What the whole pipeline would say to each question, sure or not, with its score."""
    answers = [rag.ask(q.question) for q in tqdm(questions, desc="asking")]
    return [Generation(a.guess, a.score, None, ()) for a in answers]


def evaluate_answers(questions: Sequence[Question], generations: Sequence[Generation]) -> dict[str, Estimate]:
    """Exact match and F1 of answers."""
    texts, answers = [g.text for g in generations], [q.accepted for q in questions]
    metrics, groups = {"exact match": match, "F1": match_f1}, article_groups(questions)
    return {name: bootstrap(score_answers(texts, answers, metric), groups=groups) for name, metric in metrics.items()}


def says(question: Question, answer: Answer) -> float:
    """1.0 where a visitor is told what answers the question: a right short answer, or the right sentence cited.

    A cited sentence is right when it is, or holds, a sentence that answers the question.
    """
    if not answer.text:
        return 0.0
    if question.verdict and (said := normalize_answer(answer.text)) in ("yes", "no"):
        return float(said == question.verdict)
    return float(bool(match(answer.text, question.accepted)) or cites(question, answer))


def cites(question: Question, answer: Answer) -> bool:
    """Whether a cited sentence is, or holds, one that answers the question."""
    right = [e.sentence for e in (*question.evidence, *question.also_evidence)]
    return any(sentence in c.sentence for c in answer.citations for sentence in right)


def evaluate_visitors(questions: Sequence[Question], rag: RAG, encoder: Encoder) -> dict[str, Estimate]:
    """For how many visitors' questions the answer or the sentence cited is right, and how many get an answer at all.

    Beside it, the plainest reader: it cites the sentence with the highest MaxSim of the passages found.
    """
    answers = [rag.ask(q.question) for q in tqdm(questions, desc="asking")]
    plain = [best_sentence(rag.find(q.question), encoder) for q in tqdm(questions, desc="nearest sentence")]
    groups = article_groups(questions)
    told, baseline = ([says(q, a) for q, a in zip(questions, each, strict=True)] for each in (answers, plain))
    return {
        "right": bootstrap(told, groups=groups),
        "answered": bootstrap([bool(a.text) for a in answers], groups=groups),
        "nearest sentence right": bootstrap(baseline, groups=groups),
        "difference": paired_difference(told, baseline, groups=groups),
    }


def best_sentence(found: Found, encoder: Encoder) -> Answer:
    """The sentence of the passages found that late interaction likes best, as an answer; see `MaxSimReranker`."""
    places = [(p, a, b) for p in found.passages for a, b in sentence_spans(p.text)]
    (query,) = encoder.encode_query_tokens([found.question])
    tokens = encoder.encode_passage_tokens([f"{p.title} {p.text[a:b]}" for p, a, b in places])
    scores = [float((query @ t.T).max(axis=1).mean()) for t in tokens]
    passage, start, end = places[int(np.argmax(scores))]
    cited = citation(passage, start, end)
    return Answer(found.question, cited.sentence, (cited,), max(scores), found.hits, {})


@dataclass(frozen=True)
class Abstention:
    """How well scores tell what can be answered.

    Attributes:
        auroc: that an answerable question scores above an unanswerable one.
        threshold: the score at which right answers given less wrong answers given is largest.
        coverage, risk: the share of all questions answered at the threshold, and of those the share that is wrong.
    """

    auroc: Estimate
    threshold: float
    coverage: float
    risk: float


def evaluate_abstention(
    questions: Sequence[Question], generations: Sequence[Generation], unanswerable: Sequence[Generation]
) -> Abstention:
    """Abstention over answerable questions with their generations, and generations for unanswerable ones."""
    right = score_answers([g.text for g in generations], [q.accepted for q in questions], match)
    right += [0.0] * len(unanswerable)
    scores = np.array([g.score for g in (*generations, *unanswerable)])
    coverage, risk = risk_coverage(scores, right)
    best = int(np.argmax(coverage * (1 - 2 * risk)))
    area = auroc_estimate([g.score for g in generations], [g.score for g in unanswerable])
    return Abstention(area, float(np.sort(scores)[::-1][best]), float(coverage[best]), float(risk[best]))


def evaluate_rewriting(
    dialogues: Sequence[Dialogue], knowledge: KnowledgeBase, retriever: Retriever, generator: Generator, k: int = 5
) -> dict[str, Estimate]:
    """Recall@k of the gold passage for later turns: as said, rewritten by the generator, rewritten by a person."""
    turns, earlier = [], []
    for dialogue in dialogues:
        for n, turn in enumerate(dialogue.turns):
            if n and turn.evidence is not None:
                history = [(t.visitor, t.guide) for t in dialogue.turns[max(0, n - TURNS) : n]]
                turns.append(turn)
                earlier.append([conversation(history)])
    gold = gold_passages(turns, knowledge)
    queries = {
        "as said": [t.visitor for t in turns],
        "rewritten": [g.text or "?" for g in generator.generate([t.visitor for t in turns], earlier, REWRITE)],
        "by a person": [t.standalone for t in turns],
    }
    return {
        name: bootstrap(
            [any(h.id in ids for h in retriever.retrieve(q, k)) for q, ids in zip(asked, gold, strict=True)]
        )
        for name, asked in queries.items()
    }


def evaluate_summaries(split: str, generator: Generator) -> dict[str, Estimate]:
    """ROUGE-L of the dossiers' summaries: the generator's, the first three sentences, and the paired difference."""
    dossiers = {d.id: d for d in load_dossiers()}
    summaries = load_summaries(split)
    texts = [dossiers[s.dossier] for s in summaries]
    sources = [[Source(d.title, d.text[a:b]) for a, b in passage_spans(d.text, Splitting())] for d in texts]
    written = [g.text for g in generator.generate([""] * len(texts), sources, SUMMARIZE)]
    lead = [d.text[: sentence_spans(d.text)[2][1]] for d in texts]
    ours, first = ([rouge_l(t, s.summary) for t, s in zip(each, summaries, strict=True)] for each in (written, lead))
    return {"generator": bootstrap(ours), "LEAD-3": bootstrap(first), "difference": paired_difference(ours, first)}
