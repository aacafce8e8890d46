"""Where the course's data lie, and how files are read and written."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import stat
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rag_lib.text import kind, well_formed_values

LIBRARY = Path(__file__).resolve().parent
DATA = next(filter(Path.is_dir, (LIBRARY / "data", LIBRARY.parent / "data")), LIBRARY.parent / "data")  # wheel, clone
MUSEUM = DATA / "museum"
ARTICLES = MUSEUM / "articles"
MODELS = DATA / "models"


def cache_folder() -> Path:
    """Folder for what can be built again: RAG_CACHE, or the operating system's own place for caches."""
    if folder := os.environ.get("RAG_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rag_lib"


def private_cache(name: str) -> Path:
    """A folder of the cache that, as it holds what people's documents say, only its owner may look into."""
    folder = cache_folder() / name
    with contextlib.suppress(OSError):  # what cannot be kept costs time, not the answer
        cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    return folder


def check_path(path: str | Path, what: str) -> Path:
    """The path of a file or a folder.

    Args:
        what: what it is of, for the message.

    Raises:
        TypeError: it is neither a text nor a path.
        ValueError: the name is empty, which would be that of the working directory.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"the name of {what} is a text or a path, not {kind(path)}")
    if not str(path).strip():
        raise ValueError(f"the name of {what} is empty; the working directory is '.'")
    return Path(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, folder: Path, most: int) -> bytes:
    """The bytes of a regular file inside a folder, and no more than one over `most`.

    Raises:
        OSError: it cannot be read, is no regular file (a pipe would wait for ever, a device never end), or is a link
            to a place outside the folder.
    """
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise OSError("a link to a place outside the folder")
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was put in the other's place just now
            raise OSError("not a regular file")
        return file.read(most + 1)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that at any moment, also after a kill or a power cut, it holds its old bytes or the new ones.

    Raises:
        OSError: it cannot be written; nothing half-written stays behind.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Has the names in a folder written to the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def append_json(path: Path, row: Mapping) -> None:
    """Adds one row to a file of JSON lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def write_json_lines(path: Path, rows: Iterable[Mapping]) -> None:
    """Writes rows as JSON lines, atomically."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, "".join(lines).encode())


class BadLine(ValueError):
    """A line of a file is not what it should be; the message begins with the file and the line's number."""

    def __init__(self, path: Path, number: int, reason: object) -> None:
        super().__init__(f"{path}, line {number}: {reason}")


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1; a name that ends with .gz is unpacked.

    Raises:
        OSError: the file cannot be read, or not be unpacked.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            yield from enumerate(file, start=1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise OSError(f"{path} cannot be unpacked ({error})") from error


def json_lines(path: Path, broken: list[BadLine] | None = None) -> Iterator[tuple[int, object]]:
    """The values of a file of JSON lines with the numbers of their lines, from 1.

    Empty lines are passed over, a byte-order mark too; a name that ends with .gz is unpacked; texts are well formed.

    Args:
        broken: lines that are not JSON are put here and passed over; without it the first one ends the reading.

    Raises:
        BadLine: a line is not JSON.
        OSError: the file cannot be read.
    """
    for number, line in numbered_lines(path):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if b"\\ud" in line.lower():
                value = well_formed_values(value)
        except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
            at = f"{error.msg}, character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
            bad = BadLine(path, number, f"not JSON ({at})")
            if broken is None:
                raise bad from error
            broken.append(bad)
            continue
        yield number, value


def read_json_lines(path: Path) -> list:
    """The values of a file of JSON lines of our own making.

    Raises:
        BadLine: a line is not JSON.
    """
    return [value for _, value in json_lines(path)]
