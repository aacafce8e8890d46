import numpy as np
import pytest
from scipy.special import softmax

from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.museum.collection import Evidence, Question, load_articles, load_questions
from rag_lib.museum.measure import article_groups, evaluate_retriever, fitted_temperature, gold_passages, says
from rag_lib.pipeline.rag import Answer, Citation


class Passages:
    """As much of a knowledge base as the evaluation looks at."""

    def __init__(self, splitting):
        self.passages = {p.id: p for p in split_documents(load_articles(), splitting)}


@pytest.mark.parametrize("words", [30, 90])
def test_gold_passages_hold_the_evidence(words):
    questions = [q for q in load_questions("validation") if q.evidence and not q.also_evidence][:200]
    passages = Passages(Splitting(words))
    for question, ids in zip(questions, gold_passages(questions, passages), strict=True):
        found = sorted((passages.passages[i] for i in ids), key=lambda p: p.start)
        evidence = question.evidence[0]
        assert {p.document_id for p in found} == {evidence.article}
        assert evidence.sentence in " ".join(p.text for p in found)
        for dropped in found:  # and each of them is needed for that
            assert evidence.sentence not in " ".join(p.text for p in found if p is not dropped)


def test_recall_and_reciprocal_rank_by_hand():
    class Fixed:
        temperature = 1.0

        def retrieve(self, query, k):
            return [Hit(f"p{i}", -i) for i in range(k)]

    questions = load_questions("validation")[:4]
    figures = evaluate_retriever(questions, [{"p0"}, {"p3", "p9"}, {"p19"}, {"p20"}], Fixed(), progress=False)
    assert [figures[f"recall@{k}"].mean for k in (1, 5, 20)] == [0.25, 0.5, 0.75]
    assert figures["MRR@20"].mean == pytest.approx((1 + 1 / 4 + 1 / 20) / 4)


def answered(text: str, sentence: str = "") -> Answer:
    """An answer that cites a sentence."""
    passage = Passage("a#0", "a", "A", sentence, 0, len(sentence))
    citations = (Citation(passage, 0, len(sentence), sentence),) if sentence else ()
    return Answer("?", text, citations, 0.9, (), {}, text)


def test_a_visitor_is_told_right_by_the_answer_or_by_the_sentence_cited():
    asked = Question(
        "v-1", "can i bring my dog", (), (Evidence("a", "Dogs must wait outside."),), "yes or no",
        also_evidence=(Evidence("b", "No pets, please."),), verdict="no",
    )  # fmt: skip
    assert says(asked, answered("no")) == says(asked, answered("No.")) == 1.0
    assert says(asked, answered("Yes", "Dogs must wait outside.")) == 0.0, "the wrong word is wrong whatever is cited"
    assert says(asked, answered("wait outside", "Dogs must wait outside.")) == 1.0
    assert says(asked, answered("pets", "No pets, please. Thank you.")) == 1.0
    assert says(asked, answered("children", "Children are welcome.")) == says(asked, answered("")) == 0.0
    ride = Question("v-2", "who", ("Sally Ride",), (Evidence("a", "Sally Ride flew."),), "who", ("Ride",))
    assert says(ride, answered("ride")) == 1.0 and says(ride, answered("Ed White", "Ed White walked.")) == 0.0


def test_questions_belong_to_the_article_of_their_evidence():
    there = Question("q", "who", ("x",), (Evidence("mars", "x."), Evidence("venus", "y.")), "who")
    near = Question("n", "who", (), (), "who", near="mars")
    assert article_groups([there, near, Question("o", "who", (), (), "who")]) == ["mars", "mars", "o"]


def test_the_fitted_temperature_is_the_one_that_made_the_data():
    """Right passages drawn with p = softmax(score / 0.5) are fitted best by about 0.5."""
    rng = np.random.default_rng(0)
    questions = load_questions("validation")[:600]
    scores = {q.question: np.sort(rng.normal(size=5))[::-1] for q in questions}

    class Fixed:
        temperature = 1.0

        def retrieve(self, query, k):
            return [Hit(f"p{i}", float(s)) for i, s in enumerate(scores[query][:k])]

    drawn = [rng.choice(5, p=softmax(scores[q.question] / 0.5)) for q in questions]
    gold = [{f"p{i}"} for i in drawn]
    assert fitted_temperature(questions, gold, Fixed()) == pytest.approx(0.5, rel=0.2)
