"""Questions with the texts that answer them, laid out as in SQuAD or plainly: the public ones and anybody's own.

A file of JSON lines holds a row a line: {"question": …, "context": …, "answers": […]}, with a "title" or without.
"passage" or "text" may stand for "context", and one "answer" for "answers"; rows laid out as in rajpurkar/squad are
read too. An empty list of answers says that the context does not hold one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tqdm.auto import tqdm

from rag_lib.files import BadLine, json_lines
from rag_lib.generation.generators import Generator
from rag_lib.generation.jobs import ANSWER
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import Splitting, passage_spans

if TYPE_CHECKING:
    from datasets import Dataset

SQUAD = "rajpurkar/squad"
QED = "google-research-datasets/qed"
SCITLDR = "allenai/scitldr"
VALIDATION = "validation.jsonl"  # in a folder of one's own rows, the file that is not trained on
LONG = 250  # words that surely fit into a generator's input
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A question, a context, and what the row says of its answers.

    Attributes:
        answers: acceptable answers, each with the character of the context at which it begins, or None; None for all
            where the row says nothing of answers.
        id: what the row calls itself, if anything.
    """

    question: str
    title: str
    context: str
    answers: tuple[tuple[str, int | None], ...] | None
    id: str = ""

    @property
    def texts(self) -> list[str]:
        """The acceptable answers."""
        return [text for text, _ in self.answers or ()]


def text_of(row: dict, *names: str) -> str:
    """The text under the first of these names that the row has.

    Raises:
        ValueError: there is none, or it is empty.
    """
    value = next((row[name] for name in names if name in row), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{' or '.join(names)} is missing, empty or not a text")
    return value


def answers_of(row: dict) -> tuple[tuple[str, int | None], ...] | None:
    """The answers with their places, where the row says them.

    Raises:
        ValueError: they are no text, no list of texts, and not laid out as in SQuAD.
    """
    if "answers" not in row and "answer" not in row:
        return None
    found = row.get("answers", row.get("answer"))
    if isinstance(found, dict):  # as in SQuAD
        texts, starts = found.get("text"), found.get("answer_start")
    else:
        texts, starts = [found] if isinstance(found, str) else found, None
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise ValueError("answers is not a list of texts (an empty list where there is no answer)")
    starts = starts if isinstance(starts, list) and len(starts) == len(texts) else [None] * len(texts)
    return tuple((t.strip(), start) for t, start in zip(texts, starts, strict=True) if t.strip())


def parse(row: object) -> Row:
    """A row from what JSON made of a line.

    Raises:
        ValueError: a field is missing or of the wrong kind; the message says which.
    """
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    question, context = text_of(row, "question"), text_of(row, "context", "passage", "text")
    title = row.get("title", "")
    if not isinstance(title, str):
        raise ValueError("title is not a text")
    return Row(
        " ".join(question.split()), title.replace("_", " ").strip(), context, answers_of(row), str(row.get("id", ""))
    )


def usable_rows(path: Path, make: Callable[[Row], T]) -> tuple[list[T], list[BadLine]]:
    """What `make` turns a file's rows into, and what is wrong with the others.

    Args:
        make: raises a ValueError for a row that cannot be used.

    Raises:
        OSError: the file cannot be read.
    """
    made: list[T] = []
    broken: list[BadLine] = []
    for number, value in json_lines(path, broken):
        try:
            made.append(make(parse(value)))
        except ValueError as error:
            broken.append(BadLine(path, number, error))
    return made, broken


def read_own(folder: Path, make: Callable[[Row], T]) -> tuple[list[T], list[T], list[BadLine]]:
    """What `make` turns a user's rows into, those to train on and those of validation.jsonl; and what is broken.

    Args:
        folder: one of .jsonl files, or one such file.
        make: raises a ValueError for a row that cannot be used.

    Raises:
        ValueError: there is no such file.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    if not files:
        raise ValueError(f"there is no .jsonl file in {folder}" if folder.exists() else f"there is no {folder}")
    training: list[T] = []
    validation: list[T] = []
    broken: list[BadLine] = []
    for path in files:
        made, bad = usable_rows(path, make)
        (validation if path.name == VALIDATION else training).extend(made)
        broken += bad
    return training, validation, broken


def read_rows(path: Path, limit: int | None = None, seed: int = 0) -> list[Row]:
    """The rows of a file, to be measured on; with `limit`, so many drawn with the seed.

    Raises:
        BadLine: a row says nothing of answers, or is no row.
        ValueError: the file holds none.
    """
    rows, broken = usable_rows(path, with_answers)
    if broken:
        raise broken[0]
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return random.Random(seed).sample(rows, limit) if limit and limit < len(rows) else rows


def with_answers(row: Row) -> Row:
    """The row.

    Raises:
        ValueError: it says nothing of answers.
    """
    if row.answers is None:
        raise ValueError("answers is missing (an empty list where there is no answer)")
    return row


def sources_of(row: Row) -> list[Source]:
    """The passage of a row; a long one as shorter passages, the likeliest first."""
    if len(row.context.split()) <= LONG:
        return [Source(row.title, row.context)]
    pieces = [row.context[a:b] for a, b in passage_spans(row.context, Splitting(LONG // 2))]
    ranks = BM25(range(len(pieces)), pieces, Analyzer()).scores(row.question)
    return [Source(row.title, pieces[i]) for i in sorted(range(len(pieces)), key=lambda i: -ranks[i])]


def answer_rows(
    generator: Generator, rows: Sequence[Row], progress: bool = True, chunk: int = 64, threshold: float = 0.0
) -> list[str]:
    """The generator's answers to rows, each read from its own passage; none where the score is below the threshold."""
    predictions: dict[int, str] = {}
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].context))
    with tqdm(total=len(rows), desc="answering", disable=not progress) as bar:
        for i in range(0, len(order), chunk):
            part = [rows[j] for j in order[i : i + chunk]]
            generations = generator.generate([r.question for r in part], [sources_of(r) for r in part], ANSWER)
            predictions |= zip(
                order[i : i + chunk], (g.text if g.score >= threshold else "" for g in generations), strict=True
            )
            bar.update(len(part))
    return [predictions[i] for i in range(len(rows))]


class DataUnavailable(RuntimeError):
    """A public data set is neither in the folder that RAG_DATASETS names nor to be had from the hub."""


def local_file(name: str, split: str) -> Path | None:
    """The file of a split under RAG_DATASETS, or None where there is none."""
    folder = os.environ.get("RAG_DATASETS")
    if not folder:
        return None
    path = Path(folder) / name / f"{split}.jsonl.gz"
    return path if path.is_file() else None


def load_public(name: str, split: str) -> Dataset:
    """A split of a public data set, by its name on the hub.

    Raises:
        DataUnavailable: no local file, and the hub did not give it.
    """
    from datasets import load_dataset

    path = local_file(name, split)
    if path is not None:
        return load_dataset("json", data_files=str(path), split="train")
    try:
        return load_dataset(name, split=split)
    except Exception as error:  # the hub client raises a dozen kinds
        raise DataUnavailable(
            f"{name} ({split}) could not be loaded: set RAG_DATASETS to a folder that holds {name}/{split}.jsonl.gz, "
            f"or connect to the network ({type(error).__name__})"
        ) from error
