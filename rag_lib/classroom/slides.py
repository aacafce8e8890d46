"""Slides from the chapters, for a room without a network.

`make slides` (`python -m rag_lib.classroom.slides [CHAPTER …]`) writes `build/slides`: a page for each chapter, with
the stored outputs, and reveal.js beside it. A section is a column of slides; a text and the code below it share one.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter

from rag_lib.classroom.address import ABOUT, BADGE
from rag_lib.classroom.formulas import with_mathml
from rag_lib.classroom.sections import heading_of, split_at_headings
from rag_lib.files import write_atomically
from rag_lib.setup import ROOT

SLIDES = ROOT / "build" / "slides"
# nbconvert's template without what it would fetch: jQuery, RequireJS, Mermaid and MathJax.
TEMPLATE = """{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
.reveal .slides { text-align: left; }
.reveal h1, .reveal h2, .reveal h3 { text-transform: none; }
.reveal blockquote { width: auto; }
.reveal pre, .reveal .highlight pre { white-space: pre-wrap; }
.reveal .slides section { overflow-y: auto; max-height: 100%; }
.reveal img { max-height: 480px; margin: 0; }
.reveal table { font-size: 20px; }
</style>
{%- endblock -%}
{%- block footer_js -%}
<script src="reveal.js/dist/reveal.js"></script>
<script src="reveal.js/plugin/notes/notes.js"></script>
<script>Reveal.initialize({
    width: 1280, height: 800, margin: 0.03, center: false, history: true, slideNumber: "c/t", plugins: [RevealNotes],
});</script>
{%- endblock -%}"""


class NoSlides(RuntimeError):
    """Slides cannot be made; the message says why and what to do."""


def reveal_js() -> Path:
    """The folder of reveal.js that a package of the extra `book` carries.

    Raises:
        NoSlides: the package is not installed.
    """
    package = find_spec("sphinx_revealjs")
    if package is None or package.origin is None:
        raise NoSlides("the slides need the extra `book`: pip install --editable '.[book]'")
    return Path(package.origin).parent / "_static" / "revealjs"


def kind_of(cell: dict, before: dict | None) -> str:
    """Where a cell stands in the slides, in nbconvert's words: code goes below a text and below code that is silent."""
    if not cell["source"] or "google.colab" in cell["source"]:
        return "skip"
    if cell["cell_type"] == "markdown":
        return "slide" if heading_of(cell) else "subslide"
    follows = before is not None and (before["cell_type"] == "markdown" or not before["outputs"])
    return "-" if follows else "subslide"


def arranged(notebook: dict) -> dict:
    """The notebook laid out in slides, without what is only for Colab, its formulas drawn."""
    before, cells = None, split_at_headings(notebook["cells"])
    for cell in cells:
        if cell["cell_type"] == "markdown":
            cell["source"] = with_mathml(BADGE.sub("", cell["source"]).partition(ABOUT)[0].strip())
        kind = kind_of(cell, before)
        cell["metadata"] = cell["metadata"] | {"slideshow": {"slide_type": kind}}
        before = None if kind == "skip" else cell
    return notebook | {"cells": cells}


def make_slides(chapters: Sequence[Path], folder: Path = SLIDES) -> list[Path]:
    """Writes a page of slides for each chapter, and reveal.js beside them.

    Raises:
        NoSlides: reveal.js is not installed.
        OSError: a chapter cannot be read.
    """
    shutil.copytree(reveal_js(), folder / "reveal.js", dirs_exist_ok=True)
    exporter = SlidesExporter(
        raw_template=TEMPLATE,
        reveal_url_prefix="reveal.js",
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    pages = []
    for chapter in chapters:
        page, _ = exporter.from_notebook_node(
            nbformat.from_dict(arranged(nbformat.read(chapter, as_version=4))),
            {"metadata": {"name": chapter.stem}},
        )
        pages.append(folder / f"{chapter.stem}.html")
        write_atomically(pages[-1], page.encode())
    return pages


if __name__ == "__main__":
    try:
        named = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "notebooks").glob("*.ipynb"))
        print(*make_slides(named), sep="\n")
    except (NoSlides, OSError) as error:
        sys.exit(f"error: {error}")
