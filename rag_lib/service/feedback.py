"""Visitors' judgements become rows to evaluate and train on.

Each judgement is a line of JSON. Where it says what the right answer is, the line is laid out as in SQuAD, so that
`evaluate generation FILE` and `train generator --data FILE` read it. Where it only says that an answer was wrong, the
right one is not known: such a line has no "answers", and stands in a file of its own.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from rag_lib.files import append_json
from rag_lib.indexing.documents import Passage
from rag_lib.service.assistant import Told


def passage_with(told: Told, answer: str) -> Passage | None:
    """The passage read that holds an answer to the letter: the cited one first."""
    cited = [c.passage for c in (*told.trace.answer.citations, told.trace.answer.nearest) if c]
    return next((p for p in (*cited, *told.trace.passages) if answer and answer in p.text), None)


def row_of(told: Told, verdict: str, correction: str) -> dict | None:
    """A row to evaluate on; None where the right answer is not known, or stands in no passage that was read."""
    answer = told.trace.answer.guess if verdict == "right" else correction
    if verdict == "not in the documents":
        passage, answers = next(iter(told.trace.passages), None), []
    else:
        passage, answers = passage_with(told, answer), [answer]
    if passage is None:
        return None
    row = {"id": f"feedback-{told.id}", "question": told.trace.question, "title": passage.title}
    return row | {"context": passage.text, "answers": answers}


def keep(path: Path, told: Told, verdict: str, correction: str) -> bool:
    """Adds a judgement to a file, or to the one beside it where it is no row; returns whether it is one.

    Raises:
        OSError: it cannot be written.
    """
    answer = told.trace.answer
    said = {"verdict": verdict, "said": answer.guess, "sure": round(answer.score, 4), "version": told.version}
    said["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    row = row_of(told, verdict, " ".join(correction.split()))
    if row is None:
        path = path.with_name(f"{path.stem}-open{path.suffix}")
        row = {"id": f"feedback-{told.id}", "question": told.trace.question, "correction": correction}
        row["passages"] = [p.id for p in told.trace.passages]
        said["open"] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # what visitors ask is for the owner only
    append_json(path, row | said)
    return "open" not in said
