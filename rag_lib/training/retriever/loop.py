"""The loop in which every retriever and reranker is trained: a step a batch, and a look at what is held out in between.

Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from tqdm.auto import tqdm

from rag_lib.training.processes import is_first
from rag_lib.training.run import TrainingRun

LOG_EVERY = 10  # steps


class Lessons(Protocol):
    """What is learnt from: the batches of each epoch, and the run that counts the steps."""

    epochs: Sequence[Sequence[Any]]
    run: TrainingRun

    def step(self, epoch: int, number: int) -> float:
        """One step of the optimizer on a batch of an epoch; returns the loss."""


def schedule(step: int, total: int, warmup: float) -> float:
    """Factor of the learning rate: it rises to 1 over the first share `warmup` of the steps, then falls to 0."""
    rising = warmup * total
    return (step + 1) / (rising + 1) if step < rising else (total - step) / (total - rising)


def fit(
    lessons: Lessons, save_every: float, evaluate: Callable[[], Mapping[str, float]] | None, before: bool = True
) -> None:
    """Takes all steps that the run has not taken yet; what is trained ends with the best weights measured.

    Args:
        save_every: seconds between two checkpoints within an epoch.
        evaluate: called after every epoch.
        before: whether it is called before the first one, too.
    """
    run, ends = lessons.run, list(accumulate(map(len, lessons.epochs)))
    losses: list[float] = []
    bar = tqdm(total=ends[-1], initial=run.done, unit="step", desc="training", disable=not is_first())

    def finished() -> int:
        """The number of whole epochs that lie behind."""
        return sum(end <= run.done for end in ends)

    def measure() -> None:
        if evaluate:
            run.measure(evaluate, bar, epoch=finished())

    with bar:
        if run.done == 0 and before:
            measure()
        for epoch in range(finished(), len(ends)):
            start = ends[epoch] - len(lessons.epochs[epoch])
            for number in range(run.done - start, len(lessons.epochs[epoch])):
                losses.append(lessons.step(epoch, number))
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.3f}")
                if run.done % LOG_EVERY == 0 or run.done == ends[-1]:
                    run.log({"loss": round(sum(losses) / len(losses), 4)})
                    losses.clear()
                if finished() == epoch:  # the end of an epoch is saved once it is measured
                    run.save(after=save_every)
            measure()
            run.save()
    run.take_best()
