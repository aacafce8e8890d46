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
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.evaluation import answer_rows, bootstrap, exact_match, f1, score_answers
from rag_lib.generators import Seq2SeqGenerator
from rag_lib.models import load_minilm, save_perigee
from rag_lib.public_data import QED, SQUAD, load_public
from rag_lib.training.checkpoints import append_json, load_state, save_state, write_json
from rag_lib.training.examples import IGNORED, Featurizer, Settings, Triple, batches, collate, load_triples
from rag_lib.warm_start import bart_from_bert

DECODER_LAYERS = 3
HELD_OUT = 500  # questions of SQuAD's validation split that are asked while training
LOG_EVERY = 50  # steps


def losses(
    model: PreTrainedModel, span_head: torch.nn.Linear, batch: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The three losses of a batch, each a mean over labels or examples, in nats."""
    out = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        decoder_input_ids=shift_right(batch["labels"], model.config),
    )
    kept = batch["labels"] != IGNORED  # (B, T), N of them true
    logits, labels = out.logits[kept].float(), batch["labels"][kept]  # (N, V), (N,)
    token = F.cross_entropy(logits, labels)

    allowed = batch["allowed"][kept]  # (N, A), -1 where there are fewer
    options = logits.gather(1, allowed.clamp(min=0)).masked_fill(allowed < 0, -math.inf)
    chosen = logits.gather(1, labels[:, None])[:, 0]
    constrained = (options.logsumexp(1) - chosen).mean()

    ends = span_head(out.encoder_last_hidden_state).float()  # (B, L, 2)
    ends = ends.masked_fill(~batch["inside"][..., None], -1e4)
    span = F.cross_entropy(ends[..., 0], batch["span"][:, 0]) + F.cross_entropy(ends[..., 1], batch["span"][:, 1])
    return {"token": token, "constrained": constrained, "span": span}


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
        progress = load_state(self.checkpoint, self.modules, self.optimizer) or {"seen": 0, "seconds": 0.0}
        self.seen = int(progress["seen"])
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
        progress = {"seen": self.seen, "seconds": time.monotonic() - self.began}
        save_state(self.checkpoint, self.modules, self.optimizer, progress)
        self.saved = time.monotonic()


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    triples: Sequence[Triple],
    folder: Path,
    settings: Settings,
    evaluate: Callable[[PreTrainedModel], Mapping[str, float]] | None = None,
) -> None:
    """Trains in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    `evaluate(model)`, where given, returns figures for the log; it is called every `evaluate_every` examples.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged or another model's.
    """
    run = Run(model, folder, settings)
    featurizer = Featurizer(triples, tokenizer, settings)
    bar = tqdm(total=run.total, initial=run.seen, unit="ex", desc="training", mininterval=5, smoothing=0.05)
    for step, features in enumerate(batches(featurizer, settings, run.seen), start=1):
        if run.seen >= run.total:
            break
        before = run.seen
        run.step(collate(features, tokenizer.pad_token_id))
        done = run.seen >= run.total
        bar.update(run.seen - before)
        if step % LOG_EVERY == 0:
            means = run.mean_losses(LOG_EVERY)
            bar.set_postfix(means)
            run.log(means)
        if evaluate and (done or run.seen // settings.evaluate_every > before // settings.evaluate_every):
            figures = evaluate(model.eval())
            bar.write(f"{run.seen} examples: {json.dumps(figures)}")
            run.log(figures)
        if done or time.monotonic() - run.saved > settings.save_every:
            run.save()
    bar.close()
    model.eval()


def train_bundled(folder: Path, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the bundled generator anew from MiniLM; checkpoints, log and weights go to `folder`.

    Args:
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: SQuAD or QED cannot be had.
    """
    minilm, tokenizer = load_minilm()
    torch.manual_seed(0)
    model = bart_from_bert(minilm, DECODER_LAYERS, tokenizer.cls_token_id, tokenizer.sep_token_id).to(device)
    triples = load_triples([*load_public(SQUAD, "train"), *load_public(QED, "train")])
    held_out = random.Random(0).sample(list(load_public(SQUAD, "validation")), HELD_OUT)
    gold = [row["answers"]["text"] for row in held_out]

    def evaluate(model: PreTrainedModel) -> dict:
        predictions = answer_rows(Seq2SeqGenerator(model, tokenizer), held_out, progress=False)
        metrics = {"em": exact_match, "f1": f1}
        return {k: round(bootstrap(score_answers(predictions, gold, m)).mean, 4) for k, m in metrics.items()}

    phases = tuple(replace(p, examples=round(p.examples * share)) for p in Settings().phases)
    settings = Settings(phases=phases)
    train(model, tokenizer, triples, folder, settings, evaluate)
    save_perigee(model, folder / "weights")
    write_json(folder / "weights" / "training.json", asdict(settings))
    print(f"weights: {folder / 'weights'}")
