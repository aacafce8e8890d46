"""The classroom's pages lead to what is there, their plans add up, and the README leads to them."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

PAGES = sorted((ROOT / "classroom").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#([^)\s]+))?\)")
PLANS = (ROOT / "classroom" / "plans.md").read_text(encoding="utf-8")


def headings(path: Path) -> set[str]:
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return {heading.replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    for file, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / file).resolve()
        assert there.is_file(), file
        assert not anchor or unquote(anchor) in headings(there), f"{file}#{anchor}"


def test_every_page_can_be_reached_from_the_readme():
    assert "(classroom/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    index = (ROOT / "classroom" / "README.md").read_text(encoding="utf-8")
    assert {file for file, _ in LINK.findall(index)} == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize(
    ("plan", "minutes"), [("One hour", 60), ("Half a day", 240), ("The first day", 330), ("The second day", 330)]
)
def test_a_plan_takes_as_long_as_it_says(plan, minutes):
    (part,) = re.findall(rf"^##+ {plan}\n(.*?)(?=^##|\Z)", PLANS, re.MULTILINE | re.DOTALL)
    assert sum(map(int, re.findall(r"^\| (\d+) \|", part, re.MULTILINE))) == minutes


def test_a_plan_calls_a_section_by_its_name():
    for text, anchor in re.findall(r"\[(\d+\.\d+ [^]]+)\]\([^)#]+#([^)]+)\)", PLANS):
        assert unquote(anchor) == text.replace(" ", "-")


def test_the_rubric_adds_up():
    text = (ROOT / "classroom" / "project.md").read_text(encoding="utf-8")
    criteria = re.findall(r"^\| \*\*", text, re.MULTILINE)
    assert f"{3 * len(criteria)} points" in text


def test_the_commands_of_the_pages_exist():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for module in set(re.findall(r"python -m (rag_lib[\w.]+\w)", text)):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    targets = set(re.findall(r"^([a-z]+)[a-z ]*:", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets | {"book"}
