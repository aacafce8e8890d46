"""What every back end of a kind must do: a new one subclasses the contract and says in a fixture how it is made."""

import numpy as np
import pytest

from rag_lib.generation.generators import Generation
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Source
from rag_lib.retrieval.base import EmptyQuestion, passage_probabilities

QUERY = "Where are lakes of methane?"


class EncoderContract:
    """Give it a fixture `encoder`."""

    TEXTS = ("The Moon.", "Lakes of liquid methane lie on Titan.", "The Moon.", "é 月")

    def test_vectors_are_of_length_one(self, encoder):
        for vectors in (encoder.encode_passages(self.TEXTS), encoder.encode_queries(self.TEXTS)):
            assert vectors.shape == (4, encoder.dimension) and vectors.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_so_are_those_of_tokens(self, encoder):
        for tokens in (encoder.encode_passage_tokens(self.TEXTS), encoder.encode_query_tokens(self.TEXTS)):
            assert [t.shape[1] for t in tokens] == [encoder.dimension] * 4
            assert len(tokens[1]) > len(tokens[0]) >= 2
            np.testing.assert_allclose(np.linalg.norm(np.concatenate(tokens), axis=1), 1, atol=1e-5)

    def test_a_text_has_the_same_vector_in_any_company(self, encoder):
        together, alone = encoder.encode_passages(self.TEXTS), encoder.encode_passages(self.TEXTS[1:2])
        np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
        np.testing.assert_allclose(together[0], together[2], atol=1e-5)

    def test_no_text_is_no_vector(self, encoder):
        assert encoder.encode_passages([]).shape == encoder.encode_queries([]).shape == (0, encoder.dimension)
        assert encoder.encode_passage_tokens([]) == encoder.encode_query_tokens([]) == []

    def test_it_has_a_name_and_a_fingerprint(self, encoder):
        assert encoder.name and encoder.fingerprint() == encoder.fingerprint()


class RetrieverContract:
    """Give it a fixture `retriever` over the fixture `knowledge`."""

    def test_hits_are_passages_best_first_each_once(self, retriever, knowledge):
        for k in (1, 3, 50):
            hits = retriever.retrieve(f"  {QUERY}\n", k)
            assert len({h.id for h in hits}) == len(hits) <= k and {h.id for h in hits} <= set(knowledge.passages)
            assert hits == sorted(hits, key=lambda h: (-h.score, h.id))
            assert all(type(h) is Hit and type(h.score) is float for h in hits)

    def test_what_makes_no_sense_is_refused(self, retriever):
        with pytest.raises(EmptyQuestion):
            retriever.retrieve("  ", 3)
        for k in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="k must be"):
                retriever.retrieve(QUERY, k)

    def test_scores_become_probabilities(self, retriever):
        probabilities = passage_probabilities(retriever.retrieve(QUERY, 3), retriever.temperature)
        assert probabilities.sum() == pytest.approx(1) and (np.diff(probabilities) <= 0).all()


class RerankerContract:
    """Give it a fixture `reranker`."""

    def test_scores_do_not_depend_on_the_company(self, reranker, knowledge):
        passages = list(knowledge.passages.values())
        together = reranker.scores(QUERY, passages)
        assert together.shape == (len(passages),) and reranker.temperature > 0
        np.testing.assert_allclose(together, [reranker.scores(QUERY, [p])[0] for p in passages], atol=1e-4)

    def test_nothing_to_score_is_no_score(self, reranker):
        assert len(reranker.scores(QUERY, [])) == 0

    def test_the_first_hits_are_put_in_the_order_of_the_scores(self, reranker, knowledge, encoder):
        from rag_lib.retrieval.catalogue import make_retriever
        from rag_lib.retrieval.retrievers import RerankedRetriever

        first = make_retriever("dense", knowledge, encoder)
        found = first.retrieve(QUERY, 3)
        hits = RerankedRetriever(first, reranker, knowledge.passages, depth=3).retrieve(QUERY, 2)
        scores = reranker.scores(QUERY, [knowledge.passages[h.id] for h in found])
        assert [h.id for h in hits] == [found[i].id for i in np.argsort(-scores)[:2]]
        assert [h.score for h in hits] == pytest.approx(sorted(scores, reverse=True)[:2], abs=1e-4)


class GeneratorContract:
    """Give it a fixture `generator`, and say whether what has a place is always a quotation."""

    QUOTES = True
    QUESTIONS = ("Which dog flew in Sputnik 2?", "Where are lakes of methane?")
    SOURCES = (
        (Source("Laika", "Laika was a dog. She flew in Sputnik 2."), Source("Ham", "Ham was a chimpanzee.")),
        (Source("Titan", "Lakes of liquid methane lie on Titan."),),
    )

    def test_every_question_is_answered_from_its_own_sources(self, generator):
        generations = generator.generate(self.QUESTIONS, self.SOURCES)
        assert len(generations) == 2
        for generation, sources in zip(generations, self.SOURCES, strict=True):
            assert 0 <= generation.score <= 1 + 1e-6
            assert set(generation.used) <= set(range(len(sources)))
            assert all(0 <= t.probability <= 1 + 1e-6 for t in generation.tokens)
            if generation.place:
                place = generation.place
                quoted = sources[place.source].text[place.start : place.end]
                assert quoted and (quoted == generation.text or not self.QUOTES)

    def test_nothing_asked_is_nothing_written(self, generator):
        assert generator.generate([], []) == []

    def test_the_pieces_of_a_stream_are_the_text(self, generator):
        for question, sources in zip(self.QUESTIONS, self.SOURCES, strict=True):
            *pieces, generation = generator.stream(question, sources)
            assert isinstance(generation, Generation) and "".join(pieces).split() == generation.text.split()

    def test_it_says_when_to_keep_silent_and_how_it_reads(self, generator):
        assert 0 <= generator.threshold <= 1 and generator.votes in (True, False)
