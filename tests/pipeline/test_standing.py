import pytest

from rag_lib.hits import Hit
from rag_lib.indexing.documents import Document, Passage
from rag_lib.indexing.knowledge_base import IndexSettings, build
from rag_lib.indexing.splitting import Splitting
from rag_lib.pipeline.standing import COPIES, MOST, Standing, without_copies

CLAIM = "The first woman in space was Olga Petrenko, who flew in 1959"


def passage(name: str, text: str) -> Passage:
    return Passage(name, name, "", text, 0, len(text))


def test_copies_leave_their_places_to_others():
    texts = [f"{CLAIM}, {word}." for word in ("yes", "indeed", "really", "truly")] + ["Tereshkova flew Vostok 6."]
    passages = {str(i): passage(str(i), text) for i, text in enumerate(texts)}
    hits = [Hit(i, -float(i)) for i in passages]
    assert [h.id for h in without_copies(hits, passages, 3)] == ["0", "1", "4"] and COPIES == 2
    assert without_copies(hits, passages, 1) == hits[:1] and without_copies([], passages, 3) == []


def test_an_altered_copy_is_read_beside_what_it_was_made_of():
    true, false = CLAIM.replace("Olga Petrenko", "Valentina Tereshkova").replace("1959", "1963"), CLAIM
    passages = {"a": passage("a", false), "b": passage("b", true)}
    assert len(without_copies([Hit("a", 1.0), Hit("b", 0.9)], passages, 5)) == 2


@pytest.mark.parametrize(("about", "standing"), [(0, 0), (1, 1), (2, 2), (9, MOST)])
def test_a_document_stands_on_the_passages_that_have_to_do_with_the_question(about, standing, encoder):
    sentences = [("Women flew to space.", "Valentina came down there.")[i % 2] for i in range(about)]
    sentences += ["The café sells soup and rolls."] * 3
    documents = [Document("d", "Valentina", " ".join(sentences)), Document("e", "", "Another woman.")]
    knowledge = build(documents, encoder, IndexSettings(Splitting(max_words=6)))
    found = knowledge.passages["d#0"]
    assert Standing(knowledge)("Who was the first woman in space?", found) == standing, "the title itself is no passage"
