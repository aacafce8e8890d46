"""Answers to the exercises of chapter 11, right ones, and wrong ones with what the check says."""

import re

NOT = {"not", "never", "no", "without", "nobody", "nothing", "neither", "nor"}
GOES_WITH = {"he": "he", "him": "he", "his": "he", "she": "she", "it": "it", "its": "it"}


def remember_by_slice(state, exchange, most):
    return state if exchange[0].isspace() or not exchange[0] else (*state, exchange)[-most:]


def remember_by_list(state, exchange, most):
    longer = list(state)
    if exchange[0].strip():
        longer.append(exchange)
    while len(longer) > most:
        longer.pop(0)
    return longer


def remember_everything(state, exchange, most):
    return (*state, exchange) if exchange[0].strip() else state


def remember_blanks(state, exchange, most):
    return (*state, exchange)[-most:]


def remember_oldest(state, exchange, most):
    return (*state, exchange)[:most] if exchange[0].strip() else state


def budget_by_sizes(turn, past, budget):
    left, first = budget - len(turn.split()), len(past)
    while first > 0 and sum(len(part.split()) for part in past[first - 1]) <= left:
        first -= 1
        left -= sum(len(part.split()) for part in past[first])
    return " ".join([part for exchange in past[first:] for part in exchange] + [turn])


def budget_by_trying(turn, past, budget):
    for first in range(len(past) + 1):
        text = " ".join([*(" ".join(exchange) for exchange in past[first:]), turn])
        if len(text.split()) <= budget:
            return text
    return turn


def budget_oldest(turn, past, budget):
    text = turn
    for last in range(len(past) + 1):
        longer = " ".join([*(" ".join(exchange) for exchange in past[:last]), turn])
        text = longer if len(longer.split()) <= budget else text
    return text


def budget_of_visitors(turn, past, budget):
    return budget_by_trying(turn, [(said,) for said, _ in past], budget)


def budget_unlimited(turn, past, budget):
    return budget_by_trying(turn, past, 10**6)


def names_by_words(turns):
    found = []
    for turn in turns:
        run, fresh = [], True
        for word in [*turn.split(), ""]:
            bare = word.strip(".,?!")
            if bare[:1].isupper() and not (fresh and not run):
                run.append(bare)
            else:
                found += [" ".join(run)] if run else []
                run = []
            fresh = word.endswith((".", "?", "!"))
    return list(dict.fromkeys(reversed(found)))


def names_by_pattern(turns):
    said = [re.sub(r"(^|(?<=[.?!] ))\w+", "", turn) for turn in turns]
    found = [name for turn in said for name in re.findall(r"[A-Z]\w*(?: [A-Z]\w*)*", turn)]
    return sorted(set(found), key=found[::-1].index)


def names_oldest(turns):
    said = [name for turn in turns for name in reversed(names_by_pattern([turn]))]
    return list(dict.fromkeys(said))


def names_of_one_word(turns):
    return list(dict.fromkeys(part for name in names_by_words(turns) for part in reversed(name.split())))


def names_with_first(turns):
    return list(dict.fromkeys(re.findall(r"[A-Z]\w*(?: [A-Z]\w*)*", " | ".join(turns))[::-1]))


def with_name_by_search(turn, names):
    found = re.search(r"\b(he|him|his|she|it|its)\b", turn, re.IGNORECASE)
    if not found:
        return turn
    fitting = [name for name, kind in names if kind == GOES_WITH[found[0].lower()]]
    if not fitting:
        return turn
    owner = "'s" if found[0].lower() in ("his", "its") else ""
    return turn[: found.start()] + fitting[0] + owner + turn[found.end() :]


def with_name_by_words(turn, names):
    parts = re.split(r"(\W+)", turn)
    for i, part in enumerate(parts):
        if kind := GOES_WITH.get(part.lower()):
            name = next((n for n, k in names if k == kind), None)
            parts[i] = part if name is None else name + ("'s" if part.lower() in {"his", "its"} else "")
            break
    return "".join(parts)


def with_name_first(turn, names):
    return with_name_by_search(turn, [(names[0][0], kind) for kind in ("he", "she", "it")])


def with_name_plain(turn, names):
    return with_name_by_search(turn, names).replace("'s", "")


def with_name_everywhere(turn, names):
    while (longer := with_name_by_search(turn, names)) != turn:
        turn = longer
    return turn


def with_name_small(turn, names):
    return with_name_by_words(turn, names) if turn[:2] != "He" else turn


def denies_by_loop(sentence, words):
    for clause in re.split(r"[,;:.]", sentence):
        left = 0
        for word in re.findall(r"[\w'-]+", clause.lower()):
            if left and word in words:
                return True
            left = 4 if word in NOT or word.endswith("n't") else max(0, left - 1)
    return False


def denies_by_pattern(sentence, words):
    negation = rf"(?<![\w'-])(?:{'|'.join(NOT)}|[\w'-]*n't)(?![\w'-])"
    between = r"(?:[^\w,;:.]+[\w'-]+){0,3}[^\w,;:.]+"
    return any(re.search(rf"{negation}{between}{re.escape(w)}(?![\w'-])", sentence, re.I) is not None for w in words)


def denies_far(sentence, words):
    clauses = [re.findall(r"[\w'-]+", c) for c in re.split(r"[,;:.]", sentence.lower())]
    return any(
        word in c[i + 1 :] for c in clauses for i, n in enumerate(c) if n in NOT or n.endswith("n't") for word in words
    )


def denies_across(sentence, words):
    return denies_by_loop(re.sub(r"[,;:.]", "", sentence), words)


def denies_without_nt(sentence, words):
    return denies_by_loop(re.sub(r"\w+n't", "is", sentence), words)


def denies_anything(sentence, words):
    return any(w in NOT or w.endswith("n't") for w in re.findall(r"[\w'-]+", sentence.lower()))


RIGHT = {
    "remember": [remember_by_slice, remember_by_list],
    "past_in_budget": [budget_by_sizes, budget_by_trying],
    "names_spoken": [names_by_words, names_by_pattern],
    "with_name": [with_name_by_search, with_name_by_words],
    "denies": [denies_by_loop, denies_by_pattern],
}
WRONG = {
    "remember": [
        (remember_everything, "grows without an end"),
        (remember_blanks, "empty turn"),
        (remember_oldest, "thrown away"),
    ],
    "past_in_budget": [
        (budget_oldest, "begins with the oldest"),
        (budget_of_visitors, "guide's words"),
        (budget_unlimited, "budget is not used"),
    ],
    "names_spoken": [
        (names_oldest, "oldest comes first"),
        (names_of_one_word, "are one name"),
        (names_with_first, "capital anyway"),
    ],
    "with_name": [
        (with_name_first, "whether or not it agrees"),
        (with_name_plain, "need an 's"),
        (with_name_everywhere, "All pronouns"),
        (with_name_small, "is overlooked"),
    ],
    "denies": [
        (denies_far, "four words are enough"),
        (denies_across, "across a comma"),
        (denies_without_nt, "n't is a negation"),
        (denies_anything, "anywhere in the sentence"),
    ],
}
