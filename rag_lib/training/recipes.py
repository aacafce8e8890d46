"""How the bundled generator was made, stage by stage; each stage starts from the weights of the one before.

read     MiniLM → a reader of single passages: SQuAD and QED
jobs     → all jobs, several sources, no answer: SQuAD, QED, SciTLDR
museum   → the museum's train split, as a low-rank difference
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.adapters import adapter_weights
from rag_lib.encoders import SentenceEncoder
from rag_lib.evaluation import answer_rows, exact_match, f1, score_answers
from rag_lib.generators import Seq2SeqGenerator
from rag_lib.models import GENERATOR, load_minilm, load_perigee, save_adapter, save_perigee
from rag_lib.museum import (
    ARTICLES,
    load_articles,
    load_dialogues,
    load_dossiers,
    load_questions,
    load_splits,
    load_summaries,
)
from rag_lib.prompts import ANSWER, REPLY, Source
from rag_lib.public_data import QED, SCITLDR, SQUAD, load_public
from rag_lib.retrievers import make_retriever
from rag_lib.store import open_folder
from rag_lib.training.checkpoints import write_json
from rag_lib.training.examples import (
    Example,
    Fixed,
    FollowUps,
    Phase,
    Reading,
    Task,
    Triple,
    follow_up,
    load_triples,
    search_contexts,
    summary_example,
)
from rag_lib.training.features import Settings
from rag_lib.training.generator import train
from rag_lib.warm_start import bart_from_bert

DECODER_LAYERS = 3
HELD_OUT = 300  # validation questions that are asked while training
READ_AT_ONCE = 5  # passages that museum questions are answered from

READ = Settings(
    phases=(
        Phase(10_240, words=(30, 60), quotes=1.0),
        Phase(34_816, words=(40, 110)),
        Phase(12_288, words=(40, 160), quotes=0.05, sources=(1, 3)),
    ),
)
JOBS = Settings(
    phases=(
        Phase(
            16_384,
            words=(40, 110),
            sources=(1, 4),
            apart=0.8,
            missing=0.2,
            quotes=0.08,
            mixture=(("read", 0.74), ("rewrite", 0.16), ("summarize", 0.1)),
        ),
    ),
    batch_size=16,
    encoder_rate=8e-5,
    decoder_rate=4e-4,
    decay=0.6,
    evaluate_every=5_120,
)
MUSEUM = Settings(
    phases=(
        Phase(
            5_120,
            words=(40, 90),
            sources=(2, 6),
            apart=0.9,
            missing=0.1,
            quotes=0.05,
            mixture=(
                ("ask", 0.56),
                ("unanswerable", 0.06),
                ("read", 0.08),
                ("reply", 0.08),
                ("no reply", 0.02),
                ("follow up", 0.08),
                ("made-up follow up", 0.06),
                ("summarize", 0.06),
            ),
        ),
    ),
    batch_size=16,
    encoder_rate=7e-4,
    decoder_rate=7e-4,
    rank=16,
    warmup_steps=50,
    decay=0.6,
    max_target=110,
    max_rows=24,
    evaluate_every=2_560,
)


def public_tasks() -> dict[str, Task]:
    """Reading, following up and summarising, from public data alone.

    Raises:
        DataUnavailable: SQuAD, QED or SciTLDR cannot be had.
    """
    triples = load_triples([*load_public(SQUAD, "train"), *load_public(QED, "train")])
    papers = load_public(SCITLDR, "train")
    return {
        "read": Reading(triples, search_contexts(triples)),
        "rewrite": FollowUps(triples),
        "summarize": Fixed([summary_example(p["title"], p["abstract"], p["summaries"][0]) for p in papers]),
    }


def museum_tasks() -> dict[str, Task]:
    """All jobs, from the museum's train split; misleading passages are those that the hybrid retriever finds."""
    encoder = SentenceEncoder()
    knowledge, _ = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)

    @cache
    def search(query: str) -> list[Source]:
        passages = [knowledge.passages[hit.id] for hit in retriever.retrieve(query, 12)]
        return [Source(p.title, p.text) for p in passages]

    articles = {a.id: a for a in load_articles()}
    splits = load_splits()
    triples, nowhere = [], []
    for q in load_questions("train"):
        if q.answers:
            article, sentence = articles[q.evidence[0].article], q.evidence[0].sentence
            start = article.text.index(sentence) + sentence.index(q.answers[0])
            triples.append(Triple(q.question, article.title, article.text, q.answers[0], start, q.answers[1:]))
        else:
            nowhere.append(Example(ANSWER, q.question, tuple(search(q.question)[:5]), "", literal=True))

    replies, no_replies, rewritten = [], [], []
    for dialogue in load_dialogues("train"):
        history: list[tuple[str, str]] = []
        for turn in dialogue.turns:
            if history and (example := follow_up(turn.visitor, turn.standalone, history[-3:])):
                rewritten.append(example)
            if turn.evidence is None:
                no_replies.append(Example(REPLY, turn.standalone, tuple(search(turn.standalone)[:5]), "", literal=True))
            else:
                article, sentence = articles[turn.evidence.article], turn.evidence.sentence
                start = article.text.index(sentence)
                replies.append(Triple(turn.standalone, article.title, article.text, sentence, start))
            history.append((turn.visitor, turn.guide))

    dossiers = {d.id: d for d in load_dossiers()}
    summaries = [
        summary_example(a.title, a.text, a.metadata["summary"]) for a in articles.values() if splits[a.id] == "train"
    ]
    for s in load_summaries("train"):
        dossier = dossiers[s.dossier]
        summaries += [summary_example(dossier.title, dossier.text, s.summary)] * 2
        if s.focused:
            summaries += [summary_example(dossier.title, dossier.text, s.focused, s.question)] * 2
    return {
        "ask": Reading(triples, search),
        "unanswerable": Fixed(nowhere),
        "reply": Reading(replies, search, REPLY),
        "no reply": Fixed(no_replies),
        "follow up": Fixed(rewritten),
        "made-up follow up": FollowUps(triples),
        "summarize": Fixed(summaries),
    }


STAGES = {"read": READ, "jobs": JOBS, "museum": MUSEUM}
Evaluate = Callable[[PreTrainedModel], dict[str, float]]


def squad_evaluation(tokenizer: PreTrainedTokenizerBase) -> Evaluate:
    """Exact match and F1 on SQuAD validation questions, each read from its own paragraph."""
    rows = random.Random(0).sample(list(load_public(SQUAD, "validation")), HELD_OUT)
    answers = [row["answers"]["text"] for row in rows]
    return lambda model: score(answer_rows(Seq2SeqGenerator(model, tokenizer), rows, progress=False), answers)


def museum_evaluation(tokenizer: PreTrainedTokenizerBase) -> Evaluate:
    """Exact match and F1 on museum validation questions, read from the passages that the hybrid retriever finds."""
    encoder = SentenceEncoder()
    knowledge, _ = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)
    asked = random.Random(0).sample([q for q in load_questions("validation") if q.answers], HELD_OUT)
    found = [[knowledge.passages[h.id] for h in retriever.retrieve(q.question, READ_AT_ONCE)] for q in asked]
    sources = [[Source(p.title, p.text) for p in passages] for passages in found]
    questions, answers = [q.question for q in asked], [q.answers for q in asked]

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        generations = Seq2SeqGenerator(model, tokenizer).generate(questions, sources)
        return score([g.text for g in generations], answers)

    return evaluate


def score(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean exact match and F1."""
    metrics = {"em": exact_match, "f1": f1}
    return {k: round(sum(score_answers(predictions, answers, m)) / len(answers), 4) for k, m in metrics.items()}


def train_stage(stage: str, folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu") -> None:
    """Trains a stage of the bundled generator; checkpoints, log and weights go to `folder`, where it also resumes.

    Args:
        stage: read, jobs or museum.
        start: the weights to start from; the bundled ones where None. `read` starts from MiniLM.
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: public data cannot be had.
    """
    settings = STAGES[stage]
    settings = replace(settings, phases=tuple(replace(p, examples=round(p.examples * share)) for p in settings.phases))
    torch.manual_seed(settings.seed)
    if stage == "read":
        minilm, tokenizer = load_minilm()
        model = bart_from_bert(minilm, DECODER_LAYERS, tokenizer.cls_token_id, tokenizer.sep_token_id)
    else:
        model, tokenizer = load_perigee(start or GENERATOR, adapter=False)
    tasks = public_tasks() | (museum_tasks() if stage == "museum" else {})
    evaluation = (museum_evaluation if stage == "museum" else squad_evaluation)(tokenizer)
    train(model.to(device), tokenizer, tasks, folder, settings, evaluation)
    weights = folder / "weights"
    if stage == "museum":
        save_adapter(adapter_weights(model), weights)
    else:
        save_perigee(model, weights)
    write_json(weights / f"{stage}.json", asdict(settings))
    print(f"weights: {weights}")
