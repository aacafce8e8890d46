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


def ranked(name: str, decoding: Decoding | None) -> Generator:
    """The bundled generator with its sentence ranker."""
    from rag_lib.generation.reader import EvidenceReader

    return EvidenceReader.load_with_ranker(decoding)


def seq2seq(name: str | None, decoding: Decoding | None) -> Generator:
    """An encoder–decoder of the hub."""
    from rag_lib.generation.seq2seq import Seq2SeqGenerator

    return Seq2SeqGenerator.load(name, decoding)


def guided(name: str | None, decoding: Decoding | None) -> Generator:
    """The bundled chat model with a trained difference, guided by the reader."""
    from rag_lib.generation.guide import GuidedChat

    return GuidedChat.load(name, decoding)


def chat(name: str | None, decoding: Decoding | None) -> Generator:
    """A chat model by itself."""
    from rag_lib.generation.chat import ChatGenerator

    return ChatGenerator.load(name, decoding)


def by_its_files(name: str, decoding: Decoding | None) -> Generator:
    """A model of the hub, or in a folder, as which its files show it: a chat model where it is decoder-only."""
    from rag_lib.models.chat import is_decoder_only, is_difference
    from rag_lib.models.weights import is_bundled

    if is_difference(name):
        return guided(name, decoding)
    if is_bundled(name):
        return bundled(name, decoding)
    return (chat if is_decoder_only(name) else seq2seq)(name, decoding)


GENERATORS: dict[str, Callable[[str, Decoding | None], Generator]] = {
    "perigee": lambda name, decoding: bundled(None, decoding),  # the one that the chapters build
    "perigee-base": bundled,  # the same before it was trained on the museum
    "ranked": ranked,  # the bundled one with a sentence ranker beside it
    "chat": guided,  # replies in sentences: the reader finds what the bundled chat model says
    "chat-base": chat,  # the bundled chat model by itself, as published
}

ASKED = "ranked"  # what the commands `ask`, `chat` and `serve` answer with


def make_generator(name: str | None = None, decoding: Decoding | None = None) -> Generator:
    """A generator by one of the names in GENERATORS, or a model of the hub, or in a folder; None: the bundled one.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    return GENERATORS.get(name or "perigee", by_its_files)(name, decoding)
