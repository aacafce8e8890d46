"""Seconds for each part of the course, from what `python -m pytest --junitxml build/tests.xml` recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.side_by_side import Row

RECORD = Path("build/tests.xml")


def seconds_by_part(record: Path) -> Counter[str]:
    """The seconds of each notebook and of each folder of tests, as pytest names them."""
    parts: Counter[str] = Counter()
    for case in ElementTree.parse(record).iter("testcase"):
        name = case.get("classname", "")
        part = name if "tests" not in name else ".".join(name.split(".")[:2])
        parts[part] += float(case.get("time", 0))
    return parts


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """Prints the record; nothing is run anew, and nothing is compared."""
    if not RECORD.is_file():
        print(f"  left out, there is no {RECORD}: python -m pytest --junitxml {RECORD}")
        return
    for name, seconds in seconds_by_part(RECORD).most_common():
        print(f"  {name:50} {seconds:8.1f} s")
    yield from ()
