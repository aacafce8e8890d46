"""Training encoders to bring questions and their passages together (taught in notebooks/08_finetune_retriever.ipynb).

Contrastive learning (van den Oord et al., 2018): among all passages of a batch, each question must find its own. The
other questions' passages are its negatives, and those that were mined as hard ones (Karpukhin et al., 2020). Several
processes (torchrun) share a batch and do what one would do alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.adapters import add_adapter
from rag_lib.models.processor import in_half
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.training.processes import count, rank, total
from rag_lib.training.retriever.loop import fit, schedule
from rag_lib.training.retriever.pairs import Pair, distinct_passages, epoch_batches, is_right
from rag_lib.training.run import TrainingRun

GOAL = "nDCG@10"  # the figure of an evaluation by which the best weights are chosen


@dataclass(frozen=True)
class RetrieverSettings:
    """Everything that decides a run.

    Attributes:
        batch_size: passages in a batch, over all processes, without the hard negatives.
        rate: the highest learning rate, reached after `warmup` of the steps; from there it falls to zero.
        scale: what cosines are multiplied with, 1 / temperature. DPR's dot products are large enough: 1.
        late: share of the loss that is computed on MaxSim instead of the vectors' product.
        negatives: hard negatives a passage, drawn anew in every epoch from those that its pairs have.
        rank: of the low-rank difference that is trained; 0 trains all layers.
        bfloat16: multiply matrices in bfloat16, where the device can.
    """

    epochs: int = 3
    batch_size: int = 32
    rate: float = 2e-4
    warmup: float = 0.1
    scale: float = 20.0
    late: float = 0.0
    negatives: int = 1
    rank: int = 16
    max_tokens: int = 160
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    save_every: float = 120.0  # seconds

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "rate", "scale", "max_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.late <= 1 or not 0 <= self.warmup < 1 or self.negatives < 0 or self.rank < 0:
            raise ValueError(f"late and warmup must be from 0 to 1, negatives and rank not below 0: {self}")


@dataclass
class Embedded:
    """Texts as vectors: `vectors` (n, d); `tokens` (n, L, d) and which of them are no padding, `mask` (n, L)."""

    vectors: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor


class Towers(Protocol):
    """What can be trained: something that reads questions, and something that reads passages."""

    modules: dict[str, torch.nn.Module]

    def questions(self, questions: Sequence[str]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """The module that reads questions and its inputs, as long as the longest question."""

    def passages(self, passages: Sequence[Source]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """The module that reads passages and its inputs, as long as the longest passage."""

    def embed(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (n, d) and tokens' vectors (n, L, d)."""


class OneTower:
    """A sentence encoder, which reads questions and passages alike."""

    def __init__(self, encoder: SentenceEncoder, max_tokens: int) -> None:
        self.model = encoder.model
        self.max_tokens = min(max_tokens, self.model.max_seq_length or max_tokens)
        self.modules = {"encoder": self.model}

    def tokenize(self, texts: Sequence[str], prompt: str) -> dict[str, torch.Tensor]:
        """Token ids as the encoder makes them in use."""
        prompted = [f"{self.model.prompts.get(prompt) or ''}{t}" for t in texts]
        return dict(
            self.model.tokenizer(
                prompted, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
            )
        )

    def questions(self, questions: Sequence[str]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """See `Towers.questions`."""
        return self.model, self.tokenize(questions, "query")

    def passages(self, passages: Sequence[Source]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """See `Towers.passages`."""
        return self.model, self.tokenize([indexed_text(p) for p in passages], "document")

    def embed(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Towers.embed`; the vectors have length one."""
        output = module(inputs)
        return F.normalize(output["sentence_embedding"].float(), dim=1), output["token_embeddings"]


class TwoTowers:
    """DPR's encoders, one for questions and one for passages."""

    def __init__(self, encoder: DPREncoder, max_tokens: int) -> None:
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.modules = {"question": encoder.question, "passage": encoder.passage}

    def tokenize(self, texts: Sequence) -> dict[str, torch.Tensor]:
        """Token ids as the encoder makes them in use."""
        return dict(
            self.encoder.tokenizer(
                list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
            )
        )

    def questions(self, questions: Sequence[str]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """See `Towers.questions`."""
        return self.encoder.question, self.tokenize(questions)

    def passages(self, passages: Sequence[Source]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
        """See `Towers.passages`."""
        return self.encoder.passage, self.tokenize([(p.title, p.text) for p in passages])

    def embed(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Towers.embed`; the vectors are of any length."""
        output = module(**inputs, output_hidden_states=True)
        return output.pooler_output.float(), output.hidden_states[-1]


class Total(torch.autograd.Function):
    """The sum of all processes' tensors, with gradients: the gradient of a sum is the sum of the gradients."""

    @staticmethod
    def forward(ctx, value: torch.Tensor) -> torch.Tensor:
        """The sum."""
        return total(value)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        """The sum of what the processes pass back."""
        return total(gradient)


def share(part: torch.Tensor, rows: slice, n: int) -> torch.Tensor:
    """All n rows, of which each process has computed its own, with gradients to all of them."""
    whole = part.new_zeros(n, *part.shape[1:])
    whole[rows] = part
    return Total.apply(whole)


def embed(towers: Towers, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> Embedded:
    """Texts as vectors, each process reading its share of them."""
    device = next(module.parameters()).device
    inputs = {k: v.to(device) for k, v in inputs.items()}
    n = len(inputs["input_ids"])
    if count() == 1:
        return Embedded(*towers.embed(module, inputs), inputs["attention_mask"].bool())
    rows = slice(n * rank() // count(), n * (rank() + 1) // count())
    vectors, tokens = towers.embed(module, {k: v[rows] for k, v in inputs.items()})
    return Embedded(share(vectors, rows, n), share(tokens, rows, n), inputs["attention_mask"].bool())


def contrastive_loss(scores: torch.Tensor, right: torch.Tensor, possible: torch.Tensor | None = None) -> torch.Tensor:
    """The mean negative log-probability (in nats) of finding one's own passage.

    Args:
        scores: (B, C), of B questions and C passages.
        right: (B,), the column of each question's own passage.
        possible: (B, C), false where a passage is to be left out.
    """
    if possible is not None:
        scores = scores.masked_fill(~possible, -math.inf)
    return F.cross_entropy(scores, right)


def max_sim(questions: Embedded, passages: Embedded) -> torch.Tensor:
    """The mean over a question's tokens of the largest cosine with a token of the passage, (B, C)."""
    q, p = (F.normalize(e.tokens.float(), dim=2) for e in (questions, passages))
    cosines = torch.einsum("bqd,cpd->bcqp", q, p).float().masked_fill(~passages.mask[None, :, None], -math.inf)
    weights = questions.mask.float() / questions.mask.sum(1, keepdim=True)
    return torch.einsum("bcq,bq->bc", cosines.amax(3), weights)


def batch_loss(
    towers: Towers, pairs: Sequence[Pair], passages: Sequence[Source], settings: RetrieverSettings
) -> torch.Tensor:
    """The loss of a batch: `passages` are all the pairs' own, and hard negatives."""
    q, p = embed(towers, *towers.questions([x.question for x in pairs])), embed(towers, *towers.passages(passages))
    device = q.vectors.device
    right = torch.tensor([passages.index(x.passage) for x in pairs], device=device)
    possible = torch.tensor([[y == x.passage or not is_right(x, y) for y in passages] for x in pairs], device=device)
    loss = (1 - settings.late) * contrastive_loss(settings.scale * q.vectors @ p.vectors.T, right, possible)
    if settings.late:
        loss = loss + settings.late * contrastive_loss(settings.scale * max_sim(q, p), right, possible)
    return loss


class Learner:
    """Towers, the batches that they read, and the run they are in."""

    def __init__(self, towers: Towers, pairs: Sequence[Pair], folder: Path, settings: RetrieverSettings) -> None:
        torch.manual_seed(settings.seed)
        for module in towers.modules.values():
            module.eval()
            if settings.rank and not any(map(parametrize.is_parametrized, module.modules())):
                add_adapter(module, settings.rank)
        self.towers, self.pairs, self.settings = towers, pairs, settings
        size = min(settings.batch_size, len(distinct_passages(pairs)))
        if size < 2:
            raise ValueError("contrastive training takes at least two pairs with different passages")
        self.epochs = [
            epoch_batches(pairs, size, random.Random(f"{settings.seed} {epoch}")) for epoch in range(settings.epochs)
        ]
        self.total = sum(map(len, self.epochs))
        parameters = [p for m in towers.modules.values() for p in m.parameters() if p.requires_grad]
        self.run = TrainingRun(
            folder,
            towers.modules,
            [{"params": parameters, "rate": settings.rate}],
            (replace(settings, save_every=0.0), [(p.question, p.passage) for p in pairs]),
            "step",
            GOAL,
            settings.weight_decay,
            settings.clip,
        )

    def batch(self, epoch: int, number: int) -> tuple[list[Pair], list[Source]]:
        """A batch's pairs, and their passages followed by hard negatives, none of them twice."""
        chosen = [self.pairs[i] for i in self.epochs[epoch][number]]
        rng = random.Random(f"{self.settings.seed} {epoch} {number}")
        hard: dict[Source, list[Source]] = {p.passage: [] for p in chosen}
        for p in chosen:
            hard[p.passage] += p.negatives
        drawn = [n for ns in hard.values() for n in rng.sample(ns, min(self.settings.negatives, len(ns)))]
        return chosen, list(dict.fromkeys([*hard, *drawn]))

    def step(self, epoch: int, number: int) -> float:
        """See `Lessons.step`."""
        pairs, passages = self.batch(epoch, number)
        with in_half(self.run.device.type, self.settings.bfloat16):
            loss = batch_loss(self.towers, pairs, passages, self.settings)
        # Every process has the whole loss, and the gradient of its own texts.
        self.run.step(loss / count(), schedule(self.run.done, self.total, self.settings.warmup))
        return loss.item()


def train(
    towers: Towers,
    pairs: Sequence[Pair],
    folder: Path,
    settings: RetrieverSettings,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    With a rank, a module that has an adapter already goes on with it; the others get one. Nothing is dropped out, so
    that several processes do what one does. `evaluate()`, where given, is called before the first epoch and after every
    one; the towers end with the weights of the best nDCG@10.

    Raises:
        ValueError: there are no two pairs with different passages.
        CheckpointUnusable: the checkpoint there is damaged, or of a run with other settings, data or model.
    """
    fit(Learner(towers, pairs, folder, settings), settings.save_every, evaluate)
