"""What needs no collection: greetings, thanks, and what the guide can do (taught in notebooks/11_dialogue.ipynb)."""

from __future__ import annotations

import re

# Where a turn has several kinds, the reply is to the first of these.
KINDS: dict[str, tuple[str, str]] = {
    "how_are_you": (
        r"how are you(?: today| doing)?|how do you do",
        "Very well, thank you. What would you like to know?",
    ),
    "abilities": (
        r"what can (?:you|i) (?:do|ask|tell)(?: you| me)?(?: here)?|what do you (?:do|know)|who are you|what are you|"
        r"how (?:do you|does this|does it) work|(?:can you )?help(?: me)?|"
        r"are you (?:real|human|an? (?:robot|bot|human|person|machine|computer|ai))",
        "I am a guide made of software: I look for an answer in the collection and show the sentence that says so. Ask "
        "me about anything in it. You can also say “tell me more”, or “no, I meant …”.",
    ),
    "bye": (
        r"bye(?:[ -]bye)?|good ?bye|see you(?: later| soon)?|farewell|have a (?:nice|good|great) day",
        "Goodbye, and enjoy the rest of your visit!",
    ),
    "thanks": (
        r"many thanks|(?:thanks|thank you)(?: a lot| so much| very much| again)?(?: for (?:everything|that|all))?|"
        r"no,? thank(?:s| you)|cheers|much obliged|(?:that['’]s|that is|that was) (?:all|it)(?: for (?:now|today))?",
        "You're welcome.",
    ),
    "yes": (r"yes|yes please|yeah|sure|go ahead", "Please ask, then: anything about the collection."),
    "hello": (
        r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings)(?: there| everyone)?",
        "Hello! What would you like to know?",
    ),
    "praise": (
        r"(?:how |(?:(?:that|it)(?:['’]s| is| was) )?(?:so |very |really |quite )?)(?:great|lovely|brilliant|wonderful|"
        r"fantastic|interesting|amazing|nice|cool|perfect|excellent|good|helpful|funny|sad)|wow|fair enough|i see|"
        r"all right|ok|okay|alright|oh well|right|got it|poor (?:man|woman|thing)",
        "Is there anything else that you would like to know?",
    ),
}
UNIT = "|".join(f"(?P<{kind}>{pattern})" for kind, (pattern, _) in KINDS.items())
BESIDE = re.compile(rf"(?:{UNIT})(?:[\s,.!?;:)–-]+|$)", re.IGNORECASE)  # "ok thanks"
BEFORE = re.compile(rf"(?:{UNIT})\s*[,.!?;:–-]+\s*", re.IGNORECASE)  # not "Great Red Spot, please"


def taken(turn: str, unit: re.Pattern) -> tuple[list[str], str]:
    """The kinds of small talk that open a turn, and what is left of it."""
    kinds = []
    while match := unit.match(turn):
        kinds.append(match.lastgroup or "")
        turn = turn[match.end() :]
    return kinds, turn


def small_talk(turn: str) -> str:
    """What to say to a turn that is nothing but small talk; empty for any other."""
    kinds, left = taken(turn, BESIDE)
    return "" if left else next(reply for kind, (_, reply) in KINDS.items() if kind in kinds)


def without_small_talk(turn: str) -> str:
    """A turn without the small talk that opens it ("Thanks! And which probe …")."""
    return taken(turn, BEFORE)[1] or turn
