"""A knowledge base or an index on disk: JSON, NPY and FAISS files under a manifest with checksums, never pickled.

A folder holds versions and a file `current` that names the one in use. A new version is written beside the old one and
`current` is switched by one atomic rename: a process killed at any moment leaves the old version usable.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch  # noqa: F401  before faiss: the other order crashes on macOS

import faiss  # isort: skip

from rag_lib.analysis import Analyzer
from rag_lib.documents import Passage, Skipped, folder_digest, load_documents
from rag_lib.encoders import Encoder
from rag_lib.knowledge_base import KnowledgeBase, Settings, build, indexed_text
from rag_lib.models import sha256_of
from rag_lib.paths import cache_folder
from rag_lib.splitting import Splitting
from rag_lib.vector_index import KINDS, FaissIndex

FORMAT = 1
VERSION = re.compile(r"v-[0-9a-f]{12}")
SCRATCH = re.compile(r"current\.[0-9a-f]{32}\.tmp")
LEFTOVER_SECONDS = 3600
CURRENT, MANIFEST, PASSAGES, VECTORS = "current", "manifest.json", "passages.jsonl", "vectors.npy"
NUMBERS, INDEX = "numbers.json", "index.faiss"
VERSION_FILES = {MANIFEST, PASSAGES, VECTORS, NUMBERS, INDEX}


class IndexUnusable(ValueError):
    """A saved index is missing, damaged, or made by another encoder; the message says which and what to do."""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that at any moment it holds either its old bytes or the new ones."""
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with open(scratch, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


@contextmanager
def new_version(folder: str | Path, about: dict) -> Iterator[Path]:
    """A folder for the files of a new version; it becomes the current one, with `about` in its manifest, at the end."""
    folder = Path(folder)
    check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        remove_leftovers(folder)
    version = f"v-{uuid.uuid4().hex[:12]}"
    target = folder / version
    target.mkdir()
    yield target
    manifest = {"format": FORMAT, **about, "files": {p.name: sha256_of(p) for p in sorted(target.iterdir())}}
    write_atomically(target / MANIFEST, json.dumps(manifest, indent=1).encode())
    replaced = current_version(folder)
    write_atomically(folder / CURRENT, version.encode())
    if replaced is not None and replaced.name != version:
        shutil.rmtree(replaced, ignore_errors=True)


def save(knowledge: KnowledgeBase, folder: str | Path) -> None:
    """Writes a knowledge base as the new current version of `folder`, then removes the one it replaces."""
    about = {
        "passages": len(knowledge),
        "dimension": int(knowledge.vectors.shape[1]),
        "encoder": knowledge.fingerprint,
        "source": knowledge.source,
        "splitting": asdict(knowledge.settings.splitting),
        "analyzer": asdict(knowledge.settings.analyzer),
    }
    with new_version(folder, about) as target:
        with open(target / PASSAGES, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in knowledge.passages.values())
        np.save(target / VECTORS, knowledge.vectors, allow_pickle=False)


def save_index(index: FaissIndex, folder: str | Path, encoder: Encoder) -> None:
    """Writes an index of vectors that `encoder` made as the new current version of `folder`."""
    about = {
        "kind": index.kind.name,
        "settings": asdict(index.kind),
        "trained": index.serving == index.kind,
        "dimension": index.dimension,
        "next_number": index.next_number,
        "encoder": encoder.fingerprint(),
    }
    with new_version(folder, about) as target:
        (target / NUMBERS).write_text(json.dumps(index.numbers), encoding="utf-8")
        faiss.write_index(index.index, str(target / INDEX))


def current_version(folder: Path) -> Path | None:
    """The folder of the version in use, or None where there is none."""
    try:
        name = (folder / CURRENT).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return folder / name if VERSION.fullmatch(name) else None


def is_version(path: Path) -> bool:
    """Whether this is a version's folder as `new_version` makes it, finished or not."""
    if not VERSION.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    return all(f.name in VERSION_FILES or f.name.startswith(f"{MANIFEST}.") for f in path.iterdir())


def is_scratch(path: Path) -> bool:
    """Whether this is the half-written pointer of a killed process."""
    return bool(SCRATCH.fullmatch(path.name)) and path.is_file()


def check_ours(folder: Path) -> None:
    """Lets only a new or empty folder pass, or one that holds an index.

    Raises:
        IndexUnusable: something else is in the folder, which a new index would mix with.
    """
    if folder.exists() and not folder.is_dir():
        raise IndexUnusable(f"{folder} is a file; an index is kept in a folder of its own")
    if not folder.is_dir() or (folder / CURRENT).is_file() and is_version(current_version(folder) or folder):
        return
    if foreign := sorted(p.name for p in folder.iterdir() if not (is_version(p) or is_scratch(p))):
        raise IndexUnusable(
            f"{folder} is not empty and is no index (it holds {foreign[0]}): nothing was written; name a new folder"
        )


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process left, and nothing else. Only what is old: another process may be writing now."""
    for path in folder.iterdir():
        ours = is_scratch(path) or (is_version(path) and path != current_version(folder))
        if ours and time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns whatever a damaged file raises into one clear line."""
    try:
        yield
    except IndexUnusable:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:  # RuntimeError is FAISS's
        raise IndexUnusable(f"the index in {folder} is damaged ({error}); build it again") from error


def read_manifest(folder: Path) -> tuple[Path, dict]:
    """The folder of the current version and its manifest.

    Raises:
        IndexUnusable: there is none, or it is damaged.
    """
    if not (folder / CURRENT).is_file():
        raise IndexUnusable(f"there is no index in {folder}")
    with reading(folder):
        version = current_version(folder)
        if version is None:
            raise ValueError("'current' names no version")
        manifest = json.loads((version / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise IndexUnusable(f"the index in {folder} has format {manifest['format']}, not {FORMAT}; build it again")
        return version, manifest


def settings_of(manifest: dict) -> Settings:
    """The settings that a manifest records."""
    return Settings(Splitting(**manifest["splitting"]), Analyzer(**manifest["analyzer"]))


def check_version(version: Path, manifest: dict, encoder: Encoder, names: tuple[str, ...]) -> None:
    """Raises an error unless the files are those of the manifest, and their vectors those of the encoder."""
    for name in names:
        if sha256_of(version / name) != manifest["files"][name]:
            raise ValueError(f"the checksum of {name} differs")
    if manifest["encoder"] != encoder.fingerprint():
        raise IndexUnusable(
            f"the index in {version.parent} was made by another encoder than {encoder.name}: their vectors cannot be "
            "compared; build it again with this encoder, or load the one that made it"
        )


def load(folder: str | Path, encoder: Encoder) -> KnowledgeBase:
    """The current knowledge base of `folder`, for use with `encoder`.

    Raises:
        IndexUnusable: there is none, its files are damaged, or another encoder made its vectors.
    """
    folder = Path(folder)
    version, manifest = read_manifest(folder)
    with reading(folder):
        check_version(version, manifest, encoder, (PASSAGES, VECTORS))
        with open(version / PASSAGES, encoding="utf-8") as file:
            passages = [Passage(**json.loads(line)) for line in file]
        vectors = np.load(version / VECTORS, allow_pickle=False)
        if vectors.shape != (manifest["passages"], manifest["dimension"]) or len(passages) != len(vectors):
            raise ValueError("its files do not belong together")
        return KnowledgeBase(passages, vectors, settings_of(manifest), manifest["encoder"], manifest["source"])


def load_index(folder: str | Path, encoder: Encoder) -> FaissIndex:
    """The current index of `folder`, for use with `encoder`.

    Raises:
        IndexUnusable: there is none, its files are damaged, or another encoder made its vectors.
    """
    folder = Path(folder)
    version, manifest = read_manifest(folder)
    with reading(folder):
        check_version(version, manifest, encoder, (NUMBERS, INDEX))
        index = FaissIndex(manifest["dimension"], KINDS[manifest["kind"]](**manifest["settings"]))
        index.restore(
            faiss.read_index(str(version / INDEX)),
            json.loads((version / NUMBERS).read_text(encoding="utf-8")),
            manifest["next_number"],
            manifest["trained"],
        )
        return index


def open_folder(
    documents: str | Path, encoder: Encoder, settings: Settings | None = None, progress: bool = False
) -> tuple[KnowledgeBase, list[Skipped]]:
    """The knowledge base of a folder of documents, and the files left out when it was built.

    It is kept in the cache, one for each encoder's name, and built again when a file, the encoder or the settings have
    changed; passages that are still the same keep their vectors.

    Raises:
        NoDocuments: nothing in the folder can be read.
    """
    documents, settings = Path(documents), settings or Settings()
    key = hashlib.sha256(f"{documents.resolve()}\0{encoder.name}".encode()).hexdigest()[:16]
    kept = cache_folder() / "indexes" / key
    source = folder_digest(documents)
    known: dict[str, np.ndarray] = {}
    with contextlib.suppress(IndexUnusable):
        knowledge = load(kept, encoder)
        if knowledge.source == source and knowledge.settings == settings:
            return knowledge, []
        known = {indexed_text(p): v for p, v in zip(knowledge.passages.values(), knowledge.vectors, strict=True)}
    collection = load_documents(documents)
    knowledge = build(collection.documents, encoder, settings, source, known, progress)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the answer
        save(knowledge, kept)
    return knowledge, collection.skipped
