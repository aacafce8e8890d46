"""Answers to the exercises of chapter 00, right ones, and wrong ones with what the check says."""

import re


def quote_span_by_index(text, answer):
    try:
        start = text.lower().index(answer.lower())
    except ValueError:
        return None
    return start, start + len(answer)


def quote_span_by_pattern(text, answer):
    match = re.search(re.escape(answer), text, re.IGNORECASE)
    return match.span() if match else None


def quote_span_inclusive(text, answer):
    start = text.lower().find(answer.lower())
    return (start, start + len(answer) - 1) if start != -1 else None


def quote_span_unchecked(text, answer):
    start = text.lower().find(answer.lower())
    return start, start + len(answer)


def quote_span_case_sensitive(text, answer):
    match = re.search(re.escape(answer), text)
    return match.span() if match else None


def words_by_loop(question, text):
    seen = []
    for word in re.findall(r"[a-z0-9]+", question.lower()):
        if word in re.findall(r"[a-z0-9]+", text.lower()) and word not in seen:
            seen.append(word)
    return len(seen)


def words_by_split(question, text):
    def clean(t):
        return set("".join(c if c.isalnum() else " " for c in t.lower()).split())

    return len(clean(question) & clean(text))


def words_as_substrings(question, text):
    return len([w for w in set(re.findall(r"\w+", question.lower())) if w in text.lower()])


def words_repeated(question, text):
    told = re.findall(r"\w+", text.lower())
    return len([w for w in re.findall(r"\w+", question.lower()) if w in told])


def words_with_punctuation(question, text):
    return len(set(question.lower().split()).intersection(text.lower().split()))


def words_with_capitals(question, text):
    return len(set(re.findall(r"\w+", question)).intersection(re.findall(r"\w+", text)))


def retrieve_by_stable_sort(question, texts, k):
    scores = [words_by_loop(question, text) for text in texts]
    rows = sorted(range(len(texts)), key=lambda row: scores[row], reverse=True)
    return [row for row in rows if scores[row]][:k]


def retrieve_by_picking(question, texts, k):
    scores = {row: words_by_loop(question, text) for row, text in enumerate(texts)}
    rows = []
    while len(rows) < k and scores and max(scores.values()) > 0:
        rows.append(max(scores, key=scores.get))
        del scores[rows[-1]]
    return tuple(rows)


def retrieve_zeros(question, texts, k):
    return sorted(range(len(texts)), key=lambda row: -words_by_loop(question, texts[row]))[:k]


def retrieve_worst(question, texts, k):
    rows = [row for row, text in enumerate(texts) if words_by_loop(question, text)]
    return sorted(rows, key=lambda row: words_by_loop(question, texts[row]))[:k]


def retrieve_reversed_ties(question, texts, k):
    rows = [row for row, text in enumerate(texts) if words_by_loop(question, text)]
    return sorted(rows, key=lambda row: words_by_loop(question, texts[row]))[::-1][:k]


def retrieve_texts(question, texts, k):
    return [texts[row] for row in retrieve_by_stable_sort(question, texts, k)]


def answer_by_loop(guesses, threshold):
    best, highest = "", float("-inf")
    for text, score in guesses:
        if score > highest:
            best, highest = text, score
    return best if highest >= threshold else ""


def answer_by_sort(guesses, threshold):
    good = [(score, text) for text, score in guesses if score >= threshold]
    return sorted(good)[-1][1] if good else ""


def answer_strictly_above(guesses, threshold):
    good = [(score, text) for text, score in guesses if score > threshold]
    return max(good)[1] if good else ""


def answer_first(guesses, threshold):
    return guesses[0][0] if guesses and guesses[0][1] >= threshold else ""


def answer_always(guesses, threshold):
    return max(guesses, key=lambda g: g[1])[0] if guesses else ""


def answer_of_nothing(guesses, threshold):
    text, score = max(guesses, key=lambda g: g[1])
    return text if score >= threshold else ""


def retrieve_by_share(question, texts, k):
    found = [set(re.findall(r"\w+", text.lower())) for text in texts]
    shares = [len(f & set(re.findall(r"\w+", question.lower()))) / max(1, len(f)) for f in found]
    return [i for i in sorted(range(len(texts)), key=lambda i: -shares[i]) if shares[i]][:k]


RIGHT = {
    "quote_span": [quote_span_by_index, quote_span_by_pattern],
    "words_in_common": [words_by_loop, words_by_split],
    "retrieve": [retrieve_by_stable_sort, retrieve_by_picking],
    "answer_or_silence": [answer_by_loop, answer_by_sort],
}
WRONG = {
    "quote_span": [
        (quote_span_inclusive, "one too small"),
        (quote_span_unchecked, "-1 for not found"),
        (quote_span_case_sensitive, "Capitals"),
    ],
    "words_in_common": [
        (words_as_substrings, "inside longer ones"),
        (words_repeated, "twice counts twice"),
        (words_with_punctuation, "punctuation"),
        (words_with_capitals, "Capitals"),
    ],
    "retrieve": [
        (retrieve_by_share, "divided by the text's length"),
        (retrieve_zeros, "score of 0"),
        (retrieve_worst, "worst come first"),
        (retrieve_reversed_ties, "smaller row"),
        (retrieve_texts, "rows are wanted"),
    ],
    "answer_or_silence": [
        (answer_strictly_above, "exactly the threshold"),
        (answer_first, "highest score"),
        (answer_always, "threshold is not looked at"),
        (answer_of_nothing, "no guess at all"),
    ],
}
