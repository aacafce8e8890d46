"""A search for settings that gives most of the time to the promising ones.

Successive halving (Jamieson and Talwalkar, 2016, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization"); taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

Choice = Mapping[str, object]  # settings by name


@dataclass(frozen=True)
class Trial:
    """What a choice of settings scored after so many examples."""

    choice: Choice
    examples: int
    score: float


def grid(**values: Sequence) -> list[dict]:
    """All combinations of the values of each setting."""
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


def successive_halving(
    choices: Sequence[Choice], score: Callable[[Choice, int], float], rungs: Sequence[int]
) -> list[Trial]:
    """Tries all choices on few examples, the better half of them on more, and so on.

    Args:
        score: what a choice reaches on validation after so many examples; higher is better.
        rungs: these numbers of examples, rising.

    Returns:
        All trials, rung by rung, each from best to worst (of equals the earlier choice first); the first of the last
        rung is the choice to take.

    Raises:
        ValueError: there is no choice or no rung.
    """
    if not choices or not rungs:
        raise ValueError("a search needs choices and rungs")
    trials: list[Trial] = []
    survivors = list(choices)
    for examples in rungs:
        tried = [Trial(choice, examples, score(choice, examples)) for choice in survivors]
        tried.sort(key=lambda trial: -trial.score)
        trials += tried
        survivors = [trial.choice for trial in tried[: (len(tried) + 1) // 2]]
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """The trial that a search ends with."""
    last = max(trial.examples for trial in trials)
    return max((trial for trial in trials if trial.examples == last), key=lambda trial: trial.score)
