"""Decoding by hand is transformers' `generate`, token for token."""

import pytest
import torch
from fakes import END, LONGEST, TINY, inputs, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from rag_lib.generation.decoding import Marks, Seq2SeqStep, beam_search, greedy, nucleus, padded, sample, top_k

BATCHES = [(1, True), (3, False), (3, True)]
each_model = pytest.mark.parametrize(("architecture", "seed"), TINY)
each_batch = pytest.mark.parametrize(("batch", "with_padding"), BATCHES)


def generated(model, ids, mask, **options):
    return model.generate(ids, attention_mask=mask, max_new_tokens=LONGEST, **options)


@each_model
@each_batch
@pytest.mark.parametrize("cache", [True, False])
def test_greedy(architecture, seed, batch, with_padding, cache):
    model, (ids, mask) = tiny_model(architecture, seed), inputs(batch, with_padding)
    ours = greedy(Seq2SeqStep(model, ids, mask, cache), batch, Marks.of(model), LONGEST)
    assert torch.equal(ours, generated(model, ids, mask, do_sample=False))


@each_model
@pytest.mark.parametrize(("batch", "with_padding"), [(1, False), (3, True)])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_beam_search(architecture, seed, batch, with_padding, early_stopping, length_penalty):
    """All finished sequences of all items, with their scores."""
    model, (ids, mask) = tiny_model(architecture, seed), inputs(batch, with_padding)
    options = {"early_stopping": early_stopping, "length_penalty": length_penalty}
    found = beam_search(Seq2SeqStep(model, ids, mask), batch, Marks.of(model), LONGEST, 3, **options)
    expected = generated(
        model,
        ids,
        mask,
        num_beams=3,
        num_return_sequences=3,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    flat = [hypothesis for item in found for hypothesis in item]
    # Where the padding id is 0, as here, transformers' beam search fills with the end token.
    assert torch.equal(padded(flat, END), expected.sequences)
    torch.testing.assert_close(torch.tensor([h.score for h in flat]), expected.sequences_scores, atol=1e-4, rtol=1e-4)


@each_model
@each_batch
@pytest.mark.parametrize(("temperature", "k", "p"), [(1.0, None, 1.0), (0.7, 5, 1.0), (1.5, 10, 0.8)])
def test_sampling(architecture, seed, batch, with_padding, temperature, k, p):
    """The same random numbers give the same tokens."""
    model, (ids, mask) = tiny_model(architecture, seed), inputs(batch, with_padding)
    options = {"temperature": temperature, "top_p": p, "top_k": k or 0}
    torch.manual_seed(seed)
    expected = generated(model, ids, mask, do_sample=True, **options)
    torch.manual_seed(seed)
    ours = sample(Seq2SeqStep(model, ids, mask), batch, Marks.of(model), LONGEST, temperature, k, p)
    assert torch.equal(ours, expected)


def test_the_tiny_models_are_worth_testing_on():
    """Sequences end at differing lengths, and the ways to stop differ in what they find."""
    ids, mask = inputs(3, True)
    for architecture in ("bart", "t5"):
        lengths, changed = set(), set()
        for model in (tiny_model(a, seed) for a, seed in TINY if a == architecture):
            found = {
                stopping: beam_search(Seq2SeqStep(model, ids, mask), 3, Marks.of(model), LONGEST, 3, 1.0, stopping)
                for stopping in (True, False, "never")
            }
            lengths |= {len(h.ids) for item in found[False] for h in item}
            changed |= {stopping for stopping in (True, "never") if found[stopping] != found[False]}
        assert len(lengths) > 3 and changed == {True, "never"}


@each_model
def test_the_cache_computes_one_position_a_step(architecture, seed):
    """Also where beams are dropped and doubled; the logits stay those of the whole prefix."""
    model, (ids, mask) = tiny_model(architecture, seed), inputs(3, True)
    read = []

    def count(module, args, kwargs):
        read.append(kwargs["input_ids"].shape[1])

    cached, whole = (Seq2SeqStep(model, ids, mask, cache) for cache in (True, False))

    def both(prefixes, items):
        a, b = cached(prefixes, items), whole(prefixes, items)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        return a

    with model.get_decoder().register_forward_pre_hook(count, with_kwargs=True):
        beam_search(both, 3, Marks.of(model), LONGEST, 3)
    assert read[::2] == [1] * len(read[::2]) and read[1::2] == list(range(1, len(read[::2]) + 1))


def test_the_cache_is_not_used_for_a_prefix_it_has_not_seen():
    model, (ids, mask) = tiny_model(*TINY[0]), inputs(3, True)
    cached, whole = (Seq2SeqStep(model, ids, mask, cache) for cache in (True, False))
    items = torch.arange(3)
    for prefixes in ([[1]] * 3, [[1, 5, 6]] * 3, [[1, 5, 6, 7]] * 3, [[1, 8, 6, 7, 9]] * 3):
        prefixes = torch.tensor(prefixes)
        torch.testing.assert_close(cached(prefixes, items), whole(prefixes, items), atol=1e-4, rtol=1e-4)
    swapped = torch.tensor([2, 0])
    torch.testing.assert_close(cached(prefixes[:2], swapped), whole(prefixes[:2], swapped), atol=1e-4, rtol=1e-4)


LOGITS = st.lists(st.lists(st.floats(-5, 5), min_size=6, max_size=6, unique=True), min_size=1, max_size=3)


@settings(max_examples=60)
@given(LOGITS, st.integers(1, 8), st.floats(0.01, 1.0))
def test_filters(logits, k, p):
    logits = torch.tensor(logits)
    assert torch.equal(top_k(logits, k), TopKLogitsWarper(k)(None, logits))
    assert torch.equal(nucleus(logits, p), logits if p == 1 else TopPLogitsWarper(p)(None, logits))
    kept = nucleus(logits, p).isfinite()
    assert kept.sum(1).min() >= 1 and (logits.softmax(-1) * kept).sum(1).min() >= p - 1e-5


def test_beams_end_where_nothing_is_likely_any_more():
    """A step function may forbid tokens: what has no probability is no hypothesis."""

    def one_way(prefixes, items):
        logits = torch.full((len(prefixes), 5), -torch.inf)
        logits[:, 3 if prefixes.shape[1] < 3 else END] = 0.0
        return logits

    (found,) = beam_search(one_way, 1, Marks(1, END, 0), 9, beams=2)
    assert [h.ids for h in found] == [(1, 3, 3, END)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: top_k(torch.zeros(1, 3), 0),
        lambda: nucleus(torch.zeros(1, 3), 0.0),
        lambda: nucleus(torch.zeros(1, 3), 1.1),
        lambda: sample(None, 1, Marks(1, 2, 0), 5, temperature=0.0),
        lambda: beam_search(None, 1, Marks(1, 2, 0), 5, beams=0),
        lambda: beam_search(None, 1, Marks(1, 2, 0), 5, early_stopping="always"),
        lambda: beam_search(None, 1, Marks(1, 2, 0), 0),
        lambda: greedy(None, 1, Marks(1, 2, 0), 0),
    ],
)
def test_settings_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def test_a_vocabulary_smaller_than_twice_the_beams():
    def step(prefixes, items):
        return torch.linspace(0, 1, 3).repeat(len(prefixes), 1) + prefixes.shape[1]

    (found,) = beam_search(step, 1, Marks(0, 2, 0), 3, beams=3)
    assert len(found) == 3 and found[0].score >= found[1].score >= found[2].score
