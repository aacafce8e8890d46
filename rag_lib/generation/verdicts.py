"""Questions that ask for yes or no, and what is said to them."""

from __future__ import annotations

import re

YES, NO = "Yes", "No"
SURE = 1.5  # log-odds from which yes or no is said; below, the sentence speaks for itself
ASKS_WHETHER = re.compile(
    r"(?:\W*(?:and|but|so|or|then|well|ok(?:ay)?)\b)*\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|"
    r"should|may|might|must)\b(?!n['’]t)",
    re.IGNORECASE,
)


def asks_whether(question: str) -> bool:
    """Whether a question asks for yes or no, by its first words."""
    return bool(ASKS_WHETHER.match(question))


def verdict(says_yes: float) -> str:
    """Yes or no, from the log-odds of yes; empty where these are too near to 0 to be believed."""
    if abs(says_yes) < SURE:
        return ""
    return YES if says_yes > 0 else NO
