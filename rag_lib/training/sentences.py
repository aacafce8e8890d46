"""Training a sentence ranker: of all sentences that were found for a question, the right ones get the largest share.

The sentences of several passages and "none of them", whose logit is 0, compete in one softmax (Clark and Gardner, 2018:
shared normalization). Several may be right, and then it is their sum that counts. Where a question asks for yes or no,
the second head is trained on the right sentences.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch.nn import functional as F

from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.documents import Source
from rag_lib.models.adapters import add_side_paths, matrices
from rag_lib.models.chat import in_bfloat16
from rag_lib.models.processor import computes_in_half
from rag_lib.training.processes import count
from rag_lib.training.retriever.loop import fit, schedule
from rag_lib.training.run import TrainingRun

GOAL = "right"  # the figure of an evaluation by which the best weights are chosen
VERDICT = 1.0  # the weight of the loss of yes and no


@dataclass(frozen=True)
class Lesson:
    """A question with passages that answer it and some that do not.

    Attributes:
        right: the sentences that answer it; none where it has no answer.
        passages: those that hold a right sentence.
        others: those that do not, the hardest first; of these the first `traps` are always read.
        verdict: "yes" or "no" where that was asked.
    """

    question: str
    right: tuple[str, ...]
    passages: tuple[Source, ...]
    others: tuple[Source, ...]
    traps: int = 0
    verdict: str = ""


@dataclass(frozen=True)
class SentenceSettings:
    """Everything that decides a run.

    Attributes:
        steps: batches that are seen.
        first: the share of the steps in which only the tasks named in `opening` are read.
        opening, mixture: tasks with their shares of the questions.
        others: the fewest and the most passages without an answer that are read of a question.
        missing: so often the passages that answer are left out, and "none of them" is right; not where yes or no was
            asked.
        frozen: how many of the lowest layers are not trained.
        rate, head_rate: the highest learning rates of the difference and of the heads, reached after `warmup` of the
            steps; from there they fall to zero.
        rank: of the low-rank difference that is trained.
    """

    opening: Mapping[str, float]
    mixture: Mapping[str, float]
    steps: int = 1_800
    first: float = 0.12
    batch_size: int = 8
    others: tuple[int, int] = (1, 3)
    missing: float = 0.08
    looks: int = 4
    frozen: int = 4
    rate: float = 4e-4
    head_rate: float = 2e-3
    warmup: float = 0.06
    rank: int = 16
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    save_every: float = 120.0  # seconds

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "looks", "rate", "head_rate", "rank"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


def sentence_loss(logits: torch.Tensor, right: torch.Tensor, verdict: str = "") -> torch.Tensor:
    """The loss of one question, in nats.

    Args:
        logits: (n, 2), that each of the n sentences read answers it, and that it says yes.
        right: (n,), whether it does.
        verdict: "yes" or "no" where that was asked.
    """
    answers, says_yes = logits.T
    everything = torch.cat([answers, answers.new_zeros(1)]).logsumexp(0)
    if not right.any():
        return everything  # -log p(none of them)
    loss = everything - answers[right].logsumexp(0)
    if verdict:
        wrong = -says_yes[right] if verdict == "yes" else says_yes[right]
        loss = loss + VERDICT * F.softplus(wrong).mean()
    return loss


class Learner:
    """A sentence ranker, what it reads, and the run that it is in; see `Lessons`."""

    def __init__(
        self, model: SentenceRanker, tasks: Mapping[str, Sequence[Lesson]], folder: Path, settings: SentenceSettings
    ) -> None:
        if count() > 1:
            raise ValueError("a sentence ranker is trained by one process; start it without torchrun")
        for name in {*settings.opening, *settings.mixture}:
            if not tasks.get(name):
                raise ValueError(f"there is nothing to learn for {name!r}")
        torch.manual_seed(settings.seed)
        self.model, self.tasks, self.settings = model.eval(), tasks, settings
        prepare(model, settings)
        steps = range(settings.steps)
        ends = [settings.steps * i // settings.looks for i in range(settings.looks + 1)]
        self.epochs = [steps[a:b] for a, b in pairwise(ends) if a < b]
        heads = [p for head in model.heads.values() for p in head.parameters()]
        body = [p for p in model.body.parameters() if p.requires_grad]
        self.run = TrainingRun(
            folder,
            {"ranker": model},
            [{"params": body, "rate": settings.rate}, {"params": heads, "rate": settings.head_rate}],
            (replace(settings, save_every=0.0), {name: tuple(task) for name, task in tasks.items()}),
            "step",
            GOAL,
            settings.weight_decay,
            settings.clip,
        )

    def step(self, epoch: int, number: int) -> float:
        """See `Lessons.step`."""
        rng = random.Random(f"{self.settings.seed} {self.run.done}")
        drawn = [self.drawn(rng) for _ in range(self.settings.batch_size)]
        shown = [self.shown(lesson, rng) for lesson in drawn]
        rows = [[self.model.lay_out(lesson.question, p) for p in ps] for lesson, ps in zip(drawn, shown, strict=True)]
        logits, losses = iter(self.model([row for own in rows for row in own])), []
        for lesson, passages, own in zip(drawn, shown, rows, strict=True):
            right = [p.text[a:b] in lesson.right for p, row in zip(passages, own, strict=True) for a, b in row.spans]
            of_question = torch.cat([next(logits) for _ in own])
            losses.append(sentence_loss(of_question, torch.tensor(right), lesson.verdict))
        loss = torch.stack(losses).mean()
        self.run.step(loss, schedule(self.run.done, self.settings.steps, self.settings.warmup))
        return loss.item()

    def drawn(self, rng: random.Random) -> Lesson:
        """A question of a task that is drawn by its share."""
        opening = self.run.done < self.settings.first * self.settings.steps
        shares = self.settings.opening if opening else self.settings.mixture
        (task,) = rng.choices(list(shares), list(shares.values()))
        return rng.choice(self.tasks[task])

    def shown(self, lesson: Lesson, rng: random.Random) -> list[Source]:
        """The passages that are read of a question, in any order."""
        traps, rest = lesson.others[: lesson.traps], lesson.others[lesson.traps :]
        wanted = max(rng.randint(*self.settings.others) - len(traps), 0)
        others = [*traps, *rng.sample(rest, min(wanted, len(rest)))]
        left_out = bool(others) and not lesson.verdict and rng.random() < self.settings.missing
        passages = others if left_out else [*lesson.passages, *others]
        return rng.sample(passages, len(passages))


def prepare(model: SentenceRanker, settings: SentenceSettings) -> None:
    """Gives a ranker a trainable difference beside its weights, which are kept in bfloat16 where that is faster.

    Its heads are trained.
    """
    if computes_in_half(model.answers.weight.device.type):
        model.body = in_bfloat16(model.body)
    add_side_paths(model, settings.rank)
    lowest = tuple(f"body.layers.{i}." for i in range(settings.frozen))
    for name, linear in matrices(model).items():
        linear.difference.requires_grad_(not name.startswith(lowest))
    for head in model.heads.values():
        head.requires_grad_(True)


def train(
    model: SentenceRanker,
    tasks: Mapping[str, Sequence[Lesson]],
    folder: Path,
    settings: SentenceSettings,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    The model ends with the weights of the best GOAL that `evaluate()`, where given, measured.

    Raises:
        ValueError: a task is empty, or several processes train.
        CheckpointUnusable: the checkpoint there is damaged, or of a run with other settings, data or model.
    """
    fit(Learner(model, tasks, folder, settings), settings.save_every, evaluate, before=False)
