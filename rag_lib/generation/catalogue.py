"""A generator by its name, as the command line and the notebooks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that a name can be looked up without loading any model
    from rag_lib.generation.generators import Decoding, Generator


def bundled(name: str | None, decoding: Decoding | None) -> Generator:
    """One of this project's own making."""
    from rag_lib.generation.reader import EvidenceReader

    return EvidenceReader.load(name, decoding)


def seq2seq(name: str | None, decoding: Decoding | None) -> Generator:
    """An encoder–decoder of the hub."""
    from rag_lib.generation.seq2seq import Seq2SeqGenerator

    return Seq2SeqGenerator.load(name, decoding)


GENERATORS: dict[str, Callable[[str, Decoding | None], Generator]] = {
    "perigee": lambda name, decoding: bundled(None, decoding),  # the one that `ask` uses
    "perigee-base": bundled,  # the same before it was trained on the museum
}


def make_generator(name: str | None = None, decoding: Decoding | None = None) -> Generator:
    """A generator by one of the names in GENERATORS, or a sequence-to-sequence model of the hub; None: the bundled one.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    from rag_lib.models.weights import is_bundled

    make = GENERATORS.get(name or "perigee", bundled if is_bundled(name) else seq2seq)
    return make(name, decoding)
