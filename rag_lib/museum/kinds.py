"""What kind of question a question is, by one rule."""

from __future__ import annotations

import re

# Tried from the top, each on the whole question; the first that fits says the kind.
OPENING = r"^(?:(?:hi|hello|hey|excuse me|sorry|please|pls|ok|so|and|but|also|um)[,!.\s]+)*"
TIME = r"(?:year|date|day|month|century|decade|time|hour|o'clock|weekday|season)s?"
PLACE = (
    r"(?:country|countries|city|cities|town|village|place|sea|ocean|state|county|island|desert|room|hall|gallery|floor|"
    r"building|continent|region|street|harbour|port|crater|planet|side)s?"
)
PERSON = (
    r"(?:astronaut|cosmonaut|astronomer|engineer|scientist|mathematician|physicist|chemist|geologist|president|"
    r"pilot|commander|designer|inventor|philosopher|king|queen|emperor|writer|author|man|men|woman|women|person|"
    r"people|student|amateur|brother|sister|director|guide|curator)s?"
)
RULES = (
    ("yes or no", OPENING + r"(?:is|are|was|were|am|do|does|did|can|could|may|might|must)\b"),
    ("yes or no", OPENING + r"(?:will|would|has|have|had|should)\b"),
    ("yes or no", OPENING + r"(?:isn|aren|wasn|weren|don|doesn|didn|can|couldn|won|wouldn|hasn|haven|shouldn)['’]?t\b"),
    ("how many", r"\bhow (?:many|much)\b"),
    ("when", rf"\bwhen\b|\bhow long ago\b|\b(?:what|which) (?:\w+ )?{TIME}\b"),
    ("where", rf"\bwhere\b|\b(?:what|which) (?:[\w-]+ )?{PLACE}\b"),
    ("why", r"\bwhy\b|\bhow come\b|\bwhat for\b"),
    ("who", rf"\bwho(?:m|se|['’]s)?\b|\b(?:what|which) (?:[\w-]+ )?{PERSON}\b"),
    ("how", r"\bhow\b"),
    ("which", r"\bwhich\b"),
    ("what", r"\bwhat(?:['’]?s)?\b"),
    ("yes or no", r"\b(?:allowed|ok|okay|possible|true|permitted|included|free)\b\W*$"),
)
KINDS = (*dict.fromkeys(kind for kind, _ in RULES), "other")


def kind_of(question: str) -> str:
    """One of KINDS: what the question asks for, by its first words or its question word; "other" where it has none.

    "how many" and "how much" ask for a number, every other "how" is "how"; "which year" and "what time" ask when.
    """
    return next((kind for kind, rule in RULES if re.search(rule, question.strip(), re.IGNORECASE)), "other")
