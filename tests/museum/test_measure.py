import pytest

from rag_lib.hits import Hit
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.museum.collection import load_articles, load_questions
from rag_lib.museum.measure import evaluate_retriever, gold_passages


class Passages:
    """As much of a knowledge base as the evaluation looks at."""

    def __init__(self, splitting):
        self.passages = {p.id: p for p in split_documents(load_articles(), splitting)}


@pytest.mark.parametrize("words", [30, 90])
def test_gold_passages_hold_the_evidence(words):
    questions = [q for q in load_questions("validation") if q.answers][:200]
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
