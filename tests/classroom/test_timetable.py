"""The timetable fits the chapters as they are."""

import json

import pytest
from conftest import ROOT

from rag_lib.classroom.timetable import TIMETABLE, Section, sections, timetable

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_it_has_not_drifted():
    assert TIMETABLE.read_text(encoding="utf-8") == timetable(), "run `make stamp`"


def test_minutes_are_reckoned_from_what_is_in_a_section():
    def cell(kind, source):
        return {"cell_type": kind, "source": [source], "id": "x"}

    notebook = {
        "cells": [
            cell("markdown", "# Title\n" + "word " * 348),
            cell("code", "x"),
            cell(
                "markdown",
                "Ten words that still belong to what stood before them.\n\n## 1 First\n\n> **Before you run:** what?",
            ),
            cell("code", "check_yours(my_f, f)"),
            cell("markdown", "## Further reading\n" + "word " * 300),
        ]
    }
    assert list(sections(notebook)) == [
        Section("Title", 4, 0, 0),
        Section("1 First", 9, 1, 1),
        Section("Further reading", 0, 0, 0),
    ]
    assert [s.to_do for s in sections(notebook)] == ["", "1 prediction, 1 function", ""]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_can_be_taught_in_a_morning(path):
    listed = list(sections(json.loads(path.read_text(encoding="utf-8"))))
    assert 30 <= sum(s.minutes for s in listed) <= 240
    assert sum(s.predictions for s in listed) >= 3
