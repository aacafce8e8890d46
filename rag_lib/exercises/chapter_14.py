"""The exercises of chapter 14: what keeps a service right when many ask, processes die and strangers write."""

from __future__ import annotations

import json
import operator
import re
import zlib
from collections.abc import Callable, Sequence

from rag_lib.exercises.exercise import Case, Exercise, Fault

Key = tuple[str, tuple[str, ...]]
Recovered = tuple[list[dict], int] | None
Event = tuple[str, str]


def cache_key_cases() -> list[Case]:
    """Spellings of one question, groups in any order, marks inside."""
    settings = [
        ("Who flew first?", [], ("who flew first", ()), "a visitor of no group"),
        ("  WHO flew\n first ?! ", [], ("who flew first", ()), "the same question in capitals, with blanks and marks"),
        ("Who flew first", ["staff"], ("who flew first", ("staff",)), "a reader of one group"),
        ("Who flew first?", ["staff", "press"], ("who flew first", ("press", "staff")), "a reader of two groups"),
        ("Who flew first?", ["press", "staff", "press"], ("who flew first", ("press", "staff")), "a group named twice"),
        ("Is Venus 0.7 AU away?", [], ("is venus 0.7 au away", ()), "a question with a point inside"),
    ]
    return [Case((question, groups), expected, about) for question, groups, expected, about in settings]


def keyed(question, groups, use=True, sort=True, once=True, case=True, blanks=True, marks="[ ?!.]+$") -> Key:
    """The key of a kept answer, with the mistakes that the other settings make."""
    plain = question.casefold() if case else question
    plain = " ".join(plain.split()) if blanks else plain.strip()
    who = list(dict.fromkeys(groups)) if once else list(groups)
    return re.sub(marks, "", plain), tuple(sorted(who) if sort else who) if use else ()


def begin_cases() -> list[Case]:
    """No rush, a rush, a place that becomes free, to the second, and no place at all."""
    settings = [
        ([0.0, 5.0, 9.0], 2.0, 1, [0.0, 5.0, 9.0], "visitors who come one by one"),
        ([0.0, 0.25, 0.5, 0.75, 1.25], 2.0, 2, [0.0, 2.0, 4.0, None, None], "five at once and two places"),
        ([0.0, 0.5, 0.75, 1.25], 1.0, 1, [0.0, 1.0, None, 2.0], "a place that becomes free again"),
        ([0.0, 0.5, 1.0], 1.0, 1, [0.0, 1.0, 2.0], "one who comes just when the one waiting begins"),
        ([0.0, 0.5, 1.0], 1.0, 0, [0.0, None, 1.0], "a service where nobody may wait"),
    ]
    return [Case((came, seconds, places), right, about) for came, seconds, places, right, about in settings]


def begun(
    arrivals: Sequence[float], seconds: float, places: int, full: Callable = operator.ge, later: Callable = operator.gt,
    answering: bool = False, pays: bool = False, stays: bool = False, idle: bool = True,
) -> list[float | None]:  # fmt: skip
    """When each visitor's answer begins, with the mistakes that the other settings make."""
    begins, line, free = [], [], 0.0
    for now in arrivals:
        waiting = [b for b in line if later(b, now) or (answering and b <= now < b + seconds)]
        refused = free > now and full(len(waiting), places)
        start = max(free, now) if idle else free
        begins.append(None if refused else start)
        line += [start] if stays or not refused else []
        free = start + seconds if pays or not refused else free
    return begins


def record_line(record: dict) -> bytes:
    """A line of the exercise's log."""
    text = json.dumps(record).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


def recover_cases() -> list[Case]:
    """Whole logs, torn ones, damaged ones."""
    records = [{"put": "zog", "umbrellas": 412}, {"put": "zog", "umbrellas": 413}, {"remove": "zog"}]
    first, second, third = map(record_line, records)
    good = len(first + second)
    return [
        Case((first + second,), (records[:2], good), "a log of two records"),
        Case((first + second + third[:-9],), (records[:2], good), "a log whose third record is torn"),
        Case((first + second + third[:-1],), (records[:2], good), "a log whose last line end is missing"),
        Case((first.replace(b"412", b"512") + second,), None, "a log with another digit in its first record"),
        Case((first + second.replace(b"413", b"513"),), None, "a log with another digit in its last whole line"),
        Case((first[:30],), ([], 0), "a log that ends in its first record"),
        Case((b"",), ([], 0), "an empty log"),
    ]


def recovered(log: bytes, damage="refuse", torn="drop", checked=True, everything=False) -> Recovered:
    """The records of a log, with the mistakes that the other settings make."""
    records, end = [], 0
    *lines, rest = log.split(b"\n")
    if rest and torn == "refuse":
        return None
    whole = rest[:9] == f"{zlib.crc32(rest[9:]):08x} ".encode()
    for line in [*lines, rest] if torn == "read" and whole and rest else lines:
        if checked and line[:9] != f"{zlib.crc32(line[9:]):08x} ".encode():
            if damage == "refuse":
                return None
            if damage == "stop":
                break
            continue
        records.append(json.loads(line[9:]))
        end += len(line) + 1
    return records, len(log) if everything else min(end, len(log))


def mask_cases() -> list[Case]:
    """Addresses and telephone numbers in several forms, and numbers that are neither."""
    settings = [
        ("Write to ada@example.org, please.", "Write to <email>, please.", "an address"),
        ("My address is a.l+x@mail.example.co.uk.", "My address is <email>.", "an address before a full stop"),
        ("Call +44 20 7946 0958 today", "Call <phone> today", "a number with + and blanks"),
        ("Call 030-1234567!", "Call <phone>!", "a number with a hyphen"),
        ("0301234567 or eva@example.org or 0309876543", "<phone> or <email> or <phone>", "two numbers and an address"),
        ("On 1969-07-20, 384400 km away", "On 1969-07-20, 384400 km away", "a date and a distance"),
        ("Room 0815, part 4030123456", "Room 0815, part 4030123456", "a short number, and a 0 inside a long one"),
    ]
    return [Case((line,), right, about) for line, right, about in settings]


EMAIL, PHONE = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", r"(?<!\w)(?:\+\d|0)(?:[ -]?\d){6,14}(?!\d)"


def masked(line: str, email: str = EMAIL, phone: str = PHONE, count: int = 0) -> str:
    """A line without personal data, with the mistakes that other patterns make."""
    return re.sub(phone, "<phone>", re.sub(email, "<email>", line, count=count), count=count)


def event_cases() -> list[Case]:
    """Events that are whole, cut, of two lines, nameless, unfinished."""
    two = "event: piece\ndata: In\n\nevent: piece\ndata: 1963\n\n"
    pieces = [("piece", "In"), ("piece", "1963")]
    settings = [
        ([two], pieces, "two events in one chunk"),
        ([two[:9], two[9:16], two[16:]], pieces, "chunks that cut words and lines"),
        ([two[:22], two[22:23], two[23:]], pieces, "a chunk that ends between the two line ends"),
        (["event: end\ndata: a\ndata: b\n\n"], [("end", "a\nb")], "an event with two lines of data"),
        ([": still here\n\n", "data: x\n\n"], [("message", "x")], "a comment, and an event without a name"),
        (["event: end\ndata: from: Ada: 3\n\n"], [("end", "from: Ada: 3")], "data with colons"),
        ([two, "event: end\ndata: {"], pieces, "a stream that breaks off"),
    ]
    return [Case((chunks,), right, about) for chunks, right, about in settings]


def events(chunks: Sequence[str], join="\n", nameless="message", most=1, broken=False, comment=False) -> list[Event]:
    """The events of a stream, with the mistakes that the other settings make."""
    *blocks, rest = "".join(chunks).split("\n\n")
    found = []
    for block in [*blocks, rest] if broken and rest else blocks:
        parts = [line.split(": ", most) for line in block.split("\n") if not line.startswith(":")]
        data = [part[1] for part in parts if part[0] == "data"]
        name = next((part[1] for part in parts if part[0] == "event"), nameless)
        if data or comment:
            found.append((name, data[-1] if join is None else join.join(data)))
    return found


EXERCISES = (
    Exercise(
        "cache_key",
        cache_key_cases,
        (
            Fault(
                "The groups are not in the key: what was answered to the staff would be given to everybody.",
                lambda *a: keyed(*a, use=False),
            ),
            Fault("The same groups in another order are another key: sort them.", lambda *a: keyed(*a, sort=False)),
            Fault("A group that is named twice makes another key: take each once.", lambda *a: keyed(*a, once=False)),
            Fault("Capitals make a difference: use `casefold` or `lower`.", lambda *a: keyed(*a, case=False)),
            Fault(
                "Blanks and line ends inside the question make a difference: make each run of them one blank.",
                lambda *a: keyed(*a, blanks=False),
            ),
            Fault(
                "The marks at the end are still there: `?`, `!`, `.` and blanks go.", lambda *a: keyed(*a, marks="$")
            ),
            Fault(
                "Marks are taken away inside the question too: 0.7 is not 07. Only those at the end go.",
                lambda *a: keyed(*a, marks="[?!.]+| +$| (?=[?!.])"),
            ),
        ),
        (
            '`" ".join(text.split())` makes each run of white space one blank; `rstrip("?!. ")` takes off the marks.',
            "`tuple(sorted(set(groups)))` is the same for the same groups.",
        ),
    ),
    Exercise(
        "begin_times",
        begin_cases,
        (
            Fault(
                "Nobody is refused: the queue has no last place.", lambda *a: begun(*a, full=lambda n, places: False)
            ),
            Fault(
                "One too many may wait: refuse where as many as `places` wait already (>=, not >).",
                lambda *a: begun(*a, full=operator.gt),
            ),
            Fault("Who is being answered does not wait, and takes no place.", lambda *a: begun(*a, answering=True)),
            Fault(
                "A refused visitor costs time: only who is let in keeps the service busy.",
                lambda *a: begun(*a, pays=True),
            ),
            Fault(
                "A refused visitor still stands in the queue: who goes away takes neither time nor a place.",
                lambda *a: begun(*a, pays=True, stays=True),
            ),
            Fault(
                "An answer begins before its visitor is there: it begins at the arrival, or when the service is free.",
                lambda *a: begun(*a, idle=False),
            ),
            Fault(
                "Whoever begins just now waits no longer: those wait whose begin is later than now.",
                lambda *a: begun(*a, later=operator.ge),
            ),
        ),
        (
            "Keep the time at which the service is free; an answer begins at `max(free, arrival)`.",
            "Those who wait at a moment are those let in whose answer begins after it.",
        ),
    ),
    Exercise(
        "recover_log",
        recover_cases,
        (
            Fault(
                "A torn end is taken for damage: nobody was told that it had been written, so leave it out.",
                lambda log: recovered(log, torn="refuse"),
            ),
            Fault(
                "A record without its line end is read: it may be torn, and was not acknowledged.",
                lambda log: recovered(log, torn="read"),
            ),
            Fault(
                "The checksum is not compared, so a damaged record is read.", lambda log: recovered(log, checked=False)
            ),
            Fault(
                "A damaged record is skipped, though it was acknowledged: what is left is silently wrong. Return None.",
                lambda log: recovered(log, damage="skip"),
            ),
            Fault(
                "A damaged record is taken for the end: what stands behind it was acknowledged too. Return None.",
                lambda log: recovered(log, damage="stop"),
            ),
            Fault(
                "It returns the length of the file: the next record would be written behind the torn one.",
                lambda log: recovered(log, everything=True),
            ),
        ),
        (
            '`*lines, rest = log.split(b"\\n")`: the last part has no line end, so it is torn, or empty.',
            'A line is whole if `line[:9] == f"{zlib.crc32(line[9:]):08x} ".encode()`.',
            "A whole record takes `len(line) + 1` bytes, with its line end.",
        ),
    ),
    Exercise(
        "mask_personal",
        mask_cases,
        (
            Fault("Addresses are not masked.", lambda line: masked(line, email="(?!)")),
            Fault("Telephone numbers are not masked.", lambda line: masked(line, phone="(?!)")),
            Fault("Only the first of each kind is masked.", lambda line: masked(line, count=1)),
            Fault(
                "The full stop behind an address is taken for a part of it: after each point something must follow.",
                lambda line: masked(line, email=r"[\w.+-]+@[\w.-]+"),
            ),
            Fault(
                "A part of the name before the @ is left: points, plus signs and hyphens belong to it.",
                lambda line: masked(line, email=EMAIL.replace("[\\w.+-]", "\\w")),
            ),
            Fault(
                "Numbers with blanks or hyphens are not found whole: `[ -]?` before each digit lets them be there.",
                lambda line: masked(line, phone=PHONE.replace("[ -]?", "")),
            ),
            Fault(
                "Dates are masked: a telephone number begins with + or 0.",
                lambda line: masked(line, phone=r"(?<!\w)\+?\d(?:[ -]?\d){6,14}(?!\d)"),
            ),
            Fault(
                "A 0 in the middle of a number begins a match: nothing may stand right before it (`(?<!\\w)`).",
                lambda line: masked(line, phone=PHONE.replace(r"(?<!\w)", "")),
            ),
            Fault(
                "Short numbers are masked: a telephone number has 7 digits at least.",
                lambda line: masked(line, phone=PHONE.replace("{6,14}", "*")),
            ),
        ),
        (
            "An address: `[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+`, a name, an @, and parts joined by points.",
            "A number: + and a digit, or a 0; then six to fourteen times `[ -]?\\d`; nothing before it (`(?<!\\w)`).",
        ),
    ),
    Exercise(
        "read_events",
        event_cases,
        (
            Fault(
                "Each chunk is read by itself; the network cuts anywhere, so join them first (or keep the rest).",
                lambda chunks: [event for chunk in chunks for event in events([chunk])],
            ),
            Fault(
                "An event that has not ended is handed out: without its empty line it may be half of one.",
                lambda chunks: events(chunks, broken=True),
            ),
            Fault("Of several data lines only the last is kept.", lambda chunks: events(chunks, join=None)),
            Fault("Several data lines are joined by a line end.", lambda chunks: events(chunks, join="")),
            Fault('An event without a name is a "message".', lambda chunks: events(chunks, nameless="")),
            Fault("Data are cut at a colon of their own: split at the first one only.", lambda c: events(c, most=-1)),
            Fault("A comment is no event: leave out what has no data.", lambda chunks: events(chunks, comment=True)),
        ),
        (
            '`"".join(chunks).split("\\n\\n")`: each part but the last is an event; the last is unfinished, or empty.',
            "`key, value = line.split(': ', 1)` for each line that does not begin with a colon.",
        ),
    ),
)
