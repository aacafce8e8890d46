"""Training the generator: the right targets, the right losses, and nothing lost when it is killed."""

import json
import math
import random
import time
from dataclasses import replace
from itertools import islice

import pytest
import torch
from fakes import CONTEXTS, SETTINGS, drawn, reading, small_model, triples
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.evaluation.squad import SQUAD
from rag_lib.generation.encoding import IGNORED
from rag_lib.generation.generators import Place
from rag_lib.generation.jobs import ANSWER, QUOTE, REPLY, REWRITE, SUMMARIZE
from rag_lib.indexing.documents import Source
from rag_lib.models.adapters import adapter_weights, add_adapter, apply_adapter
from rag_lib.models.weights import load_minilm
from rag_lib.training.generator.examples import (
    Example,
    FixedTask,
    FollowUpTask,
    Phase,
    ReadingTask,
    Triple,
    cut_around,
    follow_up,
    search_contexts,
    summary_example,
)
from rag_lib.training.generator.features import MISSING, Featurizer, GeneratorSettings, batches, collate, epoch_order
from rag_lib.training.generator.learning import losses, schedule, train
from rag_lib.training.generator.recipes import public_triples
from rag_lib.training.run import CheckpointUnusable


@pytest.fixture(scope="module")
def tokenizer():
    return load_minilm()[1]


def test_rows_of_squad_become_triples(monkeypatch):
    row = {"question": "Who?", "title": "Yuri_Gagarin", "context": CONTEXTS[0]}
    rows = [
        row | {"answers": {"text": ["Yuri Gagarin"], "answer_start": [0]}},
        row | {"answers": {"text": [], "answer_start": []}},
    ]
    monkeypatch.setattr("rag_lib.training.generator.recipes.load_public", lambda name, split: rows)
    assert public_triples([SQUAD]) == [
        Triple("Who?", "Yuri Gagarin", CONTEXTS[0], "Yuri Gagarin", 0, ("Yuri Gagarin",))
    ]


@given(st.integers(0, 80), st.integers(1, 10), st.integers(0, 40), st.integers(0, 5))
def test_a_cut_holds_the_answer_and_whole_sentences(start, length, words, seed):
    text = CONTEXTS[0]
    start = min(start, len(text) - 1)
    end = min(start + length, len(text))
    a, b = cut_around(text, start, end, words, random.Random(seed))
    assert a <= start or text[start] == " "
    assert b >= end or text[end - 1] == " "
    assert text[a:b].endswith(".") and (a == 0 or text[a - 1] == " ")


def test_an_example_holds_the_answer_at_its_place_and_nowhere_else():
    examples = drawn(Phase(1, (3, 30), sources=(1, 3), quotes=0.0))
    assert {len(e.sources) for e in examples} == {1, 2, 3}
    assert {e.place.source for e in examples} == {0, 1, 2}, "the answer's source is at any place"
    for e in examples:
        assert e.job == ANSWER and e.literal
        assert e.sources[e.place.source].text[e.place.start : e.place.end] == e.target
        others = [s.text.lower() for i, s in enumerate(e.sources) if i != e.place.source]
        assert not any(e.target.lower() in text for text in others)


def test_missing_answers_and_quotations_come_in_their_shares():
    examples = drawn(Phase(1, (3, 30), sources=(2, 3), quotes=0.5, missing=0.5), 200)
    missing = [e for e in examples if not e.target]
    quotes = [e for e in examples if e.job in (QUOTE, REPLY)]
    assert 70 < len(missing) < 130 and all(e.place is None and e.job == ANSWER for e in missing)
    assert 30 < len(quotes) < 70 and {e.job for e in quotes} == {QUOTE, REPLY}
    for e in quotes:
        text = e.sources[e.place.source].text
        assert text[e.place.start : e.place.end] in e.target and e.target.endswith(".") and e.target in text


@pytest.mark.parametrize("apart", [True, False])
def test_features_ask_for_the_answer_where_it_stands(tokenizer, apart):
    featurizer = Featurizer(tokenizer, SETTINGS)
    for e in drawn(Phase(1, (3, 30), sources=(1, 3), quotes=0.3, missing=0.2)):
        f = featurizer(e, apart)
        assert len(f.rows) == (len(e.sources) if apart else 1)
        assert all(row[0] == tokenizer.cls_token_id and row[-1] == tokenizer.sep_token_id for row in f.rows)
        assert [tokenizer.decode(f.rows[r][a : b + 1]) for r, a, b in f.passages] == [
            tokenizer.decode(tokenizer(s.text, add_special_tokens=False)["input_ids"]) for s in e.sources
        ]
        if e.place is None:
            assert f.labels == [tokenizer.mask_token_id, tokenizer.sep_token_id] and f.span == MISSING
            continue
        row, first, last = f.span
        answer = e.sources[e.place.source].text[e.place.start : e.place.end].lower()
        assert tokenizer.decode(f.rows[row][first : last + 1]) == answer
        assert f.labels[-1] == tokenizer.sep_token_id and answer in tokenizer.decode(f.labels)
        assert all(label in options for label, options in zip(f.labels, f.allowed, strict=True))
        assert (tokenizer.mask_token_id in f.allowed[0]) == (e.job in (ANSWER, REPLY))


def test_what_is_read_is_what_the_generator_reads_in_use(tokenizer):
    """Training and use must lay the input out in the same way."""
    from rag_lib.generation.generators import Decoding
    from rag_lib.generation.seq2seq import Seq2SeqGenerator

    featurizer, model = Featurizer(tokenizer, SETTINGS), small_model(tokenizer)
    for e in drawn(Phase(1, (3, 30), sources=(1, 3), quotes=0.2), 20):
        for apart in (True, False):
            in_use = Seq2SeqGenerator(model, tokenizer, Decoding(apart=apart)).lay_out(e.question, e.sources, e.job)
            assert featurizer(e, apart).rows == in_use.rows


def test_an_answer_inside_a_word_is_left_out(tokenizer):
    example = Example(ANSWER, "Which?", (Source("F", "It flew in the 1960s."),), "1960", True, Place(0, 15, 19))
    assert Featurizer(tokenizer, SETTINGS)(example, True) is None


def test_a_follow_up_has_lost_a_name_that_was_said_before():
    rng, task = random.Random(1), FollowUpTask(triples())
    made = [e for i in range(60) if (e := task.example(i % len(task), SETTINGS.phases[0], rng))]
    changed = [e for e in made if e.target]
    assert len(changed) >= 10 and all(e.job == REWRITE and e.literal for e in made)
    for e in changed:
        (source,) = e.sources
        assert e.question.startswith("What was the ship of ") and e.target not in e.question
        assert source.text[e.place.start : e.place.end] == e.target
    assert all(e.place is None for e in made if not e.target)


HISTORY = [("Which craft was first?", "Sputnik 1, in 1957."), ("And the first with a crew?", "Vostok 1, with Gagarin.")]


@pytest.mark.parametrize(
    ("turn", "standalone", "left_out"),
    [
        ("How heavy was it?", "How heavy was Vostok 1?", "Vostok 1"),
        ("How heavy was the first one, 1957's?", "How heavy was the first one, Sputnik 1?", "Sputnik 1"),
        ("Who built Vostok 1?", "Who built Vostok 1?", ""),
    ],
)
def test_a_turn_of_a_conversation_lacks_the_words_that_its_standalone_form_adds(turn, standalone, left_out):
    example = follow_up(turn, standalone, HISTORY)
    assert (example.job, example.target, example.literal) == (REWRITE, left_out, True)
    if left_out:
        assert example.sources[0].text[example.place.start : example.place.end] == left_out


def test_a_turn_that_lacks_what_nobody_said_is_left_out():
    assert follow_up("How heavy was it?", "How heavy was Explorer?", HISTORY) is None


def test_a_reply_is_a_whole_sentence(tokenizer):
    sentence = "He landed near the Volga."
    triple = Triple("Where did the ship land?", "F", CONTEXTS[0], sentence, CONTEXTS[0].index(sentence))
    task = ReadingTask([triple], search_contexts(triples()), REPLY)
    example = task.example(0, Phase(1, (3, 9), sources=(2, 3), quotes=0.0), random.Random(0))
    assert (example.job, example.target, example.literal) == (REPLY, sentence, True) and len(example.sources) > 1
    features = Featurizer(tokenizer, SETTINGS)(example, True)
    starts = {tokenizer(s.text[:12], add_special_tokens=False)["input_ids"][0] for s in example.sources}
    assert starts < set(features.allowed[0]) and tokenizer.mask_token_id in features.allowed[0]
    assert all(len(options) == 1 for options in features.allowed[2:-1]), "within a sentence there is no choice"


def test_a_summary_is_made_of_the_sentences_nearest_to_the_reference(tokenizer):
    example = summary_example("Flights", " ".join(CONTEXTS), "Near the Volga the man landed.")
    assert example.job == SUMMARIZE and example.target == "He landed near the Volga."
    long = summary_example("Flights", " ".join(CONTEXTS * 4), "Near the Volga the man landed.")
    features = Featurizer(tokenizer, SETTINGS)(long, True)
    assert features.span is None and len(features.rows) == len(long.sources) > 1
    assert all(label in options for label, options in zip(features.labels, features.allowed, strict=True))


@pytest.mark.parametrize("apart", [True, False])
def test_the_losses_are_those_computed_one_by_one(tokenizer, apart):
    model = small_model(tokenizer).eval()
    featurizer = Featurizer(tokenizer, SETTINGS)
    examples = [
        *drawn(Phase(1, (3, 30), sources=(1, 3), quotes=0.3), 4),
        Example(REWRITE, "Who?", (), "Who flew?"),
    ]
    examples.append(Example(ANSWER, "Who?", (Source("F", CONTEXTS[0]),), "", literal=True))
    features = [featurizer(e, apart) for e in examples]
    batch = collate(features, tokenizer.pad_token_id)
    token, constrained, span = [], [], []
    with torch.no_grad():
        ours = losses(model, batch)
        for f in features:  # alone, so without padding
            encoder = model.get_encoder()
            states = torch.cat([encoder(torch.tensor([row])).last_hidden_state[0] for row in f.rows])[None]
            logits = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([[101, *f.labels[:-1]]])).logits[0]
            for step, label in enumerate(f.labels):
                token.append(-logits[step].log_softmax(0)[label].item())
                if f.allowed:
                    options = f.allowed[step]
                    constrained.append(-logits[step, options].log_softmax(0)[options.index(label)].item())
            if f.span is not None:
                offsets = [sum(map(len, f.rows[:r])) for r in range(len(f.rows))]
                inside = [*offsets, *(offsets[r] + i for r, a, b in f.passages for i in range(a, b + 1))]
                ends = model.evidence(states)[0, inside].softmax(0)
                row, *at = f.span
                right = (
                    [range(len(offsets))] * 2 if f.span == MISSING else [[inside.index(offsets[row] + i)] for i in at]
                )
                span.append(-sum(ends[list(right[i]), i].sum().log().item() for i in (0, 1)))
    assert ours["token"].item() == pytest.approx(sum(token) / len(token), abs=1e-4)
    assert ours["constrained"].item() == pytest.approx(sum(constrained) / len(constrained), abs=1e-4)
    assert ours["span"].item() == pytest.approx(sum(span) / len(span), abs=1e-4)
    assert (batch["labels"] == IGNORED).any(), "the batch must have padding for this test to mean anything"


def test_the_token_loss_is_the_librarys(tokenizer):
    model = small_model(tokenizer).eval()
    features = [Featurizer(tokenizer, SETTINGS)(e, False) for e in drawn(Phase(1, (3, 30)), 3)]
    batch = collate(features, tokenizer.pad_token_id)
    with torch.no_grad():
        ours = losses(model, batch)["token"]
        library = model(batch["input_ids"], batch["attention_mask"], labels=batch["labels"]).loss
    assert ours.item() == pytest.approx(library.item(), abs=1e-5)


@given(st.integers(1, 7), st.integers(0, 30), st.integers(1, 20))
def test_every_epoch_has_every_item_once_wherever_it_is_entered(n, start, count):
    whole = epoch_order(n, 0, start + count, seed=3)
    assert epoch_order(n, start, count, seed=3) == whole[start:]
    for epoch in range(len(whole) // n):
        assert sorted(whole[epoch * n : (epoch + 1) * n]) == list(range(n))


@pytest.mark.parametrize("start", [0, 4, 12, 16, 28])
def test_batches_go_on_where_they_were_left(tokenizer, start):
    featurizer, tasks = Featurizer(tokenizer, SETTINGS), {"read": reading()}
    whole = list(islice(batches(featurizer, tasks, SETTINGS, 0), 10))
    assert list(islice(batches(featurizer, tasks, SETTINGS, start), 10 - start // 4)) == whole[start // 4 :]
    assert all(len(b) == 4 for b in whole)


def test_the_rate_rises_stays_and_falls_to_zero():
    rates = [
        schedule(seen, 1000, GeneratorSettings(phases=(), warmup_steps=5, batch_size=10, decay=0.5))
        for seen in range(0, 1001, 10)
    ]
    assert rates[0] == pytest.approx(0.2) and rates[4] == rates[50] == 1.0 and rates[-1] == 0.0
    assert rates[75] == pytest.approx(0.5)


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tokenizer, tmp_path):
    def weights(folder, stops: list[int]):
        model = small_model(tokenizer)
        calls = iter(stops)

        def evaluate(_):
            if next(calls, None):
                raise KeyboardInterrupt
            return {"em": time.time()}  # ever better, so that the last weights are the ones kept

        for _ in range(len(stops) + 1):
            try:
                train(model, tokenizer, {"read": reading()}, folder, SETTINGS, evaluate)
                break
            except KeyboardInterrupt:
                model = small_model(tokenizer)
        return model.state_dict()

    whole = weights(tmp_path / "whole", [])
    resumed = weights(tmp_path / "resumed", [0, 1, 0, 1])  # the first evaluation is before the first step
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    rows = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["seen"] == 64 and rows[-1]["em"] > rows[0]["em"]
    start = small_model(tokenizer).state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in whole.items()), "it must have trained"
    assert not list((tmp_path / "resumed").glob("*.tmp"))


def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(tokenizer, tmp_path):
    short = replace(SETTINGS, phases=(Phase(4, (3, 9)),))
    train(small_model(tokenizer), tokenizer, {"read": reading()}, tmp_path, short)
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointUnusable, match="remove it to start anew"):
        train(small_model(tokenizer), tokenizer, {"read": reading()}, tmp_path, short)


def test_it_learns(tokenizer, tmp_path):
    settings = GeneratorSettings(
        phases=(Phase(480, (30, 30), quotes=0.0),), batch_size=6, pool_batches=2, warmup_steps=5,
        encoder_rate=3e-3, decoder_rate=3e-3, evaluate_every=10**6, save_every=math.inf,
    )  # fmt: skip
    model = small_model(tokenizer)
    train(model, tokenizer, {"read": reading()}, tmp_path, settings)
    features = [Featurizer(tokenizer, settings)(e, False) for e in drawn(settings.phases[0], 6)]
    with torch.no_grad():
        batch = collate(features, tokenizer.pad_token_id)
        after, before = (losses(m.eval(), batch)["constrained"].item() for m in (model, small_model(tokenizer)))
    assert after < 0.7 * before


def test_the_best_weights_are_kept_and_it_stops_when_nothing_gets_better(tokenizer, tmp_path):
    settings = replace(SETTINGS, phases=(Phase(400, (3, 9)),), evaluate_every=4, patience=3)
    seen = []

    def evaluate(model):
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"em": [0.1, 0.3, 0.2, 0.3, 0.1][len(seen) - 1]}

    model = small_model(tokenizer)
    train(model, tokenizer, {"read": reading()}, tmp_path, settings, evaluate)
    assert len(seen) == 5, "the best was the second; three without a better one followed"
    assert all(torch.equal(v, seen[1][k]) for k, v in model.state_dict().items())


def test_tasks_are_mixed_in_their_shares(tokenizer):
    papers = FixedTask([Example(REWRITE, f"Turn {i}?", (), "Who flew?") for i in range(9)])
    phase = Phase(64, (3, 9), quotes=0.0, mixture=(("read", 0.75), ("rewrite", 0.25)))
    settings = replace(SETTINGS, phases=(phase,), pool_batches=16)
    pool = islice(batches(Featurizer(tokenizer, settings), {"read": reading(), "rewrite": papers}, settings, 0), 16)
    rewrites = [f for batch in pool for f in batch if not f.allowed]
    assert len(rewrites) == 16


def test_an_adapter_changes_nothing_at_first_and_is_the_trained_difference_afterwards(tokenizer, tmp_path):
    settings = replace(SETTINGS, rank=2, phases=(Phase(32, (3, 30)),), encoder_rate=1e-2, decoder_rate=1e-2)
    inputs = {"input_ids": torch.tensor([[101, 2040, 102]]), "decoder_input_ids": torch.tensor([[101, 2040]])}
    base, adapted = small_model(tokenizer).eval(), small_model(tokenizer).eval()
    add_adapter(adapted, 2)
    assert torch.equal(base(**inputs).logits, adapted(**inputs).logits)

    trained = small_model(tokenizer)
    train(trained, tokenizer, {"read": reading()}, tmp_path, settings)
    assert not torch.allclose(base(**inputs).logits, trained(**inputs).logits, atol=1e-3)
    weights = adapter_weights(trained)
    apply_adapter(base, weights)
    assert torch.allclose(base(**inputs).logits, trained(**inputs).logits, atol=1e-5)
    with pytest.raises(ValueError, match="does not fit"):
        apply_adapter(base, {"model.encoder.layers.7.fc1.a": torch.zeros(2, 16)})
