"""Answers to the exercises of chapter 15, right ones, and wrong ones with what the check says."""

import heapq
import math
from hashlib import blake2b, sha256

import numpy as np


def merge_by_heap(replies, sizes, k):
    hits = [(-score, id) for reply in replies if reply is not None for id, score in reply]
    share = sum(size for size, reply in zip(sizes, replies, strict=True) if reply is not None) / sum(sizes)
    return [(id, -score) for score, id in heapq.nsmallest(k, hits)], share


def merge_by_two_sorts(replies, sizes, k):
    there = np.array([reply is not None for reply in replies])
    hits = [hit for reply in replies for hit in (reply or ())]
    hits.sort()
    hits.sort(key=lambda hit: hit[1], reverse=True)
    return hits[:k], float(np.average(there, weights=sizes))


def merge_truthy(replies, sizes, k):
    hits, there = [], 0
    for reply, size in zip(replies, sizes, strict=True):
        if reply:
            hits += reply
            there += size
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k], there / sum(sizes)


def merge_counting(replies, sizes, k):
    return merge_by_heap(replies, [1] * len(sizes), k)


def merge_whole(replies, sizes, k):
    return merge_by_heap(replies, sizes, k)[0], 1.0


def merge_as_they_come(replies, sizes, k):
    hits = [hit for reply in replies if reply is not None for hit in reply]
    return sorted(hits, key=lambda hit: hit[1], reverse=True)[:k], merge_by_heap(replies, sizes, k)[1]


def merge_lost(replies, sizes, k):
    return merge_by_heap(replies, sizes, k)[0], sum(s for s, r in zip(sizes, replies, strict=True) if r is None) / sum(
        sizes
    )


def kept_by_comb(k, shards, sent):
    total = 0
    for b in range(k + 1):
        ways = math.comb(k, b) * (shards - 1) ** (k - b)  # of shards**k
        total += min(b, sent) * ways
    return total / shards ** (k - 1) / k


def kept_by_steps(k, shards, sent):
    """The counts of one shard, a ball at a time."""
    chance = np.zeros(k + 1)
    chance[0] = 1
    for _ in range(k):
        chance = chance * (1 - 1 / shards) + np.r_[0, chance[:-1]] / shards
    return chance @ np.minimum(np.arange(k + 1), sent) * shards / k


def kept_evenly(k, shards, sent):
    return min(k, sent * shards) / k


def kept_complete(k, shards, sent):
    p = 1 / shards
    return sum(math.comb(k, b) * p**b * (1 - p) ** (k - b) for b in range(min(sent, k) + 1))


def kept_of_one(k, shards, sent):
    return kept_by_steps(k, shards, sent) / shards


def kept_count(k, shards, sent):
    return kept_by_steps(k, shards, sent) * k


def digest(text):
    return blake2b(text.encode(), digest_size=8).digest()


def machines_by_loop(ids, machines):
    chosen = []
    for id in ids:
        best = machines[0]
        for machine in machines[1:]:
            if digest(f"{id} {machine}") > digest(f"{id} {best}"):
                best = machine
        chosen.append(best)
    return chosen


def machines_by_sorting(ids, machines):
    return [sorted(machines, key=lambda machine: digest(id + " " + machine))[-1] for id in ids]


def machines_by_remainder(ids, machines):
    return [machines[int.from_bytes(digest(id)) % len(machines)] for id in ids]


def machines_smallest(ids, machines):
    return [min(machines, key=lambda machine: digest(f"{id} {machine}")) for id in ids]


def machines_turned(ids, machines):
    return [max(machines, key=lambda machine: digest(f"{machine} {id}")) for id in ids]


def machines_numbered(ids, machines):
    return [int(np.argmax([int.from_bytes(digest(f"{id} {machine}")) for machine in machines])) for id in ids]


def hedged_by_loop(first, second, after):
    times = [
        max(a if a <= after else min(a, after + b) for a, b in zip(*rows, strict=True))
        for rows in zip(first, second, strict=True)
    ]
    return np.array(times), sum(a > after for row in first for a in row) / first.size


def hedged_by_mask(first, second, after):
    late = first > after
    done = first.copy()
    done[late] = np.minimum(first, second + after)[late]
    return done.max(axis=-1), np.count_nonzero(late) / late.size


def hedged_at_once(first, second, after):
    return np.where(first > after, np.minimum(first, second), first).max(axis=1), (first > after).mean()


def hedged_on_average(first, second, after):
    return np.minimum(first, second + after).mean(axis=1), (first > after).mean()


def hedged_impatient(first, second, after):
    return np.where(first > after, second + after, first).max(axis=1), (first > after).mean()


def hedged_counted(first, second, after):
    return np.minimum(first, second + after).max(axis=1), (first > after).sum()


def hedged_over_questions(first, second, after):
    return np.minimum(first, second + after).max(axis=0), (first > after).mean()


def named(encoder, batch, separator="\n"):
    return sha256(separator.join([encoder, *batch]).encode()).hexdigest()[:16]


def work_by_loop(texts, size, encoder, done, name=named):
    found, seen, rest = [], set(done), list(texts)
    while rest:
        batch, rest = rest[:size], rest[size:]
        if name(encoder, batch) not in seen:
            seen.add(name(encoder, batch))
            found.append((name(encoder, batch), batch))
    return found


def work_by_dictionary(texts, size, encoder, done):
    batches = (texts[i * size : (i + 1) * size] for i in range(math.ceil(len(texts) / size)))
    return [item for item in {named(encoder, batch): batch for batch in batches}.items() if item[0] not in done]


def work_again(texts, size, encoder, done):
    return work_by_loop(texts, size, encoder, ())


def work_of_any_encoder(texts, size, encoder, done):
    return work_by_loop(texts, size, encoder, done, lambda encoder, batch: named(batch[0], batch[1:]))


def work_twice(texts, size, encoder, done):
    batches = [texts[i : i + size] for i in range(0, len(texts), size)]
    return [(named(encoder, batch), batch) for batch in batches if named(encoder, batch) not in done]


def work_without_the_end(texts, size, encoder, done):
    return work_by_loop(texts[: len(texts) // size * size], size, encoder, done)


def plan_by_division(passages, bytes_each, questions, compare_s, memory, cores):
    shards = -int(-passages * bytes_each // (0.7 * memory))
    busy = questions * compare_s * passages / shards
    return shards, max(2, -int(-busy // (0.7 * cores)))


def plan_by_counting(passages, bytes_each, questions, compare_s, memory, cores):
    shards = replicas = 1
    while shards * 0.7 * memory < passages * bytes_each:
        shards += 1
    while replicas < 2 or replicas * 0.7 * cores < questions * compare_s * passages / shards:
        replicas += 1
    return shards, replicas


def plan_full(passages, bytes_each, questions, compare_s, memory, cores):
    shards = math.ceil(passages * bytes_each / memory)
    return shards, max(2, math.ceil(questions * compare_s * passages / shards / cores))


def plan_one_replica(passages, bytes_each, questions, compare_s, memory, cores):
    shards = math.ceil(passages * bytes_each / (0.7 * memory))
    return shards, math.ceil(questions * compare_s * passages / shards / (0.7 * cores))


def plan_all_passages(passages, bytes_each, questions, compare_s, memory, cores):
    shards = math.ceil(passages * bytes_each / (0.7 * memory))
    return shards, max(2, math.ceil(questions * compare_s * passages / (0.7 * cores)))


def plan_rounded(passages, bytes_each, questions, compare_s, memory, cores):
    shards = max(1, int(passages * bytes_each / (0.7 * memory)))
    return shards, max(2, int(questions * compare_s * passages / shards / (0.7 * cores)))


RIGHT = {
    "merge_told": [merge_by_heap, merge_by_two_sorts],
    "neighbours_kept": [kept_by_comb, kept_by_steps],
    "machines_of": [machines_by_loop, machines_by_sorting],
    "hedged_times": [hedged_by_loop, hedged_by_mask],
    "work_left": [work_by_loop, work_by_dictionary],
    "plan_machines": [plan_by_division, plan_by_counting],
}
WRONG = {
    "merge_told": [
        (merge_truthy, "only `None` means that it is lost"),
        (merge_counting, "It counts shards"),
        (merge_whole, "The share is always 1"),
        (merge_as_they_come, "whichever shard replied first"),
        (merge_lost, "share that is lost"),
    ],
    "neighbours_kept": [
        (kept_evenly, "do not fall evenly"),
        (kept_complete, "that one shard is complete"),
        (kept_of_one, "all shards send"),
        (kept_count, "divide by k"),
    ],
    "machines_of": [
        (machines_by_remainder, "moves nearly every passage"),
        (machines_smallest, "the largest should"),
        (machines_turned, "before the id"),
        (machines_numbered, "the names are wanted"),
    ],
    "hedged_times": [
        (hedged_at_once, "add them"),
        (hedged_on_average, "not on average"),
        (hedged_impatient, "is given up"),
        (hedged_counted, "the share is wanted"),
        (hedged_over_questions, "(axis 1)"),
    ],
    "work_left": [
        (work_again, "done again"),
        (work_of_any_encoder, "encoder is not in the name"),
        (work_twice, "done twice"),
        (work_without_the_end, "last batch is lost"),
    ],
    "plan_machines": [
        (plan_full, "Full machines"),
        (plan_one_replica, "two at least"),
        (plan_all_passages, "its own shard"),
        (plan_rounded, "rounds down"),
    ],
}
