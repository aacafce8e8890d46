"""The exercises of chapter 11: a turn that is understood, a reply that dares to say no, a state."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_lib.exercises.exercise import Case, Exercise, Fault

Exchange = tuple[str, str]

PAST = (("Who was Kepler?", "An astronomer of Weil."), ("When was he born?", "In 1571."), ("And Tycho?", "In 1546."))
KEPLER, MOON, CAROLINE = ("Johannes Kepler", "he"), ("Titan", "it"), ("Caroline Herschel", "she")
NOT = ("not", "never", "no", "without", "nobody", "nothing", "neither", "nor")


def remember_cases() -> list[Case]:
    """The first, a full memory, an empty turn."""
    new = ("Why?", "Because.")
    return [
        Case((PAST, new, 9), (*PAST, new), "a state with room"),
        Case((PAST, new, 3), (*PAST[1:], new), "a state that is full"),
        Case(((), new, 2), (new,), "the first exchange"),
        Case((PAST, ("  ", "?"), 3), PAST, "a turn of nothing but blanks"),
    ]


def remembered(state, exchange, most, blank=True, front=False, cut=True, keep_new=True) -> tuple:
    """The next state, with the mistakes that the other settings make."""
    if blank and not exchange[0].strip():
        return state
    longer = (exchange, *state) if front else (*state, exchange)
    return longer if not cut else longer[-most:] if keep_new else longer[:most]


def budget_cases() -> list[Case]:
    """Room for all, for some, for none, no past."""
    settings = [(PAST, 99, "room for everything"), (PAST, 12, "room for two exchanges"), (PAST, 8, "room for one"),
                (PAST, 4, "room for the turn alone"), (PAST, 1, "a turn that is longer than the budget"),
                ((("Hi.", "Hello."), *PAST[1:]), 10, "room for the last exchange and the first"),
                ((), 9, "no past")]  # fmt: skip
    return [Case(("And where is it?", p, b), packed("And where is it?", p, b), about) for p, b, about in settings]


def packed(turn: str, past: Sequence[Exchange], budget: int, oldest=False, strict=0, skip=False, guide=True) -> str:
    """The past in front of a turn, with the mistakes that the other settings make."""
    kept: list[str] = []
    for exchange in past if oldest else reversed(past):
        text = " ".join(exchange if guide else exchange[:1])
        if len(" ".join([*kept, text, turn]).split()) + strict <= budget:
            kept = [*kept, text] if oldest else [text, *kept]
        elif not skip:
            break
    return " ".join([*kept, turn])


def names_cases() -> list[Case]:
    """Order, repetition, first words, names of several words."""
    settings = [
        (["We saw the moons of Jupiter with Galileo Galilei."], "a turn with two names"),
        (["Did you see Io?", "Then Titan is larger than Io."], "two turns, of which the later counts more"),
        (["Kepler wrote. Galileo answered Kepler."], "names at the beginning of a sentence"),
        (["is it cold there?"], "a turn without a name"),
        (["from Mars to Venus", "to the Moon and back"], "turns without a full stop"),
    ]
    return [Case((turns,), spoken(turns), about) for turns, about in settings]


def spoken(turns: Sequence[str], back=True, single=False, first=False, twice=False) -> list[str]:
    """The names of turns, the latest first, with the mistakes that the other settings make."""
    word = r"[A-Z]\w*"
    pattern = rf"(?<![.?!] )(?<!^)\b{word}(?: {word})*" if not first else rf"\b{word}(?: {word})*"
    found = [name for turn in turns for name in re.findall(word if single and first else pattern, turn)]
    if single:
        found = [part for name in found for part in name.split()]
    found = found[::-1] if back else found
    return found if twice else list(dict.fromkeys(found))


def name_cases() -> list[Case]:
    """He, it, his, her, capitals, no pronoun, nobody who agrees."""
    both = [MOON, KEPLER]
    settings = [
        ("When did he die?", both, "a he, and a thing that is spoken of first"),
        ("Is it cold?", both, "an it"),
        ("What was his mother called?", both, "a his"),
        ("What is its mass?", both, "an its"),
        ("He died where?", both, "a pronoun with a capital"),
        ("Did she see him?", [CAROLINE, KEPLER], "two pronouns, of which the first is replaced"),
        ("Who was her brother?", [CAROLINE], "a her, which may be she or hers and stays"),
        ("Was the theatre open?", both, "a turn without a pronoun, and words that begin like one"),
        ("When did she die?", both, "a pronoun that nobody agrees with"),
    ]
    return [Case((turn, names), resolved(turn, names), about) for turn, names, about in settings]


KIND = {"he": "he", "him": "he", "his": "he", "she": "she", "it": "it", "its": "it"}


def resolved(turn: str, names, agree=True, owner=True, all_of_them=False, kinds=KIND, bound=r"\b", flags=re.I) -> str:
    """The turn with its pronoun replaced, with the mistakes that the other settings make."""

    def put(match: re.Match) -> str:
        said = match[0].lower()
        fitting = [name for name, kind in names if kind == kinds[said] or not agree]
        return match[0] if not fitting else fitting[0] + "'s" * (owner and said in ("his", "its"))

    pattern = bound + "(" + "|".join(sorted(kinds, key=len, reverse=True)) + ")" + bound
    return re.sub(pattern, put, turn, count=0 if all_of_them else 1, flags=flags)


def denies_cases() -> list[Case]:
    """Near, far, in another clause, affirmed, n't."""
    settings = [
        ("The ship was not built to come back.", ["come", "ship"], True, "a word that is denied"),
        ("The ship was not built to come back.", ["ship"], False, "a word before the negation"),
        ("It did not rain, and the rocket flew.", ["flew"], False, "a word in another clause"),
        ("She never, alas, saw Mars.", ["mars"], False, "a comma between the two"),
        ("Nobody has yet set foot on that Mars.", ["mars"], False, "a word more than four words away"),
        ("Dogs aren't allowed here.", ["allowed"], True, "a negation that ends with n't"),
        ("Dogs are allowed here.", ["allowed"], False, "a sentence without a negation"),
        ("You may NOT touch it.", ["touch"], True, "a negation in capitals"),
        ("A nothing-special knot is tied.", ["tied"], False, "a word that only sounds like a negation"),
    ]
    return [Case((s, w), expected, about) for s, w, expected, about in settings]


def denied(sentence, words, window=4, clauses=r"[,;:.]", nt=True, lower=True, whole=True, before=False) -> bool:
    """Whether one of the words is denied, with the mistakes that the other settings make."""
    for clause in re.split(clauses, sentence.lower() if lower else sentence):
        said = re.findall(r"[\w'-]+", clause)
        for i, word in enumerate(said):
            is_not = word in NOT if whole else any(w in word for w in NOT)
            if is_not or (nt and word.endswith("n't")):
                near = said[max(0, i - window) : i] if before else said[i + 1 : i + 1 + window]
                if set(near) & set(words):
                    return True
    return False


EXERCISES = (
    Exercise(
        "remember",
        remember_cases,
        (
            Fault("The newest exchange comes last.", lambda *a: remembered(*a, front=True)[: a[2]]),
            Fault(
                "The memory grows without an end: the oldest goes where there are more than `most`.",
                lambda *a: remembered(*a, cut=False),
            ),
            Fault("The newest is thrown away; the oldest goes.", lambda *a: remembered(*a, keep_new=False)),
            Fault("An empty turn is remembered; the state stays as it was.", lambda *a: remembered(*a, blank=False)),
        ),
        ("`(*state, exchange)` makes a new, longer tuple; `[-most:]` keeps its end.",),
    ),
    Exercise(
        "past_in_budget",
        budget_cases,
        (
            Fault(
                "It begins with the oldest; the latest exchanges are worth most.", lambda *a: packed(*a, oldest=True)
            ),
            Fault("A query of just `budget` words is allowed.", lambda *a: packed(*a, strict=1)),
            Fault(
                "It skips an exchange and takes an older one: what comes after a gap is misunderstood.",
                lambda *a: packed(*a, skip=True),
            ),
            Fault("The guide's words are left out.", lambda *a: packed(*a, guide=False)),
            Fault("The budget is not used.", lambda turn, past, budget: packed(turn, past, 999)),
            Fault("The past is left out.", lambda turn, past, budget: turn),
        ),
        (
            "Go back from the latest exchange and stop at the first that does not fit.",
            "Count the words of the whole query, the turn among them: `len(text.split())`.",
        ),
    ),
    Exercise(
        "names_spoken",
        names_cases,
        (
            Fault(
                "The oldest comes first; what was said last is meant most probably.", lambda t: spoken(t, back=False)
            ),
            Fault("Neighbours with a capital are one name.", lambda t: spoken(t, single=True)),
            Fault(
                "The first word of a sentence has a capital anyway, and does not count.",
                lambda t: spoken(t, first=True),
            ),
            Fault("A name is listed twice.", lambda t: spoken(t, twice=True)),
        ),
        (
            "`[A-Z]\\w*(?: [A-Z]\\w*)*` is a name; look at what stands before it: nothing, or the end of a sentence?",
            "Collect them in the order in which they were said, turn the list round, and drop repetitions.",
        ),
    ),
    Exercise(
        "with_name",
        name_cases,
        (
            Fault(
                "It takes the first name, whether or not it agrees with the pronoun.",
                lambda *a: resolved(*a, agree=False),
            ),
            Fault("His and its need an 's.", lambda *a: resolved(*a, owner=False)),
            Fault("All pronouns are replaced; only the first is.", lambda *a: resolved(*a, all_of_them=True)),
            Fault(
                "Her is replaced; it may be she or hers, so it stays.",
                lambda *a: resolved(*a, kinds=KIND | {"her": "she"}),
            ),
            Fault("A pronoun inside a word is replaced.", lambda *a: resolved(*a, bound="")),
            Fault("A pronoun with a capital is overlooked.", lambda *a: resolved(*a, flags=0)),
        ),
        (
            "A dictionary says with which kind each pronoun goes: he, him and his with he, and so on.",
            "`re.search(r'\\b(he|him|his|she|it|its)\\b', turn, re.IGNORECASE)` finds the first.",
        ),
    ),
    Exercise(
        "denies",
        denies_cases,
        (
            Fault("It looks before the negation; what comes after it is denied.", lambda *a: denied(*a, before=True)),
            Fault("It looks at all that follows; four words are enough.", lambda *a: denied(*a, window=99)),
            Fault("It looks across a comma: a negation ends with its clause.", lambda *a: denied(*a, clauses="$")),
            Fault("A word that ends with n't is a negation too.", lambda *a: denied(*a, nt=False)),
            Fault("Capitals hide a negation.", lambda *a: denied(*a, lower=False)),
            Fault("A word that only contains not or no is taken for a negation.", lambda *a: denied(*a, whole=False)),
            Fault(
                "It looks for a negation anywhere in the sentence.",
                lambda s, w: denied(s, re.findall(r"[\w'-]+", s.lower())),
            ),
        ),
        (
            "Split at `[,;:.]` first, then each clause into words, `[\\w'-]+`, in lower case.",
            "`words[i + 1 : i + 5]` are the four words after place i.",
        ),
    ),
)
