"""A BART whose every layer starts from MiniLM (told in notebooks/06_generation.ipynb, section 6.1).

BERT's and BART's encoder layers are the same post-norm Transformer layer under different names, so a BERT encoder
becomes a BART encoder by renaming. The decoder starts from the upper encoder layers, its cross-attention from their
self-attention (Rothe et al., 2020, "Leveraging Pre-trained Checkpoints for Sequence Generation Tasks").
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import BartConfig, BertModel

from rag_lib.models.reader import BartReader

POSITION_OFFSET = 2  # BART's table of positions starts at row 2

TIED = {
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
    "lm_head.weight",
    "final_logits_bias",  # zero and not trained
}
# BERT's name of a part of a layer → BART's
ATTENTION = {
    "attention.self.query": "{block}.q_proj",
    "attention.self.key": "{block}.k_proj",
    "attention.self.value": "{block}.v_proj",
    "attention.output.dense": "{block}.out_proj",
    "attention.output.LayerNorm": "{block}_layer_norm",
}
FEED_FORWARD = {
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "final_layer_norm",
}


def bart_config(bert: BertModel, decoder_layers: int, start_id: int, end_id: int) -> BartConfig:
    """Configuration of a BART whose layers have the shapes of `bert`'s."""
    c = bert.config
    return BartConfig(
        vocab_size=c.vocab_size,
        d_model=c.hidden_size,
        encoder_layers=c.num_hidden_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=c.num_attention_heads,
        decoder_attention_heads=c.num_attention_heads,
        encoder_ffn_dim=c.intermediate_size,
        decoder_ffn_dim=c.intermediate_size,
        max_position_embeddings=c.max_position_embeddings,
        activation_function=c.hidden_act,
        dropout=0.0,
        scale_embedding=False,
        pad_token_id=c.pad_token_id,
        bos_token_id=start_id,
        decoder_start_token_id=start_id,
        eos_token_id=end_id,
        forced_eos_token_id=None,
    )


def embedding_weights(bert: BertModel) -> dict[str, torch.Tensor]:
    """BART's embeddings, by name: BERT's words and positions, with token type 0 folded into the positions."""
    e = bert.embeddings
    positions = e.position_embeddings.weight + e.token_type_embeddings.weight[0]
    positions = torch.cat([positions.new_zeros(POSITION_OFFSET, positions.shape[1]), positions])
    weights = {"model.shared.weight": e.word_embeddings.weight.detach().clone()}
    for side in ("encoder", "decoder"):
        weights[f"model.{side}.embed_positions.weight"] = positions.detach().clone()
        weights[f"model.{side}.layernorm_embedding.weight"] = e.LayerNorm.weight.detach().clone()
        weights[f"model.{side}.layernorm_embedding.bias"] = e.LayerNorm.bias.detach().clone()
    return weights


def layer_weights(bert: BertModel, source: int, target: str, cross_attention: bool) -> dict[str, torch.Tensor]:
    """Weights of BERT's layer `source` under the names of BART's layer `target`."""
    layer = bert.encoder.layer[source].state_dict()
    blocks = ["self_attn", "encoder_attn"] if cross_attention else ["self_attn"]
    weights = {}
    for old, new in FEED_FORWARD.items():
        for kind in ("weight", "bias"):
            weights[f"{target}.{new}.{kind}"] = layer[f"{old}.{kind}"].clone()
    for block in blocks:
        for old, new in ATTENTION.items():
            for kind in ("weight", "bias"):
                weights[f"{target}.{new.format(block=block)}.{kind}"] = layer[f"{old}.{kind}"].clone()
    return weights


def bart_from_bert(bert: BertModel, decoder_layers: int, start_id: int, end_id: int) -> BartReader:
    """A BART with `bert` as its encoder and a decoder started from `bert`'s upper layers.

    Shapes: with L layers in `bert`, decoder layer i of n starts from layer L - n + i.

    Raises:
        ValueError: more decoder layers are asked for than `bert` has.
    """
    layers = bert.config.num_hidden_layers
    if not 1 <= decoder_layers <= layers:
        raise ValueError(f"decoder_layers must be between 1 and {layers}, not {decoder_layers}")
    weights = embedding_weights(bert)
    for i in range(layers):
        weights |= layer_weights(bert, i, f"model.encoder.layers.{i}", cross_attention=False)
    for i in range(decoder_layers):
        weights |= layer_weights(bert, layers - decoder_layers + i, f"model.decoder.layers.{i}", cross_attention=True)
    bart = BartReader(bart_config(bert, decoder_layers, start_id, end_id))
    weights |= {f"evidence.{name}": value for name, value in bart.evidence.state_dict().items()}  # drawn anew
    load_weights(bart, weights)
    return bart.eval()


def load_weights(bart: BartReader, weights: Mapping[str, torch.Tensor]) -> None:
    """Loads all weights of a BART, given without the tied copies of its word embeddings.

    Raises:
        ValueError: names are missing or unknown.
    """
    missing, unexpected = bart.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    if set(missing) - TIED or unexpected:
        raise ValueError(f"weights do not fit the model: missing {missing[:3]}, unexpected {unexpected[:3]}")
    bart.tie_weights()
