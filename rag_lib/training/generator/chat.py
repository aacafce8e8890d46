"""Training a chat model to reply from passages, as a low-rank difference.

Prompts are those of use (`build_chat_prompt`), and only the tokens of the reply count. What is frozen is kept in
bfloat16, and logits are computed for the reply alone: a vocabulary of 49,000 is else most of the work.

On Linux, half the time goes into fetching memory anew at every step, unless the C library is told to keep it: set
MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ to 4000000000 before Python starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.generation.chat_prompts import NO_ANSWER, build_chat_prompt, token_ids
from rag_lib.generation.citations import with_marks
from rag_lib.generation.encoding import IGNORED, in_parts
from rag_lib.generation.jobs import REWRITE
from rag_lib.generation.prompts import QuestionTooLong
from rag_lib.models.adapters import add_side_paths
from rag_lib.training import processes
from rag_lib.training.generator.examples import Example, Task
from rag_lib.training.generator.features import MULTIPLE, Features, GeneratorSettings, batches, pad
from rag_lib.training.generator.learning import LOG_EVERY, schedule
from rag_lib.training.run import TrainingRun

GOAL = "right"  # the figure of an evaluation by which the best weights are chosen
MOST_AT_ONCE = 2048  # tokens, padding among them, that are read at a time: some 5 GB of memory


def reply_to(example: Example) -> str:
    """What the model should write: the target, with a mark of the passage it is from; or that there is no answer."""
    if not example.target and example.job is not REWRITE:
        return NO_ANSWER
    return example.target if example.place is None else with_marks(example.target, [example.place.source + 1])


class ChatFeaturizer:
    """Turns examples into features: one row, of which the labels are the end."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: GeneratorSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings

    def __call__(self, example: Example, apart: bool = False) -> Features | None:
        """Features of an example; None where it does not fit as a whole."""
        tok, s = self.tokenizer, self.settings
        labels = [*token_ids(reply_to(example), tok), tok.eos_token_id]
        try:
            prompt = build_chat_prompt(example.question, example.sources, tok, s.max_tokens - len(labels), example.job)
        except QuestionTooLong:
            return None
        if len(labels) > s.max_target or len(prompt.used) < len(example.sources):
            return None
        return Features([[*token_ids(prompt.text, tok), *labels]], labels, [], [], None)


def collate_replies(features: Sequence[Features], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch of B examples: input_ids, attention_mask and labels, each (B, L), L a multiple of MULTIPLE.

    A label stands at the token before it, where it is to be predicted; all else is IGNORED.
    """
    rows = [f.rows[0] for f in features]
    labels = [[IGNORED] * (len(row) - len(f.labels) - 1) + f.labels for row, f in zip(rows, features, strict=True)]
    width = -(-max(map(len, rows)) // MULTIPLE) * MULTIPLE
    input_ids, mask, targets = (
        F.pad(x, (0, width - x.shape[1]), value=value)
        for x, value in (
            (pad(rows, pad_id), pad_id),
            (pad([[1] * len(row) for row in rows], 0), 0),
            (pad(labels, IGNORED), IGNORED),
        )
    )
    return {"input_ids": input_ids, "attention_mask": mask, "labels": targets}


def reply_loss(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy in nats, summed over the labels; logits are computed only where there is one."""
    states = model.base_model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
    ).last_hidden_state  # (B, L, d)
    kept = batch["labels"] != IGNORED  # (B, L), N of them true
    logits = model.get_output_embeddings()(states[kept]).float()  # (N, V)
    return F.cross_entropy(logits, batch["labels"][kept], reduction="sum")


def train_chat(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    folder: Path,
    settings: GeneratorSettings,
    evaluate: Callable[[PreTrainedModel], Mapping[str, float]] | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Trains a difference to a model in place, logging to `folder`/log.jsonl; goes on from the checkpoint there.

    Args:
        model: in bfloat16, to be quick; its own weights stay as they are. It ends with the best difference by GOAL, or
            the last one where nothing is evaluated.
        evaluate: returns figures for the log; called at the start and every `evaluate_every` examples.
        start: the difference to start from; none where None.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged, another model's, or of a run with other settings or data.
        ValueError: `start` is another model's difference, or of another rank; or there are more processes than examples
            in a batch.
    """
    if settings.batch_size < processes.count():
        raise ValueError(f"a batch of {settings.batch_size} cannot be shared by {processes.count()} processes")
    torch.manual_seed(settings.seed)
    model.set_attn_implementation("eager")  # on a CPU faster to train than the fused attention
    add_side_paths(model, settings.rank, start)
    trained = [p for p in model.parameters() if p.requires_grad]
    made_of = (replace(settings, save_every=0.0), {name: len(task) for name, task in tasks.items()})
    groups = [{"params": trained, "rate": settings.decoder_rate}]
    run = TrainingRun(folder, {"model": model}, groups, made_of, "seen", GOAL, clip=settings.clip)
    total = sum(p.examples for p in settings.phases)
    losses: list[torch.Tensor] = []  # since the last line of the log, in `steps` steps
    steps = 0
    series = batches(ChatFeaturizer(tokenizer, settings), tasks, settings, run.done)
    bar = tqdm(
        total=total, initial=run.done, unit="ex", desc="training", mininterval=5, smoothing=0.05,
        disable=not processes.is_first(),
    )  # fmt: skip

    def measure() -> None:
        if evaluate:
            run.measure(lambda: evaluate(model.eval()), bar)

    def loss_of(part: Sequence[Features], labels: torch.Tensor) -> torch.Tensor:
        """What some examples contribute to the loss of a batch of so many labels."""
        batch = {k: v.to(run.device) for k, v in collate_replies(part, tokenizer.eos_token_id).items()}
        loss = reply_loss(model.train(), batch) / labels
        losses.append(loss.detach())
        return loss

    if run.done == 0:
        measure()
    while run.done < total:
        before, features = run.done, next(series)
        own = features[processes.rank() :: processes.count()]
        labels = processes.total(torch.tensor(sum(len(f.labels) for f in own), device=run.device))
        *earlier, last = in_parts(own, lambda f: len(f.rows[0]), MOST_AT_ONCE)
        for part in earlier:
            loss_of(part, labels).backward()
        run.step(loss_of(last, labels), schedule(run.done, total, settings), len(features))
        bar.update(run.done - before)
        steps += 1
        if steps == LOG_EVERY or run.done >= total:
            mean = float(processes.total(torch.stack(losses).sum())) / steps
            bar.set_postfix(loss=f"{mean:.3f}")
            run.log({"loss": round(mean, 4)})
            losses, steps = [], 0
        if run.done >= total or run.done // settings.evaluate_every > before // settings.evaluate_every:
            measure()
        run.save(after=0.0 if run.done >= total else settings.save_every)
    bar.close()
    run.take_best()
    model.eval()
