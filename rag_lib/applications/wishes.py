"""A wish in a visitor's words becomes filters and what it is about (taught in notebooks/13_recommendation.ipynb).

Ages and prices are read by patterns and not by a language model: a filter must never be guessed, and what was
understood can be shown. Each pattern takes its words out of the text, so that no number is read twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rag_lib.applications.shop import Product, check_age
from rag_lib.indexing.analysis import Analyzer

MAX_WORDS = 150  # an encoder reads no more than about so many
OPEN_AGE = 99  # the upper age of products that are for everybody
CENT = 0.01
TERMS = Analyzer()
LINKING = frozenset({"about", "from", "made"})  # in "books about Mars" only the others must be in a product's text


@dataclass(frozen=True)
class Wish:
    """What was understood of a wish.

    Attributes:
        about: the words that say what it is about; empty where only filters were named.
        ages: the youngest and the oldest, in years, for whom it must be suitable; None where no age was named.
        price_min, price_max: in euros, both included.
        in_stock: it must be in stock.
        without: what it must not be: none of these may be its category or stand in its title or its topics, where
            "books about the Moon" are the products of which both words are said.
    """

    about: str = ""
    ages: tuple[int, int] | None = None
    price_min: float = 0.0
    price_max: float = float("inf")
    in_stock: bool = False
    without: tuple[str, ...] = ()

    def allows(self, product: Product) -> bool:
        """Whether a product passes the filters; it must suit everybody from the youngest to the oldest."""
        youngest, oldest = self.ages or (product.age_min, product.age_max)
        return (
            product.age_min <= youngest
            and min(oldest, OPEN_AGE) <= product.age_max
            and self.price_min <= product.price <= self.price_max
            and (product.in_stock or not self.in_stock)
            and not self.excludes(product)
        )

    def excludes(self, product: Product) -> bool:
        """Whether a product is one of the things that were not wanted."""
        terms = set(TERMS(f"{product.title} {product.category} {' '.join(product.topics)}")) if self.without else set()
        return any(unwanted and unwanted <= terms for unwanted in (set(TERMS(t)) - LINKING for t in self.without))

    def __str__(self) -> str:
        parts = [f"about “{self.about}”"] if self.about else []
        if self.ages:
            youngest, oldest = self.ages
            parts.append(f"for age {youngest}" if youngest == oldest else f"for ages {youngest} to {oldest}")
        if self.price_min > 0:
            parts.append(f"at least €{self.price_min:.2f}")
        if self.price_max < float("inf"):
            parts.append(f"at most €{self.price_max:.2f}")
        parts += [f"without “{thing}”" for thing in self.without]
        return ", ".join(parts + ["in stock"] * self.in_stock) or "anything"


# Numbers in digits or words, from 0 to 999, as a regular expression and as a value.
ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
VALUES = {word: n for n, word in enumerate(ONES)} | {word: 10 * n for n, word in enumerate(TENS, start=2)}
DIGIT = rf"(?:{'|'.join(ONES[1:10])})"
SMALL = rf"(?:(?:{'|'.join(TENS)})(?:[-\s]{DIGIT})?|{'|'.join(reversed(ONES))})\b"  # "sixteen" before "six"
HUNDREDS = rf"(?:a|{DIGIT})\shundred(?:\sand\s{SMALL})?\b"
NUMBER = rf"(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+(?:[.,]\d{{1,2}})?(?!\d)|\b{HUNDREDS}|\b{SMALL})"
MINUS = r"(?:(?<!\w)-|\bminus\s)?"


def number(text: str) -> float:
    """The value of a text that NUMBER matches, with or without a minus."""
    text = text.lower()
    size = re.sub(r"^(?:-|minus\s)", "", text)
    sign = 1 if size == text else -1
    if size[0].isdigit():
        return sign * float(re.sub(r",(?=\d{3}(?!\d))", "", size).replace(",", "."))
    total = 0
    for word in re.split(r"[-\s]", size):
        total = max(total, 1) * 100 if word == "hundred" else total + VALUES.get(word, 0)
    return sign * float(total)


def age(text: str) -> int:
    """An age in whole years, of a text that NUMBER matches."""
    return check_age(int(number(text)))


def money(text: str) -> float:
    """A price in euros, of a text that AMOUNT matches.

    Raises:
        ValueError: it is below zero.
    """
    price = number(re.sub(EURO, "", text, flags=re.I).strip())
    if price < 0:
        raise ValueError(f"a price cannot be below zero, as in “{text.strip()}”")
    return price


# A match catches its numbers and nothing else.
EURO = r"(?:€|\beur(?:os?)?\b)"
PRICE = rf"{MINUS}(?:{EURO}\s?-?{NUMBER}|{NUMBER}\s?{EURO})"  # with its currency
NO_YEAR = r"(?!\d{4})"
END = r"(?=\s*(?:$|[,.;!?)|]|\b(?:and|but|for|in|please|that|which|who|with)\b))"  # or it may count pieces
AMOUNT = rf"({PRICE}|{MINUS}{NO_YEAR}{NUMBER}{END})"
RANGE_AMOUNT = rf"({PRICE}|{NO_YEAR}{NUMBER})"
AGE = rf"({MINUS}{NUMBER})"
OLD = r"[\s-]*(?:years?|yrs?)[\s-]*olds?\b"
TO = r"(?:\s?-\s?(?=\d)|\s(?:to|and|or)\s)"
WHO = r"\b(?:children|kids?|boys|girls|people|visitors|(?:some|any|every)(?:one|body))\s(?:who\sare\s)?"
YOUNGER, OLDER = r"(?:under|below|younger\sthan)\s(?:the\sage\sof\s)?", r"(?:over|above|older\sthan)\s"

Ages, Prices = tuple[int, int], tuple[float, float]
# What each pattern makes of the numbers that it catches.
AGE_PATTERNS: dict[str, Callable[..., Ages]] = {
    rf"(?:\b(?:between|from|aged?|ages)\s)*{AGE}{TO}{AGE}{OLD}": lambda x, y: (age(x), age(y)),
    rf"\b(?:ages|aged?)\s(?:between\s|from\s)?{AGE}{TO}{AGE}": lambda x, y: (age(x), age(y)),
    rf"{AGE}[\s-]*months?(?:[\s-]*olds?)?\b": lambda x: (age(x) // 12,) * 2,
    rf"(?:{WHO}{YOUNGER}{AGE}(?!\s?{EURO})|\b{YOUNGER}{AGE}{OLD})": lambda x: (min(6, age(x) - 1), age(x) - 1),
    rf"{WHO}{OLDER}{AGE}(?!\s?{EURO})": lambda x: (age(x), OPEN_AGE),
    rf"{AGE}(?:{OLD}|\s?y/?o\b)": lambda x: (age(x),) * 2,
    rf"\b(?:of\s)?aged?\s(?:of\s)?{AGE}": lambda x: (age(x),) * 2,
    rf"(?:\b(?:is|turns|turning)|\b(?:he|she|who)['’]s)\s(?:only\s|just\s|nearly\s|almost\s)?{AGE}{END}": (
        lambda x: (age(x),) * 2
    ),
}
GROUPS: dict[str, Ages] = {
    "bab(?:y|ies)|newborns?": (0, 1),
    "toddlers?": (1, 3),
    "pre-?schoolers?": (3, 5),
    "child(?:ren)?|kids?|boys?|girls?": (6, 10),
    "teen(?:ager)?s?": (13, 17),
    "adults?|grown-?ups?|mother|father|mum|dad|wife|husband|colleague|boss|teacher": (18, OPEN_AGE),
    "grand(?:mother|father|parent)s?|grandma|grandpa|granny|pensioners?|seniors?": (65, OPEN_AGE),
}
BEFORE_GROUP = r"\b(?:for|my|our)\s(?:(?:an?|the|my|our|his|her|some|two|three|little|small|young|older)\s)*"

INF = float("inf")
AT_MOST = r"at\s(?:the\s)?most|up\sto|(?:no|not|nothing)\s(?:more\sthan|over|above)|max(?:imum|\.)?(?:\sof)?|within"
AT_LEAST = r"at\sleast|(?:no|not)\sless\sthan|min(?:imum|\.)?(?:\sof)?|from"
PRICE_PATTERNS: dict[str, Callable[..., Prices]] = {
    rf"\bbetween\s{RANGE_AMOUNT}\sand\s{RANGE_AMOUNT}{END}": lambda x, y: tuple(sorted((money(x), money(y)))),
    rf"\b(?:from\s)?{RANGE_AMOUNT}(?:\s?-\s?(?=[\d€])|\sto\s)({PRICE})": lambda x, y: tuple(
        sorted((money(x), money(y)))
    ),
    rf"\b(?:{AT_MOST})\s{AMOUNT}": lambda x: (0.0, money(x)),
    rf"({PRICE})\s(?:or\s(?:less|under|below)|at\s(?:the\s)?most|max(?:imum)?\b|tops\b)": lambda x: (0.0, money(x)),
    rf"\b(?:{AT_LEAST})\s{AMOUNT}": lambda x: (money(x), INF),
    rf"({PRICE})\sor\smore\b": lambda x: (money(x), INF),
    rf"\b(?:for\s)?(?:under|below|less\sthan|cheaper\sthan)\s{AMOUNT}": lambda x: (0.0, round(money(x) - CENT, 2)),
    rf"\b(?:over|above|more\sthan)\s{AMOUNT}": lambda x: (round(money(x) + CENT, 2), INF),
    rf"\b(?:around|about|roughly|approximately|circa)\s({PRICE})": lambda x: (0.8 * money(x), 1.2 * money(x)),
    rf"\bbudget\s?(?:is|of|:)?\s{AMOUNT}": lambda x: (0.0, money(x)),
    rf"(?:\bfor\s)?({PRICE})": lambda x: (0.0, money(x)),
}
IN_STOCK = r"\b(?:(?:that|which)\s(?:is|are)\s|must\sbe\s|only\s)*(?:in\sstock|available(?:\snow)?)\b(?:\sonly\b)?"
ARTICLE = r"(?:(?:a|an|the|any|another|more)\s)*"
WORD = r"(?:\d{1,3}(?:,\d{3})+|[\w'’-]+)"
THING = rf"(?:{WORD}\s)??{WORD}"
# One more thing that is not wanted, at the end of it: "no books and puzzles", but not "no books and something small".
AND = rf"(?:\sand\s(?!(?:some|any)(?:thing)?\b|(?:an?|no|not)\b){WORD}(?=\s*(?:$|[;!?)|]|[,.](?!\d)|\bplease\b)))?"
THINGS = rf"{THING}(?:\s(?:or|nor)\s{ARTICLE}{THING})?{AND}"
OF = r"\s(?:on|of|with|from|made\s(?:of|from))\s"
ABOUT = rf"(?:\sabout\s|{OF})"
TOPICS = rf"(?!(?:it|them)\b)(?:{WORD}\s){{0,3}}?{WORD}(?:\s(?:or|nor)\s(?:{WORD}\s){{0,2}}?{WORD})?{AND}"
IT = r"(?:\s(?:about|on|of|in|with|from)\s(?:it|them)\b)?"
ENDED = r"(?=\s*(?:$|[;!?)|]|[,.](?!\d)|\b(?:and|but|please|for|in|that|which|who|with|he|she|they|i|we{})\b))"
# What is not wanted: "no books", "anything but the Moon". Not "not too large", of which no product speaks.
UNWANTED = (
    r"\b(?:but\s)?(?:(?:do|does)(?:n['’]t|\snot)\s(?:like|want|need)|hates?|dislikes?|"
    r"(?:avoid(?:ing)?|leave\sout|skip)(?:\s(?:any|every)thing)?|"
    r"(?:not|isn['’]t)(?:\s(?:interested\sin|fond\sof|into))?|no|nothing|without|"
    r"(?:any|every|some)thing\s(?:but|except|other\sthan)|except(?:\sfor)?|other\sthan|"
    r"(?:has|have|got)\s(?:enough|plenty\sof|too\smany))\s(?:about\s|with\s|of\s|on\s|from\s)?"
    r"(?!(?:too|very|so|sure|matter|ideas?|preference|limit|older|younger|less|over|under|above|below|just|only|"
    r"necessarily|for|to|if|needs?|like|likes|want|know|think|care|mind|have|problem|hurry|yet|all|that|many|much|"
    rf"really|quite|more(?!\s(?!than\b|expensive\b)\w)|\d)\b){ARTICLE}({THINGS}(?:{ABOUT}{TOPICS})?){IT}"
    + ENDED.format("")
)
# "Something without small parts about Mars" is about Mars, but "without books about Mars" is not.
LACKING = rf"(?<=\w\s)without\s{ARTICLE}({THINGS}(?:{OF}{TOPICS})?){IT}" + ENDED.format("|about")
FOREIGN = rf"[$£]\s?\d|{NUMBER}\s?(?:\$|£|dollars?\b|pounds?\b|bucks\b|usd\b|gbp\b)"
# Words that say nothing of what is wanted where they stand at the edge of what is left.
FILLERS = frozenset(
    """a about also am an and any anything as at be birthday boy brother budget but buy can children christmas could
    cousin crazy daughter do does enjoys find fond for friend from get gift gifts girl give granddaughter
    grandson has have he her him his i i'd i'm idea ideas in interested into is it kids like liked likes looking
    love loved loves mad me my need nephew niece of old on only or our please present presents recommend she
    should show sister some somebody someone something son suggest that the their them there they thing things
    to us very want wants we what which who with would you your""".split()
)


def taken(text: str, patterns: dict[str, Callable[..., Any]]) -> tuple[str, list[Any]]:
    """The text without what the patterns match, and what they make of the numbers that they catch."""
    read: list[Any] = []
    for pattern, value in patterns.items():
        matches = re.finditer(pattern, text, re.I)
        read += [value(*(caught for caught in m.groups() if caught is not None)) for m in matches]
        text = re.sub(pattern, " | ", text, flags=re.I)
    return text, read


def ages_in(text: str) -> tuple[str, Ages | None]:
    """The text without its ages, and the ages; groups of people count where no age is named in years."""
    groups = {rf"{BEFORE_GROUP}(?:{name})\b(?!['’])": lambda ages=ages: ages for name, ages in GROUPS.items()}
    text, named = taken(text, AGE_PATTERNS)
    text, grouped = taken(text, groups)
    ages = [a for pair in named or grouped for a in pair]
    return text, (check_age(min(ages)), max(ages)) if ages else None


def prices_in(text: str) -> tuple[str, Prices]:
    """The text without its prices, and the lowest and the highest that all of them allow.

    Raises:
        ValueError: they contradict each other.
    """
    text, prices = taken(text, PRICE_PATTERNS)
    low, high = max((p[0] for p in prices), default=0.0), min((p[1] for p in prices), default=INF)
    if low > high:
        raise ValueError(f"no price is at least €{low:.2f} and at most €{high:.2f}")
    return text, (low, high)


def each_thing(phrase: str) -> list[str]:
    """Each of the things in a phrase: "books on Mars or Venus" are "books on Mars" and "books on Venus"."""
    link = re.search(ABOUT, phrase, re.I)
    things, topics = (phrase[: link.start()], phrase[link.end() :]) if link else (phrase, "")
    things = re.split(rf"\s(?:or|nor|and)\s{ARTICLE}", things, flags=re.I)
    topics = re.split(r"\s(?:or|nor|and)\s", topics, flags=re.I)
    return [f"{thing}{link.group()}{topic}" if link else thing for thing in things for topic in topics]


def without_fillers(text: str) -> str:
    """What a wish is about: the pieces between the filters, without the small words at their edges."""
    pieces = []
    for piece in re.split(r"(?:[|;!?()]|[,.](?!\d))+", text):
        words = piece.split()
        telling = [i for i, word in enumerate(words) if word.lower().replace("’", "'") not in FILLERS]
        if telling:
            pieces.append(" ".join(words[telling[0] : telling[-1] + 1]))
    return ", ".join(pieces)


def parse_wish(text: str) -> Wish:
    """A wish from a visitor's words, such as "Something for a six-year-old who likes comets, under 20 euros".

    Where several ages are named, the product must suit all of them; "under 20" means at most 19.99.

    Raises:
        ValueError: the wish is empty or too long, an age or a price is impossible, prices contradict each other, or are
            in another currency.
    """
    text = " ".join(re.sub(r"[‐‑–—−]", "-", text).split())
    if not text:
        raise ValueError("the wish is empty: say what you are looking for")
    if (count := len(text.split())) > MAX_WORDS:
        raise ValueError(f"a wish of {count:,} words is too long: say it in at most {MAX_WORDS}")
    if re.search(FOREIGN, text, re.I):
        raise ValueError("prices are in euros: say the price in euros, please")
    text, in_stock = taken(text, {IN_STOCK: lambda: True})
    text = re.sub(r"\bbudget is\b", "budget of", text, flags=re.I)  # or it would be an age, as in "she is 20"
    text, ages = ages_in(text)
    text, (low, high) = prices_in(text)
    text, unwanted = taken(text, {LACKING: each_thing, UNWANTED: each_thing})
    without = tuple(thing for things in unwanted for thing in things)
    return Wish(without_fillers(text), ages, low, high, bool(in_stock), without)
