"""What the generator reads: the question and the passages, in one text within a token budget.

Taught in notebooks/06_generation.ipynb. The order "question, then title and text of each passage" is that of
Fusion-in-Decoder (Izacard and Grave, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

ANSWER = "question"  # the job "answer this question from the passages"
QUOTE = "quote"  # the job "repeat the sentence that answers this question"


class Source(NamedTuple):
    """A passage as the generator sees it."""

    title: str
    text: str


class QuestionTooLong(ValueError):
    """With this question no passage fits into the generator's input."""


@dataclass(frozen=True)
class Prompt:
    """The generator's input and the sources that are in it, as positions in the list that was given."""

    question: str
    text: str
    used: tuple[int, ...]
    tokens: int


def format_question(question: str, job: str = ANSWER) -> str:
    """The head of the input: the job and the question."""
    return f"{job}: {question.strip()}"


def format_source(source: Source) -> str:
    """One passage as it stands in the input."""
    return f" title: {source.title} context: {source.text}"


def count_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Number of tokens of a text, without the special ones at its ends."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def build_prompt(
    question: str, sources: Sequence[Source], tokenizer: PreTrainedTokenizerBase, budget: int, job: str = ANSWER
) -> Prompt:
    """The question followed by the sources that fit, best first; a source that does not fit is left out whole.

    Args:
        budget: the most tokens that the generator reads, special ones included.

    Raises:
        QuestionTooLong: there are sources, but none fits beside the question.
    """
    text = format_question(question, job)
    tokens = count_tokens(tokenizer, text) + tokenizer.num_special_tokens_to_add()
    used = []
    for i, source in enumerate(sources):
        piece = format_source(source)
        size = count_tokens(tokenizer, piece)
        if tokens + size <= budget:
            text, tokens = text + piece, tokens + size
            used.append(i)
    if sources and not used:
        raise QuestionTooLong(
            f"the question takes {tokens} of the {budget} tokens that the generator reads: no passage fits beside it"
        )
    return Prompt(question, text, tuple(used), tokens)
