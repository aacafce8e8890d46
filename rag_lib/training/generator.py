"""Training the generator to read (taught in notebooks/09_finetune_generator.ipynb).

The recipe, for little compute: a BART started from MiniLM first learns to copy (its target is the sentence that holds
the answer), then to answer. Three losses are added up: cross-entropy over the whole vocabulary; cross-entropy over the
tokens that constrained decoding would allow, which is the choice it faces in use; and, on the encoder's states, the
cross-entropy of the answer's first and last position (a linear head, thrown away afterwards), which teaches the
encoder where to look long before the decoder can use it.

Several processes (torchrun) share every batch and do what one would do alone.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.adapters import add_adapter
from rag_lib.generators import encode_apart
from rag_lib.training import processes
from rag_lib.training.checkpoints import CheckpointUnusable, append_json, load_state, save_state
from rag_lib.training.examples import Task
from rag_lib.training.features import IGNORED, Features, Featurizer, Settings, batches, collate

LOG_EVERY = 50  # steps
BEST, LOG = "best.safetensors", "log.jsonl"


def summed_losses(
    model: PreTrainedModel, span_head: torch.nn.Linear, batch: dict[str, torch.Tensor]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The losses of a batch in nats, each as a sum over labels or examples, and how many of them were summed."""
    states, mask = encode_apart(model, batch["input_ids"], batch["attention_mask"], batch["items"].tolist())
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

    known = batch["span"][:, 0] >= 0
    ends = span_head(states).float().masked_fill(~batch["inside"][..., None], -1e4)[known]  # (·, N, 2)
    span = F.cross_entropy(ends.transpose(1, 2).flatten(0, 1), batch["span"][known].flatten(), reduction="sum")
    return {"token": (token, kept.sum()), "constrained": (constrained, bound.sum()), "span": (span, known.sum())}


def losses(
    model: PreTrainedModel, span_head: torch.nn.Linear, batch: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The losses of a batch, each a mean over labels or examples of all processes; zero where none of them has one.

    With several processes, each has the part that its own share of the batch contributes: the sum is the loss.
    """
    sums = summed_losses(model, span_head, batch)
    counts = processes.total(torch.stack([n for _, n in sums.values()])).clamp(min=1)
    return {name: value / n for (name, (value, _)), n in zip(sums.items(), counts, strict=True)}


def shift_right(labels: torch.Tensor, config) -> torch.Tensor:
    """Decoder inputs (B, T) for teacher forcing: the start token, then every label but the last."""
    inputs = labels.roll(1, dims=1)
    inputs[:, 0] = config.decoder_start_token_id
    return inputs.masked_fill(inputs == IGNORED, config.pad_token_id)


def schedule(seen: int, total: int, settings: Settings) -> float:
    """Factor of the learning rate: a linear warm-up, a plateau, a linear decay to zero."""
    warm = min(1.0, (seen + settings.batch_size) / (settings.warmup_steps * settings.batch_size))
    return warm * min(1.0, max(0.0, (total - seen) / (settings.decay * total)))


def parameter_groups(model: PreTrainedModel, span_head: torch.nn.Linear, settings: Settings) -> list[dict]:
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
        {"params": list(span_head.parameters()), "rate": settings.decoder_rate},
    ]


class Run:
    """A training run: the model, what is trained beside it, and how far it has come."""

    def __init__(self, model: PreTrainedModel, tasks: Mapping[str, Task], folder: Path, settings: Settings) -> None:
        torch.manual_seed(settings.seed)
        if settings.batch_size < processes.count():
            raise ValueError(f"a batch of {settings.batch_size} cannot be shared by {processes.count()} processes")
        self.model, self.folder, self.settings = model, folder, settings
        self.device = next(model.parameters()).device
        model.set_attn_implementation("eager")  # on a CPU faster to train than the fused attention
        self.span_head = torch.nn.Linear(model.config.d_model, 2).to(self.device)
        self.optimizer = torch.optim.AdamW(parameter_groups(model, self.span_head, settings), lr=1.0, weight_decay=0.01)
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.total = sum(p.examples for p in settings.phases)
        self.sums: dict[str, torch.Tensor] = {}
        folder.mkdir(parents=True, exist_ok=True)
        sizes = {name: len(task) for name, task in tasks.items()}
        self.made_of = zlib.crc32(repr((replace(settings, save_every=0.0), sizes)).encode())
        fresh = {"seen": 0, "seconds": 0.0, "best": -1.0, "waited": 0, "made_of": self.made_of}
        progress = load_state(self.checkpoint, self.modules, self.optimizer) or fresh
        if progress.get("made_of") != self.made_of:
            raise CheckpointUnusable(
                f"{self.checkpoint} belongs to a run with other settings or data; remove it to start anew"
            )
        self.seen = int(progress["seen"])
        if processes.from_first(self.seen, self.device) != self.seen:
            raise ValueError(f"all processes must see the same folder; {folder} differs between them")
        self.best, self.waited = progress["best"], int(progress["waited"])
        self.began = time.monotonic() - progress["seconds"]
        self.saved = time.monotonic()
        if processes.is_first():
            self.forget_later_rows()

    @property
    def checkpoint(self) -> Path:
        """The file that holds the run's state."""
        return self.folder / "checkpoint.safetensors"

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        """What is trained, by name."""
        return {"model": self.model, "span": self.span_head}

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.seen >= self.total or self.stopped

    @property
    def stopped(self) -> bool:
        """Whether it has been too long since the weights were the best so far."""
        return self.waited >= self.settings.patience

    def step(self, features: Sequence[Features]) -> None:
        """One step of the optimizer with a batch, of which this process reads its share."""
        rate = schedule(self.seen, self.total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate
        self.model.train()
        batch = collate(features[processes.rank() :: processes.count()], self.model.config.pad_token_id)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            parts = losses(self.model, self.span_head, {k: v.to(self.device) for k, v in batch.items()})
        sum(parts.values()).backward()
        processes.add_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seen += len(features)
        for key, value in parts.items():
            self.sums[key] = self.sums.get(key, 0.0) + value.detach()

    def log(self, figures: Mapping[str, float]) -> None:
        """Adds figures to the run's log."""
        seconds = round(time.monotonic() - self.began, 1)
        append_json(self.folder / LOG, {"seen": self.seen, "seconds": seconds, **figures})

    def forget_later_rows(self) -> None:
        """Takes out of the log what a killed run wrote after its last checkpoint, as it will be written again."""
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.is_file() else []
        kept = [line for line in lines if line.endswith("\n") and self.seen and json.loads(line)["seen"] <= self.seen]
        if len(kept) < len(lines):
            log.write_text("".join(kept), encoding="utf-8")

    def mean_losses(self, steps: int) -> dict[str, float]:
        """The losses' means over the last `steps` steps, which are then forgotten."""
        means = {key: round(float(processes.total(value)) / steps, 4) for key, value in self.sums.items()}
        self.sums = {}
        return means

    def save(self) -> None:
        """Saves the state that a new run in the same folder goes on from."""
        seconds = time.monotonic() - self.began
        progress = {"seen": self.seen, "seconds": seconds, "best": self.best, "waited": self.waited}
        progress["made_of"] = self.made_of
        save_state(self.checkpoint, self.modules, self.optimizer, progress)
        self.saved = time.monotonic()

    def measure(self, evaluate: Callable[[PreTrainedModel], Mapping[str, float]], bar: tqdm) -> None:
        """Evaluates and logs, and keeps the weights if they are the best so far."""
        if processes.is_first():
            with parametrize.cached():  # an adapter's differences are added up once, not at every token
                figures = evaluate(self.model.eval())
            bar.write(f"{self.seen} examples: {json.dumps(figures)}")
            self.log(figures)
            self.waited = 0 if figures["em"] > self.best else self.waited + 1
            if figures["em"] > self.best:
                self.best = figures["em"]
                save_state(self.folder / BEST, {"model": self.model})
        self.waited = processes.from_first(self.waited, self.device)


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    folder: Path,
    settings: Settings,
    evaluate: Callable[[PreTrainedModel], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    `evaluate(model)`, where given, returns figures for the log; it is called at the start and every `evaluate_every`
    examples. The model ends with the weights of the best "em", be they those it started with; training stops early when
    that has not risen for `patience` evaluations.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged, another model's, or of a run with other settings or data.
        ValueError: there are more processes than examples in a batch, or they see different folders.
    """
    run = Run(model, tasks, folder, settings)
    featurizer = Featurizer(tokenizer, settings)
    bar = tqdm(
        total=run.total, initial=run.seen, unit="ex", desc="training", mininterval=5, smoothing=0.05,
        disable=not processes.is_first(),
    )  # fmt: skip
    series = batches(featurizer, tasks, settings, run.seen)
    if evaluate and run.seen == 0:
        run.measure(evaluate, bar)
    step = 0
    while not run.done:
        before, step = run.seen, step + 1
        run.step(next(series))
        bar.update(run.seen - before)
        if step % LOG_EVERY == 0:
            means = run.mean_losses(LOG_EVERY)
            bar.set_postfix(means)
            if processes.is_first():
                run.log(means)
        if evaluate and (run.done or run.seen // settings.evaluate_every > before // settings.evaluate_every):
            run.measure(evaluate, bar)
        if processes.is_first() and (run.done or time.monotonic() - run.saved > settings.save_every):
            run.save()
    if run.stopped and processes.is_first():
        bar.write(f"stopped: exact match has not risen for {settings.patience} evaluations")
    bar.close()
    processes.wait()
    if (folder / BEST).is_file():
        load_state(folder / BEST, {"model": model})
    model.eval()
