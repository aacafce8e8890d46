"""The web edition: README, chapters with their stored outputs, exercises and the classroom's pages as one site.

`make book` (`python -m rag_lib.classroom.book`) writes `build/book/html`, runs no notebook and needs no network; nor do
its readers, for formulas are MathML and the search is a script of its own. A broken link ends it with an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docutils import nodes
from selectolax.lexbor import LexborHTMLParser
from sphinx.application import Sphinx

from rag_lib.classroom.address import Address, read_address
from rag_lib.classroom.formulas import mathml
from rag_lib.exercises.derive import text_of
from rag_lib.files import write_atomically
from rag_lib.setup import ROOT

BOOK = ROOT / "build" / "book"
# The site's parts: a heading of its contents, and the files below it.
PARTS = {
    "Chapters": "notebooks/*.ipynb",
    "Exercises": "exercises/*.ipynb",
    "In a classroom": "classroom/*.md",
    "What is inside": "data/README.md",
}
SETTINGS = {
    "project": "RAG from scratch",
    "extensions": ["myst_nb", "rag_lib.classroom.book"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 4,
    "myst_heading_slug_func": "rag_lib.classroom.book.place_of",
    "smartquotes": False,
    "html_theme": "furo",
    "html_title": "RAG from scratch",
    "html_math_renderer": "mathml",
    "html_theme_options": {"top_of_page_buttons": []},
    "html_show_sphinx": False,
    "html_copy_source": False,
}
# What Sphinx and the theme leave out: a heading's level, and a way to scroll a wide box by keyboard.
MENDED = {
    'role="heading"': 'role="heading" aria-level="2"',
    "<pre>": '<pre tabindex="0">',
    '<div class="math-wrapper': '<div tabindex="0" class="math-wrapper',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}
HIDDEN = {"outputs_hidden": "hide-output", "source_hidden": "hide-input"}  # what JupyterLab folds, as MyST calls it
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s]+)(?=\))")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


class BookError(RuntimeError):
    """The book cannot be built as it should be; the message names what is wrong, a line each."""


def place_of(heading: str) -> str:
    """The anchor of a heading, as JupyterLab and GitHub make it for notebooks."""
    return heading.replace(" ", "-")


def pages(root: Path = ROOT) -> dict[str, list[Path]]:
    """The files of each part of the site."""
    return {part: sorted(root.glob(pattern)) for part, pattern in PARTS.items()}


def linked(text: str, path: Path, inside: set[Path], address: Address, root: Path = ROOT) -> str:
    """A text of Markdown whose links to files that are no page of the site lead to the repository.

    Raises:
        BookError: a link leads to a file that is not there.
    """

    def target(match: re.Match) -> str:
        name, _, anchor = match[1].partition("#")
        file = Path(os.path.normpath(path.parent / unquote(name)))
        if not file.exists():
            raise BookError(f"{path.relative_to(root)}: {match[1]} is not there")
        if file in inside:
            return match[1]
        return f"{address.url}/blob/{address.revision}/{file.relative_to(root).as_posix()}" + (anchor and f"#{anchor}")

    parts = re.split(f"({CODE.pattern})", text, flags=CODE.flags)
    return "".join(part if i % 2 else LINK.sub(target, part) for i, part in enumerate(parts))


def page_of(notebook: dict, path: Path, inside: set[Path], address: Address, root: Path = ROOT) -> dict:
    """A notebook as a page: links that lead somewhere, no cell for Colab, and what MyST-NB names in its own way."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = linked("".join(cell["source"]), path, inside, address, root)
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        tags = cell["metadata"].setdefault("tags", [])
        folded = cell["metadata"].get("jupyter", {})
        tags += [tag for part, tag in HIDDEN.items() if folded.get(part)]
        if cell["cell_type"] == "code" and "google.colab" in "".join(cell["source"]):
            tags.append("remove-cell")
    return notebook


def contents(parts: dict[str, list[Path]], root: Path = ROOT) -> str:
    """The site's table of contents, in MyST."""
    lines = []
    for part, files in parts.items():
        names = (file.relative_to(root).with_suffix("").as_posix() for file in files)
        lines += ["", "```{toctree}", ":hidden:", f":caption: {part}", "", *names, "```"]
    return "\n".join(lines) + "\n"


def gather(source: Path, root: Path = ROOT) -> None:
    """Writes what Sphinx reads: the README as `index.md`, and every page at its place.

    Raises:
        BookError: a link leads to a file that is not there.
    """
    address, parts = read_address(root), pages(root)
    readme = root / "README.md"
    inside = {readme, *(file for files in parts.values() for file in files)}
    for file in inside:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".ipynb":
            text = text_of(page_of(json.loads(text), file, inside, address, root))
        else:
            text = linked(text, file, inside, address, root)
        page = source / file.relative_to(root)
        if file == readme:
            text, page = text + contents(parts, root), source / "index.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(page, text.encode())


def draw_inline(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Writes a formula in a sentence."""
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def draw_block(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Writes a formula on a line of its own."""
    writer.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes this file an extension of Sphinx, which draws formulas as MathML."""
    app.add_html_math_renderer("mathml", (draw_inline, None), (draw_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def broken_links(html: Path) -> list[str]:
    """Links within the site that lead nowhere, as `page: link`, and files that a page would fetch from elsewhere."""
    trees = {file: LexborHTMLParser(file.read_text(encoding="utf-8")) for file in html.rglob("*.html")}
    places = {file: {n.attributes["id"] for n in tree.css("[id]")} for file, tree in trees.items()}
    broken = []
    for file, tree in trees.items():
        links = [(n, n.attributes.get("href") or "") for n in tree.css("a[href], link[href]")]
        links += [(n, n.attributes["src"] or "") for n in tree.css("[src]")]
        for node, link in links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                fetched = node.tag in ("script", "link") and node.attributes.get("rel") != "canonical"
                broken += [f"{file.relative_to(html)}: {link} is fetched"] if fetched else []
                continue
            there = Path(os.path.normpath(file.parent / unquote(address.path))) if address.path else file
            lost = not there.exists() or (address.fragment and unquote(address.fragment) not in places.get(there, ()))
            broken += [f"{file.relative_to(html)}: {link}"] if lost else []
    return broken


def mend(html: Path) -> None:
    """Writes into the pages what they lack for those who hear them or have no mouse."""
    for file in html.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for lacking, mended in MENDED.items():
            text = text.replace(lacking, mended)
        write_atomically(file, text.encode())


def build(folder: Path = BOOK, root: Path = ROOT) -> Path:
    """Builds the site anew and returns the folder of its pages.

    Raises:
        BookError: Sphinx warns, or a link is broken.
    """
    shutil.rmtree(folder, ignore_errors=True)
    source, html = folder / "source", folder / "html"
    gather(source, root)
    warnings = StringIO()
    app = Sphinx(source, None, html, folder / "doctrees", "html", SETTINGS, status=None, warning=warnings)
    app.build()
    mend(html)
    wrong = [*warnings.getvalue().splitlines(), *broken_links(html)]
    if wrong:
        raise BookError("\n".join(wrong))
    return html


if __name__ == "__main__":
    try:
        print(build() / "index.html")
    except BookError as error:
        sys.exit(f"error: {error}")
