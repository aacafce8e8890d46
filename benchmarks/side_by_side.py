"""Peers do the same work in turns, on one machine, in one run.

Each is first built, which is told apart, and warmed up. Then come rounds in which all take one turn, each round
beginning with another, so that whatever else the machine does burdens all alike. A turn repeats the work until it has
taken a while. Told are medians with quartiles, and the ratio to the first peer: the median of those within the rounds.
"""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

TURN = 0.1  # seconds that a turn takes at least

Round = Callable[[], object]  # does all the work once and returns what it found


@dataclass(frozen=True)
class Peer:
    """One that takes part.

    Attributes:
        settings: how it is set up, as its documentation recommends.
        build: makes it ready and returns its round.
        package: what must be installed for it.
    """

    name: str
    settings: str
    build: Callable[[], Round]
    package: str = "rag_lib"

    @property
    def installed(self) -> bool:
        """Whether it can take part on this machine."""
        return importlib.util.find_spec(self.package) is not None


@dataclass(frozen=True)
class Row:
    """What was measured of a peer; a figure with its quartiles."""

    subject: str
    case: str
    peer: str
    settings: str
    build_s: float
    items_per_s: float
    slow_quartile: float
    fast_quartile: float
    ratio: float  # of its speed to that of the first peer
    ratio_low: float
    ratio_high: float
    rounds: int
    items: int
    quality: str = ""

    def line(self) -> str:
        """In a line of the table."""
        spread = f"[{self.slow_quartile:,.4g} to {self.fast_quartile:,.4g}]"
        ratio = f"{self.ratio:7.3g} × [{self.ratio_low:.3g} to {self.ratio_high:.3g}]"
        return (
            f"  {self.peer:34} {self.items_per_s:>11,.4g} a second {spread:24} {ratio:30} "
            f"built in {self.build_s:.3g} s  {self.quality}"
        )


def timed(call: Callable[[], object], clock: Callable[[], float] = perf_counter) -> tuple[float, object]:
    """The seconds that a call took, and its result."""
    start = clock()
    result = call()
    return clock() - start, result


def turn(run: Round, repeats: int, clock: Callable[[], float]) -> float:
    """The seconds of one run, out of several in a row."""
    return timed(lambda: [run() for _ in range(repeats)][:0], clock)[0] / repeats


def side_by_side(
    subject: str,
    case: str,
    peers: Sequence[Peer],
    rounds: int,
    items: int,
    quality: Callable[[object, object], str] = lambda first, own: "",
    clock: Callable[[], float] = perf_counter,
) -> Iterator[Row]:
    """Measures the peers that are installed, and names the others.

    Args:
        items: how many pieces of work a round holds.
        quality: says in words what a peer found, from what the first peer found and what it found itself.
        clock: seconds; `time.process_time` leaves out what other processes take.
    """
    if missing := [peer.name for peer in peers if not peer.installed]:
        print(f"  left out, not installed: {', '.join(missing)}")
    peers = [peer for peer in peers if peer.installed]
    for peer in peers:
        importlib.import_module(peer.package)  # is no part of building
    built = {peer.name: timed(peer.build, clock) for peer in peers}
    found = {name: run() for name, (_, run) in built.items()}  # the warm-up
    repeats = {name: math.ceil(TURN / max(turn(run, 1, clock), 1e-6)) for name, (_, run) in built.items()}
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    names = list(seconds)
    for number in range(rounds):
        for name in (names * 2)[number % len(names) :][: len(names)]:
            seconds[name].append(turn(built[name][1], repeats[name], clock))
    first = np.array(seconds[names[0]])
    for peer in peers:
        own = np.array(seconds[peer.name])
        slow, middle, fast = np.quantile(items / own, [0.25, 0.5, 0.75])
        low, ratio, high = np.quantile(first / own, [0.25, 0.5, 0.75])
        said = quality(found[names[0]], found[peer.name])
        yield Row(
            subject, case, peer.name, peer.settings, built[peer.name][0], middle, slow, fast, ratio, low, high, rounds,
            items, said,
        )  # fmt: skip


def machine() -> str:
    """The processor, its cores and the threads that the libraries use."""
    import faiss
    import torch

    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{name}, {os.cpu_count()} cores{load}; threads: torch {torch.get_num_threads()}, "
        f"FAISS {faiss.omp_get_max_threads()}; Python {platform.python_version()}"
    )
