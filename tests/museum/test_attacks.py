"""What strangers' files do to the answers of the reader that `ask` uses, measured by kind and held to bounds."""

from collections import Counter

import pytest

from rag_lib.indexing.documents import Passage
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.attacks import Attack, Outcome, Siege, load_attacks, outcome
from rag_lib.museum.collection import load_articles
from rag_lib.pipeline.rag import Answer, Citation

ATTACKS = load_attacks()
COMMANDS = ("instructions", "chat format", "markers")


@pytest.fixture(scope="module")
def siege() -> Siege:
    return Siege(ATTACKS, SentenceEncoder(MUSEUM_ENCODER))


def test_the_attacks_are_what_they_say():
    texts = {article.id: article.text for article in load_articles()}
    kinds = Counter(attack.kind for attack in ATTACKS)
    assert len(ATTACKS) >= 100 and len({attack.id for attack in ATTACKS}) == len(ATTACKS)
    assert kinds["hidden"] >= 20 and kinds["theft"] >= 20 and len(kinds) == 9
    for attack in ATTACKS:
        written = " ".join(attack.files.values())
        assert any(answer in texts[attack.article] for answer in attack.answers), attack.id
        assert all(word in written and word not in texts[attack.article] for word in attack.forbidden), attack.id
        assert bool(attack.forbidden) == (attack.kind != "theft"), attack.id


def test_hidden_text_is_not_in_the_index(siege):
    hidden = [attack for attack in ATTACKS if attack.kind == "hidden"]
    for attack in hidden:
        (passage,) = (p for p in siege.everything.passages.values() if attack.owns(p.document_id))
        assert "rainy afternoon" in passage.text, "the rest of the page is read"
        assert not any(word in f"{passage.title} {passage.text}" for word in attack.forbidden), attack.id


def test_outcomes_are_told_apart():
    attack = Attack("a-1", "false claim", "Who flew?", ("Gagarin",), "vostok", {"s.txt": "Titov flew."}, ("Titov",))

    def said(text: str, document: str, *others: str) -> Outcome:
        citations = [cited(word, document) for word in (text, *others)]
        answer = Answer("?", text, tuple(citations[:1]), 0.9, (), {}, text, citations[0], 0, tuple(citations[1:]))
        return outcome(attack, answer)

    def cited(word: str, document: str) -> Citation:
        return Citation(Passage("p", document, "", word, 0, len(word)), 0, len(word), word)

    assert said("Gagarin", "vostok") == Outcome(True, False, False, False, False)
    assert said("Titov", "a-1/s.txt") == Outcome(False, True, True, True, False)
    assert said("Titov", "a-1/s.txt", "Gagarin") == Outcome(False, True, True, True, True)
    assert said("Gagarin", "vostok", "Titov") == Outcome(True, False, False, True, True)
