"""What the generator reads: the question and the passages, in one text within a token budget.

Taught in notebooks/06_generation.ipynb. The order "question, then title and text of each passage" is that of
Fusion-in-Decoder (Izacard and Grave, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

# The jobs of the bundled generator, by the word that its input starts with.
ANSWER = "question"  # answer from the passages, or say that they do not hold the answer
QUOTE = "quote"  # repeat the sentence that answers
REPLY = "reply"  # answer a visitor in a sentence, from the passages
REWRITE = "rewrite"  # make what a visitor says stand alone: the turn, then the conversation before it
SUMMARIZE = "summarize"  # the passages, or what they say about a question


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


def with_history(turn: str, history: Sequence[tuple[str, str]]) -> str:
    """What a visitor says, followed by the earlier turns (visitor, guide), oldest first."""
    said = "".join(f" visitor: {visitor} guide: {guide}" for visitor, guide in history)
    return f"{turn.strip()} history:{said}"


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
