"""Training the generator to read (taught in notebooks/09_finetune_generator.ipynb).

The recipe, for little compute: a BART started from MiniLM first learns to copy (its target is the sentence that holds
the answer), then to answer. Three losses are added up: cross-entropy over the whole vocabulary; cross-entropy over the
tokens that constrained decoding would allow, which is the choice it faces in use; and, on the encoder's states, the
cross-entropy of the answer's first and last position (a linear head, thrown away afterwards), which teaches the
encoder where to look long before the decoder can use it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.adapters import add_adapter
from rag_lib.generators import encode_apart
from rag_lib.training.checkpoints import append_json, load_state, save_state
from rag_lib.training.examples import Task
from rag_lib.training.features import IGNORED, Featurizer, Settings, batches, collate

LOG_EVERY = 50  # steps
BEST = "best.safetensors"


def losses(
    model: PreTrainedModel, span_head: torch.nn.Linear, batch: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The losses of a batch, each a mean over labels or examples, in nats; zero where none of them has one."""
    states, mask = encode_apart(model, batch["input_ids"], batch["attention_mask"], batch["items"].tolist())
    logits = model(
        encoder_outputs=(states,),  # (B, N, d)
        attention_mask=mask,
        decoder_input_ids=shift_right(batch["labels"], model.config),
    ).logits
    kept = batch["labels"] != IGNORED  # (B, T), N of them true
    logits, labels = logits[kept].float(), batch["labels"][kept]  # (N, V), (N,)
    token = F.cross_entropy(logits, labels)

    allowed = batch["allowed"][kept]  # (N, A), -1 where there are fewer
    bound = (allowed >= 0).any(1)
    options = logits.gather(1, allowed.clamp(min=0)).masked_fill(allowed < 0, -math.inf)[bound]
    chosen = logits.gather(1, labels[:, None])[bound, 0]
    constrained = (options.logsumexp(1) - chosen).sum() / bound.sum().clamp(min=1)

    known = batch["span"][:, 0] >= 0
    ends = span_head(states).float().masked_fill(~batch["inside"][..., None], -1e4)[known]  # (·, N, 2)
    span = F.cross_entropy(ends.transpose(1, 2).flatten(0, 1), batch["span"][known].flatten(), reduction="sum")
    return {"token": token, "constrained": constrained, "span": span / known.sum().clamp(min=1)}


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

    def __init__(self, model: PreTrainedModel, folder: Path, settings: Settings) -> None:
        torch.manual_seed(settings.seed)
        self.model, self.folder, self.settings = model, folder, settings
        self.device = next(model.parameters()).device
        model.set_attn_implementation("eager")  # on a CPU faster to train than the fused attention
        self.span_head = torch.nn.Linear(model.config.d_model, 2).to(self.device)
        self.optimizer = torch.optim.AdamW(parameter_groups(model, self.span_head, settings), lr=1.0, weight_decay=0.01)
        self.total = sum(p.examples for p in settings.phases)
        self.sums: dict[str, torch.Tensor] = {}
        folder.mkdir(parents=True, exist_ok=True)
        fresh = {"seen": 0, "seconds": 0.0, "best": -1.0, "waited": 0}
        progress = load_state(self.checkpoint, self.modules, self.optimizer) or fresh
        self.seen = int(progress["seen"])
        self.best, self.waited = progress["best"], int(progress["waited"])
        self.began = time.monotonic() - progress["seconds"]
        self.saved = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        """The file that holds the run's state."""
        return self.folder / "checkpoint.safetensors"

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        """What is trained, by name."""
        return {"model": self.model, "span": self.span_head}

    def step(self, batch: dict[str, torch.Tensor]) -> None:
        """One step of the optimizer."""
        rate = schedule(self.seen, self.total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            parts = losses(self.model, self.span_head, {k: v.to(self.device) for k, v in batch.items()})
        sum(parts.values()).backward()
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seen += len(batch["labels"])
        for key, value in parts.items():
            self.sums[key] = self.sums.get(key, 0.0) + value.detach()

    def log(self, figures: Mapping[str, float]) -> None:
        """Adds figures to the run's log."""
        seconds = round(time.monotonic() - self.began, 1)
        append_json(self.folder / "log.jsonl", {"seen": self.seen, "seconds": seconds, **figures})

    def mean_losses(self, steps: int) -> dict[str, float]:
        """The losses' means over the last `steps` steps, which are then forgotten."""
        means = {key: round(float(value) / steps, 4) for key, value in self.sums.items()}
        self.sums = {}
        return means

    def save(self) -> None:
        """Saves the state that a new run in the same folder goes on from."""
        seconds = time.monotonic() - self.began
        progress = {"seen": self.seen, "seconds": seconds, "best": self.best, "waited": self.waited}
        save_state(self.checkpoint, self.modules, self.optimizer, progress)
        self.saved = time.monotonic()

    def compare(self, exact_match: float) -> bool:
        """Keeps the weights if they are the best so far; false once they have not been for long."""
        self.waited = 0 if exact_match > self.best else self.waited + 1
        if exact_match > self.best:
            self.best = exact_match
            save_state(self.folder / BEST, {"model": self.model})
        return self.waited < self.settings.patience


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    folder: Path,
    settings: Settings,
    evaluate: Callable[[PreTrainedModel], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    `evaluate(model)`, where given, returns figures for the log; it is called every `evaluate_every` examples. The model
    ends with the weights of the best "em"; training stops early when that has not risen for `patience` evaluations.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged or another model's.
    """
    run = Run(model, folder, settings)
    featurizer = Featurizer(tokenizer, settings)
    bar = tqdm(total=run.total, initial=run.seen, unit="ex", desc="training", mininterval=5, smoothing=0.05)
    for step, features in enumerate(batches(featurizer, tasks, settings, run.seen), start=1):
        if run.seen >= run.total:
            break
        before, better = run.seen, True
        run.step(collate(features, tokenizer.pad_token_id))
        done = run.seen >= run.total
        bar.update(run.seen - before)
        if step % LOG_EVERY == 0:
            means = run.mean_losses(LOG_EVERY)
            bar.set_postfix(means)
            run.log(means)
        if evaluate and (done or run.seen // settings.evaluate_every > before // settings.evaluate_every):
            with parametrize.cached():  # an adapter's differences are added up once, not at every token
                figures = evaluate(model.eval())
            bar.write(f"{run.seen} examples: {json.dumps(figures)}")
            run.log(figures)
            better = run.compare(figures["em"])
        if done or time.monotonic() - run.saved > settings.save_every:
            run.save()
        if not better:
            bar.write(f"stopped: exact match has not risen for {settings.patience} evaluations")
            break
    bar.close()
    if (folder / BEST).is_file():
        load_state(folder / BEST, {"model": model})
    model.eval()
