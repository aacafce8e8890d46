"""The recipe of the sentence ranker: SQuAD and QED, then the museum's train split with misleading passages."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from rag_lib.evaluation.squad import QED, load_public, parse
from rag_lib.files import ARTICLES, write_json
from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_spans
from rag_lib.indexing.store import open_folder
from rag_lib.models.processor import in_half
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.collection import (
    Evidence,
    Question,
    load_dialogues,
    load_practice_questions,
    load_practice_texts,
    load_questions,
    load_visitor_questions,
)
from rag_lib.museum.retriever_recipe import passages_of
from rag_lib.retrieval.base import PASSAGES
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.training import processes
from rag_lib.training.retriever.mining import kept, mined, squad_passages
from rag_lib.training.retriever.pairs import holds_answer
from rag_lib.training.sentences import GOAL, Lesson, SentenceSettings, train

SQUAD_QUESTIONS = 30_000
OTHERS, TRAPS = 10, 2  # misleading passages that are kept of a question of the museum; of them with traps, at most
LOOKED_AT = 100  # visitors' validation questions by which the best weights are chosen
SETTINGS = SentenceSettings(
    opening={"squad": 0.72, "qed": 0.28},
    mixture={
        "squad": 0.20,
        "qed": 0.08,
        "questions": 0.08,
        "visitors": 0.13,
        "dialogues": 0.03,
        "practice": 0.19,
        "traps": 0.12,
        "texts": 0.17,
    },
)


@dataclass(frozen=True)
class Asked:
    """A question with the sentences that answer it, those that mislead, right short answers, and yes or no."""

    question: str
    right: tuple[Evidence, ...]
    traps: tuple[Evidence, ...] = ()
    accepted: tuple[str, ...] = ()
    verdict: str = ""


def asked_of(questions: Sequence[Question]) -> list[Asked]:
    """Questions as they are trained on."""
    return [Asked(q.question, (*q.evidence, *q.also_evidence), q.traps, q.accepted, q.verdict) for q in questions]


def asked_in_training() -> dict[str, list[Asked]]:
    """All that the museum is asked in the train split, by task."""

    practice = load_practice_questions()
    turns = [t for dialogue in load_dialogues("train") for t in dialogue.turns if t.evidence]
    return {
        "questions": asked_of(load_questions("train")),
        "visitors": asked_of(load_visitor_questions("train")),
        "dialogues": [Asked(t.standalone, (t.evidence,)) for t in turns],
        "practice": asked_of([q for q in practice if not q.traps]),
        "traps": asked_of([q for q in practice if q.traps]),
    }


def has_sentence(passage: Source, right: Sequence[str]) -> bool:
    """Whether one of the passage's sentences is right; one over the longest passage is cut and is none."""
    return any(passage.text[a:b] in right for a, b in sentence_spans(passage.text))


class PassageSearch:
    """Passages, searched by words and by meaning, both scores scaled to at most 1 and added."""

    def __init__(self, passages: Sequence[Source], encoder: SentenceEncoder) -> None:
        texts = [indexed_text(p) for p in passages]
        self.passages, self.encoder = passages, encoder
        self.words = BM25(range(len(texts)), texts, Analyzer())
        self.vectors = encoder.encode_passages(texts, progress=True)

    def __call__(self, question: str) -> list[Source]:
        """All passages, best first."""
        words = self.words.scores(question)
        meaning = self.vectors @ self.encoder.encode_queries([question])[0]
        near = (meaning - meaning.min()) / max(meaning.max() - meaning.min(), 1e-6)
        order = np.argsort(-(words / max(words.max(), 1e-6) + near), kind="stable")
        return [self.passages[i] for i in order]

    def lesson(self, asked: Asked) -> Lesson | None:
        """What is learnt from a question; None where no passage has a right sentence as a whole."""
        right = tuple(dict.fromkeys(e.sentence for e in asked.right))
        found = self(asked.question)
        own = [p for p in found if any(sentence in p.text for sentence in right)]
        best = next((p for p in own if has_sentence(p, right)), None)
        if right and best is None:
            return None
        traps = [p for p in found if p not in own and any(e.sentence in p.text for e in asked.traps)][:TRAPS]
        wrong = (p for p in found if p not in own and p not in traps and not holds_answer(p, asked.accepted))
        others = (*traps, *islice(wrong, OTHERS - len(traps)))
        return Lesson(asked.question, right, (best,) if best else (), others, len(traps), asked.verdict)

    def lessons(self, asked: Sequence[Asked], name: str) -> list[Lesson]:
        """What is learnt from questions."""
        return [lesson for each in tqdm(asked, desc=name) if (lesson := self.lesson(each))]


def museum_lessons(encoder: SentenceEncoder) -> dict[str, list[Lesson]]:
    """The museum's train split, and the practice texts, by task."""
    museum = PassageSearch(passages_of(open_folder(ARTICLES, encoder), "train"), encoder)
    lessons = {task: museum.lessons(asked, task) for task, asked in asked_in_training().items()}
    texts = load_practice_texts()
    cut = [Source(t.title, t.text[a:b]) for t in texts for a, b in passage_spans(t.text, Splitting())]
    return lessons | {
        "texts": PassageSearch(cut, encoder).lessons(asked_of([q for t in texts for q in t.questions]), "texts")
    }


def public_lessons(folder: Path, encoder: SentenceEncoder) -> dict[str, list[Lesson]]:
    """SQuAD with misleading passages, which are mined once and kept in `folder`, and QED with those of other questions.

    Raises:
        DataUnavailable: SQuAD or QED cannot be had.
    """
    pairs = kept(
        folder / f"pairs-squad-{SQUAD_QUESTIONS}.jsonl", lambda: mined(*squad_passages(SQUAD_QUESTIONS), encoder)
    )
    squad = [Lesson(p.question, p.answers[1:], (p.passage,), p.negatives) for p in pairs]
    squad = [lesson for lesson in squad if has_sentence(lesson.passages[0], lesson.right)]
    rows = [row for row in map(parse, load_public(QED, "train")) if row.answers and row.answers[0][1] is not None]
    beside = random.Random(0).sample(rows, len(rows))
    qed = []
    for row, other in zip(rows, beside, strict=True):
        start = row.answers[0][1]
        right = next((row.context[a:b] for a, b in sentence_spans(row.context) if a <= start < b), None)
        if right and row.context != other.context:
            others = (Source(other.title, other.context),)
            qed.append(Lesson(row.question, (right,), (Source(row.title, row.context),), others))
    return {"squad": squad, "qed": qed}


def looks(model: SentenceRanker, encoder: SentenceEncoder) -> Callable[[], Mapping[str, float]]:
    """What measures a ranker: the share of validation questions that the sentence which it likes best answers."""
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever("hybrid", knowledge, encoder)
    asked = random.Random(0).sample([q for q in load_visitor_questions("validation") if q.evidence], LOOKED_AT)
    found = [[knowledge.passages[h.id].source for h in retriever.retrieve(q.question, PASSAGES)] for q in asked]

    def evaluate() -> dict[str, float]:
        right = []
        for question, sources in zip(asked, found, strict=True):
            judged = [
                (j.relevance, source.text[j.start : j.end])
                for source, each in zip(sources, model.score(question.question, sources), strict=True)
                for j in each
            ]
            best = max(judged)[1]
            right.append(any(e.sentence in best for e in (*question.evidence, *question.also_evidence)))
        return {GOAL: round(sum(right) / len(right), 4)}

    return evaluate


def train_sentence_ranker(folder: Path, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the difference to the bundled chat model's lower layers; all goes to `folder`, where it also resumes.

    Args:
        share: the recipe's number of steps times so much.

    Raises:
        DataUnavailable: SQuAD or QED cannot be had.
        ModelUnavailable: the chat model cannot be had.
    """
    if processes.count() > 1:
        raise ValueError("a sentence ranker is trained by one process; start it without torchrun")
    settings = replace(SETTINGS, steps=max(1, round(SETTINGS.steps * share)))
    encoder = SentenceEncoder(MUSEUM_ENCODER, device)
    model = SentenceRanker().to(device)
    with in_half(device):  # near enough for mining
        tasks = public_lessons(folder, encoder) | museum_lessons(encoder)
    train(model, tasks, folder, settings, looks(model, encoder))
    weights = folder / "weights"
    model.save(weights)
    write_json(weights / "settings.json", asdict(settings))
    print(f"weights: {weights}")
