"""The collection of the Perigee Space Museum, on which the course stands: typed records, and what must hold of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_lib.applications.shop import Product, Purchase, Visitor
from rag_lib.files import ARTICLES, DATA, MUSEUM, read_json_lines
from rag_lib.indexing.documents import Document, load_documents

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
STYLES = ("questions", "visitor_questions")  # with the article in view; as a visitor asks
PRACTICE = "practice_questions.jsonl"  # for training only
PRACTICE_TEXTS = DATA / "practice" / "texts.jsonl"


@dataclass(frozen=True)
class Evidence:
    """A sentence of an article, to the letter."""

    article: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """A question to the museum, with what answers it.

    Attributes:
        answers: short answers, each one literally in a sentence of the evidence; none where the collection has no
            answer, or no short one.
        evidence: the sentence that answers it, or two of two articles that do so together, that of `answers` first;
            none where the collection has no answer.
        kind: see `rag_lib.museum.kinds`.
        also_accepted: other right wordings, which stand in no evidence.
        also_evidence: other sentences, each of which answers it alone.
        verdict: "yes" or "no" where that was asked.
        reply: how a guide would answer in a sentence or two; only with visitors' questions.
        near: the article that an unanswerable question is about, if any.
        traps: sentences that look like an answer and are none; only with practice questions.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    kind: str
    also_accepted: tuple[str, ...] = ()
    also_evidence: tuple[Evidence, ...] = ()
    verdict: str = ""
    reply: str = ""
    near: str = ""
    traps: tuple[Evidence, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """All right short answers."""
        return self.answers + self.also_accepted


@dataclass(frozen=True)
class PracticeText:
    """A short text about another thing than the museum, with questions whose evidence has no article."""

    title: str
    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Turn:
    """What a visitor says, the same so that it stands alone, the sentence that answers it (if any), and the reply."""

    visitor: str
    standalone: str
    evidence: Evidence | None
    guide: str


@dataclass(frozen=True)
class Dialogue:
    """A conversation between a visitor and the museum's guide."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Summary:
    """A reference summary of a dossier; half of them have another one that answers a question.

    Attributes:
        evidence: the dossier's sentences that answer the question, each in part, the best one first.
    """

    dossier: str
    summary: str
    question: str = ""
    focused: str = ""
    evidence: tuple[str, ...] = ()


# Purchases before the first day are for training, from the second on for testing, between them for validation.
VALIDATION_DAY, TEST_DAY = "2026-03-01", "2026-06-01"


def split_file(kind: str, split: str, museum: Path) -> Path:
    """The file of a split of questions, dialogues or summaries.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
    return museum / kind / f"{split}.jsonl"


def load_articles(museum: Path = MUSEUM) -> list[Document]:
    """The articles, by id; `metadata` has hall, topics, summary and, for the museum's own, `fictional`."""
    return sorted(load_documents(museum / ARTICLES.name).documents, key=lambda d: d.id)


def load_splits(museum: Path = MUSEUM) -> dict[str, str]:
    """The split of every article, by its id."""
    splits = json.loads((museum / "splits.json").read_text(encoding="utf-8"))
    return {article: split for split, articles in splits.items() for article in articles}


def load_questions(split: str, museum: Path = MUSEUM, style: str = STYLES[0]) -> list[Question]:
    """The questions of a split, in one of STYLES.

    Raises:
        ValueError: there is no such split or style.
    """
    if style not in STYLES:
        raise ValueError(f"no questions are called {style!r}; there are {', '.join(STYLES)}")
    return [Question(**question_fields(row)) for row in read_json_lines(split_file(style, split, museum))]


def load_visitor_questions(split: str, museum: Path = MUSEUM) -> list[Question]:
    """The questions of a split as visitors ask, written without the article in view."""
    return load_questions(split, museum, STYLES[1])


def load_practice_questions(museum: Path = MUSEUM) -> list[Question]:
    """Further questions to train on, in visitors' words but written with the article in view, many with traps."""
    return [Question(**question_fields(row)) for row in read_json_lines(museum / PRACTICE)]


def load_practice_texts(file: Path = PRACTICE_TEXTS) -> list[PracticeText]:
    """Short texts about all kinds of things, with questions; for training only."""

    def question(title: str, number: int, row: dict) -> Question:
        right = tuple(Evidence("", sentence) for sentence in row["evidence"])
        answers = tuple(row.get("answers", ()))
        asked = row["question"]
        return Question(
            f"{title} {number}", asked, answers, right[:1], "", also_evidence=right[1:], verdict=row.get("verdict", "")
        )

    return [
        PracticeText(r["title"], r["text"], tuple(question(r["title"], *each) for each in enumerate(r["questions"])))
        for r in read_json_lines(file)
    ]


def question_fields(row: dict) -> dict:
    """A question's fields from its row in the file."""
    texts = {name: tuple(row[name]) for name in ("answers", "also_accepted") if name in row}
    sentences = {n: tuple(Evidence(**e) for e in row[n]) for n in ("evidence", "also_evidence", "traps") if n in row}
    return row | texts | sentences


def load_dialogues(split: str, museum: Path = MUSEUM) -> list[Dialogue]:
    """The dialogues of a split."""
    return [
        Dialogue(
            row["id"],
            tuple(Turn(**t | {"evidence": Evidence(**t["evidence"]) if t["evidence"] else None}) for t in row["turns"]),
        )
        for row in read_json_lines(split_file("dialogues", split, museum))
    ]


def load_dossiers(museum: Path = MUSEUM) -> list[Document]:
    """The dossiers, by id; `metadata["article"]` is the article each goes with."""
    dossiers = load_documents(museum / "dossiers").documents
    return sorted((replace(d, id=d.metadata.get("id", d.id)) for d in dossiers), key=lambda d: d.id)


def load_summaries(split: str, museum: Path = MUSEUM) -> list[Summary]:
    """The reference summaries of a split."""
    rows = read_json_lines(split_file("summaries", split, museum))
    return [Summary(**row | {"evidence": tuple(row.get("evidence", ()))}) for row in rows]


def load_products(museum: Path = MUSEUM) -> list[Product]:
    """The shop's products, by id."""
    rows = read_json_lines(museum / "shop" / "products.jsonl")
    return [Product(**row | {"topics": tuple(row["topics"])}) for row in rows]


def load_visitors(museum: Path = MUSEUM) -> list[Visitor]:
    """The shop's simulated visitors, by id (see rag_lib.museum.visitors)."""
    rows = read_json_lines(museum / "shop" / "visitors.jsonl")
    return [Visitor(r["id"], r["age"], tuple(Purchase(**p) for p in r["history"])) for r in rows]


def purchases_of(visitor: Visitor, split: str) -> list[Purchase]:
    """A visitor's purchases in a split, which is a stretch of time.

    Raises:
        ValueError: there is no such split.
    """
    first, end = {
        "train": ("", VALIDATION_DAY),
        "validation": (VALIDATION_DAY, TEST_DAY),
        "test": (TEST_DAY, "9999"),
    }.get(split, (None, None))
    if first is None:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
    return [p for p in visitor.history if first <= p.date < end]


def as_dataset(records: Sequence) -> Dataset:
    """Records of one type as a `datasets.Dataset`, a column a field."""
    from datasets import Dataset

    return Dataset.from_list([asdict(record) for record in records])
