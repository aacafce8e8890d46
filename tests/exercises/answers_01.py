"""Answers to the exercises of chapter 01, right ones, and wrong ones with what the check says."""

import re


def front_matter_by_lines(raw):
    lines = raw.split("\n")
    if lines[0] != "---":
        return {}, raw.strip()
    end = lines.index("---", 1)
    fields = {}
    for line in lines[1:end]:
        key, _, value = line.partition(": ")
        fields[key] = value
    return fields, "\n".join(lines[end + 1 :]).strip()


def front_matter_by_pattern(raw):
    match = re.match(r"---\n(.*?)---\n(.*)", raw, re.DOTALL)
    if match is None:
        return {}, raw.strip()
    return dict(re.findall(r"(?m)^(.*?): (.*)$", match[1])), match[2].strip()


def front_matter_every_rule(raw):
    if not raw.startswith("---\n"):
        return {}, raw.strip()
    parts = raw.split("---\n")
    return dict(line.split(": ", 1) for line in parts[1].splitlines()), parts[2].strip()


def front_matter_every_dash(raw):
    parts = raw.split("---")
    if len(parts) < 3:
        return {}, raw.strip()
    return dict(line.split(": ", 1) for line in parts[1].strip().splitlines()), "---".join(parts[2:]).strip()


def front_matter_every_colon(raw):
    if not raw.startswith("---\n"):
        return {}, raw.strip()
    _, head, text = raw.split("---\n", 2)
    return dict(line.split(": ") for line in head.splitlines()), text.strip()


def front_matter_unstripped(raw):
    if not raw.startswith("---\n"):
        return {}, raw
    _, head, text = raw.split("---\n", 2)
    return dict(line.split(": ", 1) for line in head.splitlines()), text


def front_matter_always_a_head(raw):
    parts = raw.split("---\n", 2)
    return dict(line.split(": ", 1) for line in parts[1].splitlines()), parts[2].strip()


def join_by_groups(text):
    return re.sub(r"([a-z])-\n([a-z])", r"\1\2", text)


def join_by_loop(text):
    result = ""
    for i, c in enumerate(text):
        around = text[i - 1 : i + 3] if i else ""
        before = text[i - 2 : i + 2] if i > 1 else ""
        if re.fullmatch("[a-z]-\n[a-z]", around) or re.fullmatch("[a-z]-\n[a-z]", before):
            continue
        result += c
    return result


def join_all_hyphens(text):
    return text.replace("-", "")


def join_names_too(text):
    return re.sub(r"-\n", "", text)


def join_keeps_hyphen(text):
    return re.sub(r"([a-z]-)\n([a-z])", r"\1\2", text)


def join_keeps_line_end(text):
    return re.sub(r"([a-z])-(\n[a-z])", r"\1\2", text)


def share_cut_by_loop(passages, targets):
    cut = 0
    for s, e in targets:
        held = False
        for a, b in passages:
            if s >= a and e <= b:
                held = True
        cut += not held
    return cut / len(targets)


def share_cut_by_sets(passages, targets):
    sets = [set(range(a, b)) for a, b in passages]
    return sum(not any(set(range(*t)) <= p for p in sets) for t in targets) / len(targets)


def share_whole(passages, targets):
    return sum(any(a <= s and e <= b for a, b in passages) for s, e in targets) / len(targets)


def share_untouched(passages, targets):
    return sum(all(e <= a or b <= s for a, b in passages) for s, e in targets) / len(targets)


def share_strict(passages, targets):
    return 1 - sum(any(a < s and e < b for a, b in passages) for s, e in targets) / len(targets)


def fixed_by_while(text, size, overlap):
    words = [m.span() for m in re.finditer(r"\S+", text)]
    spans, first = [], 0
    while first < len(words):
        last = min(first + size, len(words))
        spans.append((words[first][0], words[last - 1][1]))
        if last == len(words):
            break
        first += size - overlap
    return spans


def fixed_by_split(text, size, overlap):
    places, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        places.append((at, at + len(word)))
        at += len(word)
    step = size - overlap
    groups = [places[i : i + size] for i in range(0, len(places), step) if i == 0 or i + overlap < len(places)]
    return [[g[0][0], g[-1][1]] for g in groups]


def fixed_with_tail(text, size, overlap):
    words = [m.span() for m in re.finditer(r"\S+", text)]
    groups = [words[i : i + size] for i in range(0, len(words), size - overlap)]
    return [(g[0][0], g[-1][1]) for g in groups]


def fixed_without_overlap(text, size, overlap):
    words = [m.span() for m in re.finditer(r"\S+", text)]
    return [(words[i][0], words[min(i + size, len(words)) - 1][1]) for i in range(0, len(words), size)]


def fixed_as_texts(text, size, overlap):
    words = text.split()
    return [" ".join(words[i : i + size]) for i in range(0, max(len(words) - overlap, 1), size - overlap) if words]


def fixed_in_characters(text, size, overlap):
    return [(i, min(i + size, len(text))) for i in range(0, len(text), size - overlap)]


def pack_forward(text, sentences, size, overlap):
    def words(group):
        return sum(len(text[a:b].split()) for a, b in group)

    passages, current = [], []
    for sentence in sentences:
        if current and words([*current, sentence]) > size:
            passages.append(current)
            current = current[max(len(current) - overlap, 1) :] if overlap else []
            while current and words([*current, sentence]) > size:
                current = current[1:]
        current = [*current, sentence]
    passages += [current] if current else []
    return [(p[0][0], p[-1][1]) for p in passages]


def pack_by_recursion(text, sentences, size, overlap):
    lengths = [len(text[a:b].split()) for a, b in sentences]

    def rest(first):
        last = first + 1
        while last < len(lengths) and sum(lengths[first : last + 1]) <= size:
            last += 1
        span = (sentences[first][0], sentences[last - 1][1])
        if last == len(lengths):
            return [span]
        starts = range(max(first + 1, last - overlap), last + 1)
        return [span, *rest(next(s for s in starts if s == last or sum(lengths[s : last + 1]) <= size))]

    return rest(0) if sentences else []


def pack_without_overlap(text, sentences, size, overlap):
    return pack_forward(text, sentences, size, 0)


def pack_all_or_nothing(text, sentences, size, overlap):
    words = [len(text[a:b].split()) for a, b in sentences]
    spans, first = [], 0
    while first < len(sentences):
        last = first + 1
        while last < len(sentences) and sum(words[first : last + 1]) <= size:
            last += 1
        spans.append((sentences[first][0], sentences[last - 1][1]))
        back = min(overlap, last - first - 1)
        fits = last < len(sentences) and sum(words[last - back : last + 1]) <= size
        first = last - back if fits else last
    return spans


def pack_nothing_new(text, sentences, size, overlap):
    lengths = [len(text[a:b].split()) for a, b in sentences]
    spans, first = [], 0
    while True:
        last = first + 1
        while last < len(lengths) and sum(lengths[first : last + 1]) <= size:
            last += 1
        spans.append((sentences[first][0], sentences[last - 1][1]))
        if last == len(lengths):
            return spans
        first = max(first + 1, last - overlap)


def pack_past_the_end(text, sentences, size, overlap):
    lengths = [len(text[a:b].split()) for a, b in sentences]
    spans, first = [], 0
    while first < len(lengths):
        last = first + 1
        while last < len(lengths) and sum(lengths[first : last + 1]) <= size:
            last += 1
        spans.append((sentences[first][0], sentences[last - 1][1]))
        first = max(first + 1, last - overlap)
    return spans


def pack_never_full(text, sentences, size, overlap):
    return pack_forward(text, sentences, size - 1, overlap)


def pack_one_each(text, sentences, size, overlap):
    return list(sentences)


RIGHT = {
    "front_matter": [front_matter_by_lines, front_matter_by_pattern],
    "join_hyphens": [join_by_groups, join_by_loop],
    "share_cut": [share_cut_by_loop, share_cut_by_sets],
    "fixed_spans": [fixed_by_while, fixed_by_split],
    "pack_sentences": [pack_forward, pack_by_recursion],
}
WRONG = {
    "front_matter": [
        (front_matter_every_rule, "split at most twice"),
        (front_matter_every_dash, "only a line of its own is a rule"),
        (front_matter_every_colon, "colon is cut"),
        (front_matter_unstripped, "white space"),
        (front_matter_always_a_head, "without a head fails"),
    ],
    "join_hyphens": [
        (join_all_hyphens, "everywhere"),
        (join_names_too, "joins names"),
        (join_keeps_hyphen, "the hyphen is still there"),
        (join_keeps_line_end, "the line's end is still there"),
    ],
    "share_cut": [(share_whole, "share that is cut"), (share_untouched, "only touches"), (share_strict, "not with <")],
    "fixed_spans": [
        (fixed_with_tail, "only repeats the end"),
        (fixed_without_overlap, "overlap is not there"),
        (fixed_as_texts, "spans (start, end)"),
        (fixed_in_characters, "counts characters"),
    ],
    "pack_sentences": [
        (pack_without_overlap, "overlap is not there"),
        (pack_all_or_nothing, "repeat as many as fit"),
        (pack_nothing_new, "nothing new"),
        (pack_past_the_end, "it goes on"),
        (pack_one_each, "passage of its own"),
        (pack_never_full, "with <=, not with <"),
    ],
}
