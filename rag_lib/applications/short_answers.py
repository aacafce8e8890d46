"""How a quotation opens a reply: the short answer first, where the question asks for one."""

from __future__ import annotations

import re

from rag_lib.applications.grounding import NEGATIONS, denied_terms
from rag_lib.generation.verdicts import asks_whether
from rag_lib.indexing.analysis import Analyzer

MOST_WORDS = 7  # of an answer that is said first; a longer one is the sentence over again
ASKS_SHORTLY = re.compile(
    r"\b(?:who|whom|whose|when|where|which|what|how (?:many|much|long|far|high|old|big|large|heavy|deep|fast|tall|"
    r"often|wide|hot|cold|late|early|close|near|thick|bright|expensive))\b",
    re.IGNORECASE,
)


def opening(answer: str, sentence: str, question: str) -> str:
    """The short answer, with a capital; empty where the question asks for none, or the sentence begins with it."""
    asked = ASKS_SHORTLY.search(question) and not asks_whether(question)
    repeats = sentence.lower().startswith(answer.lower())
    if not asked or repeats or len(answer.split()) > MOST_WORDS:
        return ""
    answer = answer.strip(" .,;:")
    return answer[:1].upper() + answer[1:]


def is_denied(question: str, sentence: str) -> bool:
    """Whether a sentence denies a word of a question that asks for yes or no, and so says no.

    That a sentence says yes cannot be told in this way: one that merely speaks of something else denies nothing.
    """
    if not asks_whether(question) or NEGATIONS.intersection(re.findall(r"\w+", question.lower())):
        return False
    analyze = Analyzer()
    return bool(denied_terms(sentence, analyze).intersection(analyze(question)))
