"""Training retrievers: pairs, negatives, the loss, and a loop that can be killed, shared and repeated."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import save_tiny_encoder
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import maxsim
from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from rag_lib.__main__ import main
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.adapters import adapter_weights, add_adapter, apply_adapter, merge_adapter
from rag_lib.models.weights import ModelUnavailable, encoder_source, load_adapter, load_tokenizer, save_adapter
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.training.retriever.contrastive import (
    Embedded,
    Learner,
    OneTower,
    RetrieverSettings,
    TwoTowers,
    batch_loss,
    contrastive_loss,
    max_sim,
    train,
)
from rag_lib.training.retriever.loop import schedule
from rag_lib.training.retriever.pairs import (
    Pair,
    bm25_scores,
    distinct_passages,
    epoch_batches,
    is_right,
    read_pairs,
    with_negatives,
)
from rag_lib.training.retriever.recipes import METRICS, dense_ranks, ranks_of, summary
from rag_lib.training.run import CheckpointUnusable

SHIPS = ["Vostok", "Gemini", "Apollo", "Soyuz", "Mir", "Skylab", "Salyut", "Ariane"]
PAIRS = [
    Pair(f"{ask} {ship}?", Source(ship, f"{ship} flew {i} times and came back."), (f"{i} times",))
    for i, ship in enumerate(SHIPS)
    for ask in ("How often did they fly", "What came back:")
]
SETTINGS = RetrieverSettings(
    epochs=2, batch_size=4, rate=3e-3, rank=0, negatives=1, late=0.5, bfloat16=False, max_tokens=24
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    return save_tiny_encoder(tmp_path_factory.mktemp("tiny"))


def negatives(pairs=PAIRS) -> list[Pair]:
    passages = list(dict.fromkeys(p.passage for p in pairs))
    return with_negatives(pairs, passages, bm25_scores(pairs, passages), 3)


def vectors(encoder: SentenceEncoder) -> np.ndarray:
    return encoder.encode_passages([indexed_text(p.passage) for p in PAIRS])


def test_rows_become_pairs_and_broken_ones_are_named(tmp_path):
    rows = [
        json.dumps({"question": " Who  flew? ", "title": "Vostok", "text": "Gagarin.", "answers": ["Gagarin"]}),
        json.dumps({"question": "Who?", "passage": "Nobody."}),
        "",
        "{broken",
        json.dumps({"question": "Where?"}),
        json.dumps({"question": "Where?", "text": "  "}),
        json.dumps({"question": "Where?", "text": "Here.", "answers": 5}),
        json.dumps({"question": "Where?", "text": "Here.", "answers": []}),
        json.dumps([1]),
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes("\n".join(rows).encode() + b'\n{"question": "\xff", "text": "x"}')
    pairs, held_out, broken = read_pairs(tmp_path)
    assert not held_out
    assert pairs == [Pair("Who flew?", Source("Vostok", "Gagarin."), ("Gagarin",)), Pair("Who?", Source("", "Nobody."))]
    messages = list(map(str, broken))
    assert len(messages) == 7
    for n, message in zip((4, 5, 6, 7, 8, 9, 10), messages, strict=True):
        assert message.startswith(f"{path}, line {n}: ")
    assert "context or passage" in messages[1] and "list of texts" in messages[3] and "no answer" in messages[4]
    again, held_out, broken = read_pairs(path)
    assert (again, held_out, list(map(str, broken))) == (pairs, [], messages)


def test_a_validation_file_is_held_out_whole_and_many_passages_lose_a_tenth(tmp_path):
    rows = [json.dumps({"question": f"{i}?", "text": f"Passage {i // 2}."}) for i in range(400)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    pairs, held_out, _ = read_pairs(tmp_path)
    assert len(held_out) == 40 and len(pairs) == 360
    assert not {p.passage for p in pairs} & {p.passage for p in held_out}, "a passage's questions stay together"
    (tmp_path / "validation.jsonl").write_text("\n".join(rows[:3]))
    pairs, held_out, _ = read_pairs(tmp_path)
    assert [p.question for p in held_out] == ["0?", "1?", "2?"] and len(pairs) == 400


SEVERAL = [
    {"question": "Who flew?", "text": "Gagarin flew in 1961.", "answers": ["Gagarin"]},
    {"question": "who flew", "text": "Tereshkova flew in 1963.", "answers": ["Tereshkova"]},
    {"question": "Who swam?", "text": "A fish swam and nobody flew.", "answers": ["A fish"]},
]


def test_passages_of_one_question_are_never_each_others_negatives(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, SEVERAL)))
    pairs, _, _ = read_pairs(tmp_path)
    passages = distinct_passages(pairs)
    assert [p.others for p in pairs] == [(passages[1],), (passages[0],), ()]
    for mined in (
        with_negatives(pairs, passages, bm25_scores(pairs, passages)),
        with_negatives(pairs, passages, np.ones((3, 3)), margin=1.0),
    ):
        assert [p.negatives for p in mined[:2]] == [(passages[2],), (passages[2],)]
        assert set(mined[2].negatives) <= {passages[0], passages[1]}

    class Towers:
        def questions(self, questions):
            return torch.nn.Linear(1, 1), {"input_ids": torch.zeros(3, 1), "attention_mask": torch.ones(3, 1)}

        passages = questions

        def embed(self, module, inputs):
            return torch.eye(3), torch.zeros(3, 1, 3)

    loss = batch_loss(Towers(), pairs, passages, replace(SETTINGS, late=0.0, scale=1.0))
    expected = [-np.log(np.e / (np.e + 1))] * 2 + [-np.log(np.e / (np.e + 2))]
    assert loss.item() == pytest.approx(np.mean(expected))


def test_a_questions_other_passage_does_not_count_against_it():
    queries, passages = np.array([[1.0, 0.0]]), np.array([[0.5, 0.0], [0.9, 0.0], [0.7, 0.0]])
    assert ranks_of(queries, passages, [0]).tolist() == [3]
    assert ranks_of(queries, passages, [0], [[1]]).tolist() == [2]
    assert ranks_of(queries, passages, [0], [[1, 2]]).tolist() == [1]


def test_a_question_that_is_held_out_is_not_trained_on_with_another_passage(tmp_path):
    rows = [json.dumps({"question": f"Question {i % 300}?", "text": f"Passage {i}."}) for i in range(400)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    training, held_out, _ = read_pairs(tmp_path)
    assert len(held_out) == 40 and len(training) < 360
    assert not {p.question for p in training} & {p.question for p in held_out}


def test_rows_for_the_generator_are_pairs_as_well(tmp_path):
    answers = {"text": ["1961"], "answer_start": [3]}
    squad = {"question": "When?", "title": "V", "context": "In 1961.", "answers": answers}
    plain = {"question": "Who?", "context": "Nobody.", "answers": ["Nobody"]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(squad)}\n{json.dumps(plain)}\n")
    pairs, _, broken = read_pairs(tmp_path)
    assert pairs[0] == Pair("When?", Source("V", "In 1961."), ("1961",))
    assert pairs[1] == Pair("Who?", Source("", "Nobody."), ("Nobody",))
    assert not broken


@pytest.mark.parametrize("text", [None, "", '{"question": "Who?", "passage": "Nobody."}'])
def test_too_little_is_refused_in_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"no \.jsonl file|at least two"):
        read_pairs(tmp_path)


def test_negatives_are_hard_and_never_right():
    right, near, alias, far = (Source("T", t) for t in ("It was 1957.", "It was 1958.", "In 1957, yes!", "Cheese."))
    pair = Pair("When was it?", right, ("1957",))
    scores = np.array([[0.8, 0.79, 0.7, 0.1]])
    passages = [right, near, alias, far]
    assert with_negatives([pair], passages, scores)[0].negatives == (near, far)
    assert with_negatives([pair], passages, scores, count=1)[0].negatives == (near,)
    assert with_negatives([pair], passages, scores, margin=0.95)[0].negatives == (far,)
    assert not is_right(pair, Source("T", "In 19571."))
    with pytest.raises(ValueError, match="own passage"):
        with_negatives([pair], passages[1:], scores[:, 1:], margin=0.95)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(2, 6), st.integers(0, 5))
def test_no_passage_twice_in_a_batch(which, size, seed):
    pairs = [Pair(str(i), Source("", str(n))) for i, n in enumerate(which)]
    batches = epoch_batches(pairs, size, random.Random(seed))
    for batch in batches:
        passages = {pairs[i].passage for i in batch}
        assert len(passages) == size
        assert sorted(batch) == [i for i, p in enumerate(pairs) if p.passage in passages], "with all its questions"
    assert len(batches) == len(set(which)) // size


def test_the_loss_is_the_librarys_in_value_and_gradient():
    torch.manual_seed(0)
    q, p, n = (torch.randn(5, 8, requires_grad=True) for _ in range(3))
    cosines = torch.nn.functional.normalize(q) @ torch.nn.functional.normalize(torch.cat([p, n])).T
    ours = contrastive_loss(20 * cosines, torch.arange(5))
    theirs = MultipleNegativesRankingLoss(model=None, scale=20.0).compute_loss_from_embeddings([q, p, n], None)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for a, b in zip(torch.autograd.grad(ours, (q, p, n)), torch.autograd.grad(theirs, (q, p, n)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_what_is_not_possible_counts_for_nothing():
    scores = torch.randn(3, 5, generator=torch.manual_seed(0))
    possible = torch.ones(3, 5, dtype=torch.bool)
    possible[:, 4] = False
    right = torch.arange(3)
    assert contrastive_loss(scores, right, possible) == pytest.approx(contrastive_loss(scores[:, :4], right).item())


def test_max_sim_is_the_librarys_divided_by_the_questions_length():
    torch.manual_seed(0)
    lengths = {"q": (3, 5), "p": (4, 2, 7)}
    tokens = {k: [torch.nn.functional.normalize(torch.randn(n, 6)) for n in ns] for k, ns in lengths.items()}

    def padded(rows):
        mask = torch.tensor([[i < len(r) for i in range(max(map(len, rows)))] for r in rows])
        return Embedded(torch.zeros(0), torch.nn.utils.rnn.pad_sequence(rows, True, 9.0), mask)

    expected = maxsim(tokens["q"], tokens["p"]) / torch.tensor(lengths["q"])[:, None]
    assert torch.allclose(max_sim(padded(tokens["q"]), padded(tokens["p"])), expected, atol=1e-5)


def test_a_batch_is_read_as_the_encoder_reads_it(tiny):
    encoder = SentenceEncoder(tiny)
    towers = OneTower(encoder, 64)
    module, inputs = towers.passages([p.passage for p in PAIRS])
    with torch.no_grad():
        ours, _ = towers.embed(module, inputs)
    assert np.allclose(ours, vectors(encoder), atol=1e-5)


def test_a_false_negative_in_the_batch_is_left_out(tiny):
    encoder = SentenceEncoder(tiny)
    pairs = [PAIRS[0], PAIRS[2]]
    own = [p.passage for p in pairs]
    right_too = [Source("x", f"Some say {p.answers[0]}.") for p in pairs]  # each holds one question's answer
    towers, settings = OneTower(encoder, 64), replace(SETTINGS, late=0.0)
    with torch.no_grad():
        loss = batch_loss(towers, pairs, own + right_too, settings)
        scores = settings.scale * torch.tensor(
            encoder.encode_queries([p.question for p in pairs])
            @ encoder.encode_passages([indexed_text(p) for p in own + right_too]).T
        )
    scores[0, 2], scores[1, 3] = -torch.inf, -torch.inf
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(scores, torch.arange(2)).item(), abs=1e-4)


def test_the_rate_rises_and_falls_to_zero():
    rates = [schedule(step, 100, 0.1) for step in range(101)]
    assert rates[:11] == sorted(rates[:11]) and rates[10] == 1.0 and rates[100] == 0.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert schedule(0, 3, 0.0) == 1.0


@pytest.mark.parametrize("rank", [0, 2])
def test_it_learns(tiny, tmp_path, rank):
    encoder, before = SentenceEncoder(tiny), vectors(SentenceEncoder(tiny))
    train(OneTower(encoder, 24), negatives(), tmp_path, replace(SETTINGS, epochs=30, rate=1e-2, rank=rank))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 60 and rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert not np.allclose(vectors(encoder), before, atol=0.05)


class Killed(Exception):
    """Stands for a killed process."""


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tiny, tmp_path, monkeypatch):
    settings = replace(SETTINGS, rank=2, save_every=0.0)

    def run(folder) -> np.ndarray:
        encoder = SentenceEncoder(tiny)
        for part in ("first", "second"):  # the second round goes on with the adapter of the first
            train(OneTower(encoder, 24), negatives(), folder / part, settings)
        return vectors(encoder)

    whole = run(tmp_path / "whole")
    step, steps = Learner.step, []

    def dying(self, *batch):
        steps.append(self.run.done)
        if len(steps) in (2, 4, 7):  # within the first epoch, within the second, in the second round
            raise Killed
        return step(self, *batch)

    monkeypatch.setattr(Learner, "step", dying)
    for _ in range(3):
        with pytest.raises(Killed):
            run(tmp_path / "killed")
    assert np.array_equal(run(tmp_path / "killed"), whole)
    assert len(steps) == 8 + 3
    assert not list(tmp_path.glob("**/*.tmp"))


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_evaluation_during_which_it_was_killed_is_made_again(tiny, tmp_path, call):
    settings, calls = replace(SETTINGS, save_every=0.0), []

    def evaluate():
        calls.append(len(calls))
        if len(calls) == call:
            raise Killed
        return {"nDCG@10": 0.1 * len(calls)}

    with pytest.raises(Killed):
        train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, settings, evaluate)
    train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, settings, evaluate)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["epoch"]) for row in rows if "nDCG@10" in row] == [(0, 0), (2, 1), (4, 2)]
    assert [row["step"] for row in rows if "loss" in row] == [4], "no row twice"


def test_the_best_weights_are_kept(tiny, tmp_path):
    encoder, seen = SentenceEncoder(tiny), []

    def evaluate():
        seen.append(vectors(encoder))
        return {"nDCG@10": [0.1, 0.3, 0.2][len(seen) - 1]}

    train(OneTower(encoder, 24), negatives(), tmp_path, SETTINGS, evaluate)
    assert len(seen) == 3 and not np.allclose(seen[1], seen[2])
    assert np.array_equal(vectors(encoder), seen[1])


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, SETTINGS)
    for pairs, settings in ((negatives(PAIRS[:8]), SETTINGS), (negatives(), replace(SETTINGS, rate=1e-3))):
        with pytest.raises(CheckpointUnusable, match="remove it to start anew"):
            train(OneTower(SentenceEncoder(tiny), 24), pairs, tmp_path, settings)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointUnusable, match="remove it to start anew"):
        train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, SETTINGS)


@pytest.mark.parametrize("name", ["log.jsonl", "best.safetensors"])
def test_nothing_of_the_users_is_overwritten(tiny, tmp_path, name):
    (tmp_path / name).write_text('{"my": "diary"}\n{"step": 1, "seconds": 2}\n')
    with pytest.raises(CheckpointUnusable, match="name another folder"):
        train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, SETTINGS)
    assert (tmp_path / name).read_text().startswith('{"my": "diary"}') and len(list(tmp_path.iterdir())) == 1


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tiny, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 7, "seconds": 2.0, "loss": 0.5}\n{"step": 8, "sec')
    train(OneTower(SentenceEncoder(tiny), 24), negatives(), tmp_path, SETTINGS)
    assert '"step": 7, "seconds": 2.0' not in (tmp_path / "log.jsonl").read_text()


def work(rank: int, folder: Path, tiny: str) -> None:
    """One of two processes that share a training run."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    encoder = SentenceEncoder(tiny)
    train(OneTower(encoder, 24), negatives(), folder / "run", SETTINGS)
    np.save(folder / f"{rank}.npy", vectors(encoder))
    torch.distributed.destroy_process_group()


def test_two_processes_do_what_one_does(tiny, tmp_path):
    torch.multiprocessing.spawn(work, (tmp_path, tiny), nprocs=2)
    encoder = SentenceEncoder(tiny)
    train(OneTower(encoder, 24), negatives(), tmp_path / "alone", SETTINGS)
    alone = vectors(encoder)
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    assert np.array_equal(first, second)
    assert np.allclose(first, alone, rtol=0, atol=1e-5)
    assert not np.allclose(vectors(SentenceEncoder(tiny)), alone, atol=0.02), "the comparison must mean something"


def test_two_towers_learn(tmp_path):
    tokenizer = load_tokenizer(encoder_source())
    torch.manual_seed(0)
    config = DPRConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )  # fmt: skip
    for name, tower in (("q", DPRQuestionEncoder), ("p", DPRContextEncoder)):
        tower(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    encoder = DPREncoder(str(tmp_path / "q"), str(tmp_path / "p"))
    before = encoder.encode_questions(["Who?"]), encoder.fingerprint()
    settings = replace(SETTINGS, epochs=20, scale=1.0, late=0.0, rate=1e-2)
    train(TwoTowers(encoder, 24), negatives(), tmp_path / "run", settings)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert not np.allclose(encoder.encode_questions(["Who?"]), before[0]) and encoder.fingerprint() != before[1]


def test_own_pairs_by_the_command_line(tiny, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    rows = [{"question": p.question, "title": p.passage.title, "text": p.passage.text} for p in PAIRS]
    lines = [json.dumps(r) for r in rows]
    lines.insert(2, "{broken")
    (tmp_path / "data" / "mine.jsonl").write_text("\n".join(lines))
    output = tmp_path / "out"
    command = ["train", "retriever", "--data", str(tmp_path / "data"), "--output", str(output), "--encoder", tiny]
    assert main([*command, "--epochs", "1", "--batch-size", "4", "--rate", "0.01"]) == 0
    assert f"left out: {tmp_path / 'data' / 'mine.jsonl'}, line 3:" in capsys.readouterr().err
    trained = SentenceEncoder(str(output))
    assert trained.fingerprint() != SentenceEncoder(tiny).fingerprint()
    assert not np.allclose(vectors(trained), vectors(SentenceEncoder(tiny)), atol=1e-3)
    assert main(["train", "retriever", "--output", str(output), "--epochs", "1"]) == 1
    with pytest.raises(ValueError, match="batch_size must be above 0"):
        replace(SETTINGS, batch_size=0)


def test_the_weights_that_do_best_on_own_held_out_pairs_are_kept(tiny, tmp_path):
    rows = [{"question": p.question, "title": p.passage.title, "text": p.passage.text} for p in PAIRS]
    for name, part in (("mine", rows), ("validation", rows[10:])):  # so tiny an encoder gains only on what it has seen
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
    command = ["train", "retriever", "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--encoder", tiny]
    assert main([*command, "--epochs", "4", "--batch-size", "4", "--rate", "0.01"]) == 0
    log = [json.loads(line) for line in (tmp_path / "out" / "run" / "log.jsonl").read_text().splitlines()]
    looks = [row for row in log if "nDCG@10" in row]
    assert [row["epoch"] for row in looks] == [0, 1, 2, 3, 4] and all(set(METRICS) < set(row) for row in looks)
    trained, held_out = SentenceEncoder(str(tmp_path / "out")), PAIRS[10:]
    found = summary(dense_ranks(trained, held_out, distinct_passages(PAIRS)))
    assert found["nDCG@10"] == pytest.approx(max(row["nDCG@10"] for row in looks), abs=1e-3)


def test_a_merged_adapter_is_the_saved_difference(tiny, tmp_path):
    adapted, base = SentenceEncoder(tiny), SentenceEncoder(tiny)
    untouched = vectors(base)
    add_adapter(adapted.model, 2)
    assert np.array_equal(vectors(adapted), untouched)
    train(OneTower(adapted, 24), negatives(), tmp_path / "run", replace(SETTINGS, rank=2, epochs=10, rate=1e-2))
    save_adapter(adapter_weights(adapted.model), tmp_path)
    merge_adapter(adapted.model)
    apply_adapter(base.model, load_adapter(tmp_path))
    assert np.allclose(vectors(base), vectors(adapted), atol=5e-3)  # saved in float16
    assert not np.allclose(vectors(base), untouched, atol=0.02)
    (tmp_path / "museum.safetensors").write_bytes(b"x")
    with pytest.raises(ModelUnavailable, match="damaged"):
        load_adapter(tmp_path)
