"""What notebook 07 builds step by step is what rag_lib and transformers compute."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from notebook_definitions import definitions
from torch.testing import assert_close

from rag_lib.evaluation import risk_coverage
from rag_lib.generation.encoding import encode_apart
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.prompts import BUNDLED
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Source
from rag_lib.pipeline.marginalization import (
    answer_log_probabilities,
    sequence_log_likelihood,
    token_log_likelihood,
)
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.base import passage_probabilities
from rag_lib.retrieval.catalogue import make_retriever

QUESTION = "Which dog flew in Sputnik 2?"


@pytest.fixture(scope="module")
def generator() -> Seq2SeqGenerator:
    return Seq2SeqGenerator.load()


@pytest.fixture(scope="module")
def chapter(generator, encoder, knowledge) -> SimpleNamespace:
    """The notebook's definitions, on the tests' own collection."""
    chapter = definitions("07_rag_pipeline")
    chapter.layout.__globals__.update(
        model=generator.model,
        PIECES=generator.pieces,
        EMPTY=generator.empty,
        tokenizer=generator.tokenizer,
        encoder=encoder,
        knowledge=knowledge,
        hybrid=make_retriever("hybrid", knowledge, encoder),
        vector_of=dict(zip(knowledge.passages, knowledge.vectors, strict=True)),
    )
    return chapter


@pytest.fixture(scope="module")
def passages(knowledge):
    return list(knowledge.passages.values())[:3]


def test_the_layout_is_the_generators(chapter, passages):
    sources = [Source(p.title, p.text) for p in passages]
    assert chapter.layout(QUESTION, passages) == BUNDLED.render(ANSWER, QUESTION, sources)


def test_fusion_in_decoder(chapter, generator, passages, knowledge, encoder):
    inputs = chapter.tokens([chapter.layout(QUESTION, [p]) for p in passages])
    with torch.inference_mode():
        states, mask = encode_apart(generator.model, inputs["input_ids"], inputs["attention_mask"], [0] * len(passages))
    assert mask.all()
    assert_close(chapter.fused(QUESTION, passages), states, atol=1e-4, rtol=1e-4)
    rag = RAG(knowledge, make_retriever("hybrid", knowledge, encoder), generator, 3, threshold=0.0, vote=False)
    for question in (QUESTION, "Where did Huygens land?"):
        by_hand = chapter.Pipeline(lambda q: chapter.find(q, 3), chapter.fuse).ask(question)
        assert by_hand.lower() == rag.ask(question).text.lower()


def test_prior_and_marginals(chapter, generator, passages, knowledge, encoder):
    sources = [Source(p.title, p.text) for p in passages]
    prior = chapter.prior(QUESTION, passages)
    vectors = np.stack([knowledge.vectors[list(knowledge.passages).index(p.id)] for p in passages])
    cosines = vectors @ encoder.encode_queries([QUESTION])[0]
    hits = [Hit(p.id, float(cosine)) for p, cosine in zip(passages, cosines, strict=True)]
    expected = torch.tensor(passage_probabilities(hits, temperature=1 / 10), dtype=prior.dtype).log()
    assert_close(prior, expected, atol=1e-4, rtol=1e-4)
    for answer in ("Laika", "a chimpanzee"):
        table = chapter.token_logs(QUESTION, passages, answer)
        ours = answer_log_probabilities(generator, QUESTION, sources, [answer])[0]
        assert_close(table, ours, atol=1e-3, rtol=1e-3)
        assert_close(chapter.rag_sequence(table, prior), sequence_log_likelihood(ours, prior), atol=1e-3, rtol=1e-3)
        assert_close(chapter.rag_token(table, prior), token_log_likelihood(ours, prior), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_marginals_of_random_tables(chapter, seed):
    torch.manual_seed(seed)
    table, prior = -torch.rand(4, 6), torch.randn(4).log_softmax(0)
    assert_close(chapter.rag_sequence(table, prior), (prior.exp() @ table.sum(1).exp()).log())
    assert_close(chapter.rag_token(table, prior), (prior.exp() @ table.exp()).prod().log())


def test_answers_by_hand_are_quotations(chapter, passages):
    for answer in (chapter.answer_by_sequence, chapter.answer_by_token, chapter.fuse, chapter.read_in_a_row):
        text = answer(QUESTION, passages)
        number, start, end = chapter.locate(text, passages)
        assert passages[number].text[start:end] == chapter.quote(text, passages) == "Laika"
    text, score = chapter.fuse_with_strength(QUESTION, passages)
    assert text == "Laika" and 0 < score <= 1


def test_locate(chapter, passages):
    assert chapter.locate("sputnik 2 on 3", passages)[0] == 0
    assert chapter.locate("aika", passages) is None and chapter.locate("", passages) is None
    assert chapter.quote("hubble space  telescope", passages) == "Hubble Space Telescope"


def test_risk_coverage(chapter):
    rng = np.random.default_rng(0)
    scores, right = rng.random(50), rng.random(50) < 0.5
    for ours, theirs in zip(chapter.risk_coverage(scores, right), risk_coverage(scores, right), strict=True):
        np.testing.assert_allclose(ours, theirs)
