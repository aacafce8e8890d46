"""Choosing the next token (taught in notebooks/06_generation.ipynb).

Here: decoding constrained to token sequences that stand in the passages, so that what is written is always a
quotation: a run of words, or whole sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase


def continuation_pieces(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids of WordPiece tokens that continue a word ("##s"): no answer starts with one or stops before one."""
    return frozenset(i for token, i in tokenizer.get_vocab().items() if token.startswith("##"))


# A quotation that consists of these alone answers nothing.
EMPTY_WORDS = "a an the he she it they him her them his their its this that these those who which".split()


def empty_words(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids of the words that are no answer by themselves."""
    return frozenset(i for i in tokenizer.convert_tokens_to_ids(EMPTY_WORDS) if i != tokenizer.unk_token_id)


def allowed_next(
    prefix: Sequence[int],
    passages: Sequence[Sequence[int]],
    end_id: int,
    pieces: frozenset[int] = frozenset(),
    empty: frozenset[int] = frozenset(),
) -> set[int]:
    """Tokens that keep `prefix` a run of whole words of some passage, and `end_id` where it may stop.

    Args:
        prefix: the n token ids decoded so far.
        passages: the token ids of each passage.
        end_id: the id that ends a sequence.
        pieces: ids that continue a word.
        empty: ids of words that are no answer by themselves.
    """
    prefix, n = list(prefix), len(prefix)
    complete = not empty.issuperset(prefix)  # the empty prefix is not
    allowed: set[int] = set()
    for ids in passages:
        for i in range(len(ids) - max(n, 1) + 1):
            if ids[i : i + n] != prefix or ids[i] in pieces:
                continue
            following = ids[i + n] if i + n < len(ids) else end_id
            allowed.add(following)
            if complete and following not in pieces:
                allowed.add(end_id)
    return allowed or {end_id}


class PassageConstraint:
    """A `prefix_allowed_tokens_fn` for `generate`: only runs of words that stand in the item's own passages."""

    def __init__(
        self,
        passages: Sequence[Sequence[Sequence[int]]],
        end_id: int,
        pieces: frozenset[int],
        empty: frozenset[int] = frozenset(),
    ) -> None:
        self.passages = [[list(ids) for ids in item] for item in passages]
        self.end_id = end_id
        self.pieces = pieces
        self.empty = empty

    def __call__(self, item: int, decoded: torch.Tensor) -> list[int]:
        """Tokens allowed for batch item `item` after `decoded` (length,), the start token included."""
        prefix = decoded.tolist()[1:]  # the first is the decoder's start token
        if self.end_id in prefix:
            return [self.end_id]
        return sorted(allowed_next(prefix, self.passages[item], self.end_id, self.pieces, self.empty))


def allowed_in_sentences(
    prefix: Sequence[int], sentences: Sequence[Sequence[int]], end_id: int, most: int, least: int = 1
) -> set[int]:
    """Tokens that keep `prefix` a series of whole sentences in their order, and `end_id` where it may stop.

    Args:
        prefix: the token ids decoded so far.
        sentences: the token ids of each sentence, none empty.
        most: after so many sentences there is only `end_id`.
        least: it stops after so many, or where none is left.
    """
    allowed: set[int] = set()
    reached = [(0, 0, 0)]  # ways to read the prefix: tokens read, sentences read, the first that may follow
    while reached:
        n, count, first = reached.pop()
        if n == len(prefix) and count >= least:
            allowed.add(end_id)
        if count == most:
            continue
        for j in range(first, len(sentences)):
            rest, ids = list(prefix[n:]), list(sentences[j])
            if len(rest) >= len(ids) and rest[: len(ids)] == ids:
                reached.append((n + len(ids), count + 1, j + 1))
            elif ids[: len(rest)] == rest:
                allowed.add(ids[len(rest)])
    return allowed or {end_id}


class SentenceConstraint:
    """A `prefix_allowed_tokens_fn` for `generate`: so many whole sentences of the item, in their order."""

    def __init__(self, sentences: Sequence[Sequence[Sequence[int]]], end_id: int, count: int) -> None:
        self.sentences = sentences
        self.end_id = end_id
        self.count = count

    def __call__(self, item: int, decoded: torch.Tensor) -> list[int]:
        """Tokens allowed for batch item `item` after `decoded` (length,), the start token included."""
        prefix = decoded.tolist()[1:]
        if self.end_id in prefix:
            return [self.end_id]
        return sorted(allowed_in_sentences(prefix, self.sentences[item], self.end_id, self.count, self.count))
