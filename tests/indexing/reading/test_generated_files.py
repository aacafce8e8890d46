"""Whatever a folder holds, it is read or named, in time; what was read can be asked, and spans are true.

Both numbers can be raised for a longer search: 5,000 files and 10,000 questions were tried so in November 2026.
"""

from itertools import pairwise

import generated
import pytest
from fakes import HashEncoder, WordReader

from rag_lib.indexing.documents import load_documents
from rag_lib.indexing.knowledge_base import build
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.text import shown, well_formed

FILES, QUESTIONS = 200, 300


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    for seed in range(FILES):
        kind, data = generated.file(seed)
        (folder / f"{seed:05}{kind}").write_bytes(data)
    return load_documents(folder)


@pytest.fixture(scope="module")
def knowledge(collection):
    return build(collection.documents, HashEncoder())


def test_every_file_is_read_or_named_for_a_reason_that_is_no_accident(collection):
    read, left_out = {d.id for d in collection.documents}, {s.path for s in collection.skipped if not s.read}
    assert len(read) + len(left_out) == FILES and not read & left_out
    assert len(read) > FILES / 2
    for skipped in collection.skipped:
        assert skipped.reason and skipped.reason == shown(skipped.reason, None), skipped
        assert "took more" not in skipped.reason and "crashed" not in skipped.reason, skipped


def test_what_was_read_is_clean_and_cut_at_true_places(collection, knowledge):
    documents = {d.id: d for d in collection.documents}
    for document in documents.values():
        assert document.title == shown(document.title) and document.text == well_formed(document.text)
        assert document.text == document.text.strip() and document.text
    for passage in knowledge.passages.values():
        assert documents[passage.document_id].text[passage.start : passage.end] == passage.text
        spans = sentence_spans(passage.text)
        assert spans and all(0 <= a < b <= len(passage.text) for a, b in spans)
        assert all(b <= c for (_, b), (c, _) in pairwise(spans))
    assert {p.document_id for p in knowledge.passages.values()} == set(documents)


def test_every_question_is_answered_refused_in_one_line_or_met_with_silence(collection, knowledge):
    documents = {d.id: d for d in collection.documents}
    rag = RAG(knowledge, make_retriever("hybrid", knowledge, HashEncoder()), WordReader())
    answered = 0
    for seed in range(QUESTIONS):
        try:
            answer = rag.ask(generated.question(seed))
        except ValueError as error:
            assert "question" in str(error) and "\n" not in str(error), generated.question(seed)[:200]
            continue
        answered += bool(answer.text)
        for citation in (*answer.citations, *answer.disagreeing):
            text = documents[citation.passage.document_id].text
            assert text[citation.start : citation.end] == citation.words and citation.words in citation.sentence
            assert citation.sentence in text
    assert answered > QUESTIONS / 10
