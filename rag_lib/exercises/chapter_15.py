"""The exercises of chapter 15: a collection in parts, and what slow and lost machines cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import random

Hits = list[tuple[str, float]]


def merge_cases() -> list[Case]:
    """Ties, a lost shard, a shard that finds nothing, nobody at all."""
    lists = [[("laika#0", 0.9), ("ham#1", 0.4)], [("sputnik#2", 0.7), ("apollo#0", 0.4)], [("voyager#3", 0.5)]]
    settings = [
        (lists, [100, 100, 200], 2, "three shards that all answer"),
        (lists, [100, 100, 200], 4, "two hits with equal scores"),
        ([lists[0], None, lists[2]], [100, 100, 200], 2, "a shard that does not answer"),
        ([lists[0], [], lists[2]], [100, 100, 200], 3, "a shard that answers and finds nothing"),
        ([None, lists[1]], [10, 30], 5, "fewer hits than are wanted"),
        ([None, None], [10, 30], 5, "shards of which none answers"),
    ]
    return [Case((r, sizes, k), merged(r, sizes, k), about) for r, sizes, k, about in settings]


def merged(replies, sizes, k, there=lambda r: r is not None, count=False, lost=False, order=lambda h: (-h[1], h[0])):
    """The best hits and the share of the collection behind them, with the mistakes that the other settings make."""
    hits = sorted((hit for reply in replies for hit in reply or []), key=order)[:k]
    weights = [1] * len(sizes) if count else sizes
    share = sum(w for w, reply in zip(weights, replies, strict=True) if there(reply)) / sum(weights)
    return hits, 1 - share if lost else share


def kept_cases() -> list[Case]:
    """Few, enough, one shard, many shards."""
    settings = [(10, 4, 3, "three of ten from each of four shards"), (10, 4, 10, "all ten from each shard"),
                (10, 1, 4, "a single shard"), (10, 4, 1, "one from each shard"),
                (100, 50, 5, "a hundred neighbours on fifty shards")]  # fmt: skip
    return [Case((k, shards, m), neighbours(k, shards, m), about) for k, shards, m, about in settings]


def chances(k: int, shards: int) -> list[float]:
    """The probability that a shard holds b of the k nearest, for b = 0 … k."""
    p = 1 / shards
    return [math.comb(k, b) * p**b * (1 - p) ** (k - b) for b in range(k + 1)]


def neighbours(k: int, shards: int, sent: int) -> float:
    """The expected share of the k nearest that is left when each shard sends so many."""
    return shards * sum(min(b, sent) * p for b, p in enumerate(chances(k, shards))) / k


def machine_cases() -> list[Case]:
    """Three machines, two of them, another order, one."""
    ids = ["laika#0", "laika#1", "ham#0", "apollo-11#4", "voyager-1#2", "sputnik-1#0", "venera-7#3", "mir#1"]
    settings = [(["red", "green", "blue"], "three machines"), (["red", "blue"], "two machines"),
                (["blue", "red", "green"], "the machines in another order"), (["red"], "a single machine")]  # fmt: skip
    return [Case((ids, names), placed(ids, names), about) for names, about in settings]


def number(text: str) -> int:
    """A number that depends on the text alone."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def placed(ids, names, choose: Callable = max, text="{id} {name}", rank=False) -> list:
    """The machine of each passage, with the mistakes that the other settings make."""
    chosen = [choose(names, key=lambda name: number(text.format(id=id, name=name))) for id in ids]
    return [names.index(name) for name in chosen] if rank else chosen


def fan_out_cases() -> list[Case]:
    """Sometimes, never, and always a second request."""
    first, second = np.exp(random(20, 6, 4)), np.exp(random(21, 6, 4))
    settings = [(1.5, "a second request after 1.5 seconds"), (0.5, "a second request after half a second"),
                (1e3, "a second request that is never sent"), (0.0, "a second request at once")]  # fmt: skip
    return [Case((first, second, after), hedged(first, second, after), about) for after, about in settings]


def hedged(first, second, after, slowest=np.max, added=True, always=False, only=False, share=np.mean, axis=1) -> tuple:
    """Times and share of second requests, with the mistakes that the other settings make."""
    sent = (first > after) | always
    again = second + after * added
    times = slowest(np.where(sent, again if only else np.minimum(first, again), first), axis=axis)
    return times, float(share(sent))


def work_cases() -> list[Case]:
    """Nothing done, something, everything, another encoder's, twice the same, a short end."""
    texts = ["one", "two", "three", "four", "five"]
    all_of = [name for name, _ in left(texts, 2, "minilm", set())]
    settings = [
        (texts, 2, "minilm", set(), "five passages, none of them done"),
        (texts, 2, "minilm", {all_of[1]}, "a batch that is done"),
        (texts, 2, "minilm", set(all_of), "a run that was finished"),
        (texts, 2, "e5", set(all_of), "batches that another encoder has done"),
        (["one", "two", "one", "two", "three"], 2, "minilm", set(), "a batch that comes twice"),
        (["zero", *texts], 3, "minilm", {all_of[0]}, "batches of another size"),
    ]
    return [Case((t, size, e, done), left(t, size, e, done), about) for t, size, e, done, about in settings]


def file_name(encoder: str, batch: Sequence[str]) -> str:
    """The name of a batch's file."""
    return whole_name(encoder, batch)[:16]


def whole_name(encoder: str, batch: Sequence[str]) -> str:
    """The name of a batch's file before it is cut."""
    return sha256("\n".join([encoder, *batch]).encode()).hexdigest()


def left(texts, size, encoder, done, name: Callable = file_name, once=True, short=True, skip=True) -> list[tuple]:
    """The batches that are to be done, with the mistakes that the other settings make."""
    batches = [texts[i : i + size] for i in range(0, len(texts) if short else len(texts) - size + 1, size)]
    named = [(name(encoder, batch), batch) for batch in batches]
    named = list(dict(named).items()) if once else named
    return [(file, batch) for file, batch in named if not (skip and file in done)]


def plan_cases() -> list[Case]:
    """Memory decides, questions decide, a small collection."""
    settings = [(10**9, 400, 50, 2e-9, 256e9, 32, "a billion passages"),
                (10**8, 1536, 200, 1e-8, 64e9, 16, "many questions"),
                (10**6, 1536, 1, 1e-9, 16e9, 4, "a collection that fits into one machine"),
                (5 * 10**7, 384, 900, 3e-9, 16e9, 8, "short vectors and a crowd")]  # fmt: skip
    return [Case(tuple(numbers), planned(*numbers), about) for *numbers, about in settings]


def planned(passages, each, questions, compare, memory, cores, use=0.7, up: Callable = math.ceil, least=2, copies=1,
            apart=True) -> tuple[int, int]:  # fmt: skip
    """Shards and replicas, with the mistakes that the other settings make."""
    shards = max(1, up(passages * each * copies / (use * memory)))
    work = questions * compare * passages / (shards if apart else 1)
    return shards, max(least, up(work / (use * cores)))


EXERCISES = (
    Exercise(
        "merge_told",
        merge_cases,
        (
            Fault(
                "A shard that answers and finds nothing is there: only `None` means that it is lost.",
                lambda *a: merged(*a, there=bool),
            ),
            Fault(
                "It counts shards; the share is of passages, so weigh each by its size.",
                lambda *a: merged(*a, count=True),
            ),
            Fault("That is the share that is lost.", lambda *a: merged(*a, lost=True)),
            Fault(
                "Of equal scores the smaller id comes first, whichever shard replied first.",
                lambda *a: merged(*a, order=lambda hit: -hit[1]),
            ),
            Fault("The worst come first.", lambda *a: merged(*a, order=lambda hit: (hit[1], hit[0]))),
            Fault("All hits are returned; k of them are wanted.", lambda r, sizes, k: merged(r, sizes, 10**6)),
            Fault(
                "The share is always 1: an answer without a shard must say so.",
                lambda *a: merged(*a, there=lambda reply: True),
            ),
        ),
        (
            "`sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]` for the hits of all replies that are not None.",
            "Add up the sizes of the shards whose reply `is not None`, and divide by the sum of all sizes.",
        ),
    ),
    Exercise(
        "neighbours_kept",
        kept_cases,
        (
            Fault(
                "The neighbours do not fall evenly on the shards, so that four times three are not ten of ten.",
                lambda k, shards, m: min(1.0, shards * m / k),
            ),
            Fault(
                "That is the probability that one shard is complete; count the neighbours, min(b, sent) of each shard.",
                lambda k, shards, m: sum(chances(k, shards)[: m + 1]),
            ),
            Fault(
                "That is (nearly) the probability that nothing is lost; the expected share is wanted.",
                lambda k, shards, m: sum(chances(k, shards)[: m + 1]) ** shards,
            ),
            Fault("It is the share of one shard: all shards send.", lambda k, s, m: neighbours(k, s, m) / s),
            Fault("That is how many are kept; divide by k.", lambda k, s, m: neighbours(k, s, m) * k),
            Fault(
                "Where a shard holds more than it may send, it still sends some: min(b, sent), not 0.",
                lambda k, s, m: s * sum(b * p for b, p in enumerate(chances(k, s)[: m + 1])) / k,
            ),
        ),
        (
            "`math.comb(k, b) * p**b * (1 - p) ** (k - b)` with p = 1 / shards: a shard holds b of the k nearest.",
            "Each of the shards sends min(b, sent) of them; add that up over b, times the shards, over k.",
        ),
    ),
    Exercise(
        "machines_of",
        machine_cases,
        (
            Fault("The smallest number wins; the largest should.", lambda *a: placed(*a, choose=min)),
            Fault(
                "The remainder moves nearly every passage when a machine comes or goes: take the largest number.",
                lambda ids, names: [names[number(id) % len(names)] for id in ids],
            ),
            Fault("It returns numbers; the names are wanted.", lambda *a: placed(*a, rank=True)),
            Fault(
                'The name stands before the id: `f"{id} {machine}"` is what is hashed, and all must agree on it.',
                lambda *a: placed(*a, text="{name} {id}"),
            ),
            Fault("There is a blank between the id and the machine.", lambda *a: placed(*a, text="{id}{name}")),
            Fault(
                "The passage's id is not in what is hashed: one machine gets everything.",
                lambda *a: placed(*a, text="{name}"),
            ),
        ),
        (
            'The number of a pair: `int.from_bytes(blake2b(f"{id} {machine}".encode(), digest_size=8).digest())`.',
            "`max(machines, key=lambda machine: …)` is the machine with the largest number.",
        ),
    ),
    Exercise(
        "hedged_times",
        fan_out_cases,
        (
            Fault(
                "A question is done when its slowest shard is, not on average.", lambda *a: hedged(*a, slowest=np.mean)
            ),
            Fault(
                "It is the slowest question of each shard; the slowest shard of each question is wanted (axis 1).",
                lambda *a: hedged(*a, axis=0),
            ),
            Fault("That is the fastest shard; a question waits for all.", lambda *a: hedged(*a, slowest=np.min)),
            Fault("The second request begins `after` seconds later: add them.", lambda *a: hedged(*a, added=False)),
            Fault(
                "A second request is counted for everybody; only those whose first took longer than `after` send one.",
                lambda *a: hedged(*a, always=True),
            ),
            Fault(
                "The first request is given up; whichever comes first counts.",
                lambda *a: hedged(*a, only=True),
            ),
            Fault(
                "It returns how many second requests are sent; the share is wanted.",
                lambda *a: hedged(*a, share=np.sum),
            ),
        ),
        (
            "`np.minimum(first, after + second)` is when a shard has answered; a first that is faster stays.",
            "Then the maximum over the shards (`axis=1`); the share is the mean of `first > after`.",
        ),
    ),
    Exercise(
        "work_left",
        work_cases,
        (
            Fault("What is done is done again.", lambda *a: left(*a, skip=False)),
            Fault(
                "The encoder is not in the name: another encoder's vectors would be taken for these.",
                lambda *a: left(*a, name=lambda encoder, batch: file_name(batch[0], batch[1:])),
            ),
            Fault("A batch that comes twice is done twice.", lambda *a: left(*a, once=False)),
            Fault("The last batch is lost where it is shorter.", lambda *a: left(*a, short=False)),
            Fault(
                "The name depends on the first passage alone; a batch of another size would be taken for done.",
                lambda *a: left(*a, name=lambda encoder, batch: file_name(encoder, batch[:1])),
            ),
            Fault("The name is too long: its first 16 characters are wanted.", lambda *a: left(*a, name=whole_name)),
        ),
        (
            "Batches: `texts[i : i + size] for i in range(0, len(texts), size)`.",
            'A name: `sha256("\\n".join([encoder, *batch]).encode()).hexdigest()[:16]`; skip those done, or seen.',
        ),
    ),
    Exercise(
        "plan_machines",
        plan_cases,
        (
            Fault("Full machines: only 0.7 of memory and of cores are to be used.", lambda *a: planned(*a, use=1.0)),
            Fault("It rounds to the nearest; part of a machine is a machine.", lambda *a: planned(*a, up=round)),
            Fault("It rounds down; part of a machine is a machine.", lambda *a: planned(*a, up=int)),
            Fault("One replica is lost with one machine: two at least.", lambda *a: planned(*a, least=1)),
            Fault(
                "A machine compares a question with the passages of its own shard, not with all.",
                lambda *a: planned(*a, apart=False),
            ),
            Fault("The copies are counted twice: a shard is a part of one copy.", lambda *a: planned(*a, copies=2)),
        ),
        (
            "Shards: all bytes over 0.7 · memory, rounded up (`math.ceil`).",
            "One machine's work: questions · passages / shards · compare_s core seconds per second, of 0.7 · cores.",
        ),
    ),
)
