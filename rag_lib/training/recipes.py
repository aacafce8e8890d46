"""How the bundled generator was made, stage by stage; each stage starts from the weights of the one before.

read     MiniLM → a reader of single passages: SQuAD and QED
jobs     → all jobs, several sources, no answer: SQuAD, QED, SciTLDR
museum   → the museum's train split, as a low-rank difference

And the same recipe for anybody's own triples. Taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.adapters import adapter_weights, merge_adapter
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
from rag_lib.training import processes
from rag_lib.training.checkpoints import write_json
from rag_lib.training.examples import (
    Example,
    Fixed,
    FollowUps,
    Phase,
    Reading,
    Search,
    Task,
    Triple,
    follow_up,
    load_triples,
    search_contexts,
    summary_example,
)
from rag_lib.training.features import Settings
from rag_lib.training.generator import train
from rag_lib.training.triples import Unanswerable, read_triples
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
            6_144,
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
    evaluate_every=3_072,
)
# For a user's own triples: `own_settings` fits lengths to their number.
OWN_PHASE = Phase(5_120, words=(40, 90), sources=(1, 5), apart=0.9, missing=0.1, quotes=0.05)
OWN = replace(MUSEUM, phases=(OWN_PHASE,), pool_batches=16)
PASSES = 8  # over a user's triples, as far as OWN_PHASE is long enough


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


def own_evaluation(held_out: Mapping[str, Task], tokenizer: PreTrainedTokenizerBase) -> Evaluate:
    """Exact match and F1 on held-out triples, each read from its own context among misleading passages."""
    phase = replace(OWN_PHASE, words=(90, 90), sources=(READ_AT_ONCE, READ_AT_ONCE), missing=0.0, quotes=0.0)
    asked, answers = [], []
    for task in held_out.values():
        for i in range(min(len(task), HELD_OUT)):
            example = task.example(i, phase, random.Random(i))
            asked.append(example)
            answers.append([example.target, *task.triples[i].aliases])

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        generations = Seq2SeqGenerator(model, tokenizer).generate(
            [e.question for e in asked], [e.sources for e in asked]
        )
        return score([g.text for g in generations], answers)

    return evaluate


def own_tasks(triples: Sequence[Triple], search: Search) -> dict[str, Task]:
    """Reading, and finding no answer, from a user's own triples; without those of which there are none."""
    answered, unanswerable = ([t for t in triples if bool(t.answer) == wanted] for wanted in (True, False))
    tasks = {"ask": Reading(answered, search), "unanswerable": Unanswerable(unanswerable, search)}
    return {name: task for name, task in tasks.items() if len(task)}


def own_settings(tasks: Mapping[str, Task], share: float = 1.0, **changes: float) -> Settings:
    """`OWN` for these tasks: every triple is seen `PASSES` times, or as often as the recipe's length allows.

    Args:
        share: that length times so much.
        changes: other settings than `OWN` has, by name.

    Raises:
        ValueError: a setting is impossible.
    """
    settings = replace(OWN, **changes)
    rows = sum(map(len, tasks.values()))
    if settings.batch_size < 1 or settings.encoder_rate <= 0 or settings.rank < 0 or share <= 0:
        raise ValueError("batch size, rate and share of examples must be above 0, and the rank not below 0")
    examples = max(
        settings.batch_size, round(share * min(OWN_PHASE.examples, max(PASSES * rows, 20 * settings.batch_size)))
    )
    mixture = tuple((name, len(task) / rows) for name, task in tasks.items())
    return replace(
        settings,
        phases=(replace(OWN_PHASE, examples=examples, mixture=mixture),),
        warmup_steps=max(1, min(settings.warmup_steps, examples // settings.batch_size // 8)),
        evaluate_every=max(settings.batch_size, examples // 8),
    )


def train_own(
    data: Path, folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu", **changes: float
) -> None:
    """Trains a generator on a user's own triples; `ask --generator FOLDER/weights` then uses it.

    Args:
        data: a folder of .jsonl files, or one of them (see `rag_lib.training.rows`).
        folder: for checkpoints, log and weights; there it also resumes.
        start: the generator to start from; the bundled one before museum training where None.
        share, changes: see `own_settings`.

    Raises:
        ValueError: there are too few triples, or a setting is impossible.
        CheckpointUnusable: `folder` holds a run with other settings or data.
    """
    training, held_out, broken = read_triples(data)
    search = search_contexts([*training, *held_out])
    tasks = own_tasks(training, search)
    settings = own_settings(tasks, share, **changes)
    torch.manual_seed(settings.seed)
    model, tokenizer = load_perigee(start) if start else load_perigee(GENERATOR, adapter=False)
    if processes.is_first():
        for message in broken:
            print(f"left out: {message}", file=sys.stderr)
        print(f"{len(training)} triples to train on, {len(held_out)} held out, {len(broken)} rows left out")
    train(model.to(device), tokenizer, tasks, folder, settings, own_evaluation(own_tasks(held_out, search), tokenizer))
    if processes.is_first():
        if settings.rank:
            merge_adapter(model)
        weights = folder / "weights"
        save_perigee(model, weights)
        write_json(weights / "own.json", asdict(settings))
        print(f"weights: {weights}")


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
    if not processes.is_first():
        return
    weights = folder / "weights"
    if stage == "museum":
        save_adapter(adapter_weights(model), weights)
    else:
        save_perigee(model, weights)
    write_json(weights / f"{stage}.json", asdict(settings))
    print(f"weights: {weights}")
