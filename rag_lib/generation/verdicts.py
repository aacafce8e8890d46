"""Questions that ask for yes or no, and what is said to them."""

from __future__ import annotations

import re

YES, NO = "Yes", "No"
SURE = 1.0  # log-odds from which yes or no is said (nearly nine of ten are right then); else the sentence speaks alone
ASKS_WHETHER = re.compile(
    r"(?:\W*(?:and|but|so|or|then|well|ok(?:ay)?)\b)*\W*(?:am|is|are|was|were|do|does|did|has|have|had|can|could|will|"
    r"would|should|may|might|must)(?:n?['’]t)?\b(?!['’])",
    re.IGNORECASE,
)
# "Can you tell me when …" asks when; "Was it Gagarin or Titov?" asks which of them.
ASKS_TO_BE_TOLD = re.compile(
    r"\W*(?:can|could|would|will|do|does|may|might) (?:you|i|we|any(?:one|body)|some(?:one|body))\b[^?]*?"
    r"\b(?:tell|say|explain|know|ask|remember|show me)\b",
    re.IGNORECASE,
)
ALTERNATIVES = re.compile(r"\bor\b(?! (?:not|something|anything|so)\b)", re.IGNORECASE)
MONTH = re.compile(r"\W*may \d", re.IGNORECASE)


def asks_whether(question: str) -> bool:
    """Whether a question asks for yes or no, by its words."""
    others = ASKS_TO_BE_TOLD.match(question) or ALTERNATIVES.search(question) or MONTH.match(question)
    return bool(ASKS_WHETHER.match(question)) and not others


def verdict(says_yes: float) -> str:
    """Yes or no, from the log-odds of yes; empty where these are too near to 0 to be believed."""
    if abs(says_yes) < SURE:
        return ""
    return YES if says_yes > 0 else NO
