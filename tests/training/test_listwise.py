"""Training a cross-encoder: the loss, the lists, and a run that learns, goes on and keeps its best weights."""

import json
from dataclasses import replace

import pytest
import torch
from fakes import tiny_minilm
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.documents import Source
from rag_lib.retrieval import cross_encoder
from rag_lib.retrieval.cross_encoder import CrossEncoder
from rag_lib.training.retriever.listwise import Learner, ListwiseSettings, listwise_loss, train
from rag_lib.training.retriever.pairs import Pair
from rag_lib.training.run import CheckpointUnusable

COLOURS = {"sky": "blue", "grass": "green", "blood": "red", "snow": "white"}
PASSAGES = {thing: Source("Colours", f"The {thing} is {colour}.") for thing, colour in COLOURS.items()}
PAIRS = [
    Pair(f"What colour has {thing}?", right, (COLOURS[thing],), tuple(p for p in PASSAGES.values() if p != right))
    for thing, right in PASSAGES.items()
]
SETTINGS = ListwiseSettings(
    batch_size=4, negatives=2, looks=2, rate=5e-3, head_rate=2e-2, rank=4, bfloat16=False, save_every=0.0
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(cross_encoder, "load_minilm", tiny_minilm)


def in_order(model: CrossEncoder) -> list[str]:
    """What the model ranks first for each question."""
    scores = {p.question: model([p.question] * 4, list(PASSAGES.values())).tolist() for p in PAIRS}
    return [list(PASSAGES)[s.index(max(s))] for s in scores.values()]


def test_the_loss_is_torchs_cross_entropy_in_value_and_gradient():
    """Two lists of different length, by hand, against the trusted loss over a table with gaps."""
    scores = torch.tensor([2.0, 0.5, -1.0, 0.3, 1.3], requires_grad=True)
    loss = listwise_loss(scores, [3, 2])
    table = torch.tensor([[2.0, 0.5, -1.0], [0.3, 1.3, -torch.inf]], requires_grad=True)
    expected = torch.nn.functional.cross_entropy(table, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(expected.item())
    (ours,), (theirs,) = torch.autograd.grad(loss, scores), torch.autograd.grad(expected, table)
    torch.testing.assert_close(ours, theirs.flatten()[:5])
    assert (ours[[0, 3]] < 0).all() and (ours[[1, 2, 4]] > 0).all(), "only the right ones are pushed up"


@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), st.integers(0, 99))
def test_a_list_is_judged_by_itself(sizes, seed):
    scores = torch.randn(sum(sizes), generator=torch.manual_seed(seed))
    alone = [listwise_loss(s, [len(s)]) for s in scores.split(sizes)]
    torch.testing.assert_close(listwise_loss(scores, sizes), torch.stack(alone).mean())
    moved = torch.cat([s + i for i, s in enumerate(scores.split(sizes))])
    torch.testing.assert_close(listwise_loss(moved, sizes), listwise_loss(scores, sizes), atol=1e-4, rtol=0)


def test_the_right_passage_comes_first_and_every_question_is_seen_once(tmp_path):
    learner = Learner(CrossEncoder(), PAIRS * 3, tmp_path, replace(SETTINGS, batch_size=5))
    lists = [x for e, batches in enumerate(learner.epochs) for n in range(len(batches)) for x in learner.lists(e, n)]
    assert sorted(p.question for p, _ in lists) == sorted(p.question for p in PAIRS * 3)
    for pair, passages in lists:
        assert passages[0] == pair.passage and len(set(passages)) == 3
        assert set(passages[1:]) <= set(pair.negatives)
    assert len({tuple(passages) for _, passages in lists}) > 4, "the negatives are drawn anew"


def test_it_learns_to_rank_the_right_passage_first(tmp_path):
    model = CrossEncoder()
    frozen = model.bert.embeddings.word_embeddings.weight.clone()
    train(model, PAIRS * 100, tmp_path, replace(SETTINGS, rate=1e-2))
    assert in_order(model) == list(PASSAGES)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.2 < 0.9 < rows[0]["loss"]
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, frozen), "only the difference is trained"


class Killed(Exception):
    """Stands for a killed process."""


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tmp_path, monkeypatch):
    def run(folder) -> torch.Tensor:
        model, looks = CrossEncoder(), iter((0.3, 0.2))
        train(model, PAIRS * 6, folder, SETTINGS, lambda: {"MRR@20": next(looks)})
        return model.head.weight.detach().clone()

    whole = run(tmp_path / "whole")
    step, steps = Learner.step, []

    def dying(self, *batch):
        steps.append(batch)
        if len(steps) in (2, 4):
            raise Killed
        return step(self, *batch)

    monkeypatch.setattr(Learner, "step", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            run(tmp_path / "killed")
    assert torch.equal(run(tmp_path / "killed"), whole)
    rows = [json.loads(line) for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["MRR@20"]) for row in rows if "MRR@20" in row] == [(3, 0.3), (6, 0.2)]
    with pytest.raises(CheckpointUnusable, match="remove it to start anew"):
        train(CrossEncoder(), PAIRS * 6, tmp_path / "killed", replace(SETTINGS, negatives=1))


def test_the_best_weights_are_kept(tmp_path):
    model, seen = CrossEncoder(), []

    def evaluate():
        seen.append(model.head.weight.detach().clone())
        return {"MRR@20": [0.3, 0.2][len(seen) - 1]}

    train(model, PAIRS * 6, tmp_path, SETTINGS, evaluate)
    assert len(seen) == 2 and not torch.equal(*seen)
    assert torch.equal(model.head.weight, seen[0])


def test_what_cannot_be_learnt_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match="have negatives"):
        train(CrossEncoder(), [replace(PAIRS[0], negatives=())], tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="have negatives"):
        train(CrossEncoder(), [], tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="rank must be above 0"):
        replace(SETTINGS, rank=0)
