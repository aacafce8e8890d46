"""Each term of the glossary has one sentence, and a link to a section that is there and speaks of it."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

GLOSSARY = ROOT / "classroom" / "glossary.md"
ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \| \[(.+?)\]\((\S+?)#(\S+?)\) \|$", re.MULTILINE)
ENTRIES = ROW.findall(GLOSSARY.read_text(encoding="utf-8"))
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@cache
def sections(path: Path) -> dict[str, str]:
    """What a notebook says in each section, with its subsections; the title's ends where the first section begins."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    parts = re.split(r"^(#{1,2} .*)$", text, flags=re.MULTILINE)
    return {head.lstrip("# "): body for head, body in zip(parts[1::2], parts[2::2], strict=True)}


def plain(text: str) -> str:
    """A text without the marks of Markdown, in lower case, on one line."""
    return " ".join(re.sub(r"[*_`$\\]", "", text).lower().split())


def test_there_are_sixty_terms_or_more_in_order_and_none_twice():
    rows = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
    terms = [term.lower() for term, *_ in ENTRIES]
    assert len(rows) == len(terms) >= 60, "a row is not laid out as the others"
    assert terms == sorted(set(terms))


@pytest.mark.parametrize(("term", "meaning", "heading", "file", "anchor"), ENTRIES, ids=[e[0] for e in ENTRIES])
def test_a_term_stands_where_its_link_leads(term, meaning, heading, file, anchor):
    assert re.fullmatch(r"[A-Z0-9].*[^.]\.", meaning) and not re.search(r"\. [A-Z]", meaning), "one sentence"
    assert unquote(anchor) == heading.replace(" ", "-"), "as JupyterLab and GitHub name the places of headings"
    there = sections((GLOSSARY.parent / file).resolve())
    assert heading in there, f"{file} has no such section"
    assert plain(term) in plain(f"{heading} {there[heading]}"), f"{heading} does not speak of it"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_that_teaches_something_new_is_in_it(path):
    assert sum(file.endswith(path.name) for *_, file, _ in ENTRIES) >= 3
