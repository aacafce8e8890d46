"""Where the answer stands: what the evidence head says of passages, and the quotations it proposes.

The logits of all passages go through one softmax, so that passages compete (Clark and Gardner, 2018, "Simple and
Effective Multi-Paragraph Reading Comprehension": shared normalization). The first token of each row, [CLS], stands for
"not here". Taught in notebooks/07_rag_pipeline.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch

from rag_lib.generation.generators import Place
from rag_lib.generation.quotation import Item, TokenizedText

EACH = 3  # the likeliest runs of every source are proposed, however much likelier those of others are
LONGEST = 24  # tokens of a run of words that is proposed; sentences are of any length


class Positions(NamedTuple):
    """Where the sources of an item stand in its rows laid end to end: the first token of each, and of each row."""

    sources: tuple[int, ...]
    rows: tuple[int, ...]
    length: int


class Quotation(NamedTuple):
    """A run of tokens of a source that may be the answer.

    Attributes:
        ids: its token ids.
        log: log p(it is the evidence), among all sources.
        odds: the logarithm of its odds against its own source not holding the answer, whatever the others say.
        relevance, says_yes: what a `SentenceRanker` thinks of a sentence (see `SentenceScore`), as logarithms of odds;
            0 where none was asked.
    """

    ids: list[int]
    place: Place
    log: float
    odds: float = 0.0
    relevance: float = 0.0
    says_yes: float = 0.0


def positions(item: Item) -> Positions:
    """Where an item's sources stand: each at the end of its row, or all at the end of one, after their labels.

    They are not searched for: a short text may also stand in its title or in the question.
    """
    ends = list(accumulate(map(len, item.rows)))
    found: list[int] = []
    at = ends[-1] - 1  # before the end token
    for i in reversed(range(len(item.texts))):
        if len(item.rows) > 1:
            at = ends[i] - 1
        found.append(at - len(item.texts[i].ids))
        at = found[-1] - item.labels[i]
    return Positions(tuple(reversed(found)), (0, *ends[:-1]), ends[-1])


def evidence_logs(logits: torch.Tensor, item: Item, at: Positions) -> torch.Tensor:
    """log p(the answer begins | ends at a token), (2, N), over the rows laid end to end; -inf outside the sources.

    Args:
        logits: (N, 2) or longer, of the evidence head.
    """
    readable = torch.zeros(at.length, dtype=torch.bool)
    for start, text in zip(at.sources, item.texts, strict=True):
        readable[start : start + len(text.ids)] = True
    readable[list(at.rows)] = True
    logits = logits[: at.length].float().cpu()
    return logits.masked_fill(~readable[:, None], float("-inf")).log_softmax(0).T


def missing_probability(logs: torch.Tensor, at: Positions) -> float:
    """The probability that no source holds the answer: what the rows' first tokens get, begin and end averaged."""
    return float(logs[:, list(at.rows)].exp().sum(1).mean())


def missing_log(logs: torch.Tensor, at: Positions, i: int) -> float:
    """log p(begins) + log p(ends) of "not here" for source i: of the first token of its row."""
    return float(logs[:, at.rows[i if len(at.rows) > 1 else 0]].sum())


class SourceRuns(NamedTuple):
    """The runs of tokens of a source: logs (n, n) of those that begin at one token and end at another one."""

    source: int
    text: TokenizedText
    logs: torch.Tensor
    missing: float

    def likeliest(self, inside: range, most: int, empty: frozenset[int]) -> list[Quotation]:
        """The `most` likeliest runs whose tokens are all `inside`, likeliest first, without those that say nothing."""
        found, width = [], len(inside)
        logs = self.logs[inside[0] : inside[-1] + 1, inside[0] : inside[-1] + 1].flatten()
        for log, at_once in zip(*(x.tolist() for x in logs.sort(descending=True, stable=True)), strict=True):
            if log == float("-inf") or len(found) == most:
                break
            first, last = (inside[x] for x in divmod(at_once, width))
            ids = self.text.ids[first : last + 1]
            place = place_of(self.source, self.text, range(first, last + 1))
            said = any(map(str.isalnum, self.text.text[place.start : place.end]))  # more than a full stop
            if said and not empty.issuperset(ids):
                found.append(Quotation(ids, place, log, log - self.missing))
        return found


def runs_of_sources(logs: torch.Tensor, item: Item, at: Positions, pieces: frozenset[int]) -> list[SourceRuns]:
    """The runs of whole words of every source. A run has at most LONGEST tokens, or is a whole sentence."""
    found = []
    for i, (source, start, text) in enumerate(zip(item.used, at.sources, item.texts, strict=True)):
        n = len(text.ids)
        if not n:
            continue
        begins, ends = logs[0, start : start + n].clone(), logs[1, start : start + n].clone()
        inside = torch.tensor(within_words(text, pieces))
        begins[inside] = ends[:-1][inside[1:]] = float("-inf")  # a word is not cut
        allowed = band(n, LONGEST)
        for s in text.sentences:
            allowed[s[0], s[-1]] = True
        spans = (begins[:, None] + ends[None, :]).masked_fill(~allowed, float("-inf"))
        found.append(SourceRuns(source, text, spans, missing_log(logs, at, i)))
    return found


def runs(
    logs: torch.Tensor,
    item: Item,
    at: Positions,
    pieces: frozenset[int],
    empty: frozenset[int],
    most: int,
    within: Sequence[Quotation] = (),
) -> list[Quotation]:
    """The likeliest runs of whole words, likeliest first: log p(begins) + log p(ends).

    There are `most`, and the EACH likeliest of every source, and of every sentence in `within`.
    """
    proposed: list[Quotation] = []
    others: list[Quotation] = []
    wanted = {sentence.place for sentence in within}
    for spans in runs_of_sources(logs, item, at, pieces):
        own = spans.likeliest(range(len(spans.text.ids)), most, empty)
        proposed += own
        others += own[:EACH]
        for s in spans.text.sentences:
            if place_of(spans.source, spans.text, s) in wanted:
                others += spans.likeliest(s, EACH, empty)
    proposed = sorted(proposed, key=lambda q: -q.log)[:most]
    return sorted({q.place: q for q in (*proposed, *others)}.values(), key=lambda q: -q.log)


def place_of(source: int, text: TokenizedText, tokens: range) -> Place:
    """Where a stretch of a source's tokens stands."""
    return Place(source, text.offsets[tokens[0]][0], text.offsets[tokens[-1]][1])


def within_words(text: TokenizedText, pieces: frozenset[int]) -> list[bool]:
    """Whether each token goes on with the word of the one before it, as "##s" does, or the parts of "child's"."""
    touches = [False, *(a[1] == b[0] for a, b in pairwise(text.offsets)), False]
    marks = [text.text[a:b] in ("'", "’") and touches[n] and touches[n + 1] for n, (a, b) in enumerate(text.offsets)]
    return [i in pieces or marks[n] or (n > 0 and marks[n - 1]) for n, i in enumerate(text.ids)]


def band(n: int, width: int) -> torch.Tensor:
    """Where a run of at most `width` tokens may begin (row) and end (column), (n, n)."""
    return torch.ones(n, n, dtype=torch.bool).triu().tril(width - 1)


def sentences(logs: torch.Tensor, item: Item, at: Positions) -> list[Quotation]:
    """The sentences of the sources, likeliest first: log p(it begins in the sentence) + log p(it ends there)."""
    found = []
    for i, (source, start, text) in enumerate(zip(item.used, at.sources, item.texts, strict=True)):
        missing = missing_log(logs, at, i)
        for s in text.sentences:
            log = float(logs[:, start + s[0] : start + s[-1] + 1].logsumexp(1).sum())
            found.append(Quotation([text.ids[t] for t in s], place_of(source, text, s), log, log - missing))
    return sorted(found, key=lambda q: -q.log)


def sentence_of(quotation: Quotation, sentences: Sequence[Quotation]) -> Quotation:
    """The sentence that a quotation begins in; the quotation itself where it is in none."""
    at = quotation.place
    within = (s for s in sentences if s.place.source == at.source and s.place.start <= at.start < s.place.end)
    return next(within, quotation)
