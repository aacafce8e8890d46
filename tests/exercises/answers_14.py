"""Answers to the exercises of chapter 14, right ones, and wrong ones with what the check says."""

import json
import re
import unicodedata
import zlib
from collections import deque


def key_by_strip(question, groups):
    return " ".join(question.lower().split()).rstrip("?!. "), tuple(sorted(set(groups)))


def key_by_pattern(question, groups):
    plain = re.sub(r"\s+", " ", question).strip().casefold()
    return re.match(r"(.*?)[?!. ]*$", plain)[1], sorted({*groups})


def key_for_everybody(question, groups):
    return key_by_strip(question, [])


def key_as_listed(question, groups):
    return key_by_strip(question, [])[0], tuple(groups)


def key_repeated(question, groups):
    return key_by_strip(question, [])[0], tuple(sorted(groups))


def key_without_points(question, groups):
    plain = "".join(c for c in question.casefold() if not unicodedata.category(c).startswith("P"))
    return " ".join(plain.split()), tuple(sorted(set(groups)))


def key_as_typed(question, groups):
    return question.strip().rstrip("?!. ").lower(), tuple(sorted(set(groups)))


def begins_by_deque(arrivals, seconds, places):
    line, free, begins = deque(), 0.0, []
    for now in arrivals:
        while line and line[0] <= now:
            line.popleft()
        if now >= free:
            begins.append(now)
        elif len(line) < places:
            begins.append(free)
            line.append(free)
        else:
            begins.append(None)
            continue
        free = begins[-1] + seconds
    return begins


def begins_by_wait(arrivals, seconds, places):
    """Who must wait for more than `places` answers, whole or in part, finds the queue full."""
    free, begins = float("-inf"), []
    for now in arrivals:
        wait = max(0.0, free - now)
        refused = wait > places * seconds
        begins.append(None if refused else now + wait)
        free = free if refused else now + wait + seconds
    return begins


def begins_without_end(arrivals, seconds, places):
    return begins_by_wait(arrivals, seconds, 10**6)


def begins_one_more(arrivals, seconds, places):
    return begins_by_wait(arrivals, seconds, places + 1)


def begins_one_fewer(arrivals, seconds, places):
    return begins_by_wait(arrivals, seconds, max(0, places - 1))


def begins_on_the_beat(arrivals, seconds, places):
    return [n * seconds for n in range(len(arrivals))]


def begins_with_refusals_served(arrivals, seconds, places):
    free, begins = 0.0, []
    for now in arrivals:
        waiting = sum(b is not None and b > now for b in begins)
        begins.append(max(now, free) if free <= now or waiting < places else None)
        free = max(now, free) + seconds
    return begins


def begins_with_the_refused_in_line(arrivals, seconds, places):
    free, begins = 0.0, []
    for now in arrivals:
        start = max(now, free)
        begins.append(start if start - now <= places * seconds else None)
        free = start + seconds
    return begins


def is_whole(line):
    return len(line) > 9 and int(line[:8], 16) == zlib.crc32(line[9:])


def log_by_find(log):
    records, place = [], 0
    while (end := log.find(b"\n", place)) >= 0:
        line = log[place:end]
        if not is_whole(line):
            return None
        records.append(json.loads(line[9:]))
        place = end + 1
    return records, place


def log_by_cutting(log):
    good = log[: log.rfind(b"\n") + 1]
    lines = good.splitlines()
    if not all(map(is_whole, lines)):
        return None
    return [json.loads(line[9:].decode()) for line in lines], len(good)


def log_trusting(log):
    good = log[: log.rfind(b"\n") + 1]
    return [json.loads(line[9:]) for line in good.splitlines()], len(good)


def log_strict(log):
    return log_by_cutting(log) if not log or log.endswith(b"\n") else None


def log_skipping(log):
    lines = [line for line in log.splitlines(keepends=True) if line.endswith(b"\n") and is_whole(line[:-1])]
    return [json.loads(line[9:]) for line in lines], sum(map(len, lines))


def log_to_the_first_fault(log):
    records, place = [], 0
    for line in log.splitlines(keepends=True):
        if not line.endswith(b"\n") or not is_whole(line[:-1]):
            break
        records.append(json.loads(line[9:]))
        place += len(line)
    return records, place


def log_by_lines(log):
    found = log_by_cutting(log)
    return found and (found[0], len(log))


def log_eager(log):
    records = log_by_cutting(log)
    rest = log[log.rfind(b"\n") + 1 :]
    if records and rest and is_whole(rest):
        return records[0] + [json.loads(rest[9:])], len(log)
    return records


def mask_by_patterns(line):
    line = re.sub(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "<email>", line)
    return re.sub(r"(?<![0-9A-Za-z])(\+[0-9]|0)([ -]?[0-9]){6,14}(?![0-9])", "<phone>", line)


def mask_by_function(line):
    def told(match):
        found = match[0]
        digits = sum(c.isdigit() for c in found)
        return "<phone>" if found[0] in "+0" and 7 <= digits <= 15 else found

    line = re.sub(r"\S+@\S+\w", "<email>", line)
    return re.sub(r"\+?\d(?:[ -]?\d)*", told, line)


def mask_first(line):
    line = re.sub(r"\S+@\S+\w", "<email>", line, count=1)
    return re.sub(r"(?<!\w)(?:\+\d|0)(?:[ -]?\d){6,14}", "<phone>", line, count=1)


def mask_all_numbers(line):
    return re.sub(r"\+?\d[\d -]{5,}\d", "<phone>", re.sub(r"\S+@\S+\w", "<email>", line))


def mask_simple_names(line):
    return mask_by_patterns(re.sub(r"\w+@[\w-]+(?:\.[\w-]+)+", "<email>", line))


def mask_digits_together(line):
    return re.sub(r"(?<!\w)(?:\+\d|0)\d{6,14}", "<phone>", re.sub(r"\S+@\S+\w", "<email>", line))


def mask_inside(line):
    return re.sub(r"(?:\+\d|0)(?:[ -]?\d){6,14}", "<phone>", re.sub(r"\S+@\S+\w", "<email>", line))


def events_by_pattern(chunks):
    found = []
    for block in re.findall(r"(.*?)\n\n", "".join(chunks), re.DOTALL):
        name = re.search(r"^event: (.*)$", block, re.MULTILINE)
        if data := re.findall(r"^data: (.*)$", block, re.MULTILINE):
            found.append((name[1] if name else "message", "\n".join(data)))
    return found


def events_by_state(chunks):
    found, rest, name, data = [], "", "message", []
    for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            if not line:
                if data:
                    found.append((name, "\n".join(data)))
                name, data = "message", []
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
    return found


def events_by_chunk(chunks):
    return [event for chunk in chunks for event in events_by_pattern([chunk])]


def events_to_the_end(chunks):
    return events_by_pattern([*chunks, "\n\n"])


def events_of_dictionaries(chunks):
    blocks = "".join(chunks).split("\n\n")[:-1]
    parts = [dict(line.split(": ", 1) for line in b.split("\n") if not line.startswith(":")) for b in blocks]
    return [(part.get("event", "message"), part["data"]) for part in parts if "data" in part]


def events_of_fields(chunks):
    blocks = "".join(chunks).split("\n\n")[:-1]
    lines = [[line.split(": ") for line in block.split("\n") if line[0] != ":"] for block in blocks]
    told = [
        ("".join(p[1] for p in b if p[0] == "event") or "message", [p[1] for p in b if p[0] == "data"]) for b in lines
    ]
    return [(name, "\n".join(data)) for name, data in told if data]


def events_nameless(chunks):
    return [(name.replace("message", ""), data) for name, data in events_by_pattern(chunks)]


RIGHT = {
    "cache_key": [key_by_strip, key_by_pattern],
    "begin_times": [begins_by_deque, begins_by_wait],
    "recover_log": [log_by_find, log_by_cutting],
    "mask_personal": [mask_by_patterns, mask_by_function],
    "read_events": [events_by_pattern, events_by_state],
}
WRONG = {
    "cache_key": [
        (key_for_everybody, "given to everybody"),
        (key_as_listed, "sort them"),
        (key_repeated, "take each once"),
        (key_without_points, "0.7 is not 07"),
        (key_as_typed, "make each run of them one blank"),
    ],
    "begin_times": [
        (begins_without_end, "Nobody is refused"),
        (begins_one_more, "One too many may wait"),
        (begins_one_fewer, "takes no place"),
        (begins_with_refusals_served, "costs time"),
        (begins_with_the_refused_in_line, "still stands in the queue"),
        (begins_on_the_beat, "before its visitor is there"),
    ],
    "recover_log": [
        (log_trusting, "checksum is not compared"),
        (log_strict, "taken for damage"),
        (log_skipping, "is skipped"),
        (log_to_the_first_fault, "taken for the end"),
        (log_by_lines, "behind the torn one"),
        (log_eager, "without its line end"),
    ],
    "mask_personal": [
        (mask_first, "Only the first"),
        (mask_all_numbers, "Dates are masked"),
        (mask_simple_names, "before the @ is left"),
        (mask_digits_together, "not found whole"),
        (mask_inside, "in the middle of a number"),
    ],
    "read_events": [
        (events_by_chunk, "by itself"),
        (events_to_the_end, "has not ended"),
        (events_of_dictionaries, "only the last is kept"),
        (events_of_fields, "at the first one only"),
        (events_nameless, 'is a "message"'),
    ],
}
