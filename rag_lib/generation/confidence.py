"""How sure a generator may be: from what it saw of its own answer to the probability that the answer is right.

A model's own probability says how probable the words are, not how often such answers are right. A logistic regression
on held-out questions turns one into the other (Platt, 1999). Taught in notebooks/07_rag_pipeline.ipynb.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

CONFIDENCE = "confidence.json"


def logit(probability: float, least: float = 1e-6) -> float:
    """The log-odds of a probability, which is kept `least` away from 0 and 1."""
    p = min(max(probability, least), 1 - least)
    return math.log(p / (1 - p))


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


@dataclass(frozen=True)
class Confidence:
    """The probability that an answer is right: sigmoid(bias + Σ weight · feature)."""

    weights: Mapping[str, float] = field(default_factory=dict)
    bias: float = 0.0

    def __call__(self, features: Mapping[str, float]) -> float:
        """The probability, from 0 to 1, for an answer's features by name."""
        return sigmoid(self.bias + sum(weight * features[name] for name, weight in self.weights.items()))

    def save(self, folder: Path) -> None:
        """Writes it beside a model's weights."""
        (folder / CONFIDENCE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def load_confidence(folder: Path, default: Confidence) -> Confidence:
    """The confidence that was fitted for the weights in a folder; `default` where none was."""
    path = folder / CONFIDENCE
    return Confidence(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else default
