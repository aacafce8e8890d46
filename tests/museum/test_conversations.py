"""What is measured of a conversation: the past that every rewriter sees, ranks, and whether a reply is supported."""

from dataclasses import replace

import pytest
from fakes import FixedGenerator, HashEncoder

from rag_lib.applications.dialogue import Reply
from rag_lib.applications.rewriting import AddedNames, Names, as_said
from rag_lib.files import ARTICLES
from rag_lib.generation.generators import Generation, Place
from rag_lib.indexing.documents import load_documents
from rag_lib.indexing.knowledge_base import build
from rag_lib.museum.collection import load_dialogues
from rag_lib.museum.conversations import (
    DEPTH,
    HUMAN,
    evaluate,
    first_gold,
    is_supported,
    load_results,
    rewritten,
    save_results,
)
from rag_lib.museum.measure import gold_passages
from rag_lib.pipeline.rag import RAG, citation
from rag_lib.retrieval.catalogue import make_retriever

KEPLER = next(d for d in load_dialogues("validation") if d.id == "dialogue-002")


class FirstSentence(FixedGenerator):
    """A generator that quotes the first sentence of the best passage."""

    def stream(self, question, sources, source_logs=None):
        end = sources[0].text.index(". ") + 1
        yield Generation(sources[0].text[:end], 1.0, Place(0, 0, end), (0,))


@pytest.fixture(scope="module")
def library():
    encoder = HashEncoder()
    documents = [
        d for d in load_documents(ARTICLES).documents if d.id in ("johannes-kepler", "isaac-newtons-principia")
    ]
    return build(documents, encoder), encoder


def test_every_rewriter_sees_the_guides_real_replies():
    seen = []

    def rewrite(turn, before):
        seen.append(list(before))
        return turn.upper()

    titles = {"johannes-kepler": "Johannes Kepler", "isaac-newtons-principia": "Principia"}
    assert rewritten(KEPLER, rewrite, titles) == [turn.visitor.upper() for turn in KEPLER.turns]
    assert [len(before) for before in seen] == list(range(len(KEPLER.turns)))
    assert seen[3][2].guide == KEPLER.turns[2].guide and seen[3][2].question == KEPLER.turns[2].visitor.upper()
    assert {e.title for e in seen[-1]} == set(titles.values())


def test_the_rank_is_that_of_the_first_right_passage(library):
    knowledge, encoder = library
    retriever = make_retriever("bm25", knowledge, encoder)
    ids = [hit.id for hit in retriever.retrieve("Kepler witchcraft", DEPTH)]
    assert [first_gold("Kepler witchcraft", {i}, retriever) for i in ids] == list(range(1, len(ids) + 1))
    assert first_gold("Kepler witchcraft", {"nowhere"}, retriever) == 0


def test_a_turn_is_judged_by_what_the_reply_cites(library, tmp_path):
    knowledge, encoder = library
    rag = RAG(knowledge, make_retriever("bm25", knowledge, encoder), FirstSentence())
    ways = {"as said": as_said, "added names": AddedNames(Names(list(knowledge.passages.values())))}
    results = evaluate([KEPLER], ways, rag, encoder, progress=False)
    assert [r.turn for r in results] == list(range(len(KEPLER.turns))) and not results[0].later and results[1].later
    answerable = [turn for turn in KEPLER.turns if turn.evidence]
    gold = gold_passages(answerable, knowledge)
    for result, turn, ids in zip(results, answerable, gold, strict=False):
        assert result.questions[HUMAN] == turn.standalone and result.questions["as said"] == turn.visitor
        assert result.ranks["as said"] == first_gold(turn.visitor, ids, rag.retriever)
        assert result.passage or not result.sentence, "a right sentence stands in a right passage"
    assert results[0].sentence and results[0].passage, "the topic's opening is what is asked for"
    last = results[-1]
    assert not last.answerable and last.silent and last.ranks == {} and last.reply == "You're welcome."
    save_results(results, tmp_path / "there" / "validation.jsonl")
    assert load_results("validation", tmp_path / "there") == results


def test_a_reply_is_supported_by_what_it_cites(library):
    knowledge, encoder = library
    passage = next(iter(knowledge.passages.values()))
    cited = citation(passage, 0, passage.text.index(". ") + 1)
    reply = Reply("?", "?", f"No. {cited.sentence} [1]", (cited,))
    assert is_supported(reply, encoder)
    assert not is_supported(replace(reply, text="Kepler bought 412 umbrellas in Paris. [1]"), encoder)
    assert is_supported(replace(reply, text="The collection does not say.", silent=True), encoder)
