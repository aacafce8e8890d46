"""The web edition and the slides: complete, without a network, and usable without eyes or a mouse."""

import functools
import http.server
import json
import re
import shutil
import threading

import pytest
from conftest import ROOT

pytest.importorskip("sphinx", reason="the extra `book` is not installed")

from selectolax.lexbor import LexborHTMLParser

from rag_lib.classroom.address import read_address
from rag_lib.classroom.book import BookError, broken_links, build, linked, pages
from rag_lib.classroom.formulas import FORMULA, mathml, with_mathml
from rag_lib.classroom.slides import kind_of, make_slides

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The site; that it is built says that Sphinx had nothing to warn of and no link is broken."""
    return build(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def site(html):
    """The address of the site on a server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_page_is_in_the_site_and_in_its_contents(html):
    contents = {
        a.attributes["href"] for a in LexborHTMLParser((html / "index.html").read_text()).css(".sidebar-tree a")
    }
    named = {f.relative_to(ROOT).with_suffix(".html").as_posix() for files in pages().values() for f in files}
    assert len(named) >= 20 and contents == named


def test_every_picture_of_the_site_has_a_text(html):
    images = [
        i for page in html.rglob("*.html") for i in LexborHTMLParser(page.read_text()).css("main img, article img")
    ]
    assert len(images) > 80
    assert all(len(image.attributes.get("alt") or "") > 5 for image in images)


def test_hidden_outputs_stay_hidden_until_they_are_asked_for(html):
    chapter = CHAPTERS[0]
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    folded = [(c["metadata"].get("jupyter", {}), c) for c in cells]
    hidden = [c for f, c in folded if f.get("outputs_hidden") and c["outputs"]]
    hidden += [c for f, c in folded if f.get("source_hidden")]
    tree = LexborHTMLParser((html / "notebooks" / f"{chapter.stem}.html").read_text())
    assert len(tree.css("details.hide")) == len(hidden) > 0
    assert not tree.css("details.hide[open]")


def test_a_lost_link_is_named(html, tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a href="#x">x</a><p id="y"></p><a href="#y">y</a>')
    (tmp_path / "c.html").write_text(
        '<script src="https://cdn.example/x.js"></script><a href="https://example.org">e</a>'
    )
    assert broken_links(tmp_path) == ["a.html: b.html", "a.html: #x", "c.html: https://cdn.example/x.js is fetched"]


def test_links_to_what_is_no_page_lead_to_the_repository():
    address, readme = read_address(), ROOT / "README.md"
    text = "[a](data/README.md) `[b](nothing.md)` [c](Makefile) [d](https://example.org)"
    assert linked(text, readme, {ROOT / "data" / "README.md"}, address) == text.replace(
        "(Makefile)", f"({address.url}/blob/{address.revision}/Makefile)"
    )
    with pytest.raises(BookError, match=r"README\.md: nothing\.md is not there"):
        linked("[b](nothing.md)", readme, set(), address)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_site_can_be_used_by_everybody(site, scheme):
    from playwright.sync_api import sync_playwright

    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(color_scheme=scheme)
        for name in ("index", "notebooks/04_vector_index", "exercises/02_bm25", "classroom/glossary"):
            page.goto(f"{site}/{name}.html")
            found = axe.run(page, options={"runOnly": RULES})
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        page.fill("input[name=q]", "saturation")
        page.press("input[name=q]", "Enter")
        page.wait_for_selector("#search-results li")
        assert "02 · BM25" in page.inner_text("#search-results")
        browser.close()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_formula_can_be_drawn(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            assert not FORMULA.search(re.sub("`[^`]*`", "", with_mathml("".join(cell["source"]))))


def test_formulas_are_told_from_code_and_prices():
    assert with_mathml("costs $5 today, `$a$` and ```\n$$b$$\n```") == "costs $5 today, `$a$` and ```\n$$b$$\n```"
    assert with_mathml("so $x$").startswith("so <math") and "<mi>x</mi>" in with_mathml("so $x$")
    assert 'display="block"' in with_mathml("$$x$$") and "…" in mathml(r"a \dots b")
    assert mathml(r"\Big(a\Big)") == mathml("(a)")


def test_slides_need_no_network_and_hold_the_chapter(tmp_path):
    pytest.importorskip("sphinx_revealjs")
    (page,) = make_slides([CHAPTERS[2]], tmp_path)
    tree = LexborHTMLParser(page.read_text(encoding="utf-8"))
    fetched = [n.attributes["src"] for n in tree.css("script[src], img[src]")]
    fetched += [n.attributes["href"] for n in tree.css("link[href]")]
    files = [name for name in fetched if not name.startswith("data:image/png;base64,")]
    assert len(files) >= 4 and all((tmp_path / name).is_file() for name in files)
    cells = json.loads(CHAPTERS[2].read_text(encoding="utf-8"))["cells"]
    prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert len(tree.css(".slides > section")) == len(re.findall(r"^##? ", prose, re.MULTILINE)) > 10
    text = tree.body.text()
    assert "google.colab" not in text and "Open in Colab" not in text and "$" not in tree.css_first("section").text()


def test_code_shares_a_slide_with_the_text_above_it():
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

    text, silent = new_markdown_cell("So:"), new_code_cell("x = 1")
    loud = new_code_cell("x", outputs=[new_output("stream", text="1")])
    assert [kind_of(silent, text), kind_of(loud, silent), kind_of(silent, loud)] == ["-", "-", "subslide"]
    assert [kind_of(new_markdown_cell("## 1"), loud), kind_of(text, loud)] == ["slide", "subslide"]
