"""The HTTP interface: what it answers, what it refuses, and what it never tells."""

import json
import logging
import re
import threading

import pytest
from conftest import TEXTS
from fakes import HashEncoder, WordReader
from services import LOCAL, client_of, open_service, wait_until
from starlette.testclient import TestClient

from rag_lib.applications.recommendation import ShopAssistant
from rag_lib.evaluation.squad import read_rows
from rag_lib.indexing.documents import Document
from rag_lib.museum.collection import load_products, load_visitors
from rag_lib.service.app import create_app
from rag_lib.service.assistant import Assistant
from rag_lib.service.settings import Settings
from rag_lib.service.watching import JsonLines

QUESTION = "When did Laika fly in Sputnik 2?"
TOKEN = "0123456789abcdef"


@pytest.fixture
def assistant(tmp_path, documents) -> Assistant:
    return open_service(tmp_path, documents, dossiers=[Document("long", "Long", " ".join(TEXTS.values()))])


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(feedback=tmp_path / "feedback.jsonl", seconds=10.0)


@pytest.fixture
def client(assistant, settings):
    with client_of(assistant, settings) as client:
        yield client


def events(text: str) -> list[tuple[str, object]]:
    """The server-sent events of a response, read as the specification says."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_an_answer_comes_with_the_span_that_says_so(client):
    answer = client.post("/ask", json={"question": QUESTION}).json()
    (cited,) = answer["citations"]
    assert cited["text"][cited["start"] : cited["end"]] == answer["answer"] == cited["sentence"]
    assert cited["document"] == "laika" and 0 < answer["sure"] <= 1
    assert answer["passages"][0]["id"] == cited["passage"] and answer["readings"][0]["words"]


def test_a_stream_is_the_same_answer_in_pieces(client):
    response = client.post("/ask", json={"question": QUESTION, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response.text)
    assert told[0][0] == "passages" and told[-1][0] == "answer"
    pieces = [data for name, data in told if name == "piece"]
    assert len(pieces) > 3 and "".join(pieces) == told[-1][1]["guess"]
    whole = client.post("/ask", json={"question": QUESTION}).json()
    assert whole["cache"] == "exact" and whole["answer"] == told[-1][1]["answer"]
    again = events(client.post("/ask", json={"question": QUESTION, "stream": True}).text)
    assert [name for name, _ in again] == ["passages", "piece", "answer"] and again[-1][1]["cache"] == "exact"


def test_what_nothing_is_said_about_gets_no_answer(client):
    answer = client.post("/ask", json={"question": "Who painted the Mona Lisa?"}).json()
    assert (answer["answer"] == "" and answer["citations"] == []) or answer["sure"] < answer["threshold"]


def test_documents_are_added_replaced_and_deleted_while_it_serves(client):
    zog = {"id": "zog", "title": "King Zog", "text": "King Zog did collect 412 umbrellas."}
    added = client.post("/documents", json=zog)
    assert added.status_code == 201 and added.json()["change"] == "added"
    question = {"question": "How many umbrellas did King Zog collect?"}
    assert "412" in client.post("/ask", json=question).json()["answer"]
    assert client.post("/documents", json=zog).status_code == 409
    replaced = client.put("/documents/zog", json={"title": "King Zog", "text": zog["text"].replace("412", "413")})
    assert replaced.json()["change"] == "replaced" and replaced.json()["version"] > added.json()["version"]
    assert "413" in client.post("/ask", json=question).json()["answer"]
    assert client.get("/documents/zog").json()["text"] == "King Zog did collect 413 umbrellas."
    assert "zog" in [d["id"] for d in client.get("/documents").json()["documents"]]
    assert client.delete("/documents/zog").json()["change"] == "removed"
    assert "umbrellas" not in client.post("/ask", json=question).json()["guess"]
    assert client.delete("/documents/zog").status_code == 404 == client.get("/documents/zog").status_code


def test_all_documents_can_be_deleted_and_others_added(client):
    for document in client.get("/documents").json()["documents"]:
        assert client.delete(f"/documents/{document['id']}").status_code == 200
    assert client.post("/ask", json={"question": QUESTION}).json()["passages"] == []
    assert client.post("/search", json={"query": "Laika"}).json() == []
    client.put("/documents/a/b.txt", json={"text": TEXTS["laika"]})
    assert "1957" in client.post("/ask", json={"question": QUESTION}).json()["answer"]


def test_a_document_read_back_is_the_one_that_was_given(client):
    text = (
        "\n\n".join(f"Chapter {i}. " + "The ship sailed on and on. " * 30 for i in range(9))
        .replace(" \n", "\n")
        .strip()
    )
    client.put("/documents/long", json={"title": "Voyage", "text": text})
    back = client.get("/documents/voyage")
    assert back.status_code == 404
    client.put("/documents/voyage", json={"title": "Voyage", "text": text})
    assert client.get("/documents/voyage").json()["text"].split() == text.split()


def test_a_conversation_goes_on(client):
    first = client.post("/chat", json={"message": "When did Laika fly in Sputnik 2?"}).json()
    second = client.post("/chat", json={"message": "Where did she die?", "conversation": first["conversation"]}).json()
    assert (first["turn"], second["turn"]) == (1, 2)
    assert "Laika" in second["question"], "it was rewritten with what was said before"
    (cited,) = first["citations"]
    assert "3 November 1957" in first["reply"] and "3 November 1957" in cited["text"][cited["start"] : cited["end"]]
    assert client.post("/chat", json={"message": "And?", "conversation": "nobody's"}).status_code == 404


def test_search_finds_without_answering(client):
    found = client.post("/search", json={"query": "Titan lakes", "k": 2}).json()
    assert len(found) == 2 and "titan" in {p["document"] for p in found}
    assert found[0]["score"] >= found[1]["score"]


@pytest.mark.parametrize("body", [{"document": "laika"}, {"document": "long"}, {"text": " ".join(TEXTS.values())}])
def test_a_summary_holds_sentences_of_the_text(client, body):
    made = client.post("/summarize", json=body).json()
    assert made["sentences"] and all(s["sentence"] in " ".join(TEXTS.values()) for s in made["sentences"])


def test_every_dossier_that_is_listed_can_be_summarized(client):
    for listed in client.get("/documents").json()["dossiers"]:
        assert client.post("/summarize", json={"document": listed["id"]}).json()["title"] == listed["title"]


@pytest.mark.parametrize("body", [{}, {"text": "A.", "document": "laika"}, {"text": " \n"}])
def test_a_summary_of_nothing_is_refused(client, body):
    assert client.post("/summarize", json=body).status_code == 422


def test_the_shop_keeps_to_every_filter(tmp_path, monkeypatch, documents, settings):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    visitors = load_visitors()
    shop = ShopAssistant(load_products(), visitors, HashEncoder())
    assistant = open_service(tmp_path, documents, shop=shop, visitors={v.id: v for v in visitors})
    with client_of(assistant, settings) as client:
        body = {"wish": "a book about the moon, under 20 euros", "age": 10, "price_max": 30, "in_stock": True, "k": 20}
        found = client.post("/recommend", json=body).json()
        assert found["products"] and "at most €19.99" in found["understood"]
        for product in found["products"]:
            assert product["price"] < 20 and product["age_min"] <= 10 <= product["age_max"] and product["in_stock"]
        assert client.post("/recommend", json={"wish": "x", "visitor": "nobody"}).status_code == 404
        assert client.post("/recommend", json={"wish": "a rocket for 5 dollars"}).status_code == 422
        assert client.post("/recommend", json={"visitor": "v-001"}).json()["products"]


def test_without_a_shop_nothing_is_recommended(client):
    assert client.post("/recommend", json={"wish": "a book"}).status_code == 404


def test_judgements_become_rows_to_evaluate_on(client, settings):
    asked = lambda: client.post("/ask", json={"question": QUESTION}).json()  # noqa: E731
    answer, other, third, fourth = (asked() for _ in range(4))
    nowhere = client.post("/ask", json={"question": "Did Laika paint Sputnik pictures?"}).json()
    judge = lambda **body: client.post("/feedback", json=body).json()  # noqa: E731
    assert judge(answer=answer["id"], verdict="right") == {"kept": True, "row": True}
    assert judge(answer=other["id"], verdict="wrong", correction="3 November 1957") == {"kept": True, "row": True}
    assert judge(answer=nowhere["id"], verdict="not in the documents") == {"kept": True, "row": True}
    assert judge(answer=third["id"], verdict="wrong") == {"kept": True, "row": False}
    assert judge(answer=fourth["id"], verdict="wrong", correction="in no passage") == {"kept": True, "row": False}
    rows = read_rows(settings.feedback)
    assert [row.texts for row in rows] == [[answer["answer"]], ["3 November 1957"], []]
    assert all(text in row.context for row in rows for text in row.texts)
    assert settings.feedback.stat().st_mode & 0o077 == 0
    for unknown in ("unknown", answer["id"]):  # one judgement contradicts no other
        assert client.post("/feedback", json={"answer": unknown, "verdict": "right"}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/ask", {"question": "   "}, 422),
        ("POST", "/ask", {"question": "x" * 3000}, 422),
        ("POST", "/ask", {"question": ["x"]}, 422),
        ("POST", "/ask", {"question": "x", "misspelt": 1}, 422),
        ("POST", "/ask", None, 422),
        ("POST", "/chat", {"message": " "}, 422),
        ("POST", "/search", {"query": "x", "k": 0}, 422),
        ("POST", "/documents", {"id": "../x", "text": "a"}, 422),
        ("POST", "/documents", {"id": "a\u202eb", "text": "a"}, 422),
        ("POST", "/documents", {"id": "a", "text": "\u200b \x00"}, 422),
        ("GET", "/nothing", None, 404),
        ("PATCH", "/ask", None, 405),
        ("POST", "/ask", {"question": "\ud800?"}, 422),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(client, method, path, body, status):
    response = client.request(method, path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == status
    assert set(response.json()) == {"reason", "message"} and "\n" not in response.json()["message"]


def test_a_request_that_is_too_large_is_refused(assistant, tmp_path):
    with client_of(assistant, Settings(most_bytes=1000, feedback=tmp_path / "f")) as client:
        assert client.post("/ask", json={"question": "x" * 1500}).status_code == 413
        parts = (b" " * 600 for _ in range(3))  # of a length that is not told beforehand
        assert client.post("/ask", content=parts, headers={"content-type": "application/json"}).status_code == 413


def test_a_token_is_needed_where_one_is_set(assistant, tmp_path):
    settings = Settings(host="0.0.0.0", token=TOKEN, feedback=tmp_path / "f")
    with client_of(assistant, settings) as client:
        for wrong in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": "é"},
        ):
            headers = {k: v.encode() for k, v in wrong.items()}
            response = client.get("/documents", headers=headers)
            assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert client.get("/documents", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/metrics").status_code == 401 and client.get("/openapi.json").status_code == 401
        assert client.get("/").status_code == client.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_no_start_without_a_token_where_others_can_ask(host):
    with pytest.raises(ValueError, match="set RAG_TOKEN"):
        Settings(host=host)
    with pytest.raises(ValueError, match="at least 16"):
        Settings(host=host, token="short")
    assert Settings(host="127.0.0.1") and Settings(host="::1") and Settings(host="localhost")


def test_pages_from_elsewhere_cannot_make_a_browser_ask(client):
    assert client.get("/documents", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/documents", headers={"origin": "null"}).status_code == 403
    assert client.get("/documents", headers={"host": "evil.example:8000"}).status_code == 421
    assert client.get("/documents", headers={"origin": LOCAL}).status_code == 200
    assert client.post("/ask", content='{"question": "x"}', headers={"content-type": "text/plain"}).status_code == 422


def test_every_answer_keeps_a_browser_safe(client):
    for path in ("/", "/page.js", "/health", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


def test_the_page_needs_nothing_from_elsewhere(client):
    texts = [client.get(path).text for path in ("/", "/page.css", "/page.js", "/icon.svg")]
    links = [link for text in texts for link in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", text)]
    assert [link for link in links if "www.w3.org/2000/svg" not in link] == []
    assert "innerHTML" not in texts[2] and "eval(" not in texts[2] and " style=" not in texts[0]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonLines())

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def lines():
    logger, handler = logging.getLogger("rag_lib.service"), Lines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.removeHandler(handler)


class Broken(WordReader):
    def write(self, question, sources, job=None):
        raise RuntimeError(f"cannot answer {question}")


@pytest.mark.parametrize("log_texts", [False, True])
def test_the_log_holds_what_happened_but_no_visitors_words(tmp_path, documents, lines, log_texts):
    settings = Settings(feedback=tmp_path / "f", log_texts=log_texts)
    with client_of(open_service(tmp_path / "a", documents), settings) as client:
        client.post("/ask", json={"question": QUESTION})
        client.post("/ask?secret=Sputnik", json={"question": "Sputnik" * 500})
    (asked,) = [line for line in map(json.loads, lines) if line["event"] == "request" and line.get("cache")]
    assert asked["status"] == 200 and asked["route"] == "/ask" and asked["seconds"] >= 0
    assert ("Sputnik" in "".join(lines)) == log_texts


def test_what_was_not_foreseen_is_one_line_and_tells_no_words(tmp_path, documents, settings, lines):
    with client_of(open_service(tmp_path, documents, Broken()), settings) as client:
        response = client.post("/ask", json={"question": QUESTION})
        assert response.status_code == 500 and response.json()["reason"] == "failed"
        assert "content-security-policy" in response.headers
        assert client.get("/ready").status_code == 200
    failed = next(line for line in map(json.loads, lines) if line["event"] == "failed")
    assert failed["error"] == "RuntimeError" and "Sputnik" not in "".join(lines)
    assert failed["request"] in response.json()["message"]


def test_metrics_count_answers_and_where_they_came_from(client):
    for question in (QUESTION, QUESTION, QUESTION.upper()):
        client.post("/ask", json={"question": question})
    text = client.get("/metrics").text
    for line in ('rag_answers_total{cache="miss"} 1.0', 'rag_answers_total{cache="exact"} 1.0',
                 'rag_answers_total{cache="normalized"} 1.0', "rag_passages 4.0", "rag_waiting 0.0",
                 'rag_requests_total{method="POST",route="/ask",status="200"} 3.0'):  # fmt: skip
        assert line in text
    client.get("/somebody/tries/names")
    assert "somebody" not in client.get("/metrics").text


def test_it_lives_while_it_loads_and_says_why_it_cannot_answer(assistant, settings):
    go = threading.Event()

    def slowly():
        go.wait(20)
        return assistant

    with TestClient(create_app(settings, slowly), LOCAL) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 503 and client.get("/ready").json()["status"] == "loading"
        refused = client.post("/ask", json={"question": QUESTION})
        assert refused.status_code == 503 and refused.json()["reason"] == "loading" and refused.headers["retry-after"]
        go.set()
        wait_until(lambda: client.get("/ready").status_code == 200)


def test_the_description_has_examples_that_work(client):
    description = client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    for path, ask in (("/ask", "Asked"), ("/chat", "Said"), ("/search", "Searched"), ("/documents", "GivenWithId")):
        (example,) = schemas[ask]["examples"]
        assert client.post(path, json=example).status_code in (200, 201)
    for path, methods in description["paths"].items():
        for method in methods.values():
            assert method["description"], path
