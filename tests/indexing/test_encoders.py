import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from contracts import EncoderContract
from fakes import HashEncoder, save_tiny_encoder

from rag_lib.indexing.encoders import MiniLMEncoder, SentenceEncoder, make_encoder
from rag_lib.models import weights as models
from rag_lib.models.weights import MUSEUM_DIFFERENCE, ModelUnavailable, load_minilm
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.retrieval.rerankers import CrossEncoderReranker


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


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json", "config.json"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_every_file_of_the_installed_encoder_is_verified(installed, name, how):
    assert models.bundled_encoder() == installed
    path = installed / name
    path.write_bytes(path.read_bytes() + b" ") if how == "changed" else path.unlink()
    with pytest.raises(ModelUnavailable, match=f"{name} is not as published"):
        models.bundled_encoder()


def test_a_file_too_many_in_the_installed_encoder_is_refused(installed):
    (installed / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelUnavailable, match=r"pytorch_model\.bin is not as published"):
        models.bundled_encoder()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the installed encoder's small files, with other weights, as the package."""
    folder = tmp_path / "package" / "model"
    shutil.copytree(models.bundled_encoder(), folder, ignore=shutil.ignore_patterns("model.safetensors"))
    (folder / "model.safetensors").write_bytes(b"weights")
    digests = models.ENCODER_SHA256 | {"model.safetensors": models.sha256_of(folder / "model.safetensors")}
    monkeypatch.setattr(models, "ENCODER_SHA256", digests)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(models, "ENCODER_PACKAGE", "package")
    return folder


def test_the_fingerprint_follows_the_tokens_and_the_pooling(tmp_path):
    """Both can be swapped while the weights stay the same, and the vectors are others then."""
    tiny = save_tiny_encoder(tmp_path / "tiny")
    before = SentenceEncoder(tiny)
    prints = {before.fingerprint()}
    before.encode_passages(["A text that is padded and cut.", "Another one " * 400])
    assert prints == {before.fingerprint(), SentenceEncoder(tiny).fingerprint()}, "using it changes nothing"
    swaps = [
        ("tokenizer.json", '"moon":', '"noom":'),
        ("tokenizer_config.json", '"do_lower_case":true', '"do_lower_case":false'),
        ("1_Pooling/config.json", '"mean"', '"max"'),
        ("config.json", '"gelu"', '"relu"'),
    ]
    for i, (name, old, new) in enumerate(swaps):
        changed = Path(shutil.copytree(tiny, tmp_path / str(i)))
        text = json.dumps(json.loads((changed / name).read_text()), separators=(",", ":"))
        assert old in text
        (changed / name).write_text(text.replace(old, new))
        prints.add(SentenceEncoder(str(changed)).fingerprint())
    assert len(prints) == 1 + len(swaps)


@pytest.mark.parametrize(
    "load", [SentenceEncoder, models.load_generator, CrossEncoderReranker, lambda name: DPREncoder(name, name)]
)
def test_a_model_that_is_a_pickle_is_never_opened(tmp_path, load):
    """A named model without safetensors is refused, whatever its pickle would do."""
    tiny = Path(save_tiny_encoder(tmp_path))
    (tiny / "model.safetensors").unlink()
    (tiny / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(ModelUnavailable, match="cannot be loaded") as caught:
        load(str(tiny))
    assert "\n" not in str(caught.value) and not Path("opened").exists()


def test_without_the_package_the_hub_is_named(monkeypatch):
    monkeypatch.setattr(models, "ENCODER_PACKAGE", "no_such_package")
    assert models.encoder_source() == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "museum-minilm"])
class TestSentenceEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, name):
        return SentenceEncoder(name)


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "museum-minilm"])
class TestMiniLMEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, name):
        return MiniLMEncoder(name)

    def test_it_is_sentence_transformers_encoder(self, encoder, name):
        """The same vectors, the same share of a long text, and the same fingerprint: indexes go from one to another."""
        texts = ["Titan [SEP] has lakes of methane.", "Laika", "", "月 é " * 150, "moon " * 300, "What is it?"] * 4
        other = SentenceEncoder(name)
        np.testing.assert_allclose(encoder.encode_passages(texts), other.encode_passages(texts), atol=1e-6)
        np.testing.assert_allclose(encoder.encode_queries(texts), other.encode_queries(texts), atol=1e-6)
        for kind in ("encode_passage_tokens", "encode_query_tokens"):
            for ours, theirs in zip(getattr(encoder, kind)(texts), getattr(other, kind)(texts), strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert encoder.budget.tokens == other.budget.tokens and encoder.dimension == other.dimension
        assert encoder.fingerprint() == other.fingerprint()


def test_an_encoder_is_made_by_its_name(tmp_path):
    assert type(make_encoder()) is type(make_encoder("all-MiniLM-L6-v2")) is MiniLMEncoder
    assert type(make_encoder(str(MUSEUM_DIFFERENCE))) is MiniLMEncoder
    assert type(make_encoder(save_tiny_encoder(tmp_path))) is SentenceEncoder


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


def test_prompts_come_from_the_models_own_configuration(tmp_path):
    folder = Path(save_tiny_encoder(tmp_path))
    plain = SentenceEncoder(str(folder))
    config = folder / "config_sentence_transformers.json"
    prompts = {"query": "query: ", "document": "passage: "}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"prompts": prompts}))
    told = SentenceEncoder(str(folder))
    np.testing.assert_allclose(told.encode_queries(["moon"]), plain.encode_queries(["query: moon"]), atol=1e-6)
    np.testing.assert_allclose(told.encode_passages(["moon"]), plain.encode_passages(["passage: moon"]), atol=1e-6)
    assert told.fingerprint() != plain.fingerprint()


def test_special_tokens_in_a_text_are_text(encoder):
    tokens = encoder.model.preprocess(["The moon [SEP] is [PAD] grey."])["input_ids"][0]
    special = encoder.model.tokenizer.all_special_ids
    assert [i for i, token in enumerate(tokens.tolist()) if token in special] == [0, len(tokens) - 1]
