"""What notebook 09 builds step by step is what rag_lib and the trusted implementations compute."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import SETTINGS, drawn, small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from notebook_definitions import definitions
from torch.nn import functional as F
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.bart.modeling_bart import shift_tokens_right

from rag_lib.evaluation.statistics import Estimate
from rag_lib.generation.encoding import shift_right
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.prompts import PREFIXES
from rag_lib.indexing.documents import Source
from rag_lib.models.adapters import adapter_weights, add_adapter, apply_adapter, is_head
from rag_lib.models.weights import load_minilm
from rag_lib.plots import draw_before_after
from rag_lib.training.generator import features, learning
from rag_lib.training.generator.examples import Phase


@pytest.fixture(scope="module")
def chapter() -> SimpleNamespace:
    return definitions("09_finetune_generator")


@pytest.fixture(scope="module")
def tokenizer():
    return load_minilm()[1]


@pytest.fixture
def reader(chapter, tokenizer):
    return chapter.Reader(small_model(tokenizer).eval(), tokenizer)


@pytest.fixture
def examples(chapter):
    """Examples of the library, and the same as the chapter has them."""
    made = [e for e in drawn(Phase(1, (9, 30), sources=(1, 3), quotes=0.0), 12) if e.job == ANSWER]
    return made, [chapter.Example(e.question, e.sources, e.target) for e in made]


def featurize(examples, tokenizer) -> list[features.Features]:
    """The library's features, without the choice to say that there is no answer, which the chapter leaves out."""
    made = [features.Featurizer(tokenizer, SETTINGS)(e, apart=True) for e in examples]
    for f in made:
        f.allowed[0].remove(tokenizer.mask_token_id)
    return made


def test_a_batch_is_the_librarys(chapter, reader, examples):
    theirs, ours = examples
    made = featurize(theirs, reader.tokenizer)
    expected, batch = features.collate(made, reader.tokenizer.pad_token_id), chapter.collate(ours, reader)
    for name in ("input_ids", "attention_mask"):
        assert torch.equal(batch[name], expected[name]), name
    width = batch["labels"].shape[1]  # the library pads further
    assert torch.equal(batch["labels"], expected["labels"][:, :width])
    assert (expected["labels"][:, width:] == chapter.IGNORED).all()
    assert batch["items"] == expected["items"].tolist()
    assert (batch["labels"] == chapter.IGNORED).any(), "without padding this test means little"
    assert [chapter.allowed_tokens(e, reader) for e in ours] == [f.allowed for f in made]


def test_shift_right(chapter):
    config = SimpleNamespace(decoder_start_token_id=7, pad_token_id=0)
    labels = torch.tensor([[5, 6, 2, -100, -100], [1, 2, 3, 4, 2]])
    ours = chapter.shift_right(labels, config)
    assert torch.equal(ours, shift_tokens_right(labels, 0, 7))
    assert torch.equal(ours, shift_right(labels, config))


def test_losses(chapter, reader, examples):
    theirs, ours = examples
    made = featurize(theirs, reader.tokenizer)
    batch = chapter.collate(ours, reader)
    with torch.no_grad():
        expected = learning.losses(reader.model, features.collate(made, 0))
        logits = chapter.logits_of(reader.model, batch)
        choice = chapter.choice_loss(logits, batch["labels"], [chapter.allowed_tokens(e, reader) for e in ours])
        token = chapter.cross_entropy(logits, batch["labels"])
    assert token.item() == pytest.approx(expected["token"].item(), abs=1e-5)
    assert token.item() == pytest.approx(F.cross_entropy(logits.transpose(1, 2), batch["labels"]).item(), abs=1e-5)
    assert choice.item() == pytest.approx(expected["constrained"].item(), abs=1e-5)
    alone, labels = chapter.losses_one_by_one(reader, ours), [len(chapter.labels_of(e.target, reader)) for e in ours]
    with torch.no_grad():
        together = chapter.total_loss(*chapter.read_batch(reader, ours)).item()
        expected = [chapter.total_loss(*chapter.read_batch(reader, [e])).item() for e in ours]
    assert alone == pytest.approx(expected, rel=0.02), "bfloat16"
    assert together == pytest.approx(np.average(alone, weights=labels), rel=0.02), "bfloat16"
    assert chapter.mean_loss(reader, ours) == pytest.approx(np.mean(alone))


def in_layers(model) -> list[torch.nn.Parameter]:
    """What is trained of a model, but for its head, which the library trains whole."""
    return [p for name, p in model.named_parameters() if p.requires_grad and not is_head(name)]


def test_the_difference_is_the_librarys(chapter, reader, examples, tokenizer):
    torch.manual_seed(1)
    trained = chapter.add_lora(reader.model, rank=2)
    torch.manual_seed(1)
    theirs = small_model(tokenizer).eval()
    torch.manual_seed(1)
    add_adapter(theirs, 2)
    for p in trained:
        torch.nn.init.normal_(p)
    with torch.no_grad():
        for a, b in zip(in_layers(reader.model), in_layers(theirs), strict=True):
            b.copy_(a)
    merged = small_model(tokenizer).eval()
    apply_adapter(merged, adapter_weights(theirs))
    batch = chapter.collate(examples[1][:3], reader)
    with torch.no_grad():
        logits = [chapter.logits_of(model, batch) for model in (reader.model, theirs, merged)]
    assert torch.allclose(logits[0], logits[1], atol=1e-4) and torch.allclose(logits[0], logits[2], atol=1e-3)
    assert all(p.requires_grad is False for name, p in reader.model.named_parameters() if "original" in name)


@given(st.integers(0, 400), st.sampled_from([4, 8, 16]))
def test_the_rate(chapter, seen, batch_size):
    s = features.GeneratorSettings(phases=(), warmup_steps=4, batch_size=batch_size, decay=0.5)
    assert chapter.rate_factor(seen, 400, batch_size) == pytest.approx(learning.schedule(seen, 400, s))
    assert chapter.rate_factor(seen, None, batch_size) == min(1.0, (seen + batch_size) / (4 * batch_size))


def test_before_and_after_are_drawn_where_they_are():
    estimates = {
        (condition, metric): (Estimate(0.1 * i, 0, 0.2 * i, 9), Estimate(0.3 * i, 0.2 * i, 0.4 * i, 9))
        for i, condition in enumerate(("gold", "retrieved"), start=1)
        for metric in ("EM", "F1")
    }
    figure = draw_before_after(estimates)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["retrieved", "gold"], "the first is at the top"
    for ax, metric in zip(figure.axes, ("EM", "F1"), strict=True):
        assert ax.get_xlabel().startswith(metric)
        dots = [(line.get_xdata()[0], round(line.get_ydata()[0])) for line in ax.lines if len(line.get_xdata()) == 1]
        assert np.allclose(dots, [(0.2, 0), (0.6, 0), (0.1, 1), (0.3, 1)])
        bars = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 2]
        assert np.allclose([b[:, 0] for b in bars], [(0, 0.4), (0.4, 0.8), (0, 0.2), (0.2, 0.4)])
        assert all(b[0, 1] == b[1, 1] for b in bars), "an interval lies level"
    plt.close(figure)


def best(trials):
    """The trial that a search ends with, taken as the chapter takes it: the first of the last rung."""
    return next(trial for trial in trials if trial[1] == trials[-1][1])


@settings(max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.integers(1, 5))
def test_halving_keeps_the_better_half_of_every_rung(chapter, scores, rungs):
    def score(choice, examples):
        return scores[choice["i"]] + random.Random(str((choice, examples))).random()

    left = [{"i": i} for i in range(len(scores))]
    trials = chapter.successive_halving(left, score, range(1, rungs + 1))
    for examples in range(1, rungs + 1):
        tried, trials = trials[: len(left)], trials[len(left) :]
        expected = [(choice, examples, score(choice, examples)) for choice in left]
        assert tried == sorted(expected, key=lambda trial: trial[2], reverse=True)
        left = [choice for choice, _, _ in tried[: -(-len(tried) // 2)]]
    assert not trials


@settings(max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.integers(1, 5))
def test_without_noise_halving_keeps_the_best(chapter, scores, rungs):
    choices = [{"i": i} for i in range(len(scores))]
    trials = chapter.successive_halving(choices, lambda choice, _: scores[choice["i"]], range(1, rungs + 1))
    choice, _, score = best(trials)
    assert score == max(scores)
    assert choice["i"] == scores.index(max(scores)), "of equals the first"


def test_halving_finds_the_best_of_a_toy_objective_and_spends_most_on_it(chapter):
    spent = {}

    def score(choice, examples):
        """Best at rate 3 and size 8; the noise falls with the examples."""
        spent[tuple(choice.values())] = spent.get(tuple(choice.values()), 0) + examples
        noise = random.Random(str((choice, examples))).gauss(0, 8 / examples)
        return -abs(choice["rate"] - 3) - 0.1 * abs(choice["size"] - 8) + noise

    choices = [{"rate": rate, "size": size} for rate in (1, 2, 3, 4) for size in (8, 16)]
    trials = chapter.successive_halving(choices, score, [8, 16, 32, 64])
    assert best(trials)[0] == {"rate": 3, "size": 8}
    assert [examples for _, examples, _ in trials] == [8] * 8 + [16] * 4 + [32] * 2 + [64]
    assert max(spent, key=spent.get) == (3, 8) and sum(spent.values()) == 8 * 8 + 4 * 16 + 2 * 32 + 64


def test_where_there_is_nothing_to_search_there_are_no_trials(chapter):
    assert chapter.successive_halving([], lambda *_: 0.0, [1]) == []
    assert chapter.successive_halving([{"i": 0}], lambda *_: 0.0, []) == []


def test_misleading_passages_do_not_hold_the_answer(chapter, monkeypatch):
    found = [Source("A", f"Hall {n} has a clock.") for n in range(7)] + [Source("B", "The dog is in hall nine.")]
    globals_of = chapter.with_misleading.__globals__
    monkeypatch.setitem(globals_of, "found_for", lambda question, k: found[:k])
    triple = chapter.Triple("Where is the dog?", Source("C", "Hall nine has the dog."), ("Hall nine", "in hall nine"))
    rng, places = random.Random(0), set()
    for _ in range(40):
        example = chapter.with_misleading(triple, 2, rng)
        assert len(example.sources) == 3 and example.target == "Hall nine"
        assert [s for s in example.sources if "nine" in s.text] == [triple.passage]
        places.add(example.sources.index(triple.passage))
    assert places == {0, 1, 2}


@pytest.mark.parametrize("kind", ["BART", "T5"])
def test_a_run_learns_and_leaves_its_start_as_it_was(chapter, reader, examples, kind):
    if kind == "T5":
        torch.manual_seed(0)
        ends = {"pad_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": reader.tokenizer.sep_token_id}
        shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "dropout_rate": 0.0}
        config = T5Config(vocab_size=len(reader.tokenizer), **shape, **ends)
        reader = chapter.Reader(T5ForConditionalGeneration(config).eval(), reader.tokenizer, PREFIXES)
    was = {name: p.clone() for name, p in reader.model.named_parameters()}
    few = examples[1][:4]
    before = chapter.mean_loss(reader, few)
    run = chapter.Run(reader, few, rate=2e-2, batch_size=2, rank=8)
    chapter.advance(run, 40)
    assert run.seen == 40 and chapter.mean_loss(run.reader, few) < before - 0.3
    assert all(torch.equal(p, was[name]) for name, p in reader.model.named_parameters())


def test_the_check_of_the_shift_tells_right_from_wrong(chapter):
    assert chapter.check_shift(lambda labels, start: [start, *labels[:-1]]) == "Right."
    assert chapter.check_shift(chapter.my_shift).startswith("Not yet")
    wrong = [
        lambda labels, start: labels,
        lambda labels, start: [*labels[1:], start],
        lambda labels, start: [start, *labels],
        lambda labels, start: [labels[-1], *labels[:-1]],
    ]
    hints = [chapter.check_shift(function) for function in wrong]
    assert all(hint.startswith("Not quite") for hint in hints) and len(set(hints)) == len(wrong)
