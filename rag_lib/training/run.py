"""A training run that can be killed at any moment: states as safetensors, logs as JSON lines, the best weights kept.

Both fine-tuning stages run in it; taught in notebooks/08_finetune_retriever.ipynb and 09_finetune_generator.ipynb.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from tqdm.auto import tqdm

from rag_lib.files import append_json, write_atomically
from rag_lib.training import processes
from rag_lib.training.half import HalfCopy

BEST, LOG, CHECKPOINT = "best.safetensors", "log.jsonl", "checkpoint.safetensors"

Figures = Mapping[str, float]


class CheckpointUnusable(ValueError):
    """A saved state is damaged, or belongs to another run or model."""


def save_state(
    path: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer | None = None,
    progress: Figures | None = None,
) -> None:
    """Writes trained parameters, the optimizer's state and the progress to one file, replaced atomically."""
    tensors = {
        f"{name}/{key}": p.detach()
        for name, module in modules.items()
        for key, p in module.named_parameters()
        if p.requires_grad
    }
    for i, state in optimizer.state_dict()["state"].items() if optimizer else ():
        tensors |= {f"optimizer/{i}/{key}": value for key, value in state.items()}
    copies = {key: value.contiguous().clone() for key, value in tensors.items()}
    write_atomically(path, safetensors.save(copies, {key: str(value) for key, value in (progress or {}).items()}))


def load_state(
    path: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, float] | None:
    """Restores what `save_state` wrote and returns the progress; None where there is no file.

    Raises:
        CheckpointUnusable: the file is damaged, or its tensors do not fit.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            progress = {key: float(value) for key, value in (file.metadata() or {}).items()}
        state: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for key, value in safetensors.load_file(path).items():
                owner, _, name = key.partition("/")
                if owner == "optimizer":
                    i, _, field = name.partition("/")
                    state.setdefault(int(i), {})[field] = value
                else:
                    modules[owner].get_parameter(name).copy_(value)
        if optimizer:
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointUnusable(f"{path} cannot be resumed from ({error}); remove it to start anew") from error
    return progress


def check_free(folder: Path, unit: str) -> None:
    """Whether a run may begin in a folder: a killed run may have left rows of its log there, and nothing else.

    Raises:
        CheckpointUnusable: there is a log, or there are weights, that no killed run left.
    """
    log = folder / LOG
    rows = log.read_bytes().splitlines(keepends=True) if log.is_file() else []
    whole = [row for row in rows if row.endswith(b"\n")]  # the last one may be torn
    if (folder / BEST).exists() or not all(row.startswith(f'{{"{unit}": '.encode()) for row in whole):
        raise CheckpointUnusable(f"{folder} holds a {LOG} or {BEST} of something else: name another folder")


class TrainingRun:
    """What is trained in a folder, and how far it has come.

    Args:
        folder: for the checkpoint, the log and the best weights; a run that was killed goes on from there.
        modules: what is trained, by name.
        groups: the optimizer's groups of parameters, each with its highest learning rate under "rate".
        made_of: whatever decides the run; a checkpoint of a run with another is refused.
        unit: what `done` counts, as the log calls it: "seen" (examples) or "step".
        goal: the figure of an evaluation by which the best weights are chosen; higher is better.
        weight_decay, clip: of the optimizer, and the largest norm of the gradients.
        half: what the losses are computed with, where that is not the modules themselves.

    Raises:
        CheckpointUnusable: the checkpoint there is damaged, another model's, or of another run; or there is none, but
            files that a run would overwrite.
        ValueError: several processes see different folders.
    """

    def __init__(
        self,
        folder: Path,
        modules: Mapping[str, torch.nn.Module],
        groups: Sequence[dict],
        made_of: object,
        unit: str,
        goal: str,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        half: HalfCopy | None = None,
    ) -> None:
        self.half = half
        self.folder, self.modules, self.unit, self.goal, self.clip = folder, modules, unit, goal, clip
        self.optimizer = torch.optim.AdamW(groups, lr=1.0, weight_decay=weight_decay)
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.device = self.trained[0].device
        folder.mkdir(parents=True, exist_ok=True)
        self.made_of = zlib.crc32(repr(made_of).encode())
        fresh = {unit: 0, "seconds": 0.0, "best": -1.0, "waited": 0, "made_of": self.made_of}
        progress = load_state(folder / CHECKPOINT, modules, self.optimizer) or fresh
        if progress is fresh:
            check_free(folder, unit)
        if progress.get("made_of") != self.made_of:
            raise CheckpointUnusable(
                f"{folder / CHECKPOINT} belongs to a run with other settings or data; remove it to start anew"
            )
        self.done = int(progress[unit])
        if processes.from_first(self.done, self.device) != self.done:
            raise ValueError(f"all processes must see the same folder; {folder} differs between them")
        self.best, self.waited = progress["best"], int(progress["waited"])
        self.began = time.monotonic() - progress["seconds"]
        self.saved = time.monotonic()
        if processes.is_first():
            self.forget_later_rows()

    def step(self, loss: torch.Tensor, rate: float, count: int = 1) -> None:
        """One step of the optimizer, shared by all processes.

        Args:
            loss: what this process contributes to the loss.
            rate: the learning rates are multiplied with this.
            count: `done` rises by so many.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate
        loss.backward()
        if self.half:
            self.half.hand_over_gradients()
        processes.add_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += count

    def log(self, figures: Figures) -> None:
        """Adds figures to the run's log."""
        if processes.is_first():
            seconds = round(time.monotonic() - self.began, 1)
            append_json(self.folder / LOG, {self.unit: self.done, "seconds": seconds, **figures})

    def forget_later_rows(self) -> None:
        """Takes out of the log what a killed run wrote after its last checkpoint, as it will be written again."""
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.is_file() else []
        kept = [s for s in lines if s.endswith("\n") and self.done and json.loads(s)[self.unit] <= self.done]
        if len(kept) < len(lines):
            write_atomically(log, "".join(kept).encode())

    def save(self, after: float = 0.0) -> None:
        """Saves the state that a new run goes on from, if the last time is `after` seconds ago."""
        if not processes.is_first() or time.monotonic() - self.saved < after:
            return
        progress = {self.unit: self.done, "seconds": time.monotonic() - self.began, "best": self.best}
        progress |= {"waited": self.waited, "made_of": self.made_of}
        save_state(self.folder / CHECKPOINT, self.modules, self.optimizer, progress)
        self.saved = time.monotonic()

    def measure(self, evaluate: Callable[[], Figures], bar: tqdm, **further: float) -> None:
        """Evaluates, in the first process, logs the figures, and keeps the weights if they are the best so far."""
        if processes.is_first():
            figures = {**further, **evaluate()}
            bar.write(f"{self.unit} {self.done}: {json.dumps(figures)}")
            self.log(figures)
            self.waited = 0 if figures[self.goal] > self.best else self.waited + 1
            if figures[self.goal] > self.best:
                self.best = figures[self.goal]
                save_state(self.folder / BEST, self.modules)
        self.waited = processes.from_first(self.waited, self.device)

    def take_best(self) -> None:
        """Ends the run with the best weights that were measured, the last ones where none were."""
        processes.wait()
        load_state(self.folder / BEST, self.modules)


def first_and_best(folder: Path, goal: str) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of a run's first evaluation and of its best one, from the log in its folder.

    Raises:
        ValueError: the first is the best, so the weights that are kept are those that training started with.
    """
    rows = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    looks = [row for row in rows if goal in row]
    best = max(looks, key=lambda row: row[goal])
    if best is looks[0]:
        raise ValueError(
            f"nothing was gained: none of {len(looks) - 1} looks at what is held out was better than the start, so the "
            "weights stay as they were. Take more rows, another --rate, or train for longer"
        )
    return looks[0], best
