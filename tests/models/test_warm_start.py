import pytest
import torch
from transformers import BertConfig, BertModel

from rag_lib.models.warm_start import bart_from_bert
from rag_lib.models.weights import load_minilm

SENTENCES = ["The first woman in space was Valentina Tereshkova.", "Titan", "Why is Mars red? " * 20]


@pytest.fixture(scope="module")
def pair():
    minilm, tokenizer = load_minilm()
    return minilm, tokenizer, bart_from_bert(minilm, 3, tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_the_encoders_hidden_states_are_those_of_minilm(pair):
    minilm, tokenizer, bart = pair
    inputs = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"].bool()
    with torch.inference_mode():
        ours = bart.model.encoder(inputs["input_ids"], mask.long()).last_hidden_state[mask]
        theirs = minilm(**inputs).last_hidden_state[mask]
    # All that differs is the epsilon of the layer norms, 1e-5 against 1e-12.
    assert (ours - theirs).abs().max() < 2e-3
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.99999


def test_the_decoder_starts_from_the_upper_layers_and_its_cross_attention_from_their_self_attention(pair):
    minilm, _, bart = pair
    for i, layer in enumerate(bart.model.decoder.layers):
        source = minilm.encoder.layer[3 + i]
        for block in (layer.self_attn, layer.encoder_attn):
            assert torch.equal(block.q_proj.weight, source.attention.self.query.weight)
            assert torch.equal(block.out_proj.bias, source.attention.output.dense.bias)
        assert torch.equal(layer.fc2.weight, source.output.dense.weight)


def test_its_size_is_that_of_the_model_card(pair):
    bart = pair[2]
    own = sum(p.numel() for name, p in bart.named_parameters() if ".layers." in name)
    assert round(bart.num_parameters() / 1e6, 1) == 29.9 and round(own / 1e6, 1) == 17.7


@pytest.mark.parametrize("layers", [0, 3])
def test_more_decoder_layers_than_there_are_is_an_error(layers):
    bert = BertModel(BertConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24))
    with pytest.raises(ValueError, match="between 1 and 2"):
        bart_from_bert(bert, layers, 1, 2)
