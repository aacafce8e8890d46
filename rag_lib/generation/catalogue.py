"""A generator by its name, as the command line and the notebooks ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that the command line can name the generators without loading any model
    from rag_lib.generation.generators import Decoding, Generator


def seq2seq(name: str | None, decoding: Decoding | None) -> Generator:
    """The bundled encoder–decoder, or one of the hub."""
    from rag_lib.generation.seq2seq import Seq2SeqGenerator

    return Seq2SeqGenerator.load(name, decoding)


# What a name begins with, and who makes such a generator; any other name is a sequence-to-sequence model's.
GENERATORS: dict[str, Callable[[str | None, Decoding | None], Generator]] = {"perigee": seq2seq}


def make_generator(name: str | None = None, decoding: Decoding | None = None) -> Generator:
    """The bundled generator, or another by its name: see GENERATORS, else a sequence-to-sequence model of the hub.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    make = next((make for prefix, make in GENERATORS.items() if (name or "").startswith(prefix)), seq2seq)
    return make(name, decoding)
