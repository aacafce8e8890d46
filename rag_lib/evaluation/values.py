"""The same value in other words: numbers, clock times and prices, for scores that do not punish how they are written.

"twelve" is 12, "7.30 pm" is 19.30, and "12 euros" is "12.00 euros" or "€12". SQuAD's official scores know nothing of
this; they are in `answers`.
"""

from __future__ import annotations

import re

UNITS = {
    word: n
    for n, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen""".split()
    )
}
TENS = {word: 10 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER = "|".join([*UNITS, *TENS, *SCALES])
NUMBER_WORDS = re.compile(
    rf"(?<!\d )\b(?:an? (?=hundred|thousand|million|billion))?(?:{NUMBER})(?:(?:[ -]| and )(?:{NUMBER}))*\b"
)
SCALED = re.compile(r"\b(\d+(?:\.\d+)?) (thousand|million|billion)\b")
GROUPED = re.compile(r"\b\d{1,3}(?:,\d{3})+\b")
PRICE = re.compile(r"€ ?(\d+(?:\.\d+)?)|\b(\d+(?:\.\d+)?) ?(?:euros?|eur|€)(?!\w)")
HALF_DAY = re.compile(r"\b(\d{1,2})(?:[.:]([0-5]\d))? ?(?:([ap])\.?m\b\.?|o['’]?clock\b)")
CLOCK = re.compile(r"\b(\d{1,2}):([0-5]\d)\b")


def number_of(words: str) -> int:
    """The number that number words say: "two hundred and five" is 205."""
    total, part = 0, 0
    for word in re.findall(rf"\b(?:{NUMBER})\b", words):
        if word in SCALES:
            part = max(part, 1) * SCALES[word]
            if SCALES[word] > 100:
                total, part = total + part, 0
        else:
            part += UNITS.get(word, TENS.get(word, 0))
    return total + part


def clock_of(match: re.Match) -> str:
    """A time with am, pm or o'clock on a clock of 24 hours, as the museum writes it: 19.30."""
    hour = int(match[1])
    if match[3]:
        hour = hour % 12 + (12 if match[3] == "p" else 0)
    return f"{hour}.{match[2] or '00'}"


def canonical(text: str) -> str:
    """A text in lower case with its numbers in digits, its clock times as 19.30 and its prices as "12 euros".

    >>> canonical("Half of the twenty-one ticket desks close at 7.30 pm; a ticket costs €12.00")
    'half of the 21 ticket desks close at 19.30; a ticket costs 12 euros'
    """
    text = NUMBER_WORDS.sub(lambda m: str(number_of(m[0])), " ".join(text.lower().split()))
    text = GROUPED.sub(lambda m: m[0].replace(",", ""), text)
    text = SCALED.sub(lambda m: str(round(float(m[1]) * SCALES[m[2]])), text)
    text = PRICE.sub(lambda m: f"{float(m[1] or m[2]):g} euros", text)
    return CLOCK.sub(lambda m: f"{int(m[1])}.{m[2]}", HALF_DAY.sub(clock_of, text))
