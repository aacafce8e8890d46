"""Training a chat model: loss on the reply alone, computed as the library computes it; killed runs go on."""

import json
import random
from dataclasses import replace

import pytest
import torch
from fakes import chat_tokenizer, reading, tiny_chat_model

from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.chat_prompts import NO_ANSWER
from rag_lib.generation.encoding import IGNORED, in_parts
from rag_lib.generation.jobs import ANSWER, QUOTE, REPLY, SUMMARIZE
from rag_lib.indexing.documents import Source
from rag_lib.models.adapters import adapter_weights, add_side_paths
from rag_lib.training.generator import chat
from rag_lib.training.generator.chat import (
    ChatFeaturizer,
    collate_replies,
    reply_loss,
    reply_to,
    train_chat,
)
from rag_lib.training.generator.examples import Example, FixedTask, Phase
from rag_lib.training.generator.features import GeneratorSettings

TOKENIZER = chat_tokenizer()
PHASE = Phase(32, words=(3, 9), sources=(1, 3), quotes=0.4, missing=0.2)
SETTINGS = GeneratorSettings(
    phases=(PHASE,), batch_size=4, pool_batches=2, decoder_rate=2e-3, rank=4, warmup_steps=1, decay=0.5,
    max_tokens=1500, max_target=80, evaluate_every=16, save_every=0.0,
)  # fmt: skip


def drawn(count: int = 40) -> list[Example]:
    rng, task = random.Random(0), reading()
    return [task.example(i % len(task), PHASE, rng) for i in range(count)]


def test_a_target_cites_the_passage_that_it_is_from():
    examples = drawn()
    assert {e.job for e in examples} == {ANSWER, QUOTE, REPLY} and not all(e.target for e in examples)
    for e in examples:
        if not e.target:
            assert reply_to(e) == NO_ANSWER
            continue
        said = reply_to(e)
        number = int(said[said.index("[") + 1 : said.index("]")])
        assert e.target.rstrip(".") in e.sources[number - 1].text
        assert said.replace(f" [{number}]", "") == e.target
    assert reply_to(Example(SUMMARIZE, "", (Source("a", "b"),), "In short.")) == "In short."


def test_what_is_read_is_what_the_generator_reads_in_use():
    featurizer, generator = ChatFeaturizer(TOKENIZER, SETTINGS), ChatGenerator(tiny_chat_model(), TOKENIZER)
    for e in drawn():
        features = featurizer(e)
        prompt = generator.lay_out(e.question, e.sources, e.job).ids
        assert features.rows == [prompt + features.labels] and features.labels[-1] == TOKENIZER.eos_token_id
        assert TOKENIZER.decode(features.labels[:-1]) == reply_to(e)


def test_what_does_not_fit_is_left_out():
    example = drawn(1)[0]
    fits = len(ChatFeaturizer(TOKENIZER, SETTINGS)(example).rows[0])
    assert ChatFeaturizer(TOKENIZER, replace(SETTINGS, max_tokens=fits))(example) is not None
    assert ChatFeaturizer(TOKENIZER, replace(SETTINGS, max_tokens=fits - 1))(example) is None
    assert ChatFeaturizer(TOKENIZER, replace(SETTINGS, max_target=1))(example) is None


def test_the_loss_is_the_librarys_on_the_reply_alone():
    """transformers' own loss, with labels at their tokens and all logits computed."""
    model = tiny_chat_model()
    features = [ChatFeaturizer(TOKENIZER, SETTINGS)(e) for e in drawn(5)]
    batch = collate_replies(features, TOKENIZER.eos_token_id)
    at_their_tokens = torch.full_like(batch["labels"], IGNORED)
    for row, f in zip(at_their_tokens, features, strict=True):
        row[len(f.rows[0]) - len(f.labels) : len(f.rows[0])] = torch.tensor(f.labels)
    with torch.no_grad():
        expected = model(batch["input_ids"], attention_mask=batch["attention_mask"], labels=at_their_tokens).loss
        ours = reply_loss(model, batch) / (batch["labels"] != IGNORED).sum()
        alone = sum(reply_loss(model, collate_replies([f], TOKENIZER.eos_token_id)) for f in features)
    assert float(ours) == pytest.approx(float(expected), rel=1e-4)
    assert float(alone) == pytest.approx(float(ours) * sum(len(f.labels) for f in features), rel=1e-4)


def mean_loss(model, examples) -> float:
    features = [ChatFeaturizer(TOKENIZER, SETTINGS)(e) for e in examples]
    batch = collate_replies(features, TOKENIZER.eos_token_id)
    with torch.no_grad():
        return float(reply_loss(model, batch) / (batch["labels"] != IGNORED).sum())


def test_a_few_examples_are_learnt_and_the_model_itself_stays_as_it_is(tmp_path):
    examples, model = drawn(4), tiny_chat_model()
    before, weights = mean_loss(model, examples), {k: v.clone() for k, v in model.named_parameters()}
    settings = replace(SETTINGS, phases=(replace(PHASE, examples=120, mixture=(("few", 1.0),)),), decoder_rate=2e-2)
    train_chat(model, TOKENIZER, {"few": FixedTask(examples)}, tmp_path, settings)
    assert mean_loss(model, examples) < 0.5 * before
    assert all(torch.equal(model.get_parameter(name), weight) for name, weight in weights.items())
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["seen"] == 120 and rows[-1]["loss"] > 0


def test_a_killed_run_ends_as_one_that_was_not(tmp_path):
    def run(folder, examples=32, kill_at=None) -> dict[str, torch.Tensor]:
        asked = []

        def evaluate(model):
            asked.append(1)
            if len(asked) == kill_at:
                raise KeyboardInterrupt
            return {"right": float(len(asked))}

        model = tiny_chat_model()
        train_chat(model, TOKENIZER, {"read": reading()}, folder, SETTINGS, evaluate)
        return adapter_weights(model)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", kill_at=2)
    again = run(tmp_path / "killed")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_batch_in_parts_is_trained_on_as_one(tmp_path, monkeypatch):
    """Parts only save memory: their gradients add up to the batch's."""

    def run(most: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(chat, "MOST_AT_ONCE", most)
        model = tiny_chat_model()
        train_chat(model, TOKENIZER, {"read": reading()}, tmp_path / str(most), SETTINGS)
        return adapter_weights(model)

    whole, parts = run(10**6), run(1200)
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, atol=2e-4, rtol=1e-2)
    logs = [(tmp_path / str(most) / "log.jsonl").read_text() for most in (10**6, 1200)]
    first, second = (json.loads(log.splitlines()[-1])["loss"] for log in logs)
    assert first == pytest.approx(second, abs=1e-3)


def test_parts_keep_within_their_bound():
    features = [ChatFeaturizer(TOKENIZER, SETTINGS)(e) for e in drawn(20)]
    parts = in_parts(features, lambda f: len(f.rows[0]), 1200)
    assert [f for part in parts for f in part] == features and 1 < len(parts) < 20
    assert all(len(p) == 1 or len(p) * max(len(f.rows[0]) for f in p) <= 1200 for p in parts)


def test_training_can_start_from_a_difference(tmp_path):
    torch.manual_seed(1)
    model = tiny_chat_model()
    add_side_paths(model, SETTINGS.rank)
    start = {name: torch.randn_like(weight) * 0.1 for name, weight in adapter_weights(model).items()}
    seen = []

    def evaluate(model):
        seen.append({name: weight.clone() for name, weight in adapter_weights(model).items()})
        return {"right": 0.0}

    train_chat(tiny_chat_model(), TOKENIZER, {"read": reading()}, tmp_path, SETTINGS, evaluate, start)
    assert all(torch.equal(seen[0][name], start[name]) for name in start)
    assert not torch.equal(seen[-1]["model.layers.0.mlp.up_proj.b"], start["model.layers.0.mlp.up_proj.b"])
