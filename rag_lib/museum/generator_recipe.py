"""The recipe of the generator's fourth stage: the museum's train split, as a low-rank difference.

The stages before are in `rag_lib.training.generator.recipes`. Taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from rag_lib.files import ARTICLES, write_json
from rag_lib.generation.generators import Decoding
from rag_lib.generation.jobs import ANSWER, REPLY
from rag_lib.generation.reader import EvidenceReader
from rag_lib.indexing.documents import Source
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.adapters import adapter_weights
from rag_lib.models.reader import BartReader
from rag_lib.models.weights import GENERATOR, load_perigee, save_adapter
from rag_lib.museum.collection import (
    load_articles,
    load_dialogues,
    load_dossiers,
    load_questions,
    load_splits,
    load_summaries,
    load_visitor_questions,
)
from rag_lib.retrieval.base import PASSAGES
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.training import processes
from rag_lib.training.generator.examples import (
    Example,
    FixedTask,
    FollowUpTask,
    Phase,
    ReadingTask,
    Task,
    Triple,
    follow_up,
    summary_example,
)
from rag_lib.training.generator.learning import train
from rag_lib.training.generator.recipes import HELD_OUT, OWN, Evaluate, public_tasks, score, shortened, squad_evaluation

MUSEUM = replace(
    OWN,  # the same low-rank training as on anybody's own triples
    phases=(
        Phase(
            12_288,
            words=(40, 90),
            sources=(2, 5),
            apart=0.9,
            missing=0.1,
            quotes=0.05,
            mixture=(
                ("ask", 0.43),
                ("ask for a sentence", 0.1),
                ("unanswerable", 0.06),
                ("read", 0.16),
                ("reply", 0.07),
                ("no reply", 0.02),
                ("follow up", 0.06),
                ("made-up follow up", 0.05),
                ("summarize", 0.05),
            ),
        ),
    ),
    pool_batches=32,
)


def museum_tasks() -> dict[str, Task]:
    """All jobs, from the museum's train split; misleading passages are those that the hybrid retriever finds."""
    encoder = SentenceEncoder()
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)

    @cache
    def search(query: str) -> list[Source]:
        return [knowledge.passages[hit.id].source for hit in retriever.retrieve(query, 12)]

    articles = {a.id: a for a in load_articles()}
    splits = load_splits()
    triples, whole, nowhere = [], [], []
    for q in (*load_questions("train"), *load_visitor_questions("train")):
        if q.answers:
            article, sentence = articles[q.evidence[0].article], q.evidence[0].sentence
            start = article.text.index(sentence) + sentence.index(q.answers[0])
            triples.append(Triple(q.question, article.title, article.text, q.answers[0], start, q.accepted[1:]))
        elif q.evidence:  # yes, no and why are answered by the sentence that says so
            article, sentence = articles[q.evidence[0].article], q.evidence[0].sentence
            others = tuple(e.sentence for e in (*q.evidence[1:], *q.also_evidence))
            start = article.text.index(sentence)
            whole.append(Triple(q.question, article.title, article.text, sentence, start, others))
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
        "ask": ReadingTask(triples, search),
        "ask for a sentence": ReadingTask(whole, search),
        "unanswerable": FixedTask(nowhere),
        "reply": ReadingTask(replies, search, REPLY),
        "no reply": FixedTask(no_replies),
        "follow up": FixedTask(rewritten),
        "made-up follow up": FollowUpTask(triples),
        "summarize": FixedTask(summaries),
    }


def museum_evaluation(tokenizer: PreTrainedTokenizerBase) -> Evaluate:
    """Exact match and F1 on museum validation questions, read from the passages that the hybrid retriever finds.

    Half are questions as visitors ask them. Of SQuAD's there is the exact match alone, to see what is forgotten.
    """
    encoder = SentenceEncoder()
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)
    both = load_questions("validation"), load_visitor_questions("validation")
    asked = [q for each in both for q in random.Random(0).sample([q for q in each if q.answers], HELD_OUT // 2)]
    sources = [[knowledge.passages[h.id].source for h in retriever.retrieve(q.question, PASSAGES)] for q in asked]
    questions, answers = [q.question for q in asked], [q.accepted for q in asked]
    squad = squad_evaluation(tokenizer, HELD_OUT // 2)

    def evaluate(model: BartReader) -> dict[str, float]:
        generations = EvidenceReader(model, tokenizer, Decoding(half=None)).generate(questions, sources)
        return {**score([g.text for g in generations], answers), "squad": squad(model)["em"]}

    return evaluate


def train_museum(folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the museum's difference to the bundled generator; all goes to `folder`, where it also resumes.

    Args:
        start: the weights to start from; the bundled ones where None.
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: public data, which are mixed in, cannot be had.
    """
    settings = shortened(MUSEUM, share)
    torch.manual_seed(settings.seed)
    model, tokenizer = load_perigee(start or GENERATOR, adapter=False)
    tasks = public_tasks() | museum_tasks()
    train(model.to(device), tokenizer, tasks, folder, settings, museum_evaluation(tokenizer))
    if processes.is_first():
        weights = folder / "weights"
        save_adapter(adapter_weights(model), weights)
        write_json(weights / "museum.json", asdict(settings))
        print(f"weights: {weights}")
