"""The recipes of the museum's cross-encoder and DPR: what they learn from, and that they go through to the end."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from conftest import ROOT
from fakes import HashEncoder, tiny_minilm
from safetensors.torch import load_file

from rag_lib.__main__ import main
from rag_lib.evaluation.squad import DataUnavailable
from rag_lib.indexing.knowledge_base import build
from rag_lib.models.adapters import matrices
from rag_lib.models.weights import load_minilm
from rag_lib.museum import ranker_recipe
from rag_lib.museum.collection import load_articles, load_splits
from rag_lib.museum.ranker_recipe import CROSS_ENCODER, DPR, museum_pairs
from rag_lib.retrieval import cross_encoder, dpr
from rag_lib.retrieval.cross_encoder import CrossEncoder
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.training.retriever.mining import over_sentences
from rag_lib.training.retriever.pairs import distinct_passages, is_right


@pytest.fixture(scope="module")
def museum():
    return build(load_articles(), HashEncoder())


@pytest.fixture
def small(museum, monkeypatch):
    """The recipes with a tiny encoder, and so few questions that a run takes seconds."""
    pairs = museum_pairs(museum, "train")[::200]

    def unavailable(count):
        raise DataUnavailable("no SQuAD here")

    for module in (cross_encoder, dpr):
        monkeypatch.setattr(module, "load_minilm", tiny_minilm)
    asked = {"train": pairs, "validation": museum_pairs(museum, "validation")[::60]}
    among = {split: distinct_passages(asked[split]) for split in asked}
    for name, value in {
        "SentenceEncoder": lambda *_: HashEncoder(),
        "open_folder": lambda *_: museum,
        "museum_pairs": lambda knowledge, split: asked[split],
        "passages_of": lambda knowledge, split: among[split],
        "squad_passages": unavailable,
        "LOOKED_AT": 3,
        "CROSS_ENCODER": replace(CROSS_ENCODER, rank=2, negatives=2),
        "DPR": replace(DPR, rank=2, batch_size=4, epochs=1),
    }.items():
        monkeypatch.setattr(ranker_recipe, name, value)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_pairs_passage_holds_a_sentence_that_answers_and_is_of_its_split(museum, split):
    pairs, splits = museum_pairs(museum, split), load_splits()
    of_split = {p.source for p in museum.passages.values() if splits[p.document_id] == split}
    assert len(pairs) > 1000 and all(p.passage in of_split for p in pairs)
    assert all(any(a in p.passage.text for a in p.answers) for p in pairs)


def test_every_museum_question_is_asked_of_sentences_too(museum):
    pairs = museum_pairs(museum, "train")[::10]
    distractors = [next(p for p in museum.passages.values() if not is_right(x, p.source)).source for x in pairs]
    found = over_sentences([replace(p, negatives=(d,)) for p, d in zip(pairs, distractors, strict=True)])
    assert len(found) > 0.95 * len(pairs)
    assert all(not is_right(p, n) for p in found for n in p.negatives)


def test_the_differences_that_are_shipped_are_small():
    bert, _ = load_minilm()
    bytes_a_rank = sum(2 * sum(m.weight.shape) for m in matrices(bert).values())
    assert CROSS_ENCODER.rank * bytes_a_rank < 2.9e6 and DPR.rank * bytes_a_rank < 2e6


def test_the_cross_encoders_recipe_leaves_a_calibrated_model(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ranker_recipe, "fitted_temperature", lambda *_: 4.0)
    command = ["train", "retriever", "--model", "cross-encoder", "--output", str(tmp_path)]
    assert main(command) == 0
    assert "trained without general pairs: no SQuAD here" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert sum("MRR@20" in row for row in rows) == CROSS_ENCODER.looks
    trained = load_file(tmp_path / "run" / "best.safetensors")["cross-encoder/head.weight"]
    torch.testing.assert_close(CrossEncoder.load(tmp_path).head.weight, trained / 4, atol=1e-3, rtol=1e-2)
    assert json.loads((tmp_path / "settings.json").read_text())["temperature"] == 4.0
    before = (tmp_path / "museum.safetensors").stat().st_mtime_ns
    assert main(command) == 0 and (tmp_path / "museum.safetensors").stat().st_mtime_ns == before


def test_dprs_recipe_leaves_two_towers(small, tmp_path, monkeypatch):
    looks = count()
    monkeypatch.setattr(ranker_recipe, "summary", lambda ranks: {"nDCG@10": next(looks)})  # ever better
    command = ["train", "retriever", "--model", "dpr", "--output", str(tmp_path)]
    assert main(command) == 0
    trained, untrained = DPREncoder(f"{tmp_path}/question", f"{tmp_path}/passage"), DPREncoder()
    assert not np.allclose(trained.encode_questions(["Who?"]), untrained.encode_questions(["Who?"]), atol=1e-3)
    assert trained.fingerprint() != untrained.fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "cross-encoder", "--rank", "4"], "has its own settings"),
        (["--model", "cross-encoder", "--measure", "validation"], "--measure goes with --model encoder"),
        (["--examples", "2"], "--examples goes with"),
        (["--model", "cross-encoder", "--data", str(ROOT)], "without --data"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(options, message, tmp_path, capsys):
    assert main(["train", "retriever", "--output", str(tmp_path), *options]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
