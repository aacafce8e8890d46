"""The cross-encoder of our own making: BERT with a linear map of its first token."""

import numpy as np
import pytest
import torch
from contracts import RerankerContract
from fakes import HashEncoder, adapted, tiny_minilm

from rag_lib.indexing.documents import Source
from rag_lib.indexing.knowledge_base import build
from rag_lib.models.adapters import adapter_weights
from rag_lib.models.weights import ModelUnavailable, save_adapter
from rag_lib.retrieval import cross_encoder
from rag_lib.retrieval.cross_encoder import CrossEncoder

QUERY = "Where are lakes of methane?"


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(cross_encoder, "load_minilm", tiny_minilm)


@pytest.fixture
def encoder():
    return HashEncoder()


@pytest.fixture
def knowledge(documents, encoder):
    return build(documents, encoder)


@pytest.fixture
def passages(knowledge):
    return list(knowledge.passages.values())


def trained() -> CrossEncoder:
    model = CrossEncoder()
    adapted(model.bert)
    torch.nn.init.normal_(model.head.weight)
    return model


class TestCrossEncoder(RerankerContract):
    @pytest.fixture
    def reranker(self):
        return trained()


def test_a_score_is_a_linear_map_of_the_first_tokens_last_state(passages):
    model, (_, tokenizer) = trained(), tiny_minilm()
    for passage, score in zip(passages, model.scores(QUERY, passages), strict=True):
        pair = tokenizer(QUERY, f"{passage.title}. {passage.text}", return_tensors="pt")
        assert tokenizer.decode(pair["input_ids"][0]).count("[SEP]") == 2
        with torch.inference_mode():
            expected = (model.bert(**pair).last_hidden_state[0, 0] @ model.head.weight[0]).item()
        assert score == pytest.approx(expected, abs=1e-4)


def test_in_bfloat16_there_are_no_ties_of_large_scores(passages):
    model = trained()
    with torch.no_grad():
        model.head.weight *= 100
    with torch.autocast("cpu", torch.bfloat16):
        scores = model.scores(QUERY, passages)
    assert scores.dtype == np.float32
    assert (torch.tensor(scores) != torch.tensor(scores).bfloat16().float()).any(), "finer than bfloat16"


def test_until_it_is_trained_it_prefers_nothing(passages):
    assert CrossEncoder().scores(QUERY, passages).tolist() == [0.0] * len(passages)


def test_what_is_saved_comes_back(passages, tmp_path):
    model, untrained = trained(), CrossEncoder()
    model.save(tmp_path)
    loaded = CrossEncoder.load(tmp_path)
    np.testing.assert_allclose(loaded.scores(QUERY, passages), model.scores(QUERY, passages), atol=0.02)  # float16
    untrained.head.load_state_dict(model.head.state_dict())
    assert not np.allclose(untrained.scores(QUERY, passages), model.scores(QUERY, passages), atol=0.1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["museum.safetensors", "shards.json"]


@pytest.mark.parametrize("able", [True, False])
def test_in_half_precision_the_scores_are_nearly_the_same(passages, tmp_path, monkeypatch, able):
    trained().save(tmp_path)
    monkeypatch.setattr(cross_encoder, "computes_in_half", lambda: able)
    exact, half, asked = (CrossEncoder.load(tmp_path, half) for half in (False, True, None))
    scores = exact.scores(QUERY, passages)
    assert half.bert.dtype == torch.bfloat16 and half.scores(QUERY, passages).dtype == np.float32
    assert not np.array_equal(half.scores(QUERY, passages), scores)
    np.testing.assert_allclose(half.scores(QUERY, passages), scores, rtol=0.02)  # bfloat16 has 8 significant bits
    assert asked.bert.dtype == (torch.bfloat16 if able else torch.float32)


def test_what_is_no_cross_encoder_or_damaged_is_refused_in_one_line(tmp_path):
    model = trained()
    save_adapter(adapter_weights(model.bert), tmp_path / "encoder")
    with pytest.raises(ModelUnavailable, match="it has no head"):
        CrossEncoder.load(tmp_path / "encoder")
    model.save(tmp_path / "damaged")
    path = tmp_path / "damaged" / "museum.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match="damaged"):
        CrossEncoder.load(tmp_path / "damaged")
    with pytest.raises(ModelUnavailable, match="not complete"):
        CrossEncoder.load(tmp_path / "nowhere")


def test_texts_that_are_too_long_are_cut():
    model, long = trained(), "methane " * 600
    scores = model(["Where?", long, long], [Source("T", long), Source("T", "Here."), Source("T", long)])
    assert scores.shape == (3,) and scores.isfinite().all()
