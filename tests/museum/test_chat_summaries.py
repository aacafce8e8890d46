"""What the chat models write of the dossiers, kept. Notebook 12 has one summary written again."""

import pytest

from rag_lib.applications.extraction import choose, sentences_of
from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import SUMMARIZE
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.museum.chat_summaries import GENERATORS, from_sentences, load_written
from rag_lib.museum.collection import load_dossiers, load_summaries


class Listening:
    """Writes a sentence with a mark, and keeps what it was given."""

    def generate(self, questions, sources, job, source_logs=None):
        self.given = questions, sources, job
        return [Generation("It says so. [1]", 1.0, None, (0,), (), ())]


def test_every_summary_of_the_validation_split_was_written_in_each_way():
    asked = [(s.dossier, q) for s in load_summaries("validation") for q in (["", s.question] if s.question else [""])]
    written = load_written()
    assert [(w.generator, w.dossier, w.question) for w in written] == [(g, *each) for g in GENERATORS for each in asked]
    texts = [text for w in written for text in (w.from_passages, w.from_sentences)]
    assert not any("[1]" in text for text in texts) and sum(not text for text in texts) <= 1, "one wrote nothing"


@pytest.mark.model
def test_what_is_rewritten_are_the_sentences_that_would_be_copied():
    dossier, encoder, generator = load_dossiers()[0], SentenceEncoder(), Listening()
    assert from_sentences(dossier, generator, encoder, None) == "It says so."
    questions, [[source]], job = generator.given
    sentences = sentences_of(dossier.text)
    assert (questions, job, source.title) == ([""], SUMMARIZE, dossier.title)
    assert source.text == " ".join(sentences[i] for i in choose(sentences, encoder))
