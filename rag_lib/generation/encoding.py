"""How an encoder–decoder reads (taught in notebooks/06_generation.ipynb and 07_rag_pipeline.ipynb)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

T = TypeVar("T")
IGNORED = -100  # the label that cross-entropy leaves out


def encode_apart(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    items: Sequence[int],
    batch_size: int = 16,
    multiple: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encodes rows by themselves and lays those of an item end to end, without padding between, as Fusion-in-Decoder.

    Izacard and Grave (2021), "Leveraging Passage Retrieval with Generative Models for Open Domain Question Answering".

    Args:
        input_ids, attention_mask: (R, L), the rows of B items, padded on the right.
        items: the item of each row, from 0 to B - 1, in order.
        batch_size: rows encoded at a time, those of like length together.
        multiple: lengths are padded to multiples of it, so that fewer shapes occur, which trains faster.

    Returns:
        States (B, N, d) and attention mask (B, N), N being the most tokens of an item.
    """
    lengths = attention_mask.sum(1)
    input_ids, attention_mask = (F.pad(x, (0, -x.shape[1] % multiple)) for x in (input_ids, attention_mask))
    first: dict[tuple[int, ...], int] = {}  # a row that several items share is encoded once
    same = [first.setdefault(tuple(row), r) for r, row in enumerate(input_ids.tolist())]
    once = torch.tensor(sorted(first.values()), device=input_ids.device)
    states: list[torch.Tensor] = [input_ids] * len(items)
    for part in once[lengths[once].argsort()].split(batch_size):
        longest = -(-int(lengths[part].max()) // multiple) * multiple
        out = model.get_encoder()(input_ids=input_ids[part, :longest], attention_mask=attention_mask[part, :longest])
        for row, state in zip(part.tolist(), out.last_hidden_state, strict=True):
            states[row] = state[: lengths[row]]
    laid = [
        torch.cat([states[r] for r, i in zip(same, items, strict=True) if i == item]) for item in range(items[-1] + 1)
    ]
    mask = pad_sequence([attention_mask.new_ones(len(s)) for s in laid], batch_first=True)
    extra = -mask.shape[1] % multiple
    return F.pad(pad_sequence(laid, batch_first=True), (0, 0, 0, extra)), F.pad(mask, (0, extra))


def shift_right(labels: torch.Tensor, config: PretrainedConfig) -> torch.Tensor:
    """Decoder inputs (B, T) for teacher forcing: the start token, then every label but the last."""
    inputs = labels.roll(1, dims=1)
    inputs[:, 0] = config.decoder_start_token_id
    return inputs.masked_fill(inputs == IGNORED, config.pad_token_id)


@torch.inference_mode()
def token_log_probabilities(
    model: PreTrainedModel, encoded: tuple[torch.Tensor, torch.Tensor], texts: Sequence[Sequence[int]]
) -> torch.Tensor:
    """log p(y_t | input, y_<t), (A, n, T), of A texts' token ids, to which the end token is added; 0 after the end.

    Args:
        encoded: states (n, L, d) and attention mask (n, L) of n inputs, under each of which every text is scored.
    """
    config, (states, mask) = model.config, encoded
    targets = [torch.tensor([*ids, config.eos_token_id], device=states.device) for ids in texts]
    labels = pad_sequence(targets, batch_first=True, padding_value=IGNORED)
    inputs = shift_right(labels, config)
    n, count = len(states), len(texts)
    # every text begins with the start token, and looks at the same states: their keys and values are computed once
    start = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=states),
        attention_mask=mask,
        decoder_input_ids=inputs[:1, :1].expand(n, 1),
        use_cache=True,
    )
    logits = start.logits.repeat_interleave(count, dim=0)
    if inputs.shape[1] > 1:
        start.past_key_values.batch_repeat_interleave(count)
        rest = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states.repeat_interleave(count, dim=0)),
            attention_mask=mask.repeat_interleave(count, dim=0),
            decoder_input_ids=inputs[:, 1:].repeat(n, 1),
            past_key_values=start.past_key_values,
        )
        logits = torch.cat([logits, rest.logits], dim=1)
    logits = logits.view(n, count, inputs.shape[1], -1).transpose(0, 1)
    targets = labels.clamp(min=0)[:, None, :, None].expand(-1, n, -1, 1)
    chosen = logits.float().log_softmax(-1).gather(-1, targets)[..., 0]
    return chosen.masked_fill(labels[:, None] < 0, 0.0).cpu()


def in_parts(rows: Sequence[T], length: Callable[[T], int], most: int) -> list[list[T]]:
    """Rows in their order, cut into parts that have at most so many tokens once they are padded, or a single row."""
    parts: list[list[T]] = []
    for row in rows:
        together = [*parts[-1], row] if parts else []
        if together and max(map(length, together)) * len(together) <= most:
            parts[-1] = together
        else:
            parts.append([row])
    return parts
