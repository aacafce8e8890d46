"""Who may read what: nothing of a document shows to those who may not read it, whoever asked before."""

import json

import pytest
from services import client_of, open_service

from rag_lib.indexing.documents import Document
from rag_lib.service.assistant import Assistant
from rag_lib.service.readers import OWNER, Reader, Readers, read_readers
from rag_lib.service.settings import Settings

TOKENS = {
    "owner": "owner-0123456789",
    "staff": "staff-0123456789",
    "board": "board-0123456789",
    "all": "all-0123456789ab",
}
GROUPS = {TOKENS["staff"]: {"staff"}, TOKENS["board"]: {"board"}, TOKENS["all"]: set()}
SECRET = "The alarm code of the xylophone vault is 4711."
QUESTION = "What is the alarm code of the xylophone vault?"


@pytest.fixture
def assistant(tmp_path, documents) -> Assistant:
    return open_service(tmp_path, [*documents, Document("vault", "Xylophone vault", SECRET, {"access": "staff"})])


@pytest.fixture
def ask(assistant, tmp_path):
    """Sends a request as somebody."""
    groups = {token: frozenset(names) for token, names in GROUPS.items()}
    settings = Settings(token=TOKENS["owner"], readers=groups, feedback=tmp_path / "feedback.jsonl")
    with client_of(assistant, settings) as client:
        yield lambda who, method, path, body=None: client.request(
            method, path, json=body, headers={"authorization": f"Bearer {TOKENS[who]}"}
        )


EVERYTHING = [
    ("POST", "/ask", {"question": QUESTION}),
    ("POST", "/ask", {"question": QUESTION, "stream": True}),
    ("POST", "/chat", {"message": QUESTION}),
    ("POST", "/chat", {"message": "Tell me about the xylophone vault"}),
    ("POST", "/search", {"query": "xylophone vault alarm", "k": 50}),
    ("POST", "/summarize", {"document": "vault"}),
    ("GET", "/documents", None),
    ("GET", "/documents/vault", None),
    ("GET", "/metrics", None),
    ("GET", "/openapi.json", None),
]


@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
def test_nothing_shows_to_those_who_may_not_read_it_even_after_somebody_who_may(ask, method, path, body):
    for who in ("all", "owner", "staff", "board", "all"):
        reply = ask(who, method, path, body)
        assert ("4711" in reply.text or "Xylophone vault" in reply.text) == (
            who in ("owner", "staff") and path not in ("/metrics", "/openapi.json")
        ), who


def test_the_cache_and_its_counts_are_of_one_right_each(ask):
    ham = {"question": "Which rocket did Ham fly on?"}
    first = {who: ask(who, "POST", "/ask", ham).json() for who in ("staff", "all", "board")}
    assert {who: answer["cache"] for who, answer in first.items()} == {"staff": "miss", "all": "miss", "board": "miss"}
    assert ask("board", "POST", "/ask", ham).json()["cache"] == "exact"
    assert first["all"]["answer"] == first["board"]["answer"]


def test_a_reader_is_answered_as_if_there_were_nothing_else(assistant, tmp_path, documents):
    alone = open_service(tmp_path / "alone", documents)
    for question in ("Which rocket did Ham fly on?", "Are there lakes on Titan?", QUESTION):
        (*_, told), (*_, other) = assistant.ask(Reader(frozenset()), question), alone.ask(OWNER, question)
        assert told.trace.answer.guess == other.trace.answer.guess and told.trace.hits == other.trace.hits


def test_readers_change_nothing(ask):
    for who in ("staff", "board", "all"):
        for method, path, body in (
            ("POST", "/documents", {"id": "new", "text": "New."}),
            ("PUT", "/documents/laika", {"text": "Gone."}),
            ("DELETE", "/documents/laika", None),
        ):
            refused = ask(who, method, path, body)
            assert refused.status_code == 403 and refused.json()["reason"] == "not yours"
    assert "Moscow" in ask("owner", "GET", "/documents/laika").json()["text"]
    assert [ask(who, "GET", "/documents").json()["changeable"] for who in ("owner", "staff")] == [True, False]


def test_what_is_not_there_and_what_is_hidden_are_told_alike(ask):
    hidden, missing = (ask("board", "GET", f"/documents/{name}") for name in ("vault", "fault"))
    assert hidden.status_code == missing.status_code == 404
    assert hidden.text.replace("vault", "fault") == missing.text


def test_a_conversation_and_an_answer_are_for_who_began_them(ask):
    begun = ask("staff", "POST", "/chat", {"message": QUESTION}).json()["conversation"]
    more = {"message": "Tell me more", "conversation": begun}
    assert ask("board", "POST", "/chat", more).status_code == 404 and ask("staff", "POST", "/chat", more).json()
    answer = ask("staff", "POST", "/ask", {"question": QUESTION}).json()["id"]
    verdict = {"answer": answer, "verdict": "right"}
    assert ask("board", "POST", "/feedback", verdict).status_code == 404
    assert ask("staff", "POST", "/feedback", verdict).status_code == 201


def test_a_rule_is_given_kept_and_taken_away(ask):
    def sees(who: str) -> bool:
        return ask(who, "GET", "/documents/plan").status_code == 200

    ask("owner", "POST", "/documents", {"id": "plan", "text": "The plan.", "access": ["board"]})
    assert [sees(who) for who in ("owner", "board", "staff", "all")] == [True, True, False, False]
    ask("owner", "PUT", "/documents/plan", {"text": "Another plan."})
    assert [sees(who) for who in ("board", "staff")] == [True, False], "a new text is for the same readers"
    assert ask("owner", "GET", "/documents/plan").json()["access"] == ["board"]
    assert ask("board", "GET", "/documents/plan").json()["access"] is None
    ask("owner", "PUT", "/documents/plan", {"text": "Another plan.", "access": "everybody"})
    assert sees("all")
    ask("owner", "PUT", "/documents/plan", {"text": "Another plan.", "access": []})
    assert not sees("board") and sees("owner")
    assert ask("owner", "PUT", "/documents/plan", {"text": "A plan.", "access": ["a,b"]}).status_code == 422


def test_whoever_sees_the_same_shares_one_index(assistant):
    staff, both = (Reader(frozenset(groups)) for groups in (["staff"], ["staff", "board"]))
    assert assistant.load(staff) is assistant.load(OWNER) is assistant.load(both)
    assert assistant.load(Reader(frozenset())) is not assistant.load(OWNER)


def test_a_token_is_nobodys_until_it_is_whole():
    readers = Readers(TOKENS["owner"], {TOKENS["staff"]: frozenset(["staff"])})
    assert readers.of(TOKENS["owner"]) is OWNER and readers.of(TOKENS["staff"]) == Reader(frozenset(["staff"]))
    assert readers.of(TOKENS["staff"][:-1]) is None and readers.of("") is None
    assert Readers("", {}).of("whatever") is OWNER


def test_readers_need_an_owner_and_good_tokens():
    for token, readers in (("", ["r" * 16]), ("o" * 16, ["o" * 16]), ("o" * 16, ["short"]), ("o" * 16, [""])):
        with pytest.raises(ValueError, match=r"set RAG_TOKEN|at least 16 characters"):
            Settings(token=token, readers=dict.fromkeys(readers, frozenset()))
    assert "o" * 16 not in repr(Settings(token="o" * 16)), "nor does a log show it"


def test_the_file_of_readers_is_read_or_refused_in_one_line_without_a_token(tmp_path):
    path = tmp_path / "readers.json"
    path.write_text(json.dumps({"0123456789abcdef": ["staff", "board"], "fedcba9876543210": []}))
    assert read_readers(path) == {"0123456789abcdef": {"staff", "board"}, "fedcba9876543210": frozenset()}
    for text in ('{"secret": "staff"}', '{"secret": ["a,b"]}', '{"secret": [1]}', '["secret"]', '{"secret": [}',
                 '{"secret": [], "secret": ["staff"]}'):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
            read_readers(path)
        assert "secret" not in str(refused.value)


def test_a_change_of_the_rule_is_obeyed_by_the_next_question(ask):
    assert "4711" in ask("staff", "POST", "/ask", {"question": QUESTION}).text
    ask("owner", "PUT", "/documents/vault", {"text": SECRET, "access": ["board"]})
    assert "4711" not in ask("staff", "POST", "/ask", {"question": QUESTION}).text
    assert "4711" in ask("board", "POST", "/ask", {"question": QUESTION}).text
