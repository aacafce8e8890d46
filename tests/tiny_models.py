"""Tiny encoder–decoders with random weights, for tests of decoding."""

import functools

import torch
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedModel, T5Config, T5ForConditionalGeneration

VOCABULARY, END, LONGEST = 40, 2, 12
# Architecture and seed; with these weights sequences end at differing lengths.
TINY = [("bart", 24), ("bart", 36), ("t5", 20), ("t5", 39)]


@functools.cache
def tiny_model(architecture: str, seed: int) -> PreTrainedModel:
    """A model whose logits differ a lot and favour the end token, so that decoding is neither trivial nor endless."""
    shape = {"vocab_size": VOCABULARY, "d_model": 16, "pad_token_id": 0, "eos_token_id": END}
    if architecture == "bart":
        sizes = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
        sizes |= {"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
        marks = {"bos_token_id": 1, "decoder_start_token_id": 1, "forced_eos_token_id": None}
        config = BartConfig(**shape, **sizes, **marks, max_position_embeddings=64, tie_word_embeddings=False)
    else:
        sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        config = T5Config(**shape, **sizes, decoder_start_token_id=0, tie_word_embeddings=False)
    model = {"bart": BartForConditionalGeneration, "t5": T5ForConditionalGeneration}[architecture](config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
        model.lm_head.weight[END] *= 2
    return model.eval()


def inputs(batch: int, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask (batch, 9)."""
    ids = torch.randint(3, VOCABULARY, (batch, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        for row, length in zip(mask, (5, 9, 7), strict=False):
            row[length:] = 0
    return ids * mask, mask
