"""The exercises of chapter 00: the smallest system that retrieves and quotes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rag_lib.exercises.exercise import Case, Exercise, Fault

FLIGHT = "Laika flew in Sputnik 2. Nobody expected Laika back."
TEXTS = ("The Moon is grey.", "Rain on the Moon?", "Mars has two moons.", "Mars, Mars and Mars again.", "")


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits."""
    return re.findall(r"\w+", text.lower())


def shared(question: str, text: str) -> int:
    """How many different words of the question are in the text."""
    return len(set(words(question)) & set(words(text)))


def ranked(question: str, texts: Sequence[str], key: object = None) -> list[tuple[int, int]]:
    """Words in common and row of each text, best first."""
    return sorted(
        ((shared(question, text), row) for row, text in enumerate(texts)), key=key or (lambda p: (-p[0], p[1]))
    )


def quote_span_cases() -> list[Case]:
    """Quotations at the start, in the middle, in another case, twice, and not at all."""
    return [
        Case((FLIGHT, "Sputnik 2"), (14, 23), "an answer in the middle of the text"),
        Case((FLIGHT, "Laika"), (0, 5), "an answer that stands there twice"),
        Case((FLIGHT, "sputnik 2"), (14, 23), "an answer that the text writes with a capital"),
        Case((FLIGHT, "Gagarin"), None, "an answer that is not in the text"),
    ]


def words_in_common_cases() -> list[Case]:
    """Case, punctuation, repetition, parts of words, nothing at all."""
    return [
        Case(("is it the moon?", "the moon, seen by all"), 2, "a question mark and a comma"),
        Case(("The MOON", "the moon"), 2, "a question in capitals"),
        Case(("in space", "raining spaceships"), 0, "words that occur only inside longer words"),
        Case(("the dog and the cat", "the end"), 1, "a question that says a word twice"),
        Case(("moon", "moon moon moon"), 1, "a text that says a word three times"),
        Case(("", "moon"), 0, "an empty question"),
    ]


def retrieve_cases() -> list[Case]:
    """An order, a tie, texts with nothing in common, and k beyond the end."""
    return [
        Case(("rain on the Moon", TEXTS, 2), [1, 0], "a question that two texts fit"),
        Case(("is the Moon two", TEXTS, 5), [0, 1, 2], "texts with nothing in common with the question"),
        Case(("is the Moon grey", ("The Moon.", "Is the Moon always so grey?"), 2), [1, 0], "a long text with more"),
        Case(("has Mars", TEXTS[::-1], 1), [2], "k = 1"),
        Case(("Mars", TEXTS, 5), [2, 3], "two texts that are equally good"),
        Case(("xylophone", TEXTS, 3), [], "a word that no text has"),
    ]


def answer_or_silence_cases() -> list[Case]:
    """Above, at and below the threshold; nothing to choose from."""
    return [
        Case(([("Ham", 0.3), ("Laika", 0.8)], 0.5), "Laika", "a best guess that is not the first"),
        Case(([("Ham", 0.3), ("Laika", 0.4)], 0.5), "", "guesses that are all below the threshold"),
        Case(([("Laika", 0.5)], 0.5), "Laika", "a score of exactly the threshold"),
        Case(([], 0.5), "", "no guess at all"),
    ]


def first_place(text: str, answer: str) -> int:
    """Where an answer begins, whatever its case; -1 where it does not."""
    return text.lower().find(answer.lower())


def or_none(text: str, answer: str, span: tuple[int, int]) -> tuple[int, int] | None:
    """The span if the answer is in the text."""
    return span if first_place(text, answer) >= 0 else None


EXERCISES = (
    Exercise(
        "quote_span",
        quote_span_cases,
        (
            Fault(
                "The end is one too small: text[start:end] stops before `end`, so the end is start + length.",
                lambda t, a: or_none(t, a, (first_place(t, a), first_place(t, a) + len(a) - 1)),
            ),
            Fault(
                "An answer that is not in the text gets a place: `find` returns -1 for not found. Return None then.",
                lambda t, a: (first_place(t, a), first_place(t, a) + len(a)),
            ),
            Fault(
                "Capitals make a difference: look for the lower-case answer in the lower-case text.",
                lambda t, a: (t.find(a), t.find(a) + len(a)) if a in t else None,
            ),
            Fault(
                "That is the last place of the answer; the first is wanted.",
                lambda t, a: or_none(t, a, (t.lower().rfind(a.lower()), t.lower().rfind(a.lower()) + len(a))),
            ),
            Fault(
                "It returns the place and the length; the place and the end are wanted.",
                lambda t, a: or_none(t, a, (first_place(t, a), len(a))),
            ),
        ),
        (
            "`text.find(answer)` gives the place of the first occurrence, and -1 if there is none.",
            "Compare both in lower case; lower case does not move the characters.",
        ),
    ),
    Exercise(
        "words_in_common",
        words_in_common_cases,
        (
            Fault(
                "It finds words inside longer ones, as `in` inside `raining`: cut the text into words first.",
                lambda q, t: sum(word in t.lower() for word in set(words(q))),
            ),
            Fault(
                "A word that the question says twice counts twice: count different words, with a set.",
                lambda q, t: sum(word in set(words(t)) for word in words(q)),
            ),
            Fault(
                "It counts how often the text says the words; each word of the question counts once.",
                lambda q, t: sum(Counter(words(t))[word] for word in set(words(q))),
            ),
            Fault(
                "`split` leaves the punctuation on the words: `Moon,` is not `moon`. Take runs of letters and digits.",
                lambda q, t: len(set(q.lower().split()) & set(t.lower().split())),
            ),
            Fault(
                "Capitals make a difference: turn both into lower case.",
                lambda q, t: len(set(re.findall(r"\w+", q)) & set(re.findall(r"\w+", t))),
            ),
            Fault(
                "It counts all words of both; only those in common count (`&`, not `|`).",
                lambda q, t: len(set(words(q)) | set(words(t))),
            ),
        ),
        ('`re.findall(r"\\w+", text.lower())` gives the words of a text.', "The intersection of two sets is `a & b`."),
    ),
    Exercise(
        "retrieve",
        retrieve_cases,
        (
            Fault(
                "Texts that share no word with the question are handed out too: leave out those with a score of 0.",
                lambda q, texts, k: [row for _, row in ranked(q, texts)][:k],
            ),
            Fault(
                "The worst come first: sort from high to low.",
                lambda q, texts, k: [row for n, row in ranked(q, texts, lambda p: p) if n][:k],
            ),
            Fault(
                "Of two equally good texts the later one comes first; the smaller row should.",
                lambda q, texts, k: [row for n, row in ranked(q, texts, lambda p: (-p[0], -p[1])) if n][:k],
            ),
            Fault(
                "The count is divided by the text's length; the number of words in common is the score.",
                lambda q, texts, k: [
                    row
                    for n, row in sorted((-shared(q, t) / (len(set(words(t))) or 1), i) for i, t in enumerate(texts))
                    if n
                ][:k],
            ),
            Fault(
                "It returns the texts; their rows are wanted, so that one can tell where a text came from.",
                lambda q, texts, k: [texts[row] for n, row in ranked(q, texts) if n][:k],
            ),
            Fault(
                "It returns all that have a word in common; k of them are wanted at most.",
                lambda q, texts, k: [row for n, row in ranked(q, texts) if n],
            ),
        ),
        (
            "Make a list of (words in common, row), leave out the zeros, and sort it.",
            "`sorted(pairs, key=lambda pair: (-pair[0], pair[1]))`: the highest score first, ties by row.",
        ),
    ),
    Exercise(
        "answer_or_silence",
        answer_or_silence_cases,
        (
            Fault(
                "A score of exactly the threshold is kept back: it is good enough (`>=`, not `>`).",
                lambda g, t: max(g, key=lambda p: p[1])[0] if g and max(g, key=lambda p: p[1])[1] > t else "",
            ),
            Fault(
                "It takes the first guess; the one with the highest score is wanted.",
                lambda g, t: g[0][0] if g and g[0][1] >= t else "",
            ),
            Fault(
                "The threshold is not looked at: a guess below it must be kept back.",
                lambda g, t: max(g, key=lambda p: p[1])[0] if g else "",
            ),
            Fault(
                "With no guess at all it fails: `max` of nothing is an error. Return an empty text then.",
                lambda g, t: max(g, key=lambda p: p[1])[0] if max(g, key=lambda p: p[1])[1] >= t else "",
            ),
        ),
        (
            "`max(guesses, key=lambda guess: guess[1])` is the guess with the highest score.",
            '`max` of an empty list is an error; `max(guesses, key=…, default=("", 0.0))` is not.',
        ),
    ),
)
