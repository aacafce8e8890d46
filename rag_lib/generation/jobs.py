"""What a generator can be asked to do (taught in notebooks/06_generation.ipynb)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A kind of task; how it is put to a model says the model's `PromptFormat`.

    Attributes:
        name: also the word that the bundled generator's input begins with.
        max_new_tokens: the most tokens written, unless `Decoding` says otherwise.
        sentences: a model that copies copies so many whole sentences; 0 for a run of words.
        may_be_missing: a model trained for it may say that the sources hold nothing to copy.
        beams: the fewest beams that are searched.
        names: a model that copies adds up to so many names from the sources to what was said; 0 for another job.
    """

    name: str
    max_new_tokens: int
    sentences: int = 0
    may_be_missing: bool = False
    beams: int = 1
    names: int = 0


ANSWER = Job("question", 32, may_be_missing=True)  # from the passages, or say that they do not hold the answer
QUOTE = Job("quote", 80, sentences=1)  # the sentence that answers
REPLY = Job("reply", 80, sentences=1, may_be_missing=True)  # answer a visitor in a sentence, from the passages
# Make what a visitor says stand alone; the source is the conversation before it.
REWRITE = Job("rewrite", 48, may_be_missing=True, beams=6, names=3)
SUMMARIZE = Job("summarize", 200, sentences=3)  # the passages, or what they say about a question
JOBS = (ANSWER, QUOTE, REPLY, REWRITE, SUMMARIZE)
QUOTING = (ANSWER, QUOTE, REPLY)  # those that answer a question, at a place in a source
