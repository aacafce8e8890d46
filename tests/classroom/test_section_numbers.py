"""Whoever names a section by its number names one that is there, and that holds what the text says it holds."""

import json
import re

import pytest
from conftest import ROOT

HEADING = re.compile(r"^## (\d+\.\d+) ", re.MULTILINE)
REFERENCE = re.compile(r"(?:\b[Ss]ections? |§ ?)(\d+\.\d+(?:(?:, | and | or | to )\d+\.\d+)*)")
HOLDING = re.compile(r"`(\w+)` (?:in|of) section (\d+\.\d+)")
NOTEBOOKS = sorted(path for folder in ("notebooks", "solutions") for path in (ROOT / folder).glob("*.ipynb"))
OTHERS = ("exercises/quizzes/*.json", "rag_lib/exercises/*.py", "classroom/*.md")
TEXTS = [*NOTEBOOKS, *sorted(path for pattern in OTHERS for path in ROOT.glob(pattern))]


def text_of(path) -> str:
    """A file's text; of a notebook the sources of its cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def all_sections() -> dict[str, str]:
    """What stands in each numbered section of the chapters, code and all."""
    parts = [HEADING.split(text_of(path)) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    return {number: body for part in parts for number, body in zip(part[1::2], part[2::2], strict=True)}


SECTIONS = all_sections()


def numbers(text: str) -> list[str]:
    """The numbers of the sections that a text names."""
    return [number for named in REFERENCE.findall(text) for number in re.findall(r"\d+\.\d+", named)]


def test_all_numbers_of_a_sentence_are_read():
    assert numbers("§ 3.2, then sections 1.5, 1.6 and 1.7. Section 4.14.") == ["3.2", "1.5", "1.6", "1.7", "4.14"]
    assert len(SECTIONS) > 130 and sum(len(numbers(text_of(path))) for path in TEXTS) > 100


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_section_that_is_named_is_there(path):
    assert [number for number in numbers(text_of(path)) if number not in SECTIONS] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_section_holds_what_it_is_named_for(path):
    assert [(name, n) for name, n in HOLDING.findall(text_of(path)) if name not in SECTIONS[n]] == []
