"""What rerankers are trained on: passages cut from paragraphs, negatives that mislead, sentences."""

from fakes import HashEncoder

from rag_lib.evaluation.squad import parse
from rag_lib.indexing.documents import Source
from rag_lib.training.retriever.mining import cut_row, kept, mined, over_sentences
from rag_lib.training.retriever.pairs import Pair, is_right

FIRST, SECOND = "Laika was the first dog in orbit.", "Belka was the first dog to come back."
LAIKA = Pair("Who was the first dog in orbit?", Source("Dogs", f"{FIRST} {SECOND}"), ("Laika", FIRST))
HAM = Source("Apes", "Ham was the first ape. He ate a banana.")
CURTAINS = Source("Homes", "Curtains hang.")


def test_a_paragraph_is_cut_and_the_passage_with_the_answers_place_is_the_right_one():
    filler = " ".join(f"Number {i} flew in some ship or other that day." for i in range(12))
    context = f"Laika flew first. {filler} Laika died in orbit."
    place = context.rindex("Laika")
    answers = {"text": ["Laika"], "answer_start": [place]}
    row = parse({"question": "Who died?", "title": "D", "context": context, "answers": answers})
    pair, passages = cut_row(row)
    assert len(passages) == 2 and pair.passage == passages[1] and " ".join(p.text for p in passages) == context
    assert pair.answers == ("Laika", "Laika died in orbit.")


def test_negatives_come_from_both_retrievers_and_hold_no_answer():
    alias = Source("More dogs", "The first dog in orbit, Laika, was small.")
    far = [Source("", f"Something else, number {i}.") for i in range(5)]
    (pair,) = mined([LAIKA], [LAIKA.passage, alias, HAM, *far], HashEncoder(), count=1)
    assert pair.negatives[0] == HAM, "the one with most words in common"
    assert not any(is_right(LAIKA, n) for n in pair.negatives) and len(set(pair.negatives)) == len(pair.negatives)
    vectors = HashEncoder().encode_passages([f"{p.title}. {p.text}" if p.title else p.text for p in (HAM, *far)])
    query = HashEncoder().encode_queries([LAIKA.question])[0]
    right = HashEncoder().encode_passages([f"Dogs. {LAIKA.passage.text}"])[0] @ query
    cosines = {p: v @ query for p, v in zip((HAM, *far), vectors, strict=True) if v @ query <= 0.95 * right}
    assert set(pair.negatives) == {HAM, *([max(cosines, key=cosines.get)] if cosines else [])}
    assert mined([LAIKA], [LAIKA.passage, alias], HashEncoder()) == [], "without negatives there is nothing to learn"


def test_sentences_mislead_by_the_words_that_they_share():
    pair = Pair(LAIKA.question, LAIKA.passage, LAIKA.answers, (HAM, CURTAINS))
    (found,) = over_sentences([pair])
    assert found.passage == Source("Dogs", FIRST)
    assert found.negatives == (Source("Dogs", SECOND), Source("Apes", "Ham was the first ape."), CURTAINS)
    assert over_sentences([Pair("Who?", LAIKA.passage, ("Laika",), (HAM,))]) == [], "no sentence is known to answer"


def test_what_was_mined_is_kept(tmp_path):
    pairs = [Pair("Où?", LAIKA.passage, ("là",), (HAM, CURTAINS)), LAIKA]
    path = tmp_path / "run" / "pairs.jsonl"
    assert kept(path, lambda: pairs) == pairs
    assert kept(path, lambda: 1 / 0) == pairs
