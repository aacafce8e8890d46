"""RAG-Sequence and RAG-Token against transformers' own, on the same random weights."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    DPRConfig,
    DPRQuestionEncoder,
    LogitsProcessorList,
    PreTrainedModel,
    RagSequenceForGeneration,
    RagTokenForGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

from rag_lib.generation.encoding import token_log_probabilities
from rag_lib.generation.generators import Decoding, Generation
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Source
from rag_lib.models.weights import load_minilm
from rag_lib.pipeline.marginalization import (
    MarginalProcessor,
    RAGSequence,
    RAGToken,
    answer_log_probabilities,
    sequence_log_likelihood,
    token_log_likelihood,
)
from rag_lib.pipeline.rag import Found
from rag_lib.retrieval.base import passage_probabilities

PAD, BOS, EOS, VOCABULARY = 0, 1, 2, 40


def tiny_bart(seed: int, vocabulary: int = VOCABULARY, pad: int = PAD, bos: int = BOS, eos: int = EOS):
    torch.manual_seed(seed)
    size = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 128}
    ids = {"pad_token_id": pad, "bos_token_id": bos, "eos_token_id": eos, "decoder_start_token_id": bos}
    config = BartConfig(vocab_size=vocabulary, forced_eos_token_id=None, init_std=0.6, **size, **heads, **ids)
    return BartForConditionalGeneration(config).eval()


def transformers_rag(kind: type[PreTrainedModel], model: PreTrainedModel, n: int):
    towers = DPRConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    return kind(question_encoder=DPRQuestionEncoder(towers), generator=model, n_docs=n).eval()


def contexts(n: int, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(3, VOCABULARY, (n, 9))
    mask = torch.ones_like(ids)
    if padded:
        for row in range(n):
            mask[row, 9 - row :] = 0
    return ids.masked_fill(mask == 0, PAD), mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_likelihoods_are_those_of_transformers(seed, padded, n):
    model = tiny_bart(seed)
    answers = [[5, 9, 7, 11], [8, 4]] if padded else [[5, 9, 7], [8, 4, 6]]  # answers are padded too
    ids, mask = contexts(n, padded)
    scores = 3 * torch.randn(n)
    labels = [torch.tensor([BOS, *answer, EOS]) for answer in answers]
    labels = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=PAD)
    inputs = {
        "context_input_ids": ids.repeat(2, 1),
        "context_attention_mask": mask.repeat(2, 1),
        "doc_scores": scores.repeat(2, 1),
        "labels": labels,
    }
    with torch.inference_mode():
        states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        token_logs = token_log_probabilities(model, (states, mask), answers)
        passage_logs = scores.log_softmax(0)
        sequence, token = (f(token_logs, passage_logs) for f in (sequence_log_likelihood, token_log_likelihood))
        theirs = [transformers_rag(k, model, n) for k in (RagSequenceForGeneration, RagTokenForGeneration)]
        assert_close(-sequence, theirs[0](**inputs).loss, atol=1e-4, rtol=1e-4)
        assert_close(-token, theirs[1](**inputs).loss, atol=1e-4, rtol=1e-4)
    if n == 1:
        assert_close(sequence, token)
    else:
        assert (sequence - token).abs().max() > 1e-3, "with several passages the two differ"


@pytest.mark.parametrize("seed", range(4))
def test_next_tokens_are_marginalised_as_in_transformers(seed):
    torch.manual_seed(seed)
    logits, scores = torch.randn(3, 1, VOCABULARY), torch.randn(1, 3)
    theirs = transformers_rag(RagTokenForGeneration, tiny_bart(0), 3).marginalize(logits, scores)
    ours = MarginalProcessor(scores[0].log_softmax(0))(torch.zeros(3, 1), logits[:, 0])
    for row in ours:
        assert_close(row, theirs[0, 0])
    assert_close(ours.exp().sum(1), torch.ones(3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("padded", [False, True])
def test_rag_token_writes_what_transformers_writes(seed, padded):
    model = tiny_bart(seed)
    ids, mask = contexts(3, padded)
    scores = torch.randn(3)
    theirs = transformers_rag(RagTokenForGeneration, model, 3).generate(
        context_input_ids=ids,
        context_attention_mask=mask,
        doc_scores=scores[None],
        max_length=13,
        num_beams=1,
        do_sample=False,
        decoder_start_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    with torch.inference_mode():
        states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    ours = model.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=states),
        attention_mask=mask,
        logits_processor=LogitsProcessorList([MarginalProcessor(scores.log_softmax(0))]),
        max_length=13,
        num_beams=1,
        do_sample=False,
    )
    assert ours[0].tolist() == theirs[0].tolist()
    assert (ours == ours[0]).all(), "the rows stay together"


@pytest.fixture(scope="module")
def random_generator():
    """A generator with the course's tokenizer and random weights, bound to nothing."""
    _, tokenizer = load_minilm()
    model = tiny_bart(0, len(tokenizer), tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    return Seq2SeqGenerator(model, tokenizer, Decoding(constrained=False, max_new_tokens=6))


SOURCES = [
    Source("Laika", "Laika was a dog from Moscow."),
    Source("Ham", "Ham was a chimpanzee."),
    Source("Mars", "Red."),
]
HITS = (Hit("a", 0.7), Hit("b", 0.68), Hit("c", 0.6))


class Given(Found):
    """Sources that were found, without passages."""

    sources = SOURCES


FOUND = Given("Which dog flew?", HITS, (), (), 0.0)


def make(kind, generator, **options):
    rag = kind.__new__(kind)
    rag.generator, rag.retriever = generator, SimpleNamespace(temperature=0.05)
    rag.__dict__ |= options
    return rag


def test_fast_decoding_sums_over_the_passages_that_proposed_an_answer(random_generator):
    p = torch.tensor(passage_probabilities(HITS, 0.05), dtype=torch.float32)
    assert p.sum().item() == pytest.approx(1) and (p[0] / p[1]).item() == pytest.approx(math.exp(20 * 0.02), rel=1e-4)
    proposed = [
        Generation(text, score, None, (0,)) for text, score in (("Ham", 0.5), ("Laika", 0.6), ("the Laika", 0.9))
    ]
    chosen = make(RAGSequence, random_generator, thorough=False).combine(FOUND, proposed)
    support = {"Ham": 0.5 * p[0].item(), "Laika": 0.6 * p[1].item() + 0.9 * p[2].item()}
    assert chosen.text == max(support, key=support.get)
    assert chosen.score == pytest.approx(max(support.values()))


def test_thorough_decoding_scores_every_proposal_with_every_passage(random_generator):
    proposed = [Generation(text, 0.5, None, (0,)) for text in ("Laika", "a dog of Moscow", "Ham")]
    chosen = make(RAGSequence, random_generator, thorough=True).combine(FOUND, proposed)
    passage_logs = torch.tensor(passage_probabilities(HITS, 0.05), dtype=torch.float32).log()
    logs = {}
    for g in proposed:  # one by one: padding makes no difference
        one = answer_log_probabilities(random_generator, FOUND.question, SOURCES, [g.text])
        logs[g.text] = sequence_log_likelihood(one, passage_logs).item()
    assert chosen.text == max(logs, key=logs.get)
    assert chosen.score == pytest.approx(math.exp(max(logs.values())), rel=1e-3)


def test_rag_token_step_by_step(random_generator, monkeypatch):
    """Greedy by probabilities mixed by hand, passage by passage, without a cache; the score is their product."""
    written, finish = [], random_generator.finish
    monkeypatch.setattr(random_generator, "finish", lambda *given: written.append(given[3]) or finish(*given))
    generation = make(RAGToken, random_generator).combine(FOUND, [])
    p, model = torch.tensor(passage_probabilities(HITS, 0.05), dtype=torch.float32), random_generator.model
    rows = [random_generator.lay_out(FOUND.question, [s], ANSWER).rows[0] for s in SOURCES]
    ids, product, end = [model.config.decoder_start_token_id], 1.0, model.config.eos_token_id

    def mixed() -> torch.Tensor:
        with torch.inference_mode():
            logits = [
                model(input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([ids])).logits[0, -1]
                for row in rows
            ]
        return p @ torch.stack(logits).softmax(-1)

    while len(ids) <= 6 and ids[-1] != end:
        probabilities = mixed()
        ids.append(int(probabilities.argmax()))
        product *= float(probabilities.max())
    if ids[-1] != end:
        product *= float(mixed()[end])
    (result,) = written
    assert result.ids == [i for i in ids[1:] if i != end]
    assert generation.score == math.exp(sum(result.logs)) == pytest.approx(product, rel=1e-3)


def test_each_kind_of_rag_answers_from_a_passage_that_it_cites(documents, knowledge, encoder):
    from rag_lib.retrieval.catalogue import make_retriever

    generator, texts = Seq2SeqGenerator.load(), {d.id: d.text for d in documents}
    for kind, options in ((RAGSequence, {}), (RAGSequence, {"thorough": True}), (RAGToken, {})):
        rag = kind(knowledge, make_retriever("dense", knowledge, encoder), generator, k=3, threshold=0.0, **options)
        answer = rag.ask("Which dog flew in Sputnik 2?")
        (citation,) = answer.citations
        assert answer.text == "Laika" and 0 < answer.score <= 1
        assert texts[citation.passage.document_id][citation.start : citation.end] == "Laika"
        *pieces, last = rag.stream("Which dog flew in Sputnik 2?")
        assert "".join(pieces) == last.guess == "Laika"
