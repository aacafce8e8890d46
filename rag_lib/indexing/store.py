"""A knowledge base or a vector index on disk: one file, replaced atomically, with a checksum, never pickled.

The file is a safetensors file: vectors as they are, texts as UTF-8 bytes, the rest as JSON in its metadata. It is
written under another name and then renamed, which is one step for every reader: a process killed at any moment leaves
the old file as it was. Taught in notebooks/04_vector_index.ipynb.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from rag_lib.files import check_path, private_cache, write_atomically
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Passage, Skipped, folder_digest, indexed_text, load_documents
from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase, build, check_encoder, check_knowledge
from rag_lib.indexing.splitting import Splitting
from rag_lib.indexing.vector_index import KINDS, FaissIndex, VectorIndex

FORMAT = "rag_lib index 3"
FILE = "index.safetensors"
SCRATCH = re.compile(rf"\.{re.escape(FILE)}\.[0-9a-f]{{32}}\.tmp")  # what `write_atomically` renames at its end
LEFTOVER_SECONDS = 3600

Tensors = dict[str, np.ndarray]


class IndexUnusable(ValueError):
    """A saved index is missing, damaged, or made by another encoder; the message says which and what to do."""


def as_bytes(value: object) -> np.ndarray:
    """A value as the bytes of its JSON."""
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def from_bytes(data: np.ndarray) -> object:
    """The value that `as_bytes` was given."""
    return json.loads(data.tobytes())


def digest_of(tensors: Mapping[str, np.ndarray], about: str) -> str:
    """SHA-256 of all that a file holds."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def head_of(path: Path) -> dict:
    """The metadata of a safetensors file; empty where it is none, or has none."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            return json.loads(file.read(min(size, 10**8))).get("__metadata__", {})
    except (OSError, ValueError, AttributeError):
        return {}


def kind_of(form: str) -> str:
    """What a format is of, whatever its number: "rag_lib index" of "rag_lib index 3"."""
    return form.rpartition(" ")[0]


def check_ours(folder: str | Path, form: str = FORMAT) -> None:
    """Lets only a new or empty folder pass, or one that holds an index of this kind; empty files do not count.

    Raises:
        IndexUnusable: something else is in the folder, which a new index would mix with.
    """
    folder, kind = Path(folder), kind_of(form)
    if folder.exists() and not folder.is_dir():
        raise IndexUnusable(f"{folder} is a file; an index is kept in a folder of its own")
    # Listed before the index is looked at: another process may put it there in between.
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in names if not SCRATCH.fullmatch(name) and not is_empty_file(folder / name)]
    if foreign and kind_of(str(head_of(folder / FILE).get("format"))) != kind:
        raise IndexUnusable(
            f"{folder} is not empty and is no {kind.removeprefix('rag_lib ')} (it holds {foreign[0]}): nothing was "
            "written; name a new folder"
        )


def is_empty_file(path: Path) -> bool:
    """Whether a path is a file without a single byte; False where that cannot be told."""
    try:
        about = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and not about.st_size


def write(folder: str | Path, tensors: Tensors, about: dict, form: str = FORMAT) -> None:
    """Makes an index the one that `folder` holds, and removes what a killed process left half-written there.

    Raises:
        IndexUnusable: the folder holds something else.
        OSError: it cannot be written; the old index is still there.
        TypeError, ValueError: the folder is no path, or an empty one.
    """
    folder = check_path(folder, "an index's folder")
    check_ours(folder, form)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about)
    metadata = {"format": form, "about": text, "sha256": digest_of(tensors, text)}
    data = safetensors.save(tensors, metadata)
    remove_leftovers(folder)
    with locked(folder):
        write_atomically(folder / FILE, data)


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left half-written: all where nobody else is writing, else what is old."""
    with locked(folder, alone=True) as alone:
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                old = time.time() - path.stat().st_mtime > LEFTOVER_SECONDS
                if SCRATCH.fullmatch(path.name) and (alone or old):
                    path.unlink()


@contextmanager
def locked(folder: Path, alone: bool = False) -> Iterator[bool]:
    """Holds a lock on a folder, which ends with the process at the latest; yields whether it was to be had.

    Writers share one; `alone` is to be had while nobody writes. Windows, and file systems without locks, have none.
    """
    try:
        import fcntl

        lock = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(lock)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns whatever a damaged file raises into one clear line."""
    try:
        yield
    except IndexUnusable:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise IndexUnusable(f"the index in {folder} is damaged ({error}); build it again") from error


def read(folder: Path, encoder: Encoder, form: str = FORMAT) -> tuple[Tensors, dict]:
    """What `write` wrote, all of one moment.

    Raises:
        IndexUnusable: there is none, it is damaged, of another format, or another encoder made its vectors.
    """
    if not (folder / FILE).is_file():
        raise IndexUnusable(f"there is no index in {folder}")
    with reading(folder):
        data = (folder / FILE).read_bytes()
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        if metadata["format"] != form:
            raise IndexUnusable(
                f"the index in {folder} has the format {metadata['format']!r}, not {form!r}; build it again"
            )
        tensors, about = safetensors.load(data), json.loads(metadata["about"])
        if digest_of(tensors, metadata["about"]) != metadata["sha256"]:
            raise ValueError("its checksum differs")
        if about["encoder"] != encoder.fingerprint():
            raise IndexUnusable(
                f"the index in {folder} was made by another encoder than {encoder.name}: their vectors cannot be "
                "compared; build it again with this encoder, or load the one that made it"
            )
        return tensors, about


def index_state(index: FaissIndex) -> tuple[Tensors, dict]:
    """A vector index as tensors and settings."""
    about = {
        "kind": index.kind.name,
        "settings": asdict(index.kind),
        "trained": index.serving == index.kind,
        "dimension": index.dimension,
        "next_number": index.next_number,
    }
    return {"index": index.stored(), "numbers": as_bytes(index.numbers)}, about


def restored_index(tensors: Tensors, about: dict) -> FaissIndex:
    """The vector index that `index_state` was given.

    Raises:
        ValueError: the parts do not belong together.
    """
    index = FaissIndex(about["dimension"], KINDS[about["kind"]](**about["settings"]))
    index.restore(tensors["index"], from_bytes(tensors["numbers"]), about["next_number"], about["trained"])
    return index


def settings_state(settings: IndexSettings) -> dict[str, dict]:
    """How a knowledge base is made, as values of JSON."""
    return {"splitting": asdict(settings.splitting), "analyzer": asdict(settings.analyzer)}


def restored_settings(about: Mapping[str, dict]) -> IndexSettings:
    """The settings that `settings_state` was given."""
    return IndexSettings(Splitting(**about["splitting"]), Analyzer(**about["analyzer"]))


def save(knowledge: KnowledgeBase, folder: str | Path) -> None:
    """Writes a knowledge base as the one that `folder` holds.

    A flat vector index is made again from the vectors when it is loaded; one of another kind of FAISS is kept as it is.

    Raises:
        IndexUnusable: the folder holds something else than an index.
        TypeError, ValueError: it is no knowledge base, or the folder no path, or an empty one.
    """
    check_knowledge(knowledge)
    about = {
        "encoder": knowledge.fingerprint,
        "source": knowledge.source,
        **settings_state(knowledge.settings),
        "skipped": [asdict(s) for s in knowledge.skipped],
        "cut": knowledge.cut,
    }
    tensors = {"vectors": knowledge.vectors, "passages": as_bytes([asdict(p) for p in knowledge.passages.values()])}
    if isinstance(knowledge.index, FaissIndex) and knowledge.index.kind.name != "flat":
        state, about["vector_index"] = index_state(knowledge.index)
        tensors |= state
    write(folder, tensors, about)


def load(folder: str | Path, encoder: Encoder, index: VectorIndex | None = None) -> KnowledgeBase:
    """The knowledge base that `folder` holds, for use with `encoder`.

    Args:
        index: an empty one for the vectors; None for the kind that was saved.

    Raises:
        IndexUnusable: there is none, it is damaged, or another encoder made its vectors.
    """
    folder = Path(folder)
    tensors, about = read(folder, encoder)
    with reading(folder):
        passages = [Passage(**row) for row in from_bytes(tensors["passages"])]
        settings = restored_settings(about)
        skipped = [Skipped(**row) for row in about["skipped"]]
        if index is None and "vector_index" in about:
            index = restored_index(tensors, about["vector_index"])
        of = about["encoder"], about["source"]
        return KnowledgeBase(passages, tensors["vectors"], settings, *of, skipped, index, about["cut"])


def save_index(index: FaissIndex, folder: str | Path, encoder: Encoder) -> None:
    """Writes a vector index, of vectors that `encoder` made, as the one that `folder` holds.

    Raises:
        IndexUnusable: the folder holds something else than an index.
    """
    tensors, about = index_state(index)
    write(folder, tensors, about | {"encoder": encoder.fingerprint()})


def load_index(folder: str | Path, encoder: Encoder) -> FaissIndex:
    """The vector index that `folder` holds, for use with `encoder`.

    Raises:
        IndexUnusable: there is none, it is damaged, or another encoder made its vectors.
    """
    folder = Path(folder)
    tensors, about = read(folder, encoder)
    with reading(folder):
        return restored_index(tensors, about)


def open_folder(
    documents: str | Path, encoder: Encoder, settings: IndexSettings | None = None, progress: bool = False
) -> KnowledgeBase:
    """The knowledge base of a folder of documents; `skipped` says which files were left out.

    It is kept in the cache, one for each encoder's name, and built again when a file, the encoder or the settings have
    changed; passages that are still the same keep their vectors.

    Raises:
        NoDocuments: nothing in the folder can be read.
        TypeError, ValueError: the folder is no path, or an empty one; or the encoder is none.
    """
    check_encoder(encoder)
    documents, settings = check_path(documents, "a folder"), settings or IndexSettings()
    key = hashlib.sha256(f"{documents.resolve()}\0{encoder.name}".encode()).hexdigest()[:16]
    kept = private_cache("knowledge_bases") / key
    source = folder_digest(documents)
    known: dict[str, np.ndarray] = {}
    with contextlib.suppress(IndexUnusable):
        knowledge = load(kept, encoder)
        if knowledge.source == source and knowledge.settings == settings:
            return knowledge
        known = {indexed_text(p): v for p, v in zip(knowledge.passages.values(), knowledge.vectors, strict=True)}
    collection = load_documents(documents)
    knowledge = build(
        collection.documents, encoder, settings, source, collection.skipped, known=known, progress=progress
    )
    with contextlib.suppress(OSError, IndexUnusable):  # a cache that cannot be written costs time, not the answer
        save(knowledge, kept)
    return knowledge
