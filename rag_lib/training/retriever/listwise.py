"""Training a cross-encoder to put the right passage before those that mislead.

Listwise learning (Cao et al., 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach"): a question's
passages are read side by side, and the right one must get the largest share of their softmax. No question sees
another's passages, as they would have to be read with it anew. Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch

from rag_lib.models.adapters import add_adapter
from rag_lib.models.processor import in_half
from rag_lib.retrieval.cross_encoder import CrossEncoder
from rag_lib.training.processes import count
from rag_lib.training.retriever.loop import fit, schedule
from rag_lib.training.retriever.pairs import Pair
from rag_lib.training.run import TrainingRun

GOAL = "MRR@20"  # the figure of an evaluation by which the best weights are chosen


@dataclass(frozen=True)
class ListwiseSettings:
    """Everything that decides a run, which sees every question once.

    Attributes:
        batch_size: questions in a batch.
        negatives: misleading passages a question, drawn from those that it has.
        looks: how often it is measured, at equal distances; the last time is the end.
        rate, head_rate: the highest learning rates of the difference and of the head, reached after `warmup` of the
            steps; from there they fall to zero.
        rank: of the low-rank difference that is trained.
        bfloat16: multiply matrices in bfloat16, where the device can.
    """

    batch_size: int = 8
    negatives: int = 5
    looks: int = 4
    rate: float = 6e-4
    head_rate: float = 2e-3
    warmup: float = 0.1
    rank: int = 32
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    save_every: float = 120.0  # seconds

    def __post_init__(self) -> None:
        for name in ("batch_size", "negatives", "looks", "rate", "head_rate", "rank"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


def listwise_loss(scores: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """The mean negative log-probability (in nats) of the right passages.

    Args:
        scores: (sum of sizes,), list after list; the first of each list is the right passage's.
        sizes: (B,), the lengths of the lists.
    """
    return torch.stack([s.logsumexp(0) - s[0] for s in scores.split(list(sizes))]).mean()


class Learner:
    """A cross-encoder, the batches that it reads, and the run that it is in; see `Lessons`."""

    def __init__(self, model: CrossEncoder, pairs: Sequence[Pair], folder: Path, settings: ListwiseSettings) -> None:
        if count() > 1:
            raise ValueError("a cross-encoder is trained by one process; start it without torchrun")
        if not pairs or not all(p.negatives for p in pairs):
            raise ValueError("listwise training takes pairs that have negatives")
        torch.manual_seed(settings.seed)
        add_adapter(model.eval().bert, settings.rank)
        model.bert.set_attn_implementation("eager")  # on a CPU it goes back through bfloat16 nearly twice as fast
        self.model, self.pairs, self.settings = model, pairs, settings
        shuffled = random.Random(settings.seed).sample(range(len(pairs)), len(pairs))
        size = settings.batch_size
        batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
        ends = [len(batches) * i // settings.looks for i in range(settings.looks + 1)]
        self.epochs = [batches[a:b] for a, b in pairwise(ends) if a < b]
        self.total = len(batches)
        body = [p for p in model.bert.parameters() if p.requires_grad]
        self.run = TrainingRun(
            folder,
            {"cross-encoder": model},
            [{"params": body, "rate": settings.rate}, {"params": [model.head.weight], "rate": settings.head_rate}],
            (replace(settings, save_every=0.0), pairs),
            "step",
            GOAL,
            settings.weight_decay,
            settings.clip,
        )

    def lists(self, epoch: int, number: int) -> list[tuple[Pair, list]]:
        """A batch's pairs, each with its own passage followed by those that mislead."""
        rng = random.Random(f"{self.settings.seed} {epoch} {number}")
        chosen = [self.pairs[i] for i in self.epochs[epoch][number]]
        most = self.settings.negatives
        return [(p, [p.passage, *rng.sample(p.negatives, min(most, len(p.negatives)))]) for p in chosen]

    def step(self, epoch: int, number: int) -> float:
        """See `Lessons.step`."""
        lists = self.lists(epoch, number)
        with in_half(self.run.device.type, self.settings.bfloat16):
            scores = self.model([p.question for p, ps in lists for _ in ps], [x for _, ps in lists for x in ps])
        loss = listwise_loss(scores, [len(ps) for _, ps in lists])
        self.run.step(loss, schedule(self.run.done, self.total, self.settings.warmup))
        return loss.item()


def train(
    model: CrossEncoder,
    pairs: Sequence[Pair],
    folder: Path,
    settings: ListwiseSettings,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    The model ends with the weights of the best MRR@20 that `evaluate()`, where given, measured. Nothing is dropped out.

    Raises:
        ValueError: a pair has no negatives, or several processes train.
        CheckpointUnusable: the checkpoint there is damaged, or of a run with other settings, data or model.
    """
    fit(Learner(model, pairs, folder, settings), settings.save_every, evaluate, before=False)
