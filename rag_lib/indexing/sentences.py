"""Where sentences end (taught, without most of this file's exceptions, in notebooks/01_documents_and_passages.ipynb).

A sentence ends at its punctuation, before white space and a capital or a digit, unless the full stop belongs to an
abbreviation. Scripts without capitals, and those without spaces, have their own punctuation. Ends of items in a list
and empty lines end a sentence too.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from rag_lib.text import check_text

Span = tuple[int, int]  # start and end, in characters

# A name or a number follows these, so that their full stop never ends a sentence …
TITLES = frozenset("mr mrs ms mx messrs dr drs prof profs e.g i.e viz vs cf approx ca z.b d.h".split())
# … these are followed by one too, or end a sentence, as the next word tells: "No. 5", "He said no. She went." …
OPEN = frozenset(
    """gen col lt capt cpt cmdr sgt maj adm rev sen gov msgr st mt mts ft no nos fig figs eq eqs eqn sec sect ch chap p
    pp vol vols op eds jan feb mar apr jun jul aug sep sept oct okt nov dec dez c etc al inc ltd co corp bros jr sr
    ph.d m.sc b.sc d.sc esq dept deg""".split()
)
# … and these only with a capital, because many are words too: "Rep. King", "He did one more rep. Maria laughed."
NAMED = frozenset(
    """hon rt ven rep reps pres sens gens revs govs cols capts lts sgts mme mmes mlle mlles mgr sra sras sres srta dra
    dña profa lic arq fr br bp abp hr hrn frl ing kfm dipl doz sig dott pvt pte pfc spc cpl lcpl ssgt msgt gysgt brig
    bgen ltcol cmdt cdr comdr cdre radm vadm ens cwo ofc supt insp det dep asst assoc amb atty secy chmn dir cllr ald
    flt sqn wg gp ldr snr jnr ste sta sto sts pt pts pto pta mtn mtns gt lk""".split()
)
# These belong to the number, the roman number or the letter that follows: "Art. 5", "Pt. II", "Ave. B" …
NUMBERED = frozenset(
    """fig figs eq eqs eqn sec sect ch chap vol vols art arts para paras par tab tabs tbl ref refs bldg bldgs rm rms apt
    ste fl flr ave av blvd bd rd ln hwy rte rt ex exs app apps appx subsec subpara cl pt pts bk bks ed ver thm prop lem
    sched ext tel fn fol ser ep eps mk cat blk div dist twp jct stn lvl sqn regt bn flt est abb abs anm kap nr núm pág
    págs cap janv févr avr juil déc ene abr dic""".split()
)
# … but those that are words too only after one that points to them ("in art. 5", but not "She knew art. 5 men came."),
ORDINARY = frozenset(
    "art arts par tab tabs ref refs ex exs app apps pt pts ave av ed prop ext cat abs cap fl bn".split()
)
# as do those that may end a name: "on Ave. B" and "on Ave. Foch", but not "on Fifth Ave. Maria left."
STREETS = frozenset("ave av blvd bd rd ln".split())
POINTERS = frozenset(
    """see cf also as in under of to and or per by from with than at on for via near along between both compare
    siehe vgl""".split()
)
OPENERS = ("On", "By", "Last", "Next", "Every")  # "On Tue." can be no sentence
DAYS = frozenset("mon tue tues wed weds thu thur thurs fri sat sun".split())
DEGREES = frozenset("med dent vet phil rer nat jur iur pol oec theol habil ing agr".split())  # after "Dr."
# After an abbreviation or an initial these begin a new sentence: they are no names.
STARTERS = frozenset(
    """the a an this that these those he she it we they you i his her its their our my there here in on at after before
    when while if but and so then however as for from by with during since until although though because what who why
    how where which both each all many most some several no not once later today now another such nobody everybody
    everyone somebody someone nothing everything something perhaps maybe yes please""".split()
)
CLOSING = r"""["'”’»›)\]}」』）】〉》]"""
OPENING = r"""["'“”‘«»„‹(\[{¿¡]"""
BOUNDARY = regex.compile(
    rf"(?<![.!?…])[.!?…]++{CLOSING}*+\s++(?={OPENING}*+[\p{{Lu}}\p{{Lt}}\p{{Lo}}\p{{N}}])"
    rf"|[。！？｡।॥։؟۔]++{CLOSING}*+\s*+"
    r"|\n(?:[^\S\n]*+\n)++\s*+"
    r"|\n(?=[ \t]*+(?:[-*+•]|\(?(?:\d{1,3}|[a-z])[.)])[ \t])"
)
NEXT_WORD = regex.compile(rf"{OPENING}*+(\p{{L}}++)(?!\.)")
QUOTES = "(\"'“‘[„«"
HYPHEN = regex.compile("[-–/]")
INITIALS = regex.compile(r"(?:\p{L}\.)*\p{L}")
ITEM = regex.compile(r"[ \t]*(?:\d{1,3}|\p{L})")  # "1." or "a." at the beginning of a line
# What a reference or a place is numbered with: no count of things, no article "A", and no "I" of a person.
NUMERAL = regex.compile(
    r"\(?(?:(?:N(?:os?|r)\.\s)?\d(?![\d.,]*+\s+(?:years?|months?|weeks?|days?|hours?|minutes?|seconds?|people|men|women|children)\b)"
    r"|(?:[B-HJ-Z]\d*|[AI]\d+|[IVXLC]{2,})\b|[AI](?=[.,;:)]|\s(?:of\b|(?:and|or|to)\s(?:\d|[A-Z]+\b))))"
)
MONTH = r"(?i:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\p{Ll}*+"
# What follows the abbreviation of a weekday: a month and its day, a day, a time, another weekday; no count of things.
DATE = regex.compile(
    rf"{MONTH}\.?\s(?:the\s)?\d|\d++(?:st|nd|rd|th)\b|\d++(?!\w|\s\p{{Ll}})|\d++\s?(?:[ap]\.?m|to|and|or|at)\b"
    r"|(?i:Mon|Tues?|Weds?|Thu|Thurs?|Fri|Sat|Sun)\."
)
# A company's name may have a mark in it: "Yahoo! Inc.", but not "Who bought it? Acme Inc. did."
FIRM = regex.compile(
    r"\p{Lu}\w*[!?]\s+(?:(?:Brands|Group|Holdings|International|Japan|Productions),?\s)?"
    r"(?:(?:Inc|Incorporated|Ltd|Corp|LLC|LLP|PLC|GmbH)\b|(?:Co|Bros|S\.A|N\.V|S\.p\.A)\.)"
    r"|Yum!\s+Brands\b|Yahoo!\s+(?:Japan|News|Mail|Finance|Sports)\b"
)


def ends_sentence(text: str, match: regex.Match) -> bool:
    """Whether a boundary found by its punctuation is one: not after the mark of an item, a title or an initial."""
    stop = match.start()
    near = max(0, stop - 40)
    before = text[near:stop]
    words = before.split()
    if text[stop] in "!?" and words:
        return not FIRM.match(text, stop - len(words[-1].lstrip(QUOTES)))
    if text[stop] != "." or text[stop + 1] == ".":
        return True
    line = before[before.rfind("\n") + 1 :]
    if (len(line) < len(before) or not near) and ITEM.fullmatch(line):
        return False
    return not line.strip() or not is_abbreviation(words, text, match.end())


def is_abbreviation(words: Sequence[str], text: str, end: int) -> bool:
    """Whether the last of `words` is abbreviated and the sentence goes on, by the word before it and the text after."""
    word, previous = words[-1].lstrip(QUOTES), words[-2].lstrip(QUOTES) if len(words) > 1 else ""
    part = HYPHEN.split(word)[-1]
    if len(part) > 1 and part[0].isupper():  # "Lt.-Col.", "mid-Oct.", "Jan./Feb."
        word = part
    key, capital = word.lower(), word[:1].isupper()
    pointed = previous.lower() in POINTERS or previous[-1:] in (",", ";") or words[-1][0] == "("
    following = NEXT_WORD.match(text, end)
    goes_on = not following or following.group(1).lower() not in STARTERS
    if key in DAYS:
        is_date = previous.lower() != "the" and DATE.match(text, end)  # "the Sun"
        return capital and bool(is_date or (previous in OPENERS and goes_on))
    if key in NUMBERED and NUMERAL.match(text, end):
        may_end_sentence = previous[:1].isupper() if key in STREETS else key in ORDINARY and not capital
        return pointed or not may_end_sentence
    if key in STREETS:
        return capital and pointed and goes_on
    if key in DEGREES and previous.lower().rstrip(".") in DEGREES | {"dr"}:
        return True
    known = key in OPEN or (capital and key in NAMED) or INITIALS.fullmatch(key)
    return key in TITLES or bool(known and goes_on)


def sentence_spans(text: str) -> list[Span]:
    """Spans of the sentences of `text`, without surrounding white space, in order.

    Raises:
        TypeError: it is no text.
    """
    check_text(text, "what has sentences")
    return stretches(text, [m.end() for m in BOUNDARY.finditer(text) if ends_sentence(text, m)])


def stretches(text: str, ends: Sequence[int]) -> list[Span]:
    """The spans from each end to the next, without the white space around them; empty ones are left out."""
    return [s for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if (s := trim(text, a, b))[0] < s[1]]


def trim(text: str, start: int, end: int) -> Span:
    """The span without the white space at its ends; empty at `end` where there is nothing else."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())
