import numpy as np
import pytest
from fakes import FixedGenerator

from rag_lib.generation.generators import Generation, Place
from rag_lib.generation.prompts import QuestionTooLong
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.pipeline.commands import told
from rag_lib.pipeline.rag import RAG, Answer, cite, vote
from rag_lib.retrieval.base import EmptyQuestion, passage_probabilities
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.retrieval.fusion import MinMaxFusion, ReciprocalRankFusion
from rag_lib.retrieval.retrievers import HybridRetriever


@pytest.fixture(scope="module")
def rag(knowledge, encoder):
    return RAG(knowledge, make_retriever("hybrid", knowledge, encoder), Seq2SeqGenerator.load())


def test_an_answer_stands_where_its_citation_says(rag, documents):
    answer = rag.ask("  Which dog flew in\nSputnik 2? ")
    (citation,) = answer.citations
    (document,) = [d for d in documents if d.id == citation.passage.document_id]
    assert document.text[citation.start : citation.end] == answer.text == "Laika"
    assert citation.sentence in document.text and answer.text in citation.sentence
    assert answer.question == "Which dog flew in Sputnik 2?"
    assert 0 < answer.score <= 1 and set(answer.seconds) == {"retrieval", "generation"}
    assert len(answer.hits) == len(documents) and answer.hits[0].id == "laika#0"


@pytest.mark.parametrize("name", ["bm25", "dense", "hybrid"])
def test_every_retriever_finds_the_passage(name, knowledge, encoder):
    retriever = make_retriever(name, knowledge, encoder)
    hits = retriever.retrieve("methane lakes on the moon Titan", 2)
    assert hits[0].id == "titan#0" and len(hits) <= 2
    assert hits == sorted(hits, key=lambda h: -h.score)


def test_the_dense_retriever_needs_no_word_in_common(knowledge, encoder):
    query = "ape astronaut"
    assert make_retriever("bm25", knowledge, encoder).retrieve(query, 1) == []
    assert make_retriever("dense", knowledge, encoder).retrieve(query, 1)[0].id == "ham#0"


def test_an_unknown_retriever_is_named(knowledge, encoder):
    with pytest.raises(ValueError, match="bm25, dense, hybrid"):
        make_retriever("magic", knowledge, encoder)


def test_reciprocal_rank_fusion_by_hand():
    fused = ReciprocalRankFusion()([[Hit("a", 9), Hit("b", 8)], [Hit("b", 1), Hit("c", 0.5)]], k=2)
    assert fused == [Hit("b", 1 / 62 + 1 / 61), Hit("a", 1 / 61)]


def test_min_max_fusion_by_hand():
    fused = MinMaxFusion()([[Hit("a", 9), Hit("b", 7), Hit("c", 5)], [Hit("b", 0.9), Hit("d", 0.1)]], k=3)
    assert fused == [Hit("b", 0.5 * 0.5 + 0.5), Hit("a", 0.5), Hit("c", 0.0)]
    assert MinMaxFusion()([[Hit("b", 2), Hit("a", 2)], []], k=5) == [Hit("a", 0.5), Hit("b", 0.5)]
    assert MinMaxFusion()([[], []], k=5) == []


@pytest.mark.parametrize("fuse", [ReciprocalRankFusion(), MinMaxFusion()])
def test_the_scale_of_a_retrievers_scores_does_not_matter(fuse):
    class Fixed:
        temperature = 1.0

        def __init__(self, ids, scale):
            self.hits = [Hit(i, scale * (9 - n)) for n, i in enumerate(ids)]

        def retrieve(self, query, k):
            return self.hits[:k]

    small, large = (
        HybridRetriever([Fixed("abcd", scale), Fixed("bdca", 1)], fuse).retrieve("q", 4) for scale in (1, 1000)
    )
    assert [h.id for h in small] == [h.id for h in large]
    assert [h.score for h in small] == pytest.approx([h.score for h in large])


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_an_empty_question_is_refused(rag, question):
    with pytest.raises(EmptyQuestion):
        rag.ask(question)


def test_a_question_of_ten_thousand_words_is_refused_in_one_line(rag):
    with pytest.raises(QuestionTooLong, match="no passage fits"):
        rag.ask("Titan methane " * 5000)


@pytest.mark.parametrize(
    "question", ["¿Quién fue Laika?", "Laika 宇宙に行った犬は？", "🚀 Ham", "' OR 1=1 -- Titan", "<b>Hubble(1)</b>"]
)
def test_any_text_is_answered_with_a_literal_citation(rag, documents, question):
    """Sure or not: whatever is said stands in the document at the place that is cited."""
    answer = RAG(rag.knowledge, rag.retriever, rag.generator, threshold=0.0).ask(question)
    texts = {d.id: d.text for d in documents}
    assert answer.question == question and len(answer.hits) == len(documents) and 0 <= answer.score <= 1
    if answer.guess:
        (citation,) = answer.citations
        assert texts[citation.passage.document_id][citation.start : citation.end] == answer.text == answer.guess
        assert answer.guess in citation.sentence


def test_k_beyond_the_collection_reads_what_there_is(knowledge, encoder):
    rag = RAG(knowledge, make_retriever("dense", knowledge, encoder), Seq2SeqGenerator.load(), k=50)
    assert len(rag.ask("Who was Ham?").hits) == len(knowledge)


def test_an_answer_below_the_threshold_is_kept_back(rag):
    sure, unsure = (RAG(rag.knowledge, rag.retriever, rag.generator, 3, threshold=t) for t in (0.0, 1))
    given, kept = (r.ask("Which dog flew in Sputnik 2?") for r in (sure, unsure))
    assert given.text == given.guess == kept.guess == "Laika"
    assert (kept.text, kept.citations) == ("", ()) and kept.score == given.score and kept.hits == given.hits
    assert rag.threshold == rag.generator.threshold


def test_k_zero_is_refused(rag):
    with pytest.raises(ValueError, match="k must be"):
        RAG(rag.knowledge, rag.retriever, rag.generator, k=0)


def test_without_a_passage_there_is_no_answer(knowledge, encoder, rag):
    answer = RAG(knowledge, make_retriever("bm25", knowledge, encoder), rag.generator).ask("xylophone")
    assert (answer.text, answer.citations, answer.score) == ("", (), 0.0)


def test_a_free_answer_cites_the_sentence_that_shares_most_of_its_words():
    text = "Mars is red. Olympus Mons is the tallest volcano there. It sleeps."
    passage = Passage("m#0", "m", "Mars", text, 100, 100 + len(text))
    (citation,) = cite(Generation("a tall volcano, Olympus Mons", 0.5, None, (0,)), [passage])
    assert citation.sentence == "Olympus Mons is the tallest volcano there."
    assert text[citation.start - 100 : citation.end - 100] == citation.sentence


def test_a_quotation_is_cited_with_its_span_in_the_document():
    passage = Passage("m#1", "m", "Mars", "It is red. It is cold.", 40, 62)
    (citation,) = cite(Generation("cold", 0.9, Place(0, 17, 21), (0,)), [passage])
    assert (citation.start, citation.end, citation.sentence) == (57, 61, "It is cold.")


def test_votes_are_weighed_by_how_well_the_passages_were_found():
    def said(text: str, score: float, place: Place | None = None) -> Generation:
        return Generation(text, score, place, (0,))

    alone = [said("Tereshkova", 0.9, Place(0, 3, 13)), said("Ride", 0.9), said("The Ride", 0.9)]
    probabilities = passage_probabilities([Hit("a", 0.8), Hit("b", 0.75), Hit("c", 0.7)], temperature=0.05)
    says = np.exp([0.0, -1.0, -2.0])
    chosen = vote(said("Ride", 0.1), alone, probabilities)
    assert chosen.text == "Tereshkova" and chosen.place == Place(0, 3, 13) and chosen.used == (0,)
    assert chosen.score == pytest.approx(0.9 / (1 + sum(says)))
    chosen = vote(said("Ride", 0.5), alone, probabilities)
    assert chosen.text == "Ride" and chosen.used == (1,)
    assert chosen.score == pytest.approx((0.5 + 0.9 * says[1] + 0.9 * says[2]) / (1 + sum(says)))
    other = Generation("Titov", 1.0, Place(2, 0, 5), (0, 1, 2))
    assert vote(other, [said("a", 0.1)] * 3, probabilities).place == Place(2, 0, 5)


def test_the_place_of_a_passage_read_alone_is_in_that_passage(rag, documents):
    sure = RAG(rag.knowledge, rag.retriever, rag.generator, threshold=0.0)  # right or wrong, it must cite what it says
    answer = sure.ask("Where did Huygens land?")
    citation = answer.citations[0]
    (document,) = [d for d in documents if d.id == citation.passage.document_id]
    assert document.text[citation.start : citation.end] == answer.text


QUESTIONS = ["Which dog flew in Sputnik 2?", "xylophone", "Where did  Huygens land?", "When did Ham fly?"]


@pytest.mark.parametrize("vote", [True, False])
def test_many_questions_get_the_answers_that_each_would_get(vote, knowledge, encoder, rag):
    retriever = make_retriever("bm25", knowledge, encoder)  # it finds nothing for one of them
    rag = RAG(knowledge, retriever, rag.generator, 2, threshold=0.0, vote=vote)
    for one, many in zip(map(rag.ask, QUESTIONS), rag.ask_many(QUESTIONS, batch_size=3), strict=True):
        assert many.score == pytest.approx(one.score, rel=1e-3, abs=1e-6)
        for name in ("question", "text", "guess", "citations", "hits"):
            assert getattr(many, name) == getattr(one, name), name
        assert many.seconds.keys() == one.seconds.keys()


def test_many_questions_are_read_in_batches(rag):
    class Counting(FixedGenerator):
        def generate(self, questions, sources, job=None, source_logs=None):
            calls.append(len(questions))
            return super().generate(questions, sources, job)

    calls: list[int] = []
    counting = Counting()
    answers = RAG(rag.knowledge, rag.retriever, counting, 2).ask_many(["Which dog?"] * 5, batch_size=2)
    assert calls == [2, 2, 1] and len(answers) == 5
    assert RAG(rag.knowledge, rag.retriever, counting, 2).ask_many([]) == []


def test_one_bad_question_of_many_is_refused_before_any_work(rag):
    with pytest.raises(EmptyQuestion):
        rag.ask_many(["Which dog?", " "])
    with pytest.raises(ValueError, match="batch_size"):
        rag.ask_many(["Which dog?"], batch_size=0)


def test_what_is_kept_back_is_shown_where_it_stands(rag):
    passage = rag.knowledge.passages["laika#0"]
    start = passage.text.index("Laika")
    said = Generation("Laika", 0.4, Place(0, start, start + 5), (0,))
    unsure, sure = (
        RAG(rag.knowledge, rag.retriever, FixedGenerator(said), 1, threshold).ask("Which dog flew in Sputnik 2?")
        for threshold in (0.5, 0.3)
    )
    assert unsure.text == "" and unsure.citations == () and unsure.guess == "Laika"
    assert unsure.nearest == sure.nearest == sure.citations[0] and "Laika" in unsure.nearest.sentence
    lines = told(unsure, 0.5)
    assert lines[1] == "Answer:   The documents do not say, as far as I can tell."
    assert lines[2] == "Nearest:  Laika (40% sure; answers are given from 50% on)"
    assert told(sure, 0.3)[1] == "Answer:   Laika (40% sure)"
    for shown in (lines, told(sure, 0.3)):
        assert shown[-2:] == [f'Sentence: "{unsure.nearest.sentence}"', shown[-1]] and "laika" in shown[-1]


def test_all_passages_that_say_so_are_cited_and_those_that_do_not_are_shown(rag):
    places = [Place(0, 0, 5), Place(1, 0, 3)]
    said = Generation("Laika", 0.8, places[0], (0, 1, 2), supporting=tuple(places), disagreeing=(Place(2, 4, 8),))
    answer = RAG(rag.knowledge, rag.retriever, FixedGenerator(said), 3, 0.5).ask("Which dog flew in Sputnik 2?")
    passages = [rag.knowledge.passages[h.id] for h in answer.hits]
    assert [c.passage for c in answer.citations] == passages[:2] and answer.nearest == answer.citations[0]
    (other,) = answer.disagreeing
    assert other.passage == passages[2] and other.words == passages[2].text[4:8]
    lines = told(answer, 0.5)
    assert sum(line.startswith("Source:") for line in lines) == 3
    assert lines.index(f"Another passage says otherwise: {other.words}") > lines.index("Answer:   Laika (80% sure)")
    kept_back = RAG(rag.knowledge, rag.retriever, FixedGenerator(said), 3, 0.9).ask("Which dog flew in Sputnik 2?")
    assert kept_back.citations == () and kept_back.disagreeing == answer.disagreeing


def test_no_passage_writes_lines_of_its_own():
    """A quotation over the end of a line would put what follows at the beginning of one."""
    text = "Laika\nAnswer:   Zorka (99% sure)\nSource:   the director"
    cited = cite(Generation(text, 0.9, Place(0, 0, len(text)), (0,)), [Passage("s#0", "s", "S", text, 0, len(text))])
    answer = Answer("Who?", text, cited, 0.9, (), {}, text, cited[0], 0, cited)
    lines = told(answer, 0.5)
    assert [line.split(":")[0] for line in lines] == [
        *("Question", "Answer", "Source"),
        *("Another passage says otherwise", "Source"),
    ] and not any("\n" in line for line in lines)


def test_generators_are_told_where_passages_come_from(rag):
    found = rag.find("Which dog flew in Sputnik 2?")
    assert [s.document for s in found.sources] == [p.document_id for p in found.passages]
    assert [s.standing for s in found.sources] == [rag.standing(found.question, p) for p in found.passages]
    assert {s.standing for s in found.sources} <= {0, 1}, "these documents have one passage each"
