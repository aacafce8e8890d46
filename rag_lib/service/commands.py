"""The commands `serve` and `evaluate service`."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rag_lib.applications.recommendation import ShopAssistant
from rag_lib.evaluation.squad import read_rows
from rag_lib.files import ARTICLES, private_cache
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.commands import report
from rag_lib.indexing.documents import Document, folder_digest, load_documents
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.live.collection import is_changed
from rag_lib.indexing.remembering import RememberingEncoder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.collection import load_dossiers, load_products, load_visitors
from rag_lib.service.assistant import Assistant, LiveCollection
from rag_lib.service.quality import QualityFell, ask_round, http_asker, watch
from rag_lib.service.readers import read_readers
from rag_lib.service.server import run
from rag_lib.service.settings import TOKEN_VARIABLE, Settings


def kept_in(options: argparse.Namespace, encoder: Encoder) -> Path:
    """The folder of the live collection: the one that was named, else one in the cache for just these files.

    Where the files are not what they were, changes made before are kept beside it, and it is said where.
    """
    if options.index:
        return options.index
    home = private_cache("live") / key(options.documents.resolve(), encoder.name)
    kept = home / key(folder_digest(options.documents))
    for other in sorted(home.glob("*")):
        if other != kept and is_changed(other):
            print(
                f"note: the files in {options.documents} have changed, so changes made while they were served before "
                f"are not in what is served now; they are kept: --index {other}",
                file=sys.stderr,
            )
    return kept


def key(*parts: object) -> str:
    """A short name for things, made of their own."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def documents_of(folder: Path) -> Iterator[Document]:
    """The documents in a folder; read only when the first one is asked for.

    Raises:
        NoDocuments: there is none.
    """
    found = load_documents(folder)
    report(found.skipped)
    yield from found.documents


def open_assistant(options: argparse.Namespace, settings: Settings) -> Assistant:
    """Loads the models and opens the collection.

    Raises:
        NoDocuments: there is nothing to answer from.
        ModelUnavailable: a model cannot be had.
    """
    museum = options.documents == ARTICLES
    encoder = RememberingEncoder(make_encoder(options.encoder or (MUSEUM_ENCODER if museum else None)))
    plain = make_encoder() if museum else encoder
    generator = make_generator(options.generator, Decoding(half=None))
    collection = LiveCollection.open(kept_in(options, encoder), encoder, documents_of(options.documents))
    kept = {"kept_answers": settings.kept_answers, "kept_conversations": settings.kept_conversations}
    if not museum:
        return Assistant(collection, encoder, generator, **kept)
    visitors = load_visitors()
    shop = ShopAssistant(load_products(), visitors, plain)
    named = {v.id: v for v in visitors}
    return Assistant(collection, encoder, generator, plain, shop, named, load_dossiers(), **kept)


def serve(options: argparse.Namespace) -> None:
    """Serves the page and the interface until it is stopped."""
    settings = Settings(
        host=options.host,
        port=options.port,
        token=os.environ.get(TOKEN_VARIABLE, ""),
        readers=read_readers(options.readers) if options.readers else {},
        waiting=options.waiting,
        seconds=options.seconds,
        kept_answers=options.kept,
        feedback=options.feedback,
        log_texts=options.log_texts,
    )
    run(settings, lambda: open_assistant(options, settings))


def evaluate(options: argparse.Namespace) -> None:
    """Asks a running service the rows of a file, keeps the round, and prints its figures.

    Raises:
        QualityFell: something went the wrong way since the first round; for a timer, a failure that it can tell of.
        ValueError: the service cannot be asked, or the files hold something else.
    """
    rows = read_rows(options.file)
    latest = ask_round(http_asker(options.url, os.environ.get(TOKEN_VARIABLE, "")), rows, progress=True)
    found = watch(options.history, latest)
    for name, figure in latest.figures().items():
        print(f"{name:8} {figure}")
    if found:
        raise QualityFell("since the first round " + "; ".join(found))
