"""Training the generator to read (taught in notebooks/09_finetune_generator.ipynb).

The recipe, for little compute: a BART is started from MiniLM, and three losses are added up: cross-entropy over the
whole vocabulary; cross-entropy over the tokens that constrained decoding would allow, which is the choice it faces in
use; and, on the encoder's states, the cross-entropy of the answer's first and last position (the evidence head), which
teaches the encoder where to look long before the decoder can use it.

Several processes (torchrun) share every batch and do what one would do alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase
from transformers.models.bart.modeling_bart import BartDecoder, BartDecoderLayer, BartEncoder, BartEncoderLayer

from rag_lib.generation.encoding import IGNORED, encode_apart, shift_right
from rag_lib.models.adapters import add_adapter
from rag_lib.models.processor import computes_in_half
from rag_lib.models.reader import BartReader
from rag_lib.training import processes
from rag_lib.training.generator.examples import Task
from rag_lib.training.generator.features import MULTIPLE, Features, Featurizer, GeneratorSettings, batches, collate
from rag_lib.training.half import HalfCopy
from rag_lib.training.run import TrainingRun

LOG_EVERY = 50  # steps


def summed_losses(model: BartReader, batch: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The losses of a batch in nats, each as a sum over labels or examples, and how many of them were summed."""
    rows = batch["input_ids"], batch["attention_mask"], batch["items"].tolist()
    states, mask = encode_apart(model, *rows, multiple=MULTIPLE)
    logits = model(
        encoder_outputs=(states,),  # (B, N, d)
        attention_mask=mask,
        decoder_input_ids=shift_right(batch["labels"], model.config),
    ).logits
    kept = batch["labels"] != IGNORED  # (B, T), N of them true
    logits, labels = logits[kept].float(), batch["labels"][kept]  # (N, V), (N,)
    token = F.cross_entropy(logits, labels, reduction="sum")

    allowed = batch["allowed"][kept]  # (N, A), -1 where there are fewer
    bound = (allowed >= 0).any(1)
    options = logits.gather(1, allowed.clamp(min=0)).masked_fill(allowed < 0, -math.inf)[bound]
    chosen = logits.gather(1, labels[:, None])[bound, 0]
    constrained = (options.logsumexp(1) - chosen).sum()

    right = batch["right"]  # (B, N, 2), true where the answer begins and ends, or where "not here" stands
    known = right.any(1).any(1)
    ends = model.evidence(states).float().masked_fill(~batch["inside"][..., None], -1e4)
    span = (ends.logsumexp(1) - ends.masked_fill(~right, -1e4).logsumexp(1))[known].sum()
    return {"token": (token, kept.sum()), "constrained": (constrained, bound.sum()), "span": (span, known.sum())}


def losses(model: BartReader, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The losses of a batch, each a mean over labels or examples of all processes; zero where none of them has one.

    With several processes, each has the part that its own share of the batch contributes: the sum is the loss.
    """
    sums = summed_losses(model, batch)
    counts = processes.total(torch.stack([n for _, n in sums.values()])).clamp(min=1)
    return {name: value / n for (name, (value, _)), n in zip(sums.items(), counts, strict=True)}


def schedule(seen: int, total: int, settings: GeneratorSettings) -> float:
    """Factor of the learning rate: a linear warm-up, a plateau, a linear decay to zero."""
    warm = min(1.0, (seen + settings.batch_size) / (settings.warmup_steps * settings.batch_size))
    return warm * min(1.0, max(0.0, (total - seen) / (settings.decay * total)))


def parameter_groups(model: BartReader, settings: GeneratorSettings) -> list[dict]:
    """Encoder and decoder with their own learning rates; the embeddings stay as MiniLM has them."""
    if settings.rank:
        add_adapter(model, settings.rank)
    for name, p in model.named_parameters():
        if "embed" in name or name == "model.shared.weight":
            p.requires_grad_(False)
    encoder = [p for p in model.model.encoder.parameters() if p.requires_grad]
    decoder = [p for p in model.model.decoder.parameters() if p.requires_grad]
    return [
        {"params": encoder, "rate": settings.encoder_rate},
        {"params": decoder, "rate": settings.decoder_rate},
        {"params": list(model.evidence.parameters()), "rate": settings.decoder_rate},
    ]


class Learner:
    """A generator and the run that it is trained in."""

    def __init__(
        self, model: BartReader, tasks: Mapping[str, Task], folder: Path, settings: GeneratorSettings, goal: str = "em"
    ) -> None:
        torch.manual_seed(settings.seed)
        if settings.batch_size < processes.count():
            raise ValueError(f"a batch of {settings.batch_size} cannot be shared by {processes.count()} processes")
        self.model, self.settings = model, settings
        model.set_attn_implementation("eager")  # on a CPU faster to train than the fused attention
        groups = parameter_groups(model, settings)
        device = next(model.parameters()).device.type
        self.half = HalfCopy(model) if settings.bfloat16 and computes_in_half(device) else None
        self.set_dropout(settings.dropout)
        made_of = (replace(settings, save_every=0.0), {name: len(task) for name, task in tasks.items()})
        self.run = TrainingRun(
            folder, {"model": model}, groups, made_of, "seen", goal, clip=settings.clip, half=self.half
        )
        self.total = sum(p.examples for p in settings.phases)
        self.sums: dict[str, torch.Tensor] = {}

    def set_dropout(self, share: float) -> None:
        """Sets the share of outputs that layers drop while training."""
        for module in self.half.model.modules() if self.half else self.model.modules():
            if isinstance(module, (BartEncoderLayer, BartDecoderLayer, BartEncoder, BartDecoder)):
                module.dropout = share

    @property
    def stopped(self) -> bool:
        """Whether it has been too long since the weights were the best so far."""
        return self.run.waited >= self.settings.patience

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.run.done >= self.total or self.stopped

    def step(self, features: Sequence[Features]) -> None:
        """One step of the optimizer with a batch, of which this process reads its share."""
        model = self.half.refreshed() if self.half else self.model
        batch = collate(features[processes.rank() :: processes.count()], model.config.pad_token_id)
        parts = losses(model.train(), {k: v.to(self.run.device) for k, v in batch.items()})
        self.run.step(sum(parts.values()), schedule(self.run.done, self.total, self.settings), len(features))
        for key, value in parts.items():
            self.sums[key] = self.sums.get(key, 0.0) + value.detach()

    def mean_losses(self, steps: int) -> dict[str, float]:
        """The losses' means over the last `steps` steps, which are then forgotten."""
        means = {key: round(float(processes.total(value)) / steps, 4) for key, value in self.sums.items()}
        self.sums = {}
        return means


def train(
    model: BartReader,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    folder: Path,
    settings: GeneratorSettings,
    evaluate: Callable[[BartReader], Mapping[str, float]] | None = None,
    goal: str = "em",
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    `evaluate(model)`, where given, returns figures for the log; it is called at the start and every `evaluate_every`
    examples. The model ends with the weights of the best `goal`, one of these figures, be they those it started with;
    training stops early when that has not risen for `patience` evaluations.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged, another model's, or of a run with other settings or data.
        ValueError: there are more processes than examples in a batch, or they see different folders.
    """
    learner = Learner(model, tasks, folder, settings, goal)
    run = learner.run
    bar = tqdm(
        total=learner.total, initial=run.done, unit="ex", desc="training", mininterval=5, smoothing=0.05,
        disable=not processes.is_first(),
    )  # fmt: skip
    series = batches(Featurizer(tokenizer, settings), tasks, settings, run.done)

    def measure() -> None:
        if evaluate:
            run.measure(lambda: evaluate(model.eval()), bar)

    if run.done == 0:
        measure()
    step = 0
    while not learner.finished:
        before, step = run.done, step + 1
        learner.step(next(series))
        bar.update(run.done - before)
        if step % LOG_EVERY == 0:
            means = learner.mean_losses(LOG_EVERY)
            bar.set_postfix(means)
            run.log(means)
        if learner.finished or run.done // settings.evaluate_every > before // settings.evaluate_every:
            measure()
        run.save(after=0.0 if learner.finished else settings.save_every)
    if learner.stopped and processes.is_first():
        bar.write(f"stopped: {goal} has not risen for {settings.patience} evaluations")
    bar.close()
    run.take_best()
    model.eval()
