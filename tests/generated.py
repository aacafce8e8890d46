"""Files and questions that a program makes up, of the kinds that people have: any script, encoding, page or damage."""

import random
from collections.abc import Callable

from pdfs import locked, pdf_of

LETTERS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "éüñçøåßœŁđİı",
    "дщыёЖЮ",
    "αβγΩ",
    "故乡月光海底望遠鏡ひらがなカタ한국어",
    "किताबमेज",
    "שלוםעברית",
    "مرحباكتاب",
    "0123456789",
    "🚀👩‍🚀é́̂̃ﬁﬃ²½",
)
ODD = "\x00\x07\x1b\x85\xa0\xad​‌‍‮⁦\u2028\u2029﻿\U000e0041￿\ud83d\udc00�"
WORDS = (
    "Laika Moscow Sputnik the of and flew in who which when museum opens at 9 a.m. Dr. Müller e.g. i.e. Fig. 3.5 "
    "1,000,000 €14 N2O CO₂ V-2 don't rock’n’roll http://example.org/a?b=c&d=%20 x@y.org ... … — « » “no” ISO-8859-1"
).split()
ENDS = (
    ". ",
    "! ",
    "? ",
    ".\n",
    "\n",
    "\n\n",
    ", ",
    "; ",
    "。",
    "！",
    " ",
    "\r\n",
    "\r",
    "\t",
    ":\n- ",
    "\n1. ",
    ".”  ",
)
LONG = (
    "a",
    ".",
    " ",
    "\n",
    "́",
    "<a ",
    "<!--",
    "<div>",
    "&",
    "&#",
    "- ",
    "1. ",
    "#",
    "|",
    "http://a/",
    "故",
    "ab ",
    "\\",
)
ENCODINGS = (
    "utf-8 utf-8 utf-8 utf-8-sig utf-16 utf-16-le utf-32 cp1252 latin-1 cp1251 koi8-r shift_jis euc-kr gb18030 big5 "
    "iso2022_jp cp437 mac-roman utf-7"
).split()
TAGS = (
    "p div span b i sub h1 h2 ul li table tr td th pre code a br hr img script style title head body svg math template "
    "textarea details summary select option iframe noscript dl dt dd blockquote form input button video object"
).split()
ATTRIBUTES = (
    'class="a b"', "hidden", 'style="display:none"', "style='font-size:0'", 'style="color:#fff;background:#fff', "id=x",
    'href="javascript:0"', "aria-hidden=true", 'style="position:absolute;left:-9999px"', "=", '"', "open", "lang=zh",
)  # fmt: skip
ENTITIES = ("&amp;", "&nbsp;", "&#0;", "&#xD800;", "&#x1F680;", "&bogus;", "&lt", "&#99999999;", "&zwj;", "&eacute")


def word(rng: random.Random) -> str:
    """A word: one that people use, letters of any script, or something odd."""
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(WORDS)
    if kind < 0.97:
        return "".join(rng.choices(rng.choice(LETTERS), k=rng.randint(1, 12)))
    return rng.choice(ODD)


def prose(rng: random.Random, words: int) -> str:
    """Words, and ends of sentences and lines; now and then one thing over and over."""
    parts = []
    for _ in range(words):
        parts += [word(rng), rng.choice(ENDS) if rng.random() < 0.2 else " "]
        if rng.random() < 0.002:
            parts.append(rng.choice(LONG) * rng.choice([50, 2_000, 20_000]))
    return "".join(parts)


def encoded(rng: random.Random, text: str) -> bytes:
    """A text in some encoding, now and then with wrong bytes in it."""
    name = rng.choice(ENCODINGS)
    data = text.encode(name, "surrogatepass" if name.startswith(("utf-8", "utf-16", "utf-32")) else "replace")
    return damaged(rng, data, 8) if rng.random() < 0.2 else data


def damaged(rng: random.Random, data: bytes, most: int) -> bytes:
    """Bytes of which some are others; now and then the end is missing."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))] if changed and rng.random() < 0.3 else changed)


def plain(rng: random.Random) -> bytes:
    """A text file."""
    return encoded(rng, prose(rng, rng.choice([0, 1, 5, 60, 400])))


def head(rng: random.Random) -> str:
    """What a Markdown file may have in front of its text: fields, well formed or not."""
    fields = [
        "title: " + word(rng), "id: " + word(rng), "tags: [a, b, 'c", "date: 2019-02-30", "x: &a [*a, *a]", "? : :",
        "title: |\n  two\n  lines", "- 1", "title: {a: b}", "null", "!!python/object:os.system x", "title: !!binary x",
        "a: " + "[" * rng.choice([3, 900]), "b: 1e999", "c: 0x" + "f" * 9_000, "title: 12:30:45", "<<: *b", "\t", "...",
    ]  # fmt: skip
    return "---\n" + "\n".join(rng.choices(fields, k=rng.randint(0, 4))) + rng.choice(["\n---\n", "\n...\n", "\n", ""])


def markdown(rng: random.Random) -> bytes:
    """A Markdown file."""
    rows = "\n".join("| " + " | ".join(word(rng) for _ in range(4)) + " |" for _ in range(rng.choice([0, 3, 200])))
    marks = rng.choice(["# ", "#", "###### ", "> ", "```\n", "[a]: ", "* ", "  1. ", "![", "<b>", "***", "===\n"])
    return encoded(rng, (head(rng) if rng.random() < 0.6 else "") + marks + prose(rng, 40) + "\n\n" + rows)


def page(rng: random.Random) -> bytes:
    """A web page, hardly ever well formed."""
    parts, opened = [rng.choice(["", "<!DOCTYPE html>", "<html><head><title>Io</title>", "<?xml version='1.0'?>"])], []
    for _ in range(rng.choice([1, 20, 200])):
        kind = rng.random()
        if kind < 0.4:
            opened.append(rng.choice(TAGS))
            some = " ".join(rng.choices(ATTRIBUTES, k=rng.choice([0, 0, 1, 3])))
            parts.append(f"<{opened[-1]} {some}{rng.choice(['>', '>', '>', '/>', ' '])}")
        elif kind < 0.6 and opened:
            parts.append(f"</{opened.pop(rng.randrange(len(opened)))}>")
        elif kind < 0.7:
            extra = ("<!--", "-->", "<![CDATA[", "]]>", "<style>p{display:none}</style>", "<", "</", "<>", "<?", "<!")
            parts.append(rng.choice((*ENTITIES, *extra)))
        else:
            parts.append(prose(rng, rng.randint(1, 12)))
    if rng.random() < 0.02:
        parts.append(rng.choice(TAGS[:8]).join("<>") * 3_000)
    return encoded(rng, "".join(parts))


def pdf(rng: random.Random) -> bytes:
    """A PDF, often damaged or locked."""
    lines = [
        prose(rng, rng.randint(1, 12)).encode("latin-1", "ignore").decode("latin-1") for _ in range(rng.randint(0, 9))
    ]
    lines = [line if rng.random() < 0.1 else line.translate({40: None, 41: None, 92: None}) for line in lines]
    titles = ("", "(Io)", "<FEFFD83D>", "12", "[1 2]", "(\\377\\376\\000)", "<</A 1>>", "7 0 R", "/Name", "(a\\012b)")
    meanings = {rng.choice("abcdeLMS"): rng.choice(["D835", "0041", "FB03", "202E", "0000", "FFFF"]) for _ in range(3)}
    data = pdf_of(lines, rng.choice(titles), meanings if rng.random() < 0.4 else None)
    if rng.random() < 0.05:
        return locked(data, "", "owner")
    return damaged(rng, data, rng.choice([1, 5, 60])) if rng.random() < 0.6 else data


def noise(rng: random.Random) -> bytes:
    """No text at all, but for what its name says."""
    start = rng.choice(
        [b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"%PDF-1.7\n", b"\xff\xfe", b"\0\0\xfe\xff", b"\x1f\x8b"]
    )
    return start + rng.choice([b"", rng.randbytes(rng.choice([1, 50, 5_000])), b"\0" * 3_000, b"\xff" * 99])


KINDS: dict[str, tuple[Callable[[random.Random], bytes], int]] = {
    ".txt": (plain, 30),
    ".md": (markdown, 20),
    ".html": (page, 30),
    ".pdf": (pdf, 20),
}


def file(seed: int) -> tuple[str, bytes]:
    """A file's ending and its bytes."""
    rng = random.Random(f"file {seed}")
    (kind,) = rng.choices(list(KINDS), [share for _, share in KINDS.values()])
    make = noise if rng.random() < 0.06 else KINDS[kind][0]
    return kind, make(rng)


def question(seed: int) -> str:
    """A question, as people type them or worse."""
    rng = random.Random(f"question {seed}")
    asked = "".join(word(rng) + rng.choice(" " * 9 + "\n\t,") for _ in range(rng.choice([0, 1, 2, 5, 9, 30])))
    asked = (
        rng.choice(["", "Who ", "what is ", "When did ", "Is ", "how many "]) + asked + rng.choice(["?", "", "??", "."])
    )
    if rng.random() < 0.03:
        asked += rng.choice(LONG) * rng.choice([100, 3_000, 200_000])
    return asked
