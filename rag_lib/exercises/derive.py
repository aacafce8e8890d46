"""The exercises are derived from the solutions, cell for cell as nbgrader's `generate_assignment` would.

`python -m rag_lib.exercises.derive` writes `exercises/` anew. What is between BEGIN SOLUTION and END SOLUTION becomes a
stub, hidden tests go, outputs go, and the cells that are checked are locked, with nbgrader's checksums.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import sys
from pathlib import Path

from rag_lib.exercises.catalogue import SOLUTIONS
from rag_lib.files import write_atomically

EXERCISES = SOLUTIONS.parent / "exercises"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")


def without_region(lines: list[str], region: str, stub: tuple[str, ...] = ()) -> list[str]:
    """Lines with each region replaced by the stub, indented as the line that begins it.

    Raises:
        ValueError: a region begins in another one, or does not end.
    """
    kept, inside = [], False
    for line in lines:
        if f"BEGIN {region}" in line:
            if inside:
                raise ValueError(f"a region {region} begins inside another one")
            inside = True
            indent = re.match(r"\s*", line).group()
            kept += [indent + stub_line for stub_line in stub]
        elif f"END {region}" in line:
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"a region {region} does not end")
    return kept


def checksum(source: str, cell_type: str, settings: dict) -> str:
    """nbgrader's checksum of a cell, by which it sees whether a locked one was changed."""
    grade, solution = settings["grade"], settings["solution"]
    locked = not solution and (grade or settings["locked"])
    parts = [source, cell_type, str(grade), str(solution), str(locked), settings["grade_id"]]
    if grade:
        parts.append(str(float(settings["points"])))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def derived_cell(cell: dict) -> dict:
    """A cell of the exercises from that of the solutions.

    Raises:
        ValueError: it has a solution or a hidden test and is not marked as nbgrader needs it, or a region does not end.
    """
    cell = copy.deepcopy(cell)
    if cell["cell_type"] == "code":
        cell |= {"outputs": [], "execution_count": None}
    settings = cell["metadata"].get("nbgrader")
    before = "".join(cell["source"]).split("\n")
    lines = without_region(before, "SOLUTION", STUB)
    if (lines != before) != bool(settings and settings["solution"]):
        raise ValueError(f"a solution and its mark do not go together: {before[0]!r}")
    shown = without_region(lines, "HIDDEN TESTS")
    if shown != lines and not (settings and settings["grade"]):
        raise ValueError(f"hidden tests stand in a cell that is not graded: {before[0]!r}")
    source = "\n".join(shown)
    cell["source"] = source.splitlines(keepends=True)
    if settings:
        cell["metadata"]["deletable"] = False
        if not settings["solution"]:
            cell["metadata"]["editable"] = False
        settings |= {"cell_type": cell["cell_type"], "checksum": checksum(source, cell["cell_type"], settings)}
    return cell


def derived(notebook: dict) -> dict:
    """A notebook of exercises from one of solutions."""
    return notebook | {"cells": [derived_cell(cell) for cell in notebook["cells"]]}


def text_of(notebook: dict) -> str:
    """A notebook as the repository writes it."""
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def derive_all(solutions: Path = SOLUTIONS, exercises: Path = EXERCISES) -> list[Path]:
    """Writes all notebooks of exercises anew.

    Raises:
        ValueError: a notebook is not marked as nbgrader needs it; the message names it.
    """
    written = []
    for path in sorted(solutions.glob("*.ipynb")):
        try:
            notebook = derived(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path.name}: {error}") from error
        written.append(exercises / path.name)
        write_atomically(written[-1], text_of(notebook).encode())
    return written


if __name__ == "__main__":
    try:
        print(*(path.name for path in derive_all()), sep="\n")
    except ValueError as error:
        sys.exit(f"error: {error}")
