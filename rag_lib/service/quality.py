"""Quality watched in use: an evaluation set is asked again and again, and an alarm says when it went down.

A round is one asking of all rows. It is compared with the first one, question by question, so that no alarm comes from
other questions having been asked; what a change of all questions does, an interval over articles tells from chance.
`python -m rag_lib evaluate service ROWS` does a round over HTTP, from cron or any other timer; feedback that visitors
gave is such rows too. Taught in notebooks/14_deployment.ipynb.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

from rag_lib.evaluation.answers import match
from rag_lib.evaluation.squad import Row
from rag_lib.evaluation.statistics import Estimate, bootstrap, paired_difference
from rag_lib.files import append_json, read_json_lines

LEVEL = 0.99  # of the intervals: at 0.95 a month of daily rounds would cry wolf about once
MORE = {"right": -1.0, "sure": -1.0, "silent": 1.0}  # which way is worse
PATIENCE = 120.0  # seconds that one answer may take, refusals and all


class QualityFell(RuntimeError):
    """The alarm."""


@dataclass(frozen=True)
class Said:
    """What was answered; `text` is empty where the system kept silent."""

    text: str
    sure: float


@dataclass(frozen=True)
class Judged:
    """An answer to a row: whether it is right (silence is, where there is no answer), how sure, whether silent."""

    row: str
    title: str
    right: float
    sure: float
    silent: float


@dataclass(frozen=True)
class Round:
    """One asking of the evaluation set."""

    time: str
    answers: tuple[Judged, ...]

    def figures(self) -> dict[str, Estimate]:
        """The mean of each figure, with an interval that resamples articles."""
        groups = [a.title for a in self.answers]
        return {name: bootstrap([getattr(a, name) for a in self.answers], groups=groups) for name in MORE}


def key_of(row: Row) -> str:
    """What a row is known by from round to round."""
    return row.id or row.question


def ask_round(ask: Callable[[str], Said], rows: Sequence[Row], when: str = "", progress: bool = False) -> Round:
    """Asks every row's question and judges what is said.

    Args:
        when: the time of the round; now, where it is empty.
    """
    judged = []
    for row in tqdm(rows, desc="asking", disable=not progress):
        said = ask(row.question)
        right = match(said.text, row.texts)
        judged.append(Judged(key_of(row), row.title, right, said.sure, float(not said.text)))
    return Round(when or datetime.now(UTC).isoformat(timespec="seconds"), tuple(judged))


def compared(reference: Round, latest: Round, level: float = LEVEL) -> dict[str, Estimate]:
    """The mean difference, latest less reference, of each figure over the rows that both have.

    Raises:
        ValueError: they have no row in common.
    """
    before = {a.row: a for a in reference.answers}
    pairs = [(before[a.row], a) for a in latest.answers if a.row in before]
    if not pairs:
        raise ValueError("the two rounds have no row in common: begin a new history for other rows")
    groups = [a.title for _, a in pairs]
    return {
        name: paired_difference(
            [getattr(a, name) for _, a in pairs], [getattr(b, name) for b, _ in pairs], groups=groups, level=level
        )
        for name in MORE
    }


def alarms(differences: Mapping[str, Estimate]) -> list[str]:
    """The figures that went the wrong way by more than chance."""
    return [
        f"{name} {'rose' if MORE[name] > 0 else 'fell'} by {abs(d.mean):.3f}, interval {d.low:+.3f} to {d.high:+.3f}"
        for name, d in differences.items()
        if (d.low > 0 if MORE[name] > 0 else d.high < 0)
    ]


def read_history(path: Path) -> list[Round]:
    """The rounds that were kept, oldest first.

    Raises:
        ValueError: a line is no round.
    """
    if not path.exists():
        return []
    try:
        return [Round(r["time"], tuple(Judged(**a) for a in r["answers"])) for r in read_json_lines(path)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds a line that is no round of an evaluation") from error


def watch(path: Path, latest: Round) -> list[str]:
    """Adds a round to a history; returns the alarms it raises against the first one."""
    history = read_history(path)
    found = alarms(compared(history[0], latest)) if history else []
    append_json(path, asdict(latest))
    return found


def http_asker(url: str, token: str = "") -> Callable[[str], Said]:
    """Asks a running service; where it refuses because it is busy, asks again as late as it says.

    Raises (when called):
        ValueError: it cannot be reached, or refuses for another reason.
    """
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})

    def ask(question: str) -> Said:
        request = Request(f"{url.rstrip('/')}/ask", json.dumps({"question": question}).encode(), headers)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urlopen(request, timeout=PATIENCE) as response:
                    answer = json.load(response)
                return Said(answer["answer"], answer["sure"])
            except HTTPError as error:
                wait = float(error.headers.get("retry-after") or 0)
                if not wait or time.monotonic() + wait > end:
                    raise ValueError(f"{url} answers {error.code} to an evaluation question") from error
                time.sleep(wait)
            except (URLError, HTTPException, OSError, KeyError, ValueError) as error:
                raise ValueError(f"{url} cannot be asked: {getattr(error, 'reason', error)}") from error

    return ask
