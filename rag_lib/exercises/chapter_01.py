"""The exercises of chapter 01: from a file to passages that can be quoted."""

from __future__ import annotations

import re

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.indexing.splitting import Splitting, pack, passage_spans

HEADED = "---\nid: mir\ntitle: Mir\n---\n\nA cloth bag.\n"
COLON = "---\ntitle: Mir: a station\n---\nA text.\n"
DASHES = "---\ntitle: Mir --- a station\n---\nA text.\n"
RULED = "---\nid: a\n---\nBefore.\n---\nAfter.\n"
LINES = "one two  three\n\nfour five six\nseven"
STATION = "It flew. A bag stopped it for a day. The crew went out. They cut it off. Then it locked on. All slept."
LONG = "So it was. The crew of the station cut the bag off with a long knife that day. It held."


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of the cases' texts, which all end with a full stop."""
    return [m.span() for m in re.finditer(r"[^ .][^.]*\.", text)]


def front_matter_cases() -> list[Case]:
    """With a head, without, with a colon in a value, with a rule in the text."""
    return [
        Case((HEADED,), ({"id": "mir", "title": "Mir"}, "A cloth bag."), "a file with a head"),
        Case((COLON,), ({"title": "Mir: a station"}, "A text."), "a value with a colon in it"),
        Case((RULED,), ({"id": "a"}, "Before.\n---\nAfter."), "a text that has a rule of its own"),
        Case((DASHES,), ({"title": "Mir --- a station"}, "A text."), "a value with dashes in it"),
        Case(("No head at all.\n",), ({}, "No head at all."), "a file without a head"),
    ]


def fields(head: str, most: int = 1) -> dict[str, str]:
    """The `key: value` lines of a head; `most` is how often a line is split."""
    return dict(line.split(": ", most) for line in head.splitlines())


def dashed(raw: str) -> tuple[dict[str, str], str]:
    """A file cut at the first dashes, wherever they stand."""
    head, _, text = raw.removeprefix("---").partition("---")
    return (fields(head.strip()), text.strip()) if raw.startswith("---") else ({}, raw.strip())


def headed(raw: str, most: int = 1, strip: bool = True, text: int | None = None) -> tuple[dict[str, str], str]:
    """A file's head and text, with the mistakes that the settings make."""
    if not raw.startswith("---\n"):
        return {}, raw.strip() if strip else raw
    parts = raw.split("---\n", 2) if text is None else raw.split("---\n")
    return fields(parts[1], most), parts[2].strip() if strip else parts[2]


def join_hyphens_cases() -> list[Case]:
    """Words cut by a line's end, and hyphens that are not such."""
    return [
        Case(("The space-\ncraft flew.",), "The spacecraft flew.", "a word that a line's end cuts in two"),
        Case(("A well-known crew.",), "A well-known crew.", "a hyphen inside a line"),
        Case(("Apollo-\nSoyuz flew.",), "Apollo-\nSoyuz flew.", "a name that goes on with a capital"),
        Case(("Bring:\n- food\n- water",), "Bring:\n- food\n- water", "a list with dashes"),
        Case(("obser-\nvatory, tele-\nscope",), "observatory, telescope", "two such words"),
    ]


def fixed_spans_cases() -> list[Case]:
    """With and without overlap; what the finished version does is right."""
    settings = [(LINES, 3, 0), (LINES, 3, 1), (LINES, 4, 2), (LINES, 3, 2), ("two words", 5, 2), ("", 3, 1)]
    about = [
        "size 3 without overlap", "size 3 and overlap 1", "size 4 and overlap 2", "size 3 and overlap 2",
        "a text shorter than a passage", "an empty text",
    ]  # fmt: skip
    right = (passage_spans(text, Splitting(size, overlap, "fixed")) for text, size, overlap in settings)
    return [Case(arguments, expected, what) for arguments, expected, what in zip(settings, right, about, strict=True)]


def windows(text: str, size: int, overlap: int, stop: int) -> list[list[tuple[int, int]]]:
    """Groups of word spans that begin before `stop`."""
    found = [m.span() for m in re.finditer(r"\S+", text)]
    return [found[i : i + size] for i in range(0, min(len(found), max(len(found) - stop, 1)), size - overlap)]


def share_cut_cases() -> list[Case]:
    """Targets inside, across, at the edges."""
    passages = [(0, 10), (10, 20), (25, 40)]
    return [
        Case((passages, [(2, 5), (8, 12)]), 0.5, "one target inside a passage and one across two"),
        Case((passages, [(0, 10), (25, 40)]), 0.0, "targets that fill a passage"),
        Case(
            (passages, [(21, 24), (1, 2), (3, 4), (38, 41)]), 0.5, "a target between passages, and one that sticks out"
        ),
        Case(([], [(0, 1)]), 1.0, "no passage at all"),
    ]


def mean_of(values: list[bool]) -> float:
    """The share that is true."""
    return sum(values) / len(values)


def pack_sentences_cases() -> list[Case]:
    """Sentences that fit, with overlap, with one that is too long; what the finished version does is right."""
    settings = [
        (STATION, 10, 0),
        (STATION, 10, 1),
        (STATION, 9, 2),
        (STATION, 12, 2),
        (STATION, 13, 2),
        (LONG, 6, 1),
        (STATION, 99, 1),
    ]
    about = [
        "size 10 without overlap", "size 10 and overlap 1", "size 9 and overlap 2", "size 12 and overlap 2",
        "size 13 and overlap 2",        "a sentence longer than the size", "a text that fits into one passage",
    ]  # fmt: skip
    cases = []
    for (text, size, overlap), what in zip(settings, about, strict=True):
        pieces = sentences(text)
        cases.append(Case((text, pieces, size, overlap), pack(text, pieces, Splitting(size, overlap)), what))
    return cases


def all_or_nothing(text: str, pieces: list, size: int, overlap: int) -> list:
    """Passages that repeat nothing where the whole overlap does not fit beside the next sentence."""
    counts, spans, first = [len(text[a:b].split()) for a, b in pieces], [], 0
    while True:
        last = first + 1
        while last < len(pieces) and sum(counts[first : last + 1]) <= size:
            last += 1
        spans.append((pieces[first][0], pieces[last - 1][1]))
        if last == len(pieces):
            return spans
        first = max(first + 1, last - overlap)
        if sum(counts[first : last + 1]) > size:
            first = last


def packed(
    text: str, pieces: list, size: int, overlap: int, stop: bool = True, length=lambda s: len(s.split())
) -> list:
    """Passages as the finished version makes them, but for the mistakes that the settings make."""
    spans, first = [], 0
    while first < len(pieces):
        last = first + 1
        while last < len(pieces) and sum(length(text[a:b]) for a, b in pieces[first : last + 1]) <= size:
            last += 1
        spans.append((pieces[first][0], pieces[last - 1][1]))
        if stop and last == len(pieces):
            break
        first = max(first + 1, last - overlap)
    return spans


EXERCISES = (
    Exercise(
        "front_matter",
        front_matter_cases,
        (
            Fault(
                "The text ends at its own rule: split at most twice, so that a rule further down stays.",
                lambda raw: headed(raw, text=2),
            ),
            Fault("Dashes in a value end the head: only a line of its own is a rule.", dashed),
            Fault(
                "A value with a colon is cut: split each line once only, `line.split(': ', 1)`.",
                lambda raw: headed(raw, most=-1),
            ),
            Fault("The white space around the text is still there: `strip` it.", lambda raw: headed(raw, strip=False)),
            Fault(
                "A file without a head fails: look first whether it begins with a rule.",
                lambda raw: (fields(raw.split("---\n", 2)[1]), raw.split("---\n", 2)[2].strip()),
            ),
            Fault(
                "The text of a file without a head is lost: all of it is text.",
                lambda raw: headed(raw) if raw.startswith("---") else ({}, ""),
            ),
        ),
        (
            '`raw.startswith("---\\n")` tells whether there is a head.',
            '`_, head, text = raw.split("---\\n", 2)` cuts twice and no more.',
        ),
    ),
    Exercise(
        "join_hyphens",
        join_hyphens_cases,
        (
            Fault(
                "It joins names too: only between two lower-case letters has a line's end cut a word.",
                lambda text: text.replace("-\n", ""),
            ),
            Fault(
                "It takes hyphens away everywhere: only those at a line's end go.", lambda text: text.replace("-", "")
            ),
            Fault(
                "The hyphen is gone, the line's end is still there: both go.",
                lambda text: re.sub(r"(?<=[a-z])-(?=\n[a-z])", "", text),
            ),
            Fault(
                "The line's end is gone, the hyphen is still there: both go.",
                lambda text: re.sub(r"(?<=[a-z]-)\n(?=[a-z])", "", text),
            ),
            Fault(
                "Only the first cut word is joined: go through the whole text.",
                lambda text: re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", text, count=1),
            ),
        ),
        (
            "`re.sub(pattern, replacement, text)` replaces all matches.",
            "`(?<=[a-z])` asks for a lower-case letter before and `(?=[a-z])` for one after, without taking it.",
        ),
    ),
    Exercise(
        "fixed_spans",
        fixed_spans_cases,
        (
            Fault(
                "The last passage only repeats the end of the one before: none starts in the last `overlap` words.",
                lambda t, size, overlap: [(g[0][0], g[-1][1]) for g in windows(t, size, overlap, 0)],
            ),
            Fault(
                "The overlap is not there: each passage begins `size - overlap` words after the one before.",
                lambda t, size, overlap: [(g[0][0], g[-1][1]) for g in windows(t, size, 0, 0)],
            ),
            Fault(
                "It returns the texts of the passages; spans (start, end) are wanted, so that text[start:end] is one.",
                lambda t, size, overlap: [" ".join(t[a:b] for a, b in g) for g in windows(t, size, overlap, overlap)],
            ),
            Fault(
                "A passage ends where its last word begins: take the end of the last word's span.",
                lambda t, size, overlap: [(g[0][0], g[-1][0]) for g in windows(t, size, overlap, overlap)],
            ),
            Fault(
                "The last passage is missing where it has fewer than `size` words.",
                lambda t, size, overlap: [
                    (g[0][0], g[-1][1]) for g in windows(t, size, overlap, overlap) if len(g) == size
                ],
            ),
            Fault(
                "It counts characters; the size is in words.",
                lambda t, size, overlap: [(i, min(i + size, len(t))) for i in range(0, len(t), size - overlap)],
            ),
        ),
        (
            'The spans of the words: `[m.span() for m in re.finditer(r"\\S+", text)]`.',
            "A passage is (start of its first word, end of its last word).",
            "Passages begin at word 0, step, 2·step …, with step = size - overlap, up to word len(words) - overlap.",
        ),
    ),
    Exercise(
        "share_cut",
        share_cut_cases,
        (
            Fault(
                "That is the share of targets that are whole; the share that is cut is wanted.",
                lambda ps, ts: mean_of([any(a <= s and e <= b for a, b in ps) for s, e in ts]),
            ),
            Fault(
                "A target that a passage only touches counts as whole: the passage must hold its start and its end.",
                lambda ps, ts: mean_of([not any(a < e and s < b for a, b in ps) for s, e in ts]),
            ),
            Fault(
                "A target that begins or ends with its passage counts as cut: compare with <=, not with <.",
                lambda ps, ts: mean_of([not any(a < s and e < b for a, b in ps) for s, e in ts]),
            ),
            Fault(
                "It returns how many are cut; the share is wanted.",
                lambda ps, ts: sum(not any(a <= s and e <= b for a, b in ps) for s, e in ts),
            ),
            Fault(
                "A target is asked to be in all passages; one that holds it is enough (`any`, not `all`).",
                lambda ps, ts: mean_of([not all(a <= s and e <= b for a, b in ps) for s, e in ts]),
            ),
        ),
        (
            "A passage (a, b) holds the target (s, e) if a <= s and e <= b.",
            "`any(… for a, b in passages)` says whether one of them does.",
        ),
    ),
    Exercise(
        "pack_sentences",
        pack_sentences_cases,
        (
            Fault(
                "The overlap is not there: a passage begins with the last `overlap` sentences of the one before.",
                lambda text, pieces, size, overlap: packed(text, pieces, size, 0),
            ),
            Fault(
                "Where the whole overlap does not fit beside the next sentence it repeats none: repeat as many as fit.",
                all_or_nothing,
            ),
            Fault(
                "Some passages hold nothing new: repeat fewer sentences where the next one would not fit beside them.",
                packed,
            ),
            Fault(
                "After the last sentence it goes on: stop as soon as a passage holds it, or the end is repeated.",
                lambda text, pieces, size, overlap: packed(text, pieces, size, overlap, stop=False),
            ),
            Fault(
                "It counts characters; the size is in words.",
                lambda text, pieces, size, overlap: packed(text, pieces, size, overlap, length=len),
            ),
            Fault(
                "A passage of exactly `size` words fits: compare with <=, not with <.",
                lambda text, pieces, size, overlap: pack(text, pieces, Splitting(size - 1, min(overlap, size - 2))),
            ),
            Fault(
                "Every sentence is a passage of its own: join neighbours as long as they fit.",
                lambda text, pieces, size, overlap: list(pieces),
            ),
        ),
        (
            "Keep two places, `first` and `last`: the passage is made of the sentences first … last - 1.",
            "After a passage, go back `overlap` sentences from `last`, but at least one further than `first`.",
            "Then move `first` on while the sentences first … last are longer than `size`: `last` must fit too.",
        ),
    ),
)
