"""How an encoder–decoder reads (taught in notebooks/06_generation.ipynb and 07_rag_pipeline.ipynb)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PretrainedConfig, PreTrainedModel

IGNORED = -100  # the label that cross-entropy leaves out


def computes_in_half() -> bool:
    """Whether this machine's processor multiplies matrices in bfloat16."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


def encode_apart(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    items: Sequence[int],
    batch_size: int = 16,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encodes rows by themselves and lays those of an item end to end, without padding between, as Fusion-in-Decoder.

    Izacard and Grave (2021), "Leveraging Passage Retrieval with Generative Models for Open Domain Question Answering".

    Args:
        input_ids, attention_mask: (R, L), the rows of B items, padded on the right.
        items: the item of each row, from 0 to B - 1, in order.
        batch_size: rows encoded at a time, those of like length together.

    Returns:
        States (B, N, d) and attention mask (B, N), N being the most tokens of an item.
    """
    lengths = attention_mask.sum(1)
    first: dict[tuple[int, ...], int] = {}  # a row that several items share is encoded once
    same = [first.setdefault(tuple(row), r) for r, row in enumerate(input_ids.tolist())]
    once = torch.tensor(sorted(first.values()), device=input_ids.device)
    states: list[torch.Tensor] = [input_ids] * len(items)
    for part in once[lengths[once].argsort()].split(batch_size):
        longest = int(lengths[part].max())
        out = model.get_encoder()(input_ids=input_ids[part, :longest], attention_mask=attention_mask[part, :longest])
        for row, state in zip(part.tolist(), out.last_hidden_state, strict=True):
            states[row] = state[: lengths[row]]
    laid = [
        torch.cat([states[r] for r, i in zip(same, items, strict=True) if i == item]) for item in range(items[-1] + 1)
    ]
    mask = pad_sequence([attention_mask.new_ones(len(s)) for s in laid], batch_first=True)
    return pad_sequence(laid, batch_first=True), mask


def shift_right(labels: torch.Tensor, config: PretrainedConfig) -> torch.Tensor:
    """Decoder inputs (B, T) for teacher forcing: the start token, then every label but the last."""
    inputs = labels.roll(1, dims=1)
    inputs[:, 0] = config.decoder_start_token_id
    return inputs.masked_fill(inputs == IGNORED, config.pad_token_id)
