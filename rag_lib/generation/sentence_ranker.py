"""A chat model's lower layers as a ranker of sentences: which of those found answers a question, and does it say yes?

The task is called answer sentence selection (Garg et al., 2020, "TANDA"). Question and passage are read once, a
sentence a line. As a decoder looks back only, its state at the end of a line has read the question, the title and all
that stands before in the passage. Two linear maps of that state give two logits: that the sentence answers the
question, and that it says yes, if yes or no was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from rag_lib.files import MODELS
from rag_lib.generation.encoding import in_parts
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import Span, sentence_spans
from rag_lib.models.adapters import adapter_weights, apply_adapter
from rag_lib.models.chat import in_bfloat16, load_bundled
from rag_lib.models.processor import computes_in_half
from rag_lib.models.weights import ModelUnavailable, hub_errors, load_adapter, save_adapter

SENTENCE_RANKER = MODELS / "museum-sentence-ranker"
LAYERS = 20  # of 30: two thirds of the time, and what they know is enough
FIRST = 0  # the token before every text: "<|endoftext|>" of the bundled model
AT_ONCE = 320  # tokens, padding among them; more at once is no faster on a CPU, and pads more
LONGEST_TITLE, LONGEST_SENTENCE = 64, 160  # tokens that are read of them, without the line's end


class SentenceScore(NamedTuple):
    """A sentence, `source.text[start:end]`, with the log-odds that it answers a question, and that it says yes."""

    start: int
    end: int
    relevance: float
    says_yes: float


class Lines(NamedTuple):
    """What the model reads of a passage: token ids, the place of each sentence's last one, and the sentences' spans."""

    ids: list[int]
    ends: list[int]
    spans: list[Span]


class SentenceRanker(torch.nn.Module):
    """SmolLM2's lower layers with two heads. Until it is trained, its heads are zero and all sentences score the same.

    Raises:
        ModelUnavailable: the bundled chat model cannot be had.
    """

    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        model, self.tokenizer = load_bundled()
        self.tokenizer.split_special_tokens = True  # "<|im_end|>" in a document is just text
        self.body = model.base_model
        self.body.layers = self.body.layers[:layers]
        self.answers, self.says_yes = (torch.nn.Linear(model.config.hidden_size, 1) for _ in range(2))
        for head in self.heads.values():
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
        (self.line_end,) = self.ids("\n")

    @property
    def heads(self) -> dict[str, torch.nn.Linear]:
        """The linear maps of a sentence's state, by name."""
        return {"answers": self.answers, "says_yes": self.says_yes}

    @classmethod
    def load(cls, folder: Path = SENTENCE_RANKER, half: bool | None = False, layers: int = LAYERS) -> SentenceRanker:
        """The ranker whose difference to the bundled chat model `save` wrote.

        Args:
            half: compute in bfloat16; None for where the processor has instructions for it only.

        Raises:
            ModelUnavailable: it is missing, damaged, or another model's.
        """
        weights, ranker = load_adapter(folder), cls(layers)
        if not {f"{name}.weight" for name in ranker.heads} <= weights.keys():
            raise ModelUnavailable(f"the model in {folder} is no sentence ranker: it has no heads")
        with hub_errors(str(folder)), torch.no_grad():
            for name, head in ranker.heads.items():
                head.weight.copy_(weights.pop(f"{name}.weight"))
                head.bias.copy_(weights.pop(f"{name}.bias"))
            apply_adapter(ranker, weights)
        if computes_in_half() if half is None else half:
            ranker.body = in_bfloat16(ranker.body)
        return ranker.eval().requires_grad_(False)

    def save(self, folder: Path) -> None:
        """Writes the low-rank differences of the layers that were trained, and the heads, in 8 bits, with SHA-256."""
        weights = adapter_weights(self)
        untrained = {name.removesuffix("b") for name, p in weights.items() if name.endswith(".b") and not p.any()}
        weights = {name: p for name, p in weights.items() if name[:-1] not in untrained}
        for name, head in self.heads.items():
            weights |= {f"{name}.{key}": p for key, p in head.state_dict().items()}
        save_adapter(weights, folder, eight_bits=True)

    def ids(self, text: str) -> list[int]:
        """The token ids of a text without any special ones."""
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def lay_out(self, question: str, source: Source) -> Lines:
        """A question and a passage, a sentence a line."""
        spans = sentence_spans(source.text)
        ids = [FIRST, *self.line(f"Question: {question}"), *self.line(f"Title: {source.title}", LONGEST_TITLE)]
        ends = []
        for a, b in spans:
            ids += self.line(source.text[a:b], LONGEST_SENTENCE)
            ends.append(len(ids) - 1)
        return Lines(ids, ends, spans)

    def line(self, text: str, longest: int | None = None) -> list[int]:
        """The token ids of a text as one line, with the line's end."""
        return [*self.ids(" ".join(text.split()))[:longest], self.line_end]

    def forward(self, passages: Sequence[Lines]) -> list[torch.Tensor]:
        """The logits (sentences, 2) of each passage: that a sentence answers, and that it says yes; float32."""
        order = sorted(range(len(passages)), key=lambda i: len(passages[i].ids))  # like lengths: less padding
        logits: dict[int, torch.Tensor] = {}
        for chunk in in_parts(order, lambda i: len(passages[i].ids), AT_ONCE):
            states = self.read([passages[i].ids for i in chunk])
            for row, i in zip(states, chunk, strict=True):
                ends = row[passages[i].ends].float()
                logits[i] = torch.cat([head(ends) for head in self.heads.values()], dim=1)
        return [logits[i] for i in range(len(passages))]

    def read(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """The states (B, L, d) of rows that are read at once; padding stands at their ends, which nothing looks at."""
        width = max(map(len, rows))
        device = self.answers.weight.device
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        return self.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    @torch.inference_mode()
    def score(self, question: str, sources: Sequence[Source]) -> list[list[SentenceScore]]:
        """What is thought of every sentence of each source."""
        lines = [self.lay_out(question, source) for source in sources]
        return [
            [SentenceScore(a, b, *row) for (a, b), row in zip(each.spans, logits.tolist(), strict=True)]
            for each, logits in zip(lines, self(lines), strict=True)
        ]
