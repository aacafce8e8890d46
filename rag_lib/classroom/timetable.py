"""How long each section of the chapters takes to teach, from what is in it.

`make stamp` (`python -m rag_lib.classroom.timetable`) writes `classroom/timetable.md` anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag_lib.classroom.sections import heading_of, split_at_headings
from rag_lib.files import write_atomically
from rag_lib.setup import ROOT

TIMETABLE = ROOT / "classroom" / "timetable.md"
WORDS_PER_MINUTE = 120  # read or said, with a look at the formula beside it
MINUTES_PER_CELL = 0.7  # to run it and look at what it shows
MINUTES_PER_PREDICTION = 2  # a minute to think, a minute to hear two answers
MINUTES_PER_TASK = 6  # to write a function of a few lines, with the check
MINUTES_OF_YOUR_OWN = 5  # the learner's own question, at the end of a chapter
PREDICTION = re.compile(r"\*\*Before you (?:run|read)")
TASK = re.compile(r"\bcheck\w*\(my_")
SELF_STUDY = ("Exercises", "Further reading")
INTRODUCTION = """# Timetable

How long each section takes to teach, and what the learners do in it. The minutes are reckoned from the notebooks:
{words} words a minute, {prediction} minutes for a prediction, {task} for a function to write, and a moment for each
cell that runs. Add a break of ten minutes to every hour. Exercises and further reading are homework.
"""


@dataclass(frozen=True)
class Section:
    """A section of a chapter: its heading, the minutes to teach it, and what there is to do in it."""

    heading: str
    minutes: int
    predictions: int
    tasks: int

    @property
    def to_do(self) -> str:
        """Predictions and functions to write, in words."""
        parts = [(self.predictions, "prediction"), (self.tasks, "function")]
        return ", ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in parts if count)


def sections(notebook: dict) -> Iterator[Section]:
    """The sections of a chapter in order; its title and goals come first."""
    heading, cells = "", []
    for cell in split_at_headings(notebook["cells"]):
        if (begun := heading_of(cell)) and cells:
            yield section(heading, cells)
            cells = []
        heading = begun or heading
        cells.append(cell)
    yield section(heading, cells)


def section(heading: str, cells: list[dict]) -> Section:
    """A section from its cells; what is homework takes no minutes."""
    prose = "\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")
    code = [c["source"] for c in cells if c["cell_type"] == "code"]
    predictions = len(PREDICTION.findall(prose))
    tasks = sum(len(TASK.findall(source)) for source in code)
    minutes = len(prose.split()) / WORDS_PER_MINUTE + MINUTES_PER_CELL * len(code)
    minutes += MINUTES_PER_PREDICTION * predictions + MINUTES_PER_TASK * tasks
    minutes += MINUTES_OF_YOUR_OWN if heading == "Your turn" else 0
    return Section(heading, 0 if heading in SELF_STUDY else max(1, round(minutes)), predictions, tasks)


def table(path: Path) -> str:
    """The table of a chapter, in Markdown."""
    rows = list(sections(json.loads(path.read_text(encoding="utf-8"))))
    lines = [f"## [{rows[0].heading}](../notebooks/{path.name})", "", "| section | minutes | to do |", "|---|---|---|"]
    first, *others = rows
    lines.append(f"| Goals | {first.minutes} | {first.to_do} |")
    lines += [f"| {row.heading} | {row.minutes or '–'} | {row.to_do} |" for row in others]
    lines.append(f"| **together** | **{sum(row.minutes for row in rows)}** | |")
    return "\n".join(lines)


def timetable(root: Path = ROOT) -> str:
    """The tables of all chapters that there are."""
    head = INTRODUCTION.format(words=WORDS_PER_MINUTE, prediction=MINUTES_PER_PREDICTION, task=MINUTES_PER_TASK)
    return "\n\n".join([head.strip(), *map(table, sorted((root / "notebooks").glob("*.ipynb")))]) + "\n"


if __name__ == "__main__":
    write_atomically(TIMETABLE, timetable().encode())
