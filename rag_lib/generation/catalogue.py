"""A generator by its name, as the command line and the notebooks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that a name can be looked up without loading any model
    from rag_lib.generation.generators import Decoding, Generator


def seq2seq(name: str | None, decoding: Decoding | None) -> Generator:
    """The bundled encoder–decoder, or one of the hub."""
    from rag_lib.generation.seq2seq import Seq2SeqGenerator

    return Seq2SeqGenerator.load(name, decoding)


GENERATORS: dict[str, Callable[[str, Decoding | None], Generator]] = {
    "perigee": lambda name, decoding: seq2seq(None, decoding),  # the bundled one
    "perigee-base": seq2seq,  # the same before it was trained on the museum
}


def make_generator(name: str | None = None, decoding: Decoding | None = None) -> Generator:
    """A generator by one of the names in GENERATORS, or a sequence-to-sequence model of the hub; None: the bundled one.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    return GENERATORS.get(name or "perigee", seq2seq)(name, decoding)
