"""Training the generator: the right targets, the right losses, and nothing lost when it is killed."""

import json
import math
import random
from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BartConfig, BartForConditionalGeneration

from rag_lib.decoding import allowed_next
from rag_lib.models import load_minilm
from rag_lib.training.checkpoints import CheckpointUnusable
from rag_lib.training.examples import (
    IGNORED,
    Featurizer,
    Phase,
    Settings,
    Triple,
    batches,
    collate,
    cut_around,
    epoch_order,
    load_triples,
)
from rag_lib.training.generator import losses, schedule, train

CONTEXTS = [
    "Yuri Gagarin flew on 12 April 1961. He landed near the Volga. His ship was Vostok 1.",
    "Laika flew on 3 November 1957. She was a dog from Moscow. Her ship was Sputnik 2.",
    "Valentina Tereshkova flew on 16 June 1963. She landed in the Altai. Her ship was Vostok 6.",
]
SETTINGS = Settings(
    phases=(Phase(32, (3, 9), quotes=0.5), Phase(32, (9, 30), distractors=1)),
    batch_size=4,
    pool_batches=4,
    warmup_steps=2,
    evaluate_every=24,
    save_every=0.0,
)


def triples() -> list[Triple]:
    found = []
    for context in CONTEXTS:
        name = context.split(" flew")[0]
        ship = context.split("ship was ")[1].rstrip(".")
        for question, answer in (("Who flew?", name), (f"What was the ship of {name}?", ship)):
            found.append(Triple(question, "Flights", context, answer, context.index(answer)))
    return found


@pytest.fixture(scope="module")
def tokenizer():
    return load_minilm()[1]


def small_model(tokenizer) -> BartForConditionalGeneration:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, dropout=0.0, pad_token_id=0,
        bos_token_id=101, eos_token_id=102, decoder_start_token_id=101, forced_eos_token_id=None, init_std=0.2,
    )  # fmt: skip
    return BartForConditionalGeneration(config)


def test_rows_of_squad_become_triples():
    row = {"question": "Who?", "title": "Yuri_Gagarin", "context": CONTEXTS[0]}
    rows = [
        row | {"answers": {"text": ["Yuri Gagarin"], "answer_start": [0]}},
        row | {"answers": {"text": [], "answer_start": []}},
    ]
    assert load_triples(rows) == [Triple("Who?", "Yuri Gagarin", CONTEXTS[0], "Yuri Gagarin", 0)]


@given(st.integers(0, 80), st.integers(1, 10), st.integers(0, 40), st.integers(0, 5))
def test_a_cut_holds_the_answer_and_whole_sentences(start, length, words, seed):
    text = CONTEXTS[0]
    start = min(start, len(text) - 1)
    end = min(start + length, len(text))
    a, b = cut_around(text, start, end, words, random.Random(seed))
    assert a <= start or text[start] == " "
    assert b >= end or text[end - 1] == " "
    assert text[a:b].endswith(".") and (a == 0 or text[a - 1] == " ")


def test_features_ask_for_the_answer_where_it_stands(tokenizer):
    featurizer = Featurizer(triples(), tokenizer, SETTINGS)
    rng = random.Random(0)
    jobs = set()
    for triple in triples() * 10:
        f = featurizer(triple, Phase(1, (5, 30), quotes=0.5, distractors=2), rng)
        text, target = tokenizer.decode(f.input_ids), tokenizer.decode(f.labels[:-1])
        assert f.labels[-1] == tokenizer.sep_token_id
        assert tokenizer.decode(f.input_ids[f.span[0] : f.span[1] + 1]) == triple.answer.lower()
        assert f.inside[0] <= f.span[0] <= f.span[1] <= f.inside[1]
        assert all(label in options for label, options in zip(f.labels, f.allowed, strict=True))
        quote = text.startswith("[CLS] quote :")
        jobs.add(quote)
        assert triple.answer.lower() in target if quote else target == triple.answer.lower()
        assert len(f.labels) > 6 or not quote
    assert jobs == {True, False}


def test_distractors_never_hold_the_answer(tokenizer):
    featurizer = Featurizer(triples(), tokenizer, SETTINGS)
    rng = random.Random(0)
    for triple in triples() * 10:
        for source in featurizer.distractors(triple, Phase(1, (5, 30), distractors=3), rng):
            assert triple.answer.lower() not in source.text.lower()


def test_an_answer_inside_a_word_is_left_out(tokenizer):
    triple = Triple("Which decade?", "Flights", "It flew in the 1960s.", "1960", 15)
    assert Featurizer([triple], tokenizer, SETTINGS)(triple, Phase(1, (5, 30)), random.Random(0)) is None


def test_the_losses_are_those_computed_one_by_one(tokenizer):
    model = small_model(tokenizer).eval()
    head = torch.nn.Linear(16, 2)
    featurizer = Featurizer(triples(), tokenizer, SETTINGS)
    features = [featurizer(t, Phase(1, (5, 30), quotes=0.0), random.Random(1)) for t in triples()[:3]]
    batch = collate(features, tokenizer.pad_token_id)
    with torch.no_grad():
        ours = losses(model, head, batch)
        library = model(batch["input_ids"], batch["attention_mask"], labels=batch["labels"]).loss
        token, constrained, span = [], [], []
        for f in features:  # alone, so without padding
            out = model(torch.tensor([f.input_ids]), decoder_input_ids=torch.tensor([[101, *f.labels[:-1]]]))
            passage = f.input_ids[f.inside[0] : f.inside[1] + 1]
            for step, label in enumerate(f.labels):
                token.append(-out.logits[0, step].log_softmax(0)[label].item())
                options = sorted(allowed_next(f.labels[:step], [passage], 102, featurizer.pieces))
                constrained.append(-out.logits[0, step, options].log_softmax(0)[options.index(label)].item())
            ends = head(out.encoder_last_hidden_state)[0, f.inside[0] : f.inside[1] + 1].log_softmax(0)
            span.append(-sum(ends[f.span[i] - f.inside[0], i].item() for i in (0, 1)))
    assert ours["token"].item() == pytest.approx(library.item(), abs=1e-5)
    assert ours["token"].item() == pytest.approx(sum(token) / len(token), abs=1e-4)
    assert ours["constrained"].item() == pytest.approx(sum(constrained) / len(constrained), abs=1e-4)
    assert ours["span"].item() == pytest.approx(sum(span) / len(span), abs=1e-4)
    assert (batch["labels"] == IGNORED).any(), "the batch must have padding for this test to mean anything"


@given(st.integers(1, 7), st.integers(0, 30), st.integers(1, 20))
def test_every_epoch_has_every_item_once_wherever_it_is_entered(n, start, count):
    whole = epoch_order(n, 0, start + count, seed=3)
    assert epoch_order(n, start, count, seed=3) == whole[start:]
    for epoch in range(len(whole) // n):
        assert sorted(whole[epoch * n : (epoch + 1) * n]) == list(range(n))


@pytest.mark.parametrize("start", [0, 4, 12, 16, 28])
def test_batches_go_on_where_they_were_left(tokenizer, start):
    featurizer = Featurizer(triples(), tokenizer, SETTINGS)
    whole = list(islice(batches(featurizer, SETTINGS, 0), 10))
    assert list(islice(batches(featurizer, SETTINGS, start), 10 - start // 4)) == whole[start // 4 :]
    assert all(len(b) == 4 for b in whole)


def test_the_rate_rises_stays_and_falls_to_zero():
    rates = [schedule(seen, 1000, Settings(warmup_steps=5, batch_size=10, decay=0.5)) for seen in range(0, 1001, 10)]
    assert rates[0] == pytest.approx(0.2) and rates[4] == rates[50] == 1.0 and rates[-1] == 0.0
    assert rates[75] == pytest.approx(0.5)


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tokenizer, tmp_path):
    def weights(folder, stops: list[int]):
        model = small_model(tokenizer)
        calls = iter(stops)

        def evaluate(_):
            if next(calls, None):
                raise KeyboardInterrupt
            return {"em": 0.5}

        for _ in range(len(stops) + 1):
            try:
                train(model, tokenizer, triples(), folder, SETTINGS, evaluate)
                break
            except KeyboardInterrupt:
                model = small_model(tokenizer)
        return model.state_dict()

    whole = weights(tmp_path / "whole", [])
    resumed = weights(tmp_path / "resumed", [1, 1])
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    rows = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["seen"] == 64 and rows[-1]["em"] == 0.5
    assert not list((tmp_path / "resumed").glob("*.tmp"))


def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(tokenizer, tmp_path):
    short = replace(SETTINGS, phases=(Phase(4, (3, 9)),))
    train(small_model(tokenizer), tokenizer, triples(), tmp_path, short)
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointUnusable, match="remove it to start anew"):
        train(small_model(tokenizer), tokenizer, triples(), tmp_path, short)


def test_it_learns(tokenizer, tmp_path):
    settings = Settings(
        phases=(Phase(480, (30, 30), quotes=0.0),), batch_size=6, pool_batches=2, warmup_steps=5,
        encoder_rate=3e-3, decoder_rate=3e-3, evaluate_every=10**6, save_every=math.inf,
    )  # fmt: skip
    model = small_model(tokenizer)
    train(model, tokenizer, triples(), tmp_path, settings)
    head = torch.nn.Linear(16, 2)
    featurizer = Featurizer(triples(), tokenizer, settings)
    features = [featurizer(t, settings.phases[0], random.Random(0)) for t in triples()]
    with torch.no_grad():
        batch = collate(features, tokenizer.pad_token_id)
        after, before = (losses(m.eval(), head, batch)["constrained"].item() for m in (model, small_model(tokenizer)))
    assert after < 0.7 * before
