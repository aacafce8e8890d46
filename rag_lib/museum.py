"""The collection of the Perigee Space Museum, on which the course stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rag_lib.documents import Document, load_documents
from rag_lib.paths import MUSEUM

ARTICLES = MUSEUM / "articles"
SPLITS = ("train", "validation", "test")
UNANSWERABLE = "unanswerable"


@dataclass(frozen=True)
class Evidence:
    """A sentence of an article, to the letter."""

    article: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """A visitor's question.

    Attributes:
        answers: all acceptable short answers, each one literally in a sentence of the evidence; empty where the
            collection has no answer.
        evidence: one sentence, or two of two articles; that of the answer first.
        kind: who, when, where, how many, how, why, which, what, or unanswerable.
        near: the article an unanswerable question is about.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    kind: str
    near: str = ""


def load_articles(folder: Path = ARTICLES) -> list[Document]:
    """The articles, by id; `metadata` has hall, topics, summary and, for the museum's own, `fictional`."""
    return sorted(load_documents(folder).documents, key=lambda d: d.id)


def load_questions(split: str, folder: Path = MUSEUM / "questions") -> list[Question]:
    """The questions of a split.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
    rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        Question(
            r["id"],
            r["question"],
            tuple(r["answers"]),
            tuple(Evidence(**e) for e in r["evidence"]),
            r["kind"],
            r.get("near", ""),
        )
        for r in rows
    ]
