import shutil

import numpy as np
import pytest
from contracts import EncoderContract
from fakes import HashEncoder

from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.weights import MUSEUM_DIFFERENCE, ModelUnavailable, load_minilm


def test_vectors_are_those_of_mean_pooling_by_hand(encoder):
    import torch

    model, tokenizer = load_minilm()
    texts = ["Titan has lakes of methane.", "Laika", "Why is the sky dark at night, if there are stars everywhere?"]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    mean = (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    np.testing.assert_allclose(encoder.encode_passages(texts), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_queries(texts), expected, atol=1e-5)


def test_the_order_of_texts_does_not_matter(encoder):
    texts = ["Titan", "The Hubble Space Telescope was launched in 1990.", "", "Laika was a dog."]
    np.testing.assert_allclose(encoder.encode_passages(texts)[::-1], encoder.encode_passages(texts[::-1]), atol=1e-6)
    assert encoder.encode_passages([]).shape == (0, 384)


def test_truncated_texts_are_counted(encoder):
    assert encoder.truncated(["short", "long " * 300, "moon " * 253, "moon " * 255]) == 2
    long, cut = encoder.encode_passages(["moon " * 300 + "methane", "moon " * 300 + "dogs"])
    np.testing.assert_allclose(long, cut, atol=1e-6, err_msg="what lies beyond the limit is not read")


def test_the_fingerprint_follows_the_weights_and_the_settings(encoder):
    import torch

    assert encoder.fingerprint() == encoder.fingerprint()
    other = SentenceEncoder()
    assert other.fingerprint() == encoder.fingerprint()
    other.model.max_seq_length = 64
    assert other.fingerprint() != encoder.fingerprint()
    other.model.max_seq_length = encoder.model.max_seq_length
    with torch.no_grad():
        next(other.model.parameters())[0, 0] += 1.0
    assert other.fingerprint() != encoder.fingerprint()


def test_a_model_that_is_not_there_is_one_clear_line():
    with pytest.raises(ModelUnavailable, match="nobody/nothing is not on this machine") as caught:
        SentenceEncoder("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(monkeypatch):
    from rag_lib.models import weights as models

    monkeypatch.setattr(models, "ENCODER_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailable, match="SHA-256 differs"):
        models.bundled_encoder()


def test_without_the_package_the_hub_is_named(monkeypatch):
    from rag_lib.models import weights as models

    monkeypatch.setattr(models, "ENCODER_PACKAGE", "no_such_package")
    assert models.encoder_source() == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "museum-minilm"])
class TestSentenceEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, name):
        return SentenceEncoder(name)


class TestHashEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self):
        return HashEncoder()


def test_a_folder_with_a_difference_is_an_encoder(tmp_path):
    """What training writes for the museum is loaded by its folder like the museum's own."""
    for name in ("museum.safetensors", "shards.json"):
        shutil.copy(MUSEUM_DIFFERENCE / name, tmp_path)
    ours, theirs = SentenceEncoder(str(tmp_path)), SentenceEncoder("museum-minilm")
    assert ours.fingerprint() == theirs.fingerprint() != SentenceEncoder().fingerprint()


def test_prompts_are_the_same_for_texts_and_tokens(encoder, monkeypatch):
    """A model that wants prompts gets them for its token vectors too: their mean is the text's vector."""
    monkeypatch.setitem(encoder.model.prompts, "query", "search for: ")
    (tokens,) = encoder._encode_tokens(["methane"], "query")
    assert len(tokens) == len(encoder.model.tokenizer("search for: methane")["input_ids"])
    assert len(encoder.encode_passage_tokens(["methane"])[0]) < len(tokens)


def test_special_tokens_in_a_text_are_text(encoder):
    tokens = encoder.model.preprocess(["The moon [SEP] is [PAD] grey."])["input_ids"][0]
    special = encoder.model.tokenizer.all_special_ids
    assert [i for i, token in enumerate(tokens.tolist()) if token in special] == [0, len(tokens) - 1]
