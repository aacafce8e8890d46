"""The page in a real browser: ask, look at the source, add a document, talk, find something in the shop."""

import os
import re
import shutil
from pathlib import Path

import pytest
from fakes import HashEncoder
from services import open_service, serving

from rag_lib.applications.recommendation import ShopAssistant
from rag_lib.indexing.documents import Document
from rag_lib.museum.collection import load_products, load_visitors
from rag_lib.service.settings import Settings

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = {"width": 1100, "height": 900}, {"width": 360, "height": 740}
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>"
# The ratio of the luminances of every text and its ground, as WCAG 2 defines it; and the elements below `least`.
CONTRAST = """(least) => {
    const channels = (c) => c.match(/[\\d.]+/g).map(Number);
    const light = (c) => channels(c).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const c = channels(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] === 1) return getComputedStyle(e).backgroundColor;
        }
        return 'rgb(255, 255, 255)';
    };
    const low = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.checkVisibility()) continue;
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < least) low.push(`${e.tagName} ${e.className} “${e.textContent.slice(0, 30)}” ${ratio.toFixed(2)}`);
    }
    return low;
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A service with the museum's shop, and a document that would like to be more than text."""
    from conftest import TEXTS

    folder = tmp_path_factory.mktemp("service")
    before = os.environ.get("RAG_CACHE")
    os.environ["RAG_CACHE"] = str(folder / "cache")
    documents = [Document(i, i.title(), text) for i, text in TEXTS.items()]
    documents.append(Document("hostile", HOSTILE, f"The hostile page says {HOSTILE} to everybody."))
    visitors = load_visitors()
    shop = ShopAssistant(load_products(), visitors, HashEncoder())
    assistant = open_service(folder, documents, shop=shop, visitors={v.id: v for v in visitors})
    if before is None:
        del os.environ["RAG_CACHE"]
    else:
        os.environ["RAG_CACHE"] = before
    with serving(assistant, Settings(feedback=folder / "feedback.jsonl")) as (port, _):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def open_page(browser, address):
    """Opens the page; at the end nothing may have gone wrong in it, and nothing been fetched from elsewhere."""
    pages, wrong = [], []

    def open_(**options):
        page = browser.new_page(**options)
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and " 422 " not in m.text else None)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith(address) else wrong.append(r.url))
        page.goto(address)
        page.wait_for_selector("#documents-list li", state="attached")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert wrong == []


def shown(page, name: str) -> None:
    """Saves a picture of the page where they are asked for, and has axe-core look at it where that is installed."""
    if folder := os.environ.get("RAG_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert page.evaluate(CONTRAST, 4.5) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing has to be scrolled sideways"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    assert found.violations_count == 0, found.generate_report()


def ask(page, question: str) -> str:
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector("#answer .judge")
    return page.inner_text("#answer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_a_visitor_asks_and_sees_where_the_answer_stands(open_page, name, size, scheme):
    page = open_page(viewport=size, color_scheme=scheme)
    shown(page, f"start-{name}-{scheme}")
    text = ask(page, "When did Laika fly in Sputnik 2?")
    assert "3 November 1957" in text and re.search(r"\d+ % sure", text)
    assert (
        page.get_attribute("#answer", "aria-live") == "polite" and page.get_attribute("#answer", "aria-busy") == "false"
    )
    page.click("#answer .cite")
    assert page.inner_text("details.cited[open] mark") == "She flew in Sputnik 2 on 3 November 1957."
    assert page.evaluate("document.activeElement.parentElement.matches('details.cited')"), "the keyboard is there too"
    page.click(".trace summary")
    assert "0.90" in page.inner_text(".trace .words") and "of the documents" in page.inner_text(".trace")
    shown(page, f"answer-{name}-{scheme}")


def test_what_is_not_known_is_said_and_judged(open_page):
    page = open_page(viewport=DESKTOP)
    assert "do not say" in ask(page, "Why do cats and Hubble like warm milk and old chairs so much?")
    page.click("text=Truly not in the documents")
    page.wait_for_selector("text=Thank you")
    shown(page, "unknown")


def test_texts_are_never_taken_for_html(open_page):
    page = open_page(viewport=DESKTOP)
    ask(page, "What does the hostile page says to everybody?")
    page.click("#answer .cite")
    assert HOSTILE in page.inner_text("details.cited") and page.title() == "Ask the collection"
    assert page.locator("main img, main b").count() == 0
    page.click("#tab-guide")
    page.fill("#message", HOSTILE)
    page.press("#message", "Enter")
    page.wait_for_selector("#talk .guide")
    assert page.locator("main img, main b").count() == 0 and page.title() == "Ask the collection"


def test_a_document_is_added_asked_about_and_deleted(open_page):
    page = open_page(viewport=DESKTOP)
    page.click("#tab-documents")
    page.click("#adding summary")
    page.fill("#add-title", "King Zog")
    page.fill("#add-text", "King Zog did collect many umbrellas, 412 in all.")
    page.click("#add-form .main")
    page.wait_for_selector("text=“King Zog” is added")
    shown(page, "documents")
    page.click("#tab-ask")
    assert "412" in ask(page, "How many umbrellas did King Zog collect?")
    page.click("#tab-documents")
    page.click("[aria-label='Edit King Zog']")
    from playwright.sync_api import expect

    expect(page.locator("#add-text")).to_have_value(re.compile("412"))
    page.fill("#add-text", "King Zog did collect many umbrellas, 413 in all.")
    page.click("#add-form .main")
    page.wait_for_selector("text=“King Zog” is replaced")
    page.click("#tab-ask")
    assert "413" in ask(page, "How many umbrellas did King Zog collect?")
    page.click("#tab-documents")
    page.fill("#filter", "zog")
    assert page.inner_text("#documents-count") == "1 document"
    page.click("[aria-label='Delete King Zog']")
    page.click("[aria-label='Really delete King Zog?']")
    page.wait_for_selector("text=“King Zog” is deleted")
    page.click("#tab-ask")
    assert "413" not in ask(page, "How many umbrellas did King Zog collect?")


def test_a_talk_of_three_turns_goes_on_by_keyboard_alone(open_page):
    page = open_page(viewport=PHONE)
    page.focus("#tab-ask")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-guide" and page.is_visible("#guide")
    while page.evaluate("document.activeElement.id") != "message":
        page.keyboard.press("Tab")
    for turn, message in enumerate(("When did Laika fly in Sputnik 2?", "Where did she die?", "What dog was she?"), 1):
        page.keyboard.type(message)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#talk .guide:nth-of-type({2 * turn})")
    assert page.locator("#talk .guide").count() == 3
    assert "Laika" in page.inner_text("#talk .guide >> nth=2")
    shown(page, "guide")


def test_the_shop_keeps_to_the_filters(open_page):
    page = open_page(viewport=PHONE)
    page.click("#tab-shop")
    page.fill("#wish", "A book about the moon")
    page.fill("#price", "15")
    page.check("#stock")
    page.click("#shop-form .main")
    page.wait_for_selector("#products .product")
    prices = [
        float(p) for p in re.findall(r"€(\d+\.\d\d)", " ".join(page.locator("#products small").all_inner_texts()))
    ]
    assert len(prices) == 5 and max(prices) <= 15 and "at most €15.00, in stock" in page.inner_text("#products")
    shown(page, "shop")
    page.fill("#price", "0.01")
    page.click("#shop-form .main")
    page.wait_for_selector("#products [role=alert]")


def test_a_long_text_becomes_a_short_one(open_page):
    page = open_page(viewport=DESKTOP)
    page.click("#tab-dossier")
    page.select_option("#dossier-document", "titan")
    page.click("#dossier-form .main")
    page.wait_for_selector("#summary .card")
    assert "Titan is the largest moon of Saturn." in page.inner_text("#summary")
    shown(page, "dossier")


@pytest.mark.parametrize(("token", "changeable"), [("o" * 16, True), ("r" * 16, False)])
def test_only_who_may_change_documents_sees_the_buttons_for_it(browser, tmp_path, documents, token, changeable):
    settings = Settings(token="o" * 16, readers={"r" * 16: frozenset()}, feedback=tmp_path / "f")
    with serving(open_service(tmp_path, documents), settings) as (port, _):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.fill("#token", token)
        page.press("#token", "Enter")
        page.click("#tab-documents")
        page.wait_for_selector("#documents-list li")
        assert page.is_visible("#adding") == changeable
        assert (page.locator("#documents-list button").count() > 0) == changeable
        page.close()


def test_a_token_is_asked_for_and_kept_for_the_visit(browser, tmp_path, documents):
    token = "0123456789abcdef"
    with serving(open_service(tmp_path, documents), Settings(token=token, feedback=tmp_path / "f")) as (port, _):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        for shown_token in ("wrong", token):
            page.wait_for_selector("#token-dialog[open]")
            page.fill("#token", shown_token)
            page.press("#token", "Enter")
        page.wait_for_selector("#documents-list li", state="attached")
        assert "3 November 1957" in ask(page, "When did Laika fly in Sputnik 2?")
        assert not page.is_visible("#tab-shop") and not page.is_visible("#token-dialog")
        page.close()
