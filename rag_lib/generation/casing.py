"""Capitals and spacing for a model that writes lower-case tokens: those of the text that it read.

Taught in notebooks/07_rag_pipeline.ipynb, section 7.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

Known = Sequence[tuple[str, tuple[Sequence[int], Sequence[tuple[int, int]]]]]  # texts with their ids and offsets


def longest_run(ids: Sequence[int], known: Known) -> tuple[int, str, bool]:
    """How many of the first tokens of `ids` stand in a known text, as it writes them, and whether a sentence opens so.

    A run inside a sentence goes before one of the same length at its opening, whose capital means nothing.
    """
    best = (0, "", True)
    for text, (tokens, offsets) in known:
        for i, token in enumerate(tokens):
            if not ids or token != ids[0]:
                continue
            n = 1
            while n < len(ids) and i + n < len(tokens) and tokens[i + n] == ids[n]:
                n += 1
            start = offsets[i][0]
            opening = not text[:start].rstrip(" \"'“‘([") or text[:start].rstrip(" \"'“‘([")[-1] in ".!?\n"
            if (n, not opening) > (best[0], not best[2]):
                best = (n, text[start : offsets[i + n - 1][1]], opening)
    return best


def restore_case(ids: Sequence[int], known: Known, tokenizer: PreTrainedTokenizerBase) -> str:
    """Lower-case tokens as text, each longest run that stands in a known text written as it is there.

    What begins a sentence begins with a capital.
    """
    text = ""
    i = 0
    while i < len(ids):
        n, surface, opening = longest_run(ids[i:], known)
        if n == 0:
            n, surface = 1, tokenizer.convert_ids_to_tokens(int(ids[i]))
        elif opening and surface[:1].isupper() and not surface[1:2].isupper() and common(surface, known):
            surface = surface[0].lower() + surface[1:]
        if not text or text[-1] in ".!?":
            surface = surface[:1].upper() + surface[1:]
        glue = "" if not text or continues(tokenizer, ids, i) else " "
        text += glue + surface.removeprefix("##")
        i += n
    text = re.sub(r"\s+([.,;:!?%)\]’])", r"\1", text)
    text = re.sub(r"([(\[‘$])\s+", r"\1", text)
    text = re.sub(r"(\w) ?' ?(s|t|re|ve|ll|d)\b", r"\1'\2", text)
    return re.sub(r"(\w) ?- ?(\w)", r"\1-\2", text)


def continues(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], i: int) -> bool:
    """Whether token i continues the word before it."""
    return tokenizer.convert_ids_to_tokens(int(ids[i])).startswith("##")


def common(surface: str, known: Known) -> bool:
    """Whether a run's first word is also written small somewhere, or is too short to be a name."""
    word = re.match(r"\w*", surface).group()
    return len(word) <= 3 or any(re.search(rf"\b{re.escape(word.lower())}\b", text) for text, _ in known)
